"""The rules of a plain kernel: @triton.jit, its parameters, `tl`, numbers and other kernels."""

import ast
import builtins
from functools import cache

from .rules import NotPlain, at_line

_BUILTINS = {"range", "min", "max", "abs", "float", "int", "bool", "len", "print", "tuple", "zip"}
_BUILTINS |= {"NotImplementedError"}  # of a stub
_CLOSED = {"core", "standard", "semantic", "extra", "tensor", "builtin", "constexpr_function"}
_CLOSED |= {"inline_asm_elementwise", "map_elementwise", "handle"}
_NODES = (
    *(ast.FunctionDef, ast.arguments, ast.arg, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.For),
    *(ast.While, ast.If, ast.Expr, ast.Return, ast.Pass, ast.Break, ast.Continue, ast.Assert),
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call, ast.keyword, ast.Name),
    *(ast.Attribute, ast.Subscript, ast.Slice, ast.Tuple, ast.List, ast.Constant, ast.Raise),
    *(ast.JoinedStr, ast.FormattedValue, ast.operator, ast.unaryop, ast.boolop, ast.cmpop),
    ast.expr_context,
)


def is_kernel(node: ast.AST) -> bool:
    """Return whether a statement is a function below the one line @triton.jit."""
    if not isinstance(node, ast.FunctionDef) or len(node.decorator_list) != 1:
        return False
    (above,) = node.decorator_list
    above = above.func if isinstance(above, ast.Call) and not above.args else above
    return ast.unparse(above) == "triton.jit"


def is_constant(node: ast.AST) -> bool:
    """Return whether a statement gives a name to a number, as a kernel may use it."""
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
        return False
    parts = list(ast.walk(node.value))
    calls = (ast.unparse(one.func) for one in parts if isinstance(one, ast.Call))
    allowed = (ast.Constant, ast.UnaryOp, ast.BinOp, ast.Call, ast.Attribute, ast.Name)
    names = {one.id for one in parts if isinstance(one, ast.Name)}
    plain = all(
        isinstance(p, (*allowed, ast.operator, ast.unaryop, ast.expr_context)) for p in parts
    )
    return plain and names <= {"tl", "float"} and set(calls) <= {"tl.constexpr", "float"}


def check_kernel(node: ast.FunctionDef, lines: list[str], known: set[str]) -> None:
    """Hold a kernel against the rules.

    Args:
        node: the function, for which `is_kernel` holds.
        lines: of its cell.
        known: other kernels and constants, which it may name.

    Raises:
        NotPlain: it breaks one.
    """
    own = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    own |= {one.arg for one in ast.walk(node) if isinstance(one, ast.arg)}
    if "tl" in own | known:
        raise NotPlain(at_line(node, lines, "`tl` is Triton's language, and stays what it is."))
    language: set[int] = set()
    for part in [*node.body, node.args]:
        for one in ast.walk(part):
            if why := _problem(one, own | known, language):
                raise NotPlain(at_line(one, lines, why))


def _problem(node: ast.AST, names: set[str], language: set[int]) -> str:
    """Return why a node is not a kernel's, or ""; `language` collects each right `tl`."""
    if not isinstance(node, _NODES) or isinstance(node, ast.FunctionDef):
        return "Triton has no such statement: a kernel has assignments, loops, conditions and tl."
    if isinstance(node, ast.Attribute):
        return _about_attribute(node, language)
    if isinstance(node, ast.Name) and node.id == "tl":
        return "" if id(node) in language else "`tl` is used as tl.name."
    if isinstance(node, ast.Name) and node.id not in names | _BUILTINS:
        what = "one of Python's" if hasattr(builtins, node.id) else "neither its own nor a kernel's"
        return f"{node.id} is {what}. A kernel has its parameters, tl, numbers and other kernels."
    return ""


def _about_attribute(node: ast.Attribute, language: set[int]) -> str:
    path = ast.unparse(node)
    if isinstance(node.value, ast.Name) and node.value.id == "tl":
        language.add(id(node.value))
        return "" if node.attr in _of_language() else f"there is no {path} for a kernel."
    if path.startswith("tl.math."):
        return "" if node.attr in _of_math() else f"there is no {path} for a kernel."
    return "" if node.attr in _of_values() else f".{node.attr} is nothing that a tile has."


@cache
def _of_language() -> set[str]:
    from triton import language

    return {name for name in dir(language) if name[0] != "_"} - _CLOSED


@cache
def _of_math() -> set[str]:
    from triton.language import math

    kept = {name for name in dir(math) if name[0] != "_" and callable(getattr(math, name))}
    return kept - _CLOSED - {"wraps", "core"}


@cache
def _of_values() -> set[str]:
    from triton import language

    names = {
        *dir(language.tensor),
        *dir(language.dtype),
        *dir(language.constexpr),
        "T",
        "dtype",
        "shape",
    }
    return {name for name in names if name[0] != "_"} - _CLOSED
