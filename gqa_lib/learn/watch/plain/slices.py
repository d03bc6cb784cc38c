"""What a name of a notebook is made of: its statement, and those of the names that it needs."""

import ast
import re
import symtable
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .facades import facade, is_open
from .kernels import without_triton

_NOTEBOOK = re.compile(  # `%magic`, `!command`, either of them assigned, `?name` and `name?`
    r"^(\s*)(?:(?:[\w, ]+=\s*)?[%!].*|\?{1,2}[\w.]+\s*|\??[\w.]+\?+\s*)$", re.MULTILINE
)
_MOST_MAGIC = 100  # lines of a cell
_DEFINES = (ast.FunctionDef, ast.ClassDef)
_ACTS = (ast.Expr, ast.For, ast.While, ast.If, ast.With)  # what may call a method for its effect
_AT_ONCE = {"listcomp", "setcomp", "dictcomp", "genexpr"}
_IMPORTS = (ast.Import, ast.ImportFrom)


@dataclass(frozen=True, eq=False)
class Statement:
    """One statement at the top of a cell.

    `binds` are the names that it gives a value, `changes` those whose value it changes or builds
    on, `reads` what it needs when it runs, `later` what its functions need when they are called,
    and `touches` what it calls methods of, which may change it.
    """

    node: ast.stmt
    file: str
    lines: list[str]
    binds: frozenset[str]
    changes: frozenset[str]
    reads: frozenset[str]
    later: frozenset[str]
    touches: frozenset[str]


def readable(source: str) -> str:
    """Return a cell's source with the lines that only a notebook understands passed over.

    Raises:
        SyntaxError: it is no Python without them; ValueError or RecursionError where it cannot be.
    """
    for _ in range(_MOST_MAGIC):
        try:
            ast.parse(source)
            return source
        except SyntaxError as error:
            lines, place = source.split("\n"), (error.lineno or 1) - 1
            if not (place < len(lines) and _NOTEBOOK.match(lines[place])):
                break
            lines[place] = _NOTEBOOK.sub(r"\1pass", lines[place])
            source = "\n".join(lines)
    return _NOTEBOOK.sub(r"\1pass", source)


def statements(source: str, file: str) -> list[Statement]:
    """Return a cell's statements.

    Args:
        source: of the cell.
        file: its name.

    Raises:
        SyntaxError: it is no Python; ValueError or RecursionError where it cannot be.
    """
    lines = source.splitlines()
    return [_statement(node, file, lines) for node in without_triton(ast.parse(source, file)).body]


def _statement(node: ast.stmt, file: str, lines: list[str]) -> Statement:
    table = symtable.symtable(ast.unparse(node), file, "exec")
    symbols = table.get_symbols()
    binds = {
        s.get_name() for s in symbols if s.is_assigned() or s.is_imported() or s.is_namespace()
    }
    reads, later = set(_read(table, True)), set(_read(table, False))
    written = {_base(one) for one in ast.walk(node) if _is_written(one)} - {""}
    if isinstance(node, ast.AugAssign):
        written |= binds
    if isinstance(node, ast.Delete):
        binds = set()
    if (
        isinstance(node, ast.ImportFrom)
        and node.names[0].name == "*"
        and is_open(node.module or "")
    ):
        binds |= {name for name in vars(facade(node.module or "")) if name[0] != "_"}
    changes: set[str] = set() if isinstance(node, _DEFINES) else (binds & reads) | written
    touches: set[str] = set()
    if isinstance(node, _ACTS):
        called = (one.func for one in ast.walk(node) if isinstance(one, ast.Call))
        touches = {_base(one) for one in called if isinstance(one, ast.Attribute)} - {""}
    kinds = (binds | changes, changes, reads, later, touches - binds - changes)
    return Statement(node, file, lines, *map(frozenset, kinds))


def _read(table: symtable.SymbolTable, at_once: bool, top: bool = True) -> Iterator[str]:
    """Yield the names of a cell that a statement needs: as it runs, or in its functions."""
    is_now = top or table.get_type() == "class" or table.get_name() in _AT_ONCE
    for symbol in table.get_symbols():
        of_the_cell = top or symbol.is_global()
        needed = symbol.is_referenced() or (not top and symbol.is_assigned())
        if is_now == at_once and of_the_cell and needed:
            yield symbol.get_name()
    for child in table.get_children():
        if is_now:
            yield from _read(child, at_once, False)
        elif not at_once:
            yield from _all_read(child)


def _all_read(table: symtable.SymbolTable) -> Iterator[str]:
    for symbol in table.get_symbols():
        if symbol.is_global() and (symbol.is_referenced() or symbol.is_assigned()):
            yield symbol.get_name()
    for child in table.get_children():
        yield from _all_read(child)


def _is_written(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load)


def _base(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def needed_for(name: str, known: Sequence[Statement]) -> list[Statement]:
    """Return the statements that a name's value comes of, in their order.

    Args:
        name: what is asked for.
        known: all statements of the notebook so far, in order.
    """
    return [known[place] for place in sorted(_closure([(name, len(known))], known))]


def acting_on(needed: list[Statement], known: Sequence[Statement]) -> Iterator[list[Statement]]:
    """Yield each statement that may change a value of those needed, after what it needs itself.

    Args:
        needed: statements.
        known: all statements of the notebook so far, in order.
    """
    values = {
        name
        for one in needed
        if not isinstance(one.node, _DEFINES + _IMPORTS)
        for name in one.binds
    }
    for place, one in enumerate(known):
        if one.touches & values and one not in needed:
            places = _closure([(name, place) for name in one.reads | one.later], known)
            yield [known[number] for number in sorted(places | {place})]


def _closure(wanted: list[tuple[str, int]], known: Sequence[Statement]) -> set[int]:
    """Return the places of what gives names their values: (name, before which place)."""
    binding: dict[str, list[int]] = {}
    for place, one in enumerate(known):
        for name in one.binds:
            binding.setdefault(name, []).append(place)
    needed, seen = set(), set()
    while wanted:
        name, limit = asked = wanted.pop()
        if asked in seen:
            continue
        seen.add(asked)
        for place in reversed(binding.get(name, [])):
            if place >= limit:
                continue
            needed.add(place)
            wanted += [(one, place) for one in known[place].reads]
            wanted += [(one, limit) for one in known[place].later]
            if name not in known[place].changes:
                break
    return needed
