"""What a statement of a cell may change besides the names that it gives values."""

import ast
from collections.abc import Iterable, Iterator

DEFINES = (ast.FunctionDef, ast.ClassDef)
_LOOK = {  # builtins that change none of their arguments
    *("abs", "all", "any", "bool", "callable", "dict", "enumerate", "filter", "float", "format"),
    *("frozenset", "getattr", "hasattr", "hash", "id", "int", "isinstance", "issubclass", "len"),
    *("list", "max", "min", "print", "range", "repr", "reversed", "round", "set", "sorted", "str"),
    *("sum", "tuple", "type", "zip"),
}
_READ = {  # methods that change nothing, among those that functions call of a notebook's values
    *("clone", "copy", "count", "cpu", "dim", "double", "expand", "flatten", "float", "format"),
    *("get", "index", "item", "items", "join", "keys", "long", "mean", "numel", "repeat"),
    *("reshape", "size", "sum", "to", "tolist", "type_as", "unsqueeze", "values", "view"),
}
_CHANGE = {  # functions of libraries that change an argument
    *("copyto", "fill_diagonal", "heapify", "heappop", "heappush", "heappushpop", "insort"),
    *("insort_left", "insort_right", "place", "put", "put_along_axis", "putmask", "setattr"),
    *("setitem", "delitem", "shuffle"),
}
_PLAIN_NUMBERS = (ast.Constant, ast.UnaryOp, ast.BinOp, ast.Compare, ast.BoolOp, ast.IfExp)
_PARTS = (ast.operator, ast.unaryop, ast.cmpop, ast.boolop, ast.expr_context)
_OF_NUMBERS = {"float", "int", "bool", "str", "round", "abs", "len"}


def base(node: ast.AST) -> str:
    """Return the name that an attribute or an item is of, or ""."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def written(node: ast.AST) -> set[str]:
    """Return the names of which an attribute or an item is written or deleted."""
    parts = (n for n in ast.walk(node) if isinstance(n, ast.Attribute | ast.Subscript))
    return {base(one) for one in parts if not isinstance(one.ctx, ast.Load)} - {""}


def touched(node: ast.stmt) -> tuple[set[str], set[str]]:
    """Return the names whose values a statement may change as it runs, by what it calls.

    Returns:
        All of them; and those of them that may be a class or a function.
    """
    if isinstance(node, DEFINES):
        found: set[str] = set()
        for one in node.decorator_list:
            made = one.func if isinstance(one, ast.Call) else one
            found |= {base(made)} if isinstance(made, ast.Attribute) else set()
            found |= _by_calls([one])[0]
        return found - {""}, found - {""}
    every, kinds = _by_calls([node])
    if every & _bound_in(node):  # as in `for one in values: one.clear()`
        loaded = (n for n in ast.walk(node) if isinstance(n, ast.Name))
        every |= {one.id for one in loaded if isinstance(one.ctx, ast.Load)}
    return every - {""}, kinds - {""}


def declared_global(node: ast.AST) -> set[str]:
    """Return the names that functions in a statement may give another value."""
    return {n for one in ast.walk(node) if isinstance(one, ast.Global) for n in one.names}


def effects(node: ast.AST) -> set[str]:
    """Return the names of a notebook that functions in a statement may change when called."""
    found = written(node) | declared_global(node)
    for one in ast.walk(node):
        if isinstance(one, ast.ClassDef) and any(map(_is_of_its_class, ast.walk(one))):
            found.add(one.name)
        if not isinstance(one, ast.Call):
            continue
        if isinstance(one.func, ast.Attribute) and one.func.attr not in _READ:
            found.add(base(one.func))
        called = _called(one)
        is_near = isinstance(one.func, ast.Name) and called not in _LOOK
        if is_near or called in _CHANGE or called.endswith("_"):
            found |= _given(one)
    return found - {""}


def _is_of_its_class(node: ast.AST) -> bool:
    """Return whether something may be written to the class of a method's object."""
    if not isinstance(node, ast.Attribute) or isinstance(node.ctx, ast.Load):
        return False
    is_type = isinstance(node.value, ast.Call) and _called(node.value) == "type"
    return is_type or ast.unparse(node.value).endswith(("cls", "__class__"))


def aliases(node: ast.stmt) -> set[str]:
    """Return the names whose values may be part of what an assignment gives a name."""
    value = getattr(node, "value", None)
    if not isinstance(node, ast.Assign | ast.AnnAssign) or value is None:
        return set()
    return {one.id for one in ast.walk(value) if isinstance(one, ast.Name)}


def is_number(node: ast.stmt) -> bool:
    """Return whether a statement gives a name a number or a text, which nothing changes."""
    value = getattr(node, "value", None)
    if not isinstance(node, ast.Assign | ast.AnnAssign) or value is None:
        return False
    return all(map(_is_of_a_number, _within(value)))


def _within(value: ast.AST) -> Iterator[ast.AST]:
    """Yield an expression and its parts, but those of an attribute."""
    yield value
    if not isinstance(value, ast.Attribute):
        for one in ast.iter_child_nodes(value):
            yield from _within(one)


def _is_of_a_number(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return _called(node) in _OF_NUMBERS or base(node.func) == "math"
    if isinstance(node, ast.Name):
        return node.id in _OF_NUMBERS
    if isinstance(node, ast.Attribute):
        return base(node) in ("math", "torch", "np", "numpy")
    return isinstance(node, _PLAIN_NUMBERS + _PARTS)


def _by_calls(nodes: Iterable[ast.AST]) -> tuple[set[str], set[str]]:
    every: set[str] = set()
    kinds: set[str] = set()
    for one in (inner for node in nodes for inner in ast.walk(node)):
        if not isinstance(one, ast.Call):
            continue
        if isinstance(one.func, ast.Attribute):
            kinds.add(base(one.func))
        if (called := _called(one)) not in _LOOK:
            every |= _given(one) | {base(one.func)}
        if called in _CHANGE:
            kinds |= _given(one)
    return every | kinds, kinds


def _called(node: ast.Call) -> str:
    made = node.func
    return made.attr if isinstance(made, ast.Attribute) else base(made)


def _given(node: ast.Call) -> set[str]:
    given = [*node.args, *(one.value for one in node.keywords)]
    return {n.id for one in given for n in ast.walk(one) if isinstance(n, ast.Name)}


def _bound_in(node: ast.AST) -> set[str]:
    names = (one for one in ast.walk(node) if isinstance(one, ast.Name))
    return {one.id for one in names if isinstance(one.ctx, ast.Store)}
