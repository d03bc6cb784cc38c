"""What plain code finds in place of the builtins that could lead it further."""

import ast
import builtins
import importlib
import types
from functools import partial, partialmethod
from string import Formatter
from types import FunctionType
from typing import Any

import numpy
import torch

from .classes import ndarray
from .facades import Facade, facade, is_open
from .harmless import show
from .rules import WATCHED_NAMES, is_builtin, is_pythons, may_name, sets_attributes
from .standins import SimpleNamespace

# Guards' names, which no source can have: of what is written to, of what is read, of the keywords
# in a dictionary, of an object's class, and of what writes to a frozen object.
OWN, READ, KEYS, KIND, SET = " own", " read", " keys", " kind", " set"
_OF_A_TENSOR = {"requires_grad", "data", "grad"}
_CLOSED: dict[str, tuple[type, ...]] = {  # watched name: what has something else by it
    "format": (super,),
    "format_map": (super,),
    "keywords": (super,),
    "compile": (super, torch.nn.Module),
    "resize": (super, numpy.ndarray),
}


class _Kind(type):
    def __call__(cls, value):  # type: ignore[override]
        kind = type(value)
        if issubclass(kind, type):
            raise TypeError("plain code makes no classes but with `class`")
        return ndarray if kind is numpy.ndarray else kind

    def __instancecheck__(cls, value):
        return isinstance(value, type)


class _Type(metaclass=_Kind):
    """Plain code's `type`."""

    __class_getitem__ = classmethod(types.GenericAlias)  # type: ignore[var-annotated]


def _build_class(body, name, *bases, **keywords):
    may_be_any = keywords or any(isinstance(one, torch.nn.Module) for one in bases)
    kinds = () if may_be_any else types.resolve_bases(bases)
    closed = torch.Tensor | type | _Type
    if may_be_any or any(isinstance(one, type) and issubclass(one, closed) for one in kinds):
        raise TypeError(f"class {name}: plain code makes no kinds of tensors, or of classes")
    made = builtins.__build_class__(body, name, *bases)
    if torch.nn.Module in made.__mro__:
        if dict in made.__mro__:
            raise TypeError(f"class {name}: plain code makes no dictionaries that are modules")
        made.__getattr__ = _found
    return made


def _found(module, name):
    """Return a module's part; what Python itself looks for it finds in no table of parts."""
    if is_pythons(name):
        raise AttributeError(f"{type(module).__name__!r} object has no attribute {name!r}")
    return torch.nn.Module.__getattr__(module, name)


def safe_builtins(module: str) -> dict[str, Any]:
    """Return the builtins of plain code whose classes say they are of this module."""

    def own_object(value, name):
        """Return what an attribute is written to, once it is seen to be the code's own."""
        if not _may_write(value, name, module):
            kind = value if isinstance(value, type) else type(value)
            raise AttributeError(f"plain code does not change .{name} of a {kind.__name__}")
        return value

    def set_attribute(value, name, new):
        setattr(own_object(value, _plain(name)), name, new)

    def set_frozen(value, name, new):
        object.__setattr__(own_object(value, _plain(name)), name, new)

    def read(value, name, *default):
        if _plain(name) in WATCHED_NAMES:
            return _watched(value, name, *default)
        if is_guarded(name) and not _is_of_its_own(value, name, module):
            raise AttributeError(
                f"plain code has no attribute {name!r} of a {type(value).__name__}"
            )
        return getattr(value, name, *default)

    found = {name: getattr(builtins, name) for name in dir(builtins) if is_builtin(name)}
    return found | {
        "__build_class__": _build_class,
        "__import__": _import,
        "__name__": module,
        "display": show,
        "getattr": read,
        "setattr": set_attribute,
        "type": _Type,
        OWN: own_object,
        READ: read,
        KEYS: _keys,
        KIND: _Type,
        SET: set_frozen,
    }


def _plain(name: Any) -> str:
    if type(name) is not str or is_pythons(name):
        raise AttributeError(f"plain code has no attribute {name!r}")
    return name


def guarded(tree: ast.Module) -> ast.Module:
    """Return the tree with a guard around what is written to, and around what may not be plain."""
    return ast.fix_missing_locations(_Guard().visit(tree))


def is_guarded(name: str) -> bool:
    """Return whether an attribute is looked at when it is read."""
    is_own = name.startswith("_") and not (name.startswith("__") and name.endswith("__"))
    return is_own or name in WATCHED_NAMES or not may_name(name)


class _Guard(ast.NodeTransformer):
    def __init__(self):
        self._class = ""

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.decorator_list = [self.visit(one) for one in node.decorator_list]
        node.bases = [self.visit(one) for one in node.bases]
        outer, self._class = self._class, node.name.lstrip("_")
        node.body = [self.visit(one) for one in node.body]
        self._class = outer
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        name, is_read = node.attr, isinstance(node.ctx, ast.Load)
        if sets_attributes(node):
            return ast.copy_location(ast.Name(SET, ast.Load()), node)
        if self._class and name.startswith("__") and not name.endswith("__"):
            name = f"_{self._class}{name}"  # as Python has it
        given = [node.value, ast.Constant(name)]
        if is_read and name == "__class__":
            return ast.copy_location(ast.Call(ast.Name(KIND, ast.Load()), given[:1], []), node)
        if is_read and not is_guarded(name):
            return node
        guard = ast.Call(ast.Name(READ if is_read else OWN, ast.Load()), given, [])
        made = guard if is_read else ast.Attribute(guard, node.attr, node.ctx)
        return ast.copy_location(made, node)

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        self.generic_visit(node)
        if node.arg is None:
            node.value = ast.Call(ast.Name(KEYS, ast.Load()), [node.value], [])
        return node


def _import(name, globals=None, locals=None, fromlist=(), level=0):
    if isinstance(fromlist, list):  # not the code's own: its C code says so, and takes no result
        importlib.import_module(name)
        return None
    top = name.partition(".")[0]
    if level or not (is_open(name) and is_open(top)):
        raise ImportError(f"plain code does not import {name}")
    return facade(name if fromlist else top)


def _keys(named):
    found = dict(named)
    for key in found:
        if isinstance(key, str) and is_pythons(str.__str__(key)):
            raise TypeError(f"plain code has no keyword {key}")
    return found


def _may_write(value: Any, name: str, module: str) -> bool:
    if isinstance(value, torch.Tensor):
        return name in _OF_A_TENSOR
    if isinstance(value, type):
        return value.__module__ == module
    if type(value) is SimpleNamespace or type(value).__module__ == module:
        return True
    return _is_own_function(value, module) or (
        isinstance(value, torch.nn.Module) and may_name(name)
    )


def _is_own_function(value: Any, module: str) -> bool:
    return type(value) is FunctionType and value.__module__ == module


def _is_of_its_own(value: Any, name: str, module: str) -> bool:
    """Return whether the code itself has given an object or a class an attribute of this name."""
    if isinstance(value, super):
        start, kind = (getattr(value, name) for name in ("__thisclass__", "__self_class__"))
        kinds = kind.__mro__[kind.__mro__.index(start) + 1 :]
    elif isinstance(value, Facade):
        return may_name(name) and not name.startswith("_")
    else:
        kinds = value.__mro__ if isinstance(value, type) else type(value).__mro__
    having = [kind for kind in kinds if name in vars(kind)]
    if having:
        return having[0].__module__ == module
    if isinstance(value, type | super):
        return False
    is_plain = type(value) is SimpleNamespace or _is_own_function(value, module)
    return is_plain or any(kind.__module__ == module for kind in kinds)


def _watched(value: Any, name: str, *default) -> Any:
    """Return an attribute that is plain of most objects."""
    if name == "keywords" and isinstance(value, partial | partialmethod):
        return dict(value.keywords)
    if name == "fields" and isinstance(value, numpy.dtype):
        return value.fields and dict(value.fields)
    kind = value if isinstance(value, type) else type(value)
    if issubclass(kind, _CLOSED.get(name, ())):
        raise AttributeError(f"plain code has no attribute {name!r} of a {kind.__name__}")
    if name.startswith("format") and issubclass(kind, str):
        return partial(_formatted, name, *([] if kind is value else [value]))
    return getattr(value, name, *default)


def _formatted(name: str, text: str, *given, **named) -> str:
    text = str.__str__(text)
    _check_fields(text)
    return getattr(text, name)(*given, **named)


def _check_fields(text: str) -> None:
    for _, field, inner, _ in Formatter().parse(text):
        parts = (field or "").replace("[", ".").replace("]", ".").split(".")[1:]
        if any(part.startswith("_") or not may_name(part) for part in parts):
            raise AttributeError(f"plain code has no attribute as in {field!r}")
        _check_fields(inner or "")
