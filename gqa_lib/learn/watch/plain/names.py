"""The names of a notebook's plain code: its definitions, run one by one when they are needed."""

import __future__

import ast
import contextlib
import linecache
from types import ModuleType
from typing import Any

from .facades import facade, is_missing, is_open, open_part
from .guards import guarded, safe_builtins
from .kernels import check_kernel, is_constant, is_kernel
from .rules import WATCHED, NotPlain, at_line, check_plain, defined_in, is_pythons
from .slices import Statement, acting_on, needed_for, readable, statements
from .standins import MODULE

_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
_TRITON = ("triton", "triton.language")
NO_KERNEL = "it cannot be launched as a kernel: keep the line @triton.jit above its def."


class PlainNames:
    """What a notebook's cells define, as far as it is plain.

    A lesson's own cells run as they are. Of a learner's only the definitions that a name needs are
    run, once they are seen to be plain; what else their cells do, nobody needs here.
    """

    def __init__(self):
        self._own: dict[str, Any] = {"__builtins__": safe_builtins(MODULE), "__name__": MODULE}
        self._trusted: dict[str, Any] = {"__name__": MODULE}
        self._known: list[Statement] = []
        self._done: set[int] = set()
        self._broken: list[str] = []
        self._flags: dict[str, int] = {}
        self._cells = 0

    def trusted(self, source: str) -> None:
        """Run a cell of the lesson's own."""
        before = dict(self._trusted)
        exec(compile(source, "<lesson>", "exec"), self._trusted)
        for name, value in self._trusted.items():
            if name.startswith("__") or before.get(name) is value:
                continue
            if isinstance(value, ModuleType) and value.__name__ == "triton.language":
                self._own[name] = value  # Triton looks for it there; only kernels may name it
            elif (value := open_part(value)) is not None:
                self._own[name] = value

    def answer(self, source: str) -> None:
        """Take note of what a learner's cell defines; nothing of it runs yet."""
        self._cells += 1
        file = f"<answer {self._cells}>"
        try:
            source = readable(source)
            found = statements(source, file)
            self._flags[file] = sum({_flags_of(one.node) for one in found})
            self._known += [one for one in found if not _is_known_import(one)]
        except _UNREADABLE as error:
            self._broken.append(f"A cell is no Python: {error}")
            return
        lines = source.splitlines(keepends=True)
        linecache.cache[file] = (len(source), None, lines, file)

    def get(self, name: str, kernel: bool = False) -> Any:
        """Return the value of a name.

        Args:
            name: what a learner's cell defines.
            kernel: it has to be a Triton kernel.

        Raises:
            NotPlain: what it needs is not plain.
            KeyError: no cell defines it; whatever else a definition raises.
        """
        needed = self.checked(name, kernel)
        acting = [one for one in acting_on(needed, self._known) if self._is_plain(one)]
        extra = {id(one) for group in acting for one in group} - {id(one) for one in needed}
        for statement in self._known:
            if statement in needed or id(statement) in extra:
                with contextlib.suppress(*([Exception] if id(statement) in extra else [])):
                    self._run(statement)
        return self._own[name]

    def _run(self, statement: Statement) -> None:
        if id(statement) not in self._done:
            self._done.add(id(statement))
            tree = ast.Module([statement.node], [])
            flags = self._flags[statement.file]
            exec(compile(guarded(tree), statement.file, "exec", flags, True), self._own)

    def _is_plain(self, some: list[Statement]) -> bool:
        try:
            self._check(some)
        except NotPlain:
            return False
        return True

    def checked(self, name: str, kernel: bool = False) -> list[Statement]:
        """Return the statements that a name needs, all of them plain.

        Args:
            name: what a learner's cell defines.
            kernel: it has to be a Triton kernel.

        Raises:
            NotPlain: one of them is not.
        """
        needed = needed_for(name, self._known)
        if not needed and self._broken:
            raise NotPlain(f"{WATCHED} {self._broken[-1]}")
        if kernel and not (needed and _defining(name, needed) is not None):
            raise NotPlain(NO_KERNEL)
        self._check(needed)
        return needed

    def _check(self, needed: list[Statement]) -> None:
        kernels = {n for one in needed if is_kernel(one.node) for n in one.binds}
        numbers = {n for one in needed if is_constant(one.node) for n in one.binds}
        defined = {name for one in needed for name in defined_in(one.node)}
        for one in needed:
            if id(one) in self._done:
                continue
            if wrong := [name for name in one.binds if is_pythons(name)]:
                raise NotPlain(at_line(one.node, one.lines, f"{wrong[0]} is Python's own."))
            if kernels and one.binds & {"tl", "triton"}:
                raise NotPlain(at_line(one.node, one.lines, "Triton stays what it is."))
            if isinstance(one.node, ast.FunctionDef) and is_kernel(one.node):
                check_kernel(one.node, one.lines, kernels | numbers)
            else:
                _check_imports(one)
                check_plain(one.node, one.lines, defined)
                if "tl" in one.reads | one.later and not is_constant(one.node):
                    raise NotPlain(at_line(one.node, one.lines, "only a kernel has use for tl."))


def _defining(name: str, needed: list[Statement]) -> Statement | None:
    """Return the statement that makes a name the kernel that it is."""
    last = [one for one in needed if name in one.binds][-1]
    return last if is_kernel(last.node) else None


def _is_known_import(statement: Statement) -> bool:
    """Return whether a cell only imports Triton again, which its lesson has done already."""
    node = statement.node
    modules = [one.name for one in node.names] if isinstance(node, ast.Import) else []
    if isinstance(node, ast.ImportFrom):
        modules = [f"{node.module}.{one.name}" for one in node.names]
    future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
    return future or (bool(modules) and all(one in _TRITON for one in modules))


def _flags_of(node: ast.stmt) -> int:
    """Return what an import of annotations from the future asks of the compiler, else 0."""
    is_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
    return __future__.annotations.compiler_flag if is_future else 0


def _check_imports(statement: Statement) -> None:
    for node in ast.walk(statement.node):
        if isinstance(node, ast.Import):
            closed = [one.name for one in node.names if not is_open(one.name)]
        elif isinstance(node, ast.ImportFrom):
            closed = _closed_of(node)
        else:
            continue
        if closed:
            why = f"{closed[0]} leads further than what can be watched."
            raise NotPlain(at_line(node, statement.lines, why))


def _closed_of(node: ast.ImportFrom) -> list[str]:
    module = node.module or ""
    if node.level or not is_open(module):
        return [module or "."]
    if is_missing(module):
        return []
    part = facade(module)
    names = [one.name for one in node.names if one.name != "*"]
    return [f"{module}.{name}" for name in names if not hasattr(part, name)]
