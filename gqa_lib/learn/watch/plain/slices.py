"""What a name of a notebook is made of: its statement, and those of the names that it needs."""

import ast
import re
import symtable
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .facades import facade, is_open
from .kernels import without_triton

_NOTEBOOK = re.compile(r"^(\s*)(?:[%!].*|\??[\w.]+\?+\s*)$", re.MULTILINE)
_DEFINES = (ast.FunctionDef, ast.ClassDef)


@dataclass(frozen=True, eq=False)
class Statement:
    """One statement at the top of a cell.

    `binds` are the names that it gives a value, `changes` those whose value it changes or builds
    on, and `reads` all that it needs, at any depth.
    """

    node: ast.stmt
    file: str
    lines: list[str]
    binds: frozenset[str]
    changes: frozenset[str]
    reads: frozenset[str]


def without_magic(source: str) -> str:
    """Return a cell's source with the lines that only a notebook understands passed over."""
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
    reads = set(_read(table, True))
    written = {_base(one) for one in ast.walk(node) if _is_written(one)} - {""}
    if isinstance(node, ast.AugAssign):
        written |= binds
    if (
        isinstance(node, ast.ImportFrom)
        and node.names[0].name == "*"
        and is_open(node.module or "")
    ):
        binds |= {name for name in vars(facade(node.module or "")) if name[0] != "_"}
    if isinstance(node, _DEFINES):
        changes: set[str] = set()
    else:
        changes = (binds & reads) | written
    return Statement(node, file, lines, *map(frozenset, (binds | changes, changes, reads)))


def _read(table: symtable.SymbolTable, top: bool) -> Iterator[str]:
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (top or symbol.is_global()):
            yield symbol.get_name()
    for child in table.get_children():
        yield from _read(child, False)


def _is_written(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load)


def _base(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def needed_for(name: str, known: Iterable[Statement]) -> list[Statement]:
    """Return the statements that a name's value comes of, in their order.

    Args:
        name: what is asked for.
        known: all statements of the notebook so far, in order.
    """
    known = list(known)
    needed, wanted, seen = set(), [name], set()
    while wanted:
        one = wanted.pop()
        if one in seen:
            continue
        seen.add(one)
        for place in range(len(known) - 1, -1, -1):
            statement = known[place]
            if one in statement.binds:
                needed.add(place)
                wanted += statement.reads
                if one not in statement.changes:
                    break
    return [known[place] for place in sorted(needed)]
