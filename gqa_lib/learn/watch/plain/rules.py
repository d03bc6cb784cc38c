"""The rules of plain code, held against the syntax tree: what it may name, and what not.

Together with the modules' open parts (`facades`) and the guards (`guards`) they leave no way to an
object that the code has not been given.
"""

import ast
import builtins

import torch

# Attributes that lead to frames, classes' insides, raw memory or files.
DENIED = {
    *("mro", "register", "gi_frame", "gi_code", "gi_yieldfrom", "cr_frame", "cr_code", "ag_frame"),
    *("ag_code", "tb_frame", "tb_next", "f_back", "f_builtins", "f_code", "f_globals", "f_locals"),
    *("func_globals", "storage", "untyped_storage", "data_ptr", "set_", "share_memory_", "map_"),
    *("map2_", "apply_", "storage_type", "resize_", "resize_as_", "register_hook", "ctypes"),
    *("register_post_accumulate_grad_hook", "register_forward_hook", "register_forward_pre_hook"),
    *("register_prehook", "register_full_backward_pre_hook"),
    *("register_full_backward_hook", "register_module_forward_hook", "dump", "tofile"),
    *("setflags", "as_subclass", "module_load", "handle", "cffi", "capsule"),
}
WATCHED_NAMES = frozenset(  # plain of some objects
    {"format", "format_map", "compile", "keywords", "fields", "resize"}
)
_DUNDERS = {  # methods that plain classes may define
    *("init", "call", "len", "getitem", "setitem", "delitem", "contains", "iter", "next", "repr"),
    *("str", "bool", "eq", "ne", "lt", "le", "gt", "ge", "hash", "add", "radd", "sub", "rsub"),
    *("mul", "rmul", "truediv", "floordiv", "mod", "neg", "matmul", "and", "or", "int", "float"),
    *("index", "enter", "exit", "post_init", "name", "doc", "qualname", "slots", "version"),
}
_ALLOWED_BUILTINS = {
    *("abs", "all", "any", "ascii", "bin", "bool", "bytearray", "bytes", "callable", "chr"),
    *("classmethod", "complex", "dict", "display", "divmod", "enumerate", "filter", "float"),
    *("format",),
    *("frozenset", "getattr", "hasattr", "hash", "hex", "id", "int", "isinstance", "issubclass"),
    *("iter", "len", "list", "map", "max", "min", "next", "object", "oct", "ord", "pow", "print"),
    *(
        "property",
        "range",
        "repr",
        "reversed",
        "round",
        "set",
        "setattr",
        "slice",
        "sorted",
        "staticmethod",
    ),
    *("str", "sum", "super", "tuple", "type", "zip", "Ellipsis", "NotImplemented"),
    *("False", "None", "True"),
}
_ASYNC = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)


WATCHED = (
    "part of this check is to watch what it does, and only plain code can be watched: torch, math "
    "and the like, without threads, files or other processes."
)


class NotPlain(Exception):
    """Code that is not plain; the message names the line and what is not plain in it."""


def is_builtin(name: str) -> bool:
    """Return whether plain code may use one of Python's builtins."""
    value = getattr(builtins, name, None)
    is_error = isinstance(value, type) and issubclass(value, BaseException)
    return name in _ALLOWED_BUILTINS or is_error


def may_name(attribute: str) -> bool:
    """Return whether plain code may use an attribute of this name."""
    if attribute.startswith("__") and attribute.endswith("__"):
        return attribute.strip("_") in _DUNDERS
    if attribute.startswith("_"):  # one's own are fine, torch's are not
        return not (hasattr(torch.Tensor, attribute) or hasattr(torch.nn.Module, attribute))
    return attribute not in DENIED


def is_pythons(name: str) -> bool:
    """Return whether a name is one of those by which Python treats objects, and not open."""
    is_named = name.startswith("__") and name.endswith("__") and bool(name.strip("_"))
    return is_named and not may_name(name)


def defined_in(tree: ast.AST) -> set[str]:
    """Return the names of attributes and methods that a statement gives to something."""
    found = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and _is_stored(n)}
    found |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.keyword) and n.arg}
    for kind in (n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)):
        found |= {n.name for n in kind.body if isinstance(n, ast.FunctionDef)}
        found |= {n.id for n in ast.walk(kind) if isinstance(n, ast.Name) and _is_stored(n)}
    return {name for name in found if not is_pythons(name)}


def _is_stored(node: ast.Attribute | ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def check_plain(tree: ast.AST, lines: list[str], defined: set[str]) -> None:
    """Hold a statement against the rules.

    Args:
        tree: the statement.
        lines: of its cell.
        defined: attributes that the code has of its own; whose they are shows when it runs.

    Raises:
        NotPlain: it breaks one.
    """
    own = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    own |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    for node in ast.walk(tree):
        if why := _problem(node, own, defined):
            raise NotPlain(at_line(node, lines, why))


def at_line(node: ast.AST, lines: list[str], why: str) -> str:
    """Return a sentence on a line that is not plain.

    Args:
        node: what is not plain.
        lines: of its cell.
        why: what is wrong with it.
    """
    number = getattr(node, "lineno", 1)
    text = lines[number - 1].strip() if number <= len(lines) else ""
    return f"{WATCHED} Line {number} of its cell, `{text[:90]}`: {why}"


def _problem(node: ast.AST, own: set[str], defined: set[str]) -> str:
    """Return why a node breaks a rule, or ""."""
    if isinstance(node, _ASYNC):
        return "nothing may run beside it."
    if isinstance(node, ast.Name):
        return _about_name(node.id, own)
    bound = [name for name in _bound_by(node) if is_pythons(name)]
    if bound:
        return f"{bound[0]} changes how Python itself treats the object."
    if isinstance(node, ast.ClassDef) and node.keywords:
        return "a class with a metaclass or other keywords may be anything."
    if isinstance(node, ast.MatchClass):
        names = [name for name in node.kwd_attrs if not may_name(name) or name in WATCHED_NAMES]
        return _about_attribute(names[0]) if names else ""
    if isinstance(node, ast.Attribute) and not may_name(node.attr) and node.attr not in defined:
        is_kind = node.attr == "__class__" and isinstance(node.ctx, ast.Load)
        return "" if is_kind or sets_attributes(node) else _about_attribute(node.attr)
    return ""


def sets_attributes(node: ast.Attribute) -> bool:
    """Return whether a node is `object.__setattr__`, which a frozen dataclass has to use."""
    return isinstance(node.ctx, ast.Load) and ast.unparse(node) == "object.__setattr__"


def _bound_by(node: ast.AST) -> list[str]:
    """Return the names that a node gives to something, attributes and plain names left out."""
    if isinstance(node, ast.alias):
        return [*node.name.split("."), node.asname or ""]
    if isinstance(node, ast.Global | ast.Nonlocal):
        return node.names
    fields = (getattr(node, field, None) for field in ("name", "arg", "rest"))
    return [one for one in fields if isinstance(one, str)]


def _about_name(name: str, own: set[str]) -> str:
    if is_pythons(name):
        return f"{name} is Python's own."
    known = is_builtin(name) or name.startswith("__")
    if hasattr(builtins, name) and not known and name not in own:
        return f"{name} reaches further than the code that you see here."
    return ""


def _about_attribute(name: str) -> str:
    return f".{name} reaches into what torch or Python keeps to itself."
