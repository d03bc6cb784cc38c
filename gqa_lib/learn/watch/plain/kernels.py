"""The rules of a plain kernel: @triton.jit, its parameters, `tl`, numbers and other kernels.

Of a kernel only its parameters, their defaults and its body ever run. The options of its decorator
and its annotations say nothing to Triton's interpreter, and are left out.
"""

import ast
import builtins
import copy
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

from .rules import NotPlain, at_line

SEMANTIC = "interpreter_semantic"  # the one global that Triton's interpreter adds to a kernel's
TRITON = frozenset({"tl", "triton", SEMANTIC})  # names that nobody else may take
_MODULES = ("triton", "triton.language")
BUILTINS = {"range", "min", "max", "abs", "float", "int", "bool", "len", "print", "tuple", "zip"}
BUILTINS |= {"NotImplementedError", "isinstance"}  # the first is a stub's
_OF_TRITON = {"triton.cdiv", "triton.next_power_of_2"}
MODULES = ("math", "torch", "np", "numpy")  # of which a kernel may name these numbers
NUMBERS = ("inf", "pi", "e", "nan")
_NUMBERS = {f"{module}.{name}" for module in MODULES for name in NUMBERS}
_CLOSED = {"core", "standard", "semantic", "extra", "tensor", "builtin", "constexpr_function"}
_CLOSED |= {"inline_asm_elementwise", "map_elementwise", "handle", "str_to_ty", "constexpr_type"}
_OF_INSTANCES = {  # what tiles, types, constants and descriptors have, and their classes have not
    *("T", "dtype", "shape", "type", "numel", "name", "element_ty", "address_space", "const"),
    *("primitive_bitwidth", "itemsize", "fp_mantissa_width", "exponent_bias", "int_bitwidth"),
    *("int_signedness", "value", "strides", "block_shape", "load", "store", "gather", "scatter"),
}
_NODES = (
    *(ast.Assign, ast.AugAssign, ast.AnnAssign, ast.For, ast.While, ast.If, ast.Expr, ast.Return),
    *(ast.Pass, ast.Break, ast.Continue, ast.Assert, ast.BinOp, ast.UnaryOp, ast.BoolOp),
    *(ast.Compare, ast.IfExp, ast.NamedExpr, ast.Call, ast.keyword, ast.Name, ast.Attribute),
    *(ast.Subscript, ast.Slice, ast.Tuple, ast.List, ast.Constant, ast.Raise, ast.JoinedStr),
    *(ast.FormattedValue, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context),
)


def is_kernel(node: ast.AST) -> bool:
    """Return whether a statement is a function below the one line @triton.jit."""
    if not isinstance(node, ast.FunctionDef) or len(node.decorator_list) != 1:
        return False
    (above,) = node.decorator_list
    above = above.func if isinstance(above, ast.Call) and not above.args else above
    return ast.unparse(above) == "triton.jit"


def without_triton(tree: ast.Module) -> ast.Module:
    """Return a cell without what only imports Triton again, which its lesson has done already."""
    return ast.fix_missing_locations(_WithoutTriton().visit(tree))


class _WithoutTriton(ast.NodeTransformer):
    def visit_Import(self, node: ast.Import) -> ast.stmt:
        node.names = [one for one in node.names if one.name not in _MODULES]
        return node if node.names else ast.copy_location(ast.Pass(), node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        node.names = [one for one in node.names if f"{node.module}.{one.name}" not in _MODULES]
        return node if node.names else ast.copy_location(ast.Pass(), node)

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        """Pass over `triton = None`, for where it is missing."""
        names = {one.id if isinstance(one, ast.Name) else "" for one in node.targets}
        missing = names <= TRITON and ast.unparse(node.value) == "None"
        return ast.copy_location(ast.Pass(), node) if missing else node


def bare_kernel(node: ast.FunctionDef) -> ast.FunctionDef:
    """Return what of a kernel is to run: no options, no annotations but constexpr."""
    bare = copy.deepcopy(node)
    bare.decorator_list = [ast.parse("triton.jit", mode="eval").body]
    bare.returns = None
    every = [*bare.args.posonlyargs, *bare.args.args, *bare.args.kwonlyargs]
    for one in [*every, *filter(None, (bare.args.vararg, bare.args.kwarg))]:
        one.annotation = _bare_annotation(one.annotation)
    for inner in ast.walk(bare):
        if isinstance(inner, ast.AnnAssign):
            inner.annotation = _bare_annotation(inner.annotation) or ast.Constant(None)
    if ast.get_docstring(node, clean=False) is not None:
        bare.body = bare.body[1:] or [ast.Pass()]
    return ast.fix_missing_locations(ast.copy_location(bare, node))


def _bare_annotation(node: ast.expr | None) -> ast.expr | None:
    text = node.value if isinstance(node, ast.Constant) else ast.unparse(node) if node else ""
    is_constexpr = str(text).rpartition(".")[2] == "constexpr"
    return ast.parse("tl.constexpr", mode="eval").body if is_constexpr else None


def text_of(node: ast.FunctionDef, lines: list[str]) -> str:
    """Return a kernel's text, which Triton reads again and runs: what was checked, and no more.

    Args:
        node: the kernel.
        lines: of its cell.

    Raises:
        NotPlain: Triton would take another part of it for the kernel.
    """
    bare = bare_kernel(node)
    text = ast.unparse(bare) + "\n"
    defs = [line for line in text.splitlines() if line.strip().startswith("def ")]
    same = ast.dump(ast.parse(text)) == ast.dump(ast.Module([bare], []))
    if len(defs) != 1 or text.splitlines() != text.split("\n")[:-1] or not same:
        why = "Triton reads a kernel's text again, and would misread this: write it more simply."
        raise NotPlain(at_line(node, lines, why))
    return text


def check_kernel(node: ast.FunctionDef, lines: list[str], known: set[str]) -> None:
    """Hold a kernel against the rules.

    Args:
        node: the function, for which `is_kernel` holds.
        lines: of its cell.
        known: other kernels and numbers, which it may name.

    Raises:
        NotPlain: it breaks one.
    """
    bare = bare_kernel(node)
    own = {n.id for n in ast.walk(bare) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    own |= {one.arg for one in ast.walk(bare) if isinstance(one, ast.arg)}
    if TRITON & {*own, *known, node.name}:
        raise NotPlain(at_line(node, lines, "Triton stays what it is."))
    modules: set[int] = set()
    defaults = [one for one in (*bare.args.defaults, *bare.args.kw_defaults) if one]
    for parts, names in ((defaults, known), (bare.body, own | known)):  # a default sees no others
        for one in (inner for part in parts for inner in ast.walk(part)):
            if why := _problem(one, names, modules):
                raise NotPlain(at_line(one, lines, why))
    if getattr(node, "type_params", None):
        raise NotPlain(at_line(node, lines, "Triton has no kernels with types for parameters."))
    text_of(node, lines)


def check_host(node: ast.AST, lines: list[str]) -> None:
    """Hold what names `tl` and is no kernel against the rules.

    Args:
        node: the statement.
        lines: of its cell.

    Raises:
        NotPlain: it uses more than types and tl.constexpr, or is a function.
    """
    of_tl = [one for one in ast.walk(node) if isinstance(one, ast.Attribute)]
    good = {id(one.value) for one in of_tl if one.attr in vars(of_numbers())}
    defines = isinstance(node, ast.FunctionDef | ast.ClassDef)
    for one in ast.walk(node):
        if isinstance(one, ast.Name) and one.id == "tl" and (defines or id(one) not in good):
            raise NotPlain(at_line(one, lines, "only a kernel has use for tl."))


def _problem(node: ast.AST, names: set[str], modules: set[int]) -> str:
    """Return why a node is not a kernel's, or ""; `modules` collects each right `tl`."""
    if not isinstance(node, _NODES):
        return "Triton has no such statement: a kernel has assignments, loops, conditions and tl."
    if isinstance(node, ast.Attribute):
        return _about_attribute(node, modules)
    if isinstance(node, ast.keyword) and (node.arg or "_").startswith("_"):
        return "what begins with _ is Triton's own."
    if isinstance(node, ast.Name) and node.id in TRITON and id(node) not in modules:
        return f"`{node.id}` is used as {node.id}.name."
    if isinstance(node, ast.Name) and id(node) in modules:
        return ""
    if isinstance(node, ast.Name) and node.id not in names | BUILTINS:
        what = "one of Python's" if hasattr(builtins, node.id) else "neither its own nor a kernel's"
        return f"{node.id} is {what}. A kernel has its parameters, tl, numbers and other kernels."
    return ""


def _about_attribute(node: ast.Attribute, modules: set[int]) -> str:
    path, inner = ast.unparse(node), node.value
    if not isinstance(node.ctx, ast.Load):
        return f"a kernel changes no {path}."
    if id(node) in modules:  # the tl.math of a name in it
        return ""
    if path.startswith("tl.math.") and isinstance(inner, ast.Attribute):
        modules |= {id(inner), id(inner.value)}
        return "" if node.attr in _of_math() else f"there is no {path} for a kernel."
    if isinstance(inner, ast.Name) and (inner.id in TRITON or path in _NUMBERS):
        modules.add(id(inner))
        known = path in _OF_TRITON | _NUMBERS or (inner.id == "tl" and node.attr in _of_language())
        return "" if known else f"there is no {path} for a kernel."
    return "" if node.attr in _of_values() else f".{node.attr} is nothing that a tile has."


@cache
def _of_language() -> set[str]:
    from triton import language

    names = {name for name in dir(language) if name[0] != "_"} - _CLOSED
    return {name for name in names if not isinstance(getattr(language, name), ModuleType)}


@cache
def _of_math() -> set[str]:
    from triton.language import math

    kept = {name for name in dir(math) if name[0] != "_" and callable(getattr(math, name))}
    return {name for name in kept if name[0].islower()} - _CLOSED - {"wraps", "core"}


@cache
def _of_values() -> set[str]:
    from triton import language

    names = {*dir(language.tensor), *dir(language.dtype), *dir(language.constexpr), *_OF_INSTANCES}
    return {name for name in names if name == "T" or name[0].islower()} - _CLOSED


@cache
def of_numbers() -> Any:
    """Return the part of `tl` of which a notebook may make numbers: its types, and constexpr."""
    from triton import language

    every = vars(language).items()
    types = {name: one for name, one in every if type(one) is language.dtype}
    return SimpleNamespace(constexpr=language.constexpr, **types)
