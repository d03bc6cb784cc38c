"""What a name of a notebook is made of: its statement, and those of the names that it needs."""

import ast
import re
import symtable
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from . import touches as may
from .facades import facade, is_open
from .kernels import without_triton

_NOTEBOOK = re.compile(  # `%magic`, `!command`, either of them assigned, `?name` and `name?`
    r"^(\s*)(?:(?:[\w, ]+=\s*)?[%!].*|\?{1,2}[\w.]+\s*|\??[\w.]+\?+\s*)$", re.MULTILINE
)
_COMMAND = re.compile(r"^(\s*)((?:[\w, ]+=(?!=)\s*)?)get_ipython\(\).*$", re.MULTILINE)
_AT_ONCE = {"listcomp", "setcomp", "dictcomp", "genexpr"}
_IMPORTS = (ast.Import, ast.ImportFrom)


@dataclass(frozen=True, eq=False)
class Statement:
    """One statement at the top of a cell.

    `binds` are the names that it gives a value, `changes` those whose value it changes or builds
    on, `reads` what it needs when it runs, and `later` what its functions need when they are
    called. `touches` may be changed by what it calls, `kinds` too if they are classes or functions,
    and `effects` by its functions when they are called.
    """

    node: ast.stmt
    file: str
    lines: list[str]
    binds: frozenset[str]
    changes: frozenset[str]
    reads: frozenset[str]
    later: frozenset[str]
    touches: frozenset[str]
    kinds: frozenset[str]
    effects: frozenset[str]


def readable(source: str) -> str:
    """Return a cell's source with the lines that only a notebook understands passed over.

    Raises:
        SyntaxError: it is no Python without them; ValueError or RecursionError where it cannot be.
    """
    try:
        ast.parse(source)
        return source
    except SyntaxError:
        return _as_a_notebook_reads(source)


def _as_a_notebook_reads(source: str) -> str:
    """Return a cell's source as IPython turns it into Python, without its commands."""
    try:
        from IPython.core.inputtransformer2 import TransformerManager
    except ImportError:
        return _NOTEBOOK.sub(r"\1pass", source)
    body = re.sub(r"^(\s*)%%.*$", r"\1pass", source, flags=re.MULTILINE)
    python = TransformerManager().transform_cell(body)
    return _COMMAND.sub(
        lambda found: found[1] + (f"{found[2]}None" if found[2] else "pass"), python
    )


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
    written = may.written(node)
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
    changes: set[str] = set() if isinstance(node, may.DEFINES) else (binds & reads) | written
    touches, kinds = may.touched(node)
    own = binds | changes
    effects = may.effects(node) & (later | binds)
    sets = (own, changes, reads, later, touches - own, kinds - own, effects)
    return Statement(node, file, lines, *map(frozenset, sets))


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


def needed_for(name: str, known: Sequence[Statement]) -> list[Statement]:
    """Return the statements that a name's value comes of, in their order.

    Args:
        name: what is asked for.
        known: all statements of the notebook so far, in order.
    """
    return [known[place] for place in sorted(_closure([(name, len(known))], known))]


def acting_on(needed: Sequence[Statement], known: Sequence[Statement]) -> list[list[Statement]]:
    """Return each statement that may change a value of those needed, after what it needs itself.

    Args:
        needed: statements.
        known: all statements of the notebook so far, in order.
    """
    reach = _Reach(known)
    found: list[list[Statement]] = []
    taken, every = set(map(id, needed)), list(needed)
    values, kinds = reach.values(every)
    while True:
        new = [
            (place, one)
            for place, one in enumerate(known)
            if id(one) not in taken and reach.acts(one, values, kinds)
        ]
        if not new:
            return found
        for place, one in new:
            taken.add(id(one))
            places = _closure([(n, place) for n in one.reads | one.later | one.changes], known)
            found.append([known[number] for number in sorted(places | {place})])
            every += found[-1]
        values, kinds = reach.values(every)


class _Reach:
    """What a notebook's names lead to: values that are also others', and functions' effects."""

    def __init__(self, known: Sequence[Statement]):
        self._alias: dict[str, set[str]] = {}
        self._leads: dict[str, set[str]] = {}
        self._effects: dict[str, set[str]] = {}
        self._set = {name for one in known for name in may.declared_global(one.node)}
        for one in known:
            if isinstance(one.node, _IMPORTS):
                continue
            for name in one.binds:
                self._alias.setdefault(name, set()).update(may.aliases(one.node))
                self._leads.setdefault(name, set()).update(one.reads | one.later)
                self._effects.setdefault(name, set()).update(one.effects)

    def values(self, every: Sequence[Statement]) -> tuple[set[str], set[str]]:
        """Return the names that statements give values that may change, and their classes'."""
        made = [one for one in every if not isinstance(one.node, _IMPORTS)]
        kinds = {n for one in made if isinstance(one.node, may.DEFINES) for n in one.binds}
        data = [one for one in made if not isinstance(one.node, may.DEFINES)]
        lasting = {id(one) for one in data if may.is_number(one.node)}
        names = {n for one in data for n in one.binds if id(one) not in lasting or n in self._set}
        return names, kinds

    def acts(self, one: Statement, values: set[str], kinds: set[str]) -> bool:
        """Return whether a statement may change one of these.

        Args:
            one: the statement.
            values: names of what is no class or function.
            kinds: names of classes and functions.
        """
        if isinstance(one.node, _IMPORTS):
            return False
        changed = _all_of({*one.touches, *one.changes}, self._alias)
        called = _all_of(set(one.reads), self._leads)
        by_functions = {n for name in called for n in self._effects.get(name, ())}
        return bool((changed | by_functions) & values or (one.kinds | by_functions) & kinds)


def _all_of(names: set[str], leads: dict[str, set[str]]) -> set[str]:
    found, left = set(names), list(names)
    while left:
        new = leads.get(left.pop(), set()) - found
        found |= new
        left += new
    return found


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
