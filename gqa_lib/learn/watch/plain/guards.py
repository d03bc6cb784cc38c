"""What plain code finds in place of the builtins that could lead it further."""

import ast
import builtins
from typing import Any

import torch

from .facades import facade, is_open
from .rules import is_builtin, may_name

OWN = " own"  # the guard of what is written to: a name that no source can have
_OF_A_TENSOR = {"requires_grad", "data", "grad"}


def safe_builtins(module: str) -> dict[str, Any]:
    """Return the builtins of plain code whose classes say they are of this module."""

    def build_class(body, name, *bases, **keywords):
        if keywords or any(
            isinstance(b, type) and issubclass(b, torch.Tensor | type) for b in bases
        ):
            raise TypeError(f"class {name}: plain code makes no kinds of tensors, or of classes")
        return builtins.__build_class__(body, name, *bases)

    def own_object(value, name):
        """Return what an attribute is written to, once it is seen to be the code's own."""
        kind = value if isinstance(value, type) else type(value)
        if isinstance(value, torch.Tensor):
            fine = name in _OF_A_TENSOR
        elif isinstance(value, type):
            fine = value.__module__ == module
        else:
            fine = kind.__module__ == module or isinstance(value, torch.nn.Module)
        if not fine:
            raise AttributeError(f"plain code does not change .{name} of a {kind.__name__}")
        return value

    def set_attribute(value, name, new):
        if not (type(name) is str and may_name(name)):
            raise AttributeError(f"plain code has no attribute {name!r}")
        setattr(own_object(value, name), name, new)

    found = {name: getattr(builtins, name) for name in dir(builtins) if is_builtin(name)}
    return found | {
        "__build_class__": build_class,
        "__import__": _import,
        "__name__": module,
        "getattr": _getattr,
        "setattr": set_attribute,
        "type": _type,
        OWN: own_object,
    }


def guarded(tree: ast.Module) -> ast.Module:
    """Return the tree with a guard around whatever has an attribute written to or deleted."""
    return ast.fix_missing_locations(_Guard().visit(tree))


class _Guard(ast.NodeTransformer):
    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Load):
            return node
        guard = ast.Call(ast.Name(OWN, ast.Load()), [node.value, ast.Constant(node.attr)], [])
        return ast.copy_location(ast.Attribute(guard, node.attr, node.ctx), node)


def _import(name, globals=None, locals=None, fromlist=(), level=0):
    if level or not is_open(name):
        raise ImportError(f"plain code does not import {name}")
    return facade(name if fromlist else name.partition(".")[0])


def _getattr(value, name, *default):
    if not (type(name) is str and may_name(name)):
        raise AttributeError(f"plain code has no attribute {name!r}")
    return getattr(value, name, *default)


def _type(value):
    kind = type(value)
    if issubclass(kind, type):
        raise TypeError("plain code makes no classes but with `class`")
    return kind
