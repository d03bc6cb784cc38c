"""The names of a notebook's plain code: its definitions, run one by one when they are needed."""

import __future__

import ast
import contextlib
import copy
import linecache
from collections.abc import Iterable
from types import FunctionType, ModuleType
from typing import Any, cast

from .facades import Facade, facade, is_missing, is_open, open_part
from .guards import guarded, safe_builtins
from .kernel_names import KernelNames, launcher
from .kernels import TRITON, bare_kernel, check_host, check_kernel, is_kernel, of_numbers
from .rules import WATCHED, NotPlain, at_line, check_plain, defined_in, is_pythons
from .slices import Statement, acting_on, needed_for, readable, statements
from .standins import MODULE

_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
_TOOLS = tuple(f"gqa_lib.learn.{one}" for one in ("checking", "guide", "quiz", "show"))
_SETTINGS = ("backends.", "environ")  # of torch and of os, which plain code cannot set
_NOT_THERE = (AttributeError, TypeError, ImportError, NameError)  # at the walls of plain code
NO_KERNEL = "it cannot be launched as a kernel: keep the line @triton.jit above its def."


class PlainNames:
    """What a notebook's cells define, as far as it is plain.

    A lesson's own cells run as they are. Of a learner's only the definitions that a name needs are
    run, once they are seen to be plain; what else their cells do, nobody needs here.
    """

    def __init__(self):
        self._own: dict[str, Any] = {"__builtins__": safe_builtins(MODULE), "__name__": MODULE}
        self._trusted: dict[str, Any] = {"__name__": MODULE}
        self._kernels = KernelNames(MODULE)
        self._known: list[Statement] = []
        self._done: set[int] = set()
        self._errors: dict[int, Exception] = {}
        self._broken: list[str] = []
        self._flags: dict[str, int] = {}
        self._cells = 0

    def trusted(self, source: str) -> None:
        """Run a cell of the lesson's own."""
        before, code = dict(self._trusted), compile(source, "<lesson>", "exec")
        exec(code, self._trusted)
        for name in self._trusted.keys() & {*code.co_names}:  # Triton adds others
            if before.get(name) is not self._trusted[name]:
                self._take(name, self._trusted[name])

    def trusted_here(self, source: str, names: dict[str, Any]) -> None:
        """Take note of what a cell of the lesson's own, which has run, gave names.

        Args:
            source: of the cell.
            names: of the notebook in which it ran.
        """
        with contextlib.suppress(*_UNREADABLE):
            for one in statements(readable(source), "<lesson>"):
                for name in one.binds & names.keys():
                    self._take(name, names[name])

    def _take(self, name: str, value: Any) -> None:
        value = launcher(value)
        if name.startswith("__"):
            return
        if isinstance(value, ModuleType) and value.__name__ == "triton.language":
            self._own[name] = of_numbers()
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
            self._known += [one for one in found if not _is_of_the_future(one.node)]
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
                try:
                    self._run(statement, needed)
                except Exception as error:
                    self._errors[id(statement)] = error
                    if id(statement) in extra or self._is_setting(statement):
                        continue
                    if isinstance(error, _NOT_THERE):
                        raise _stopped(statement, error) from error
                    raise
        self._tell_kernels(needed)
        return self._kernels[name] if kernel else self._own[name]

    def _is_setting(self, statement: Statement) -> bool:
        """Return whether a statement only sets what decides how a library computes."""
        node = statement.node
        if not isinstance(node, ast.Assign) or not node.targets:
            return False
        names = [ast.unparse(one).partition(".") for one in node.targets]
        return all(
            isinstance(self._own.get(name), Facade) and rest.startswith(_SETTINGS)
            for name, _, rest in names
        )

    def _run(self, statement: Statement, needed: list[Statement]) -> None:
        node = statement.node
        if id(statement) in self._done:
            if error := self._errors.get(id(statement)):
                raise error
            return
        self._done.add(id(statement))
        if isinstance(node, ast.FunctionDef) and is_kernel(node):
            self._tell_kernels(needed)
            self._own[node.name] = self._kernels.define(node, statement.lines)
            return
        tree, flags = ast.Module([copy.deepcopy(node)], []), self._flags[statement.file]
        exec(compile(guarded(tree), statement.file, "exec", flags, True), self._own)

    def _tell_kernels(self, needed: list[Statement]) -> None:
        """Tell kernels the numbers that they name."""
        read = {n for one in needed if is_kernel(one.node) for n in _read_by_kernel(one)}
        for name in _of_kernels(needed)[1] & read & self._own.keys():
            self._kernels.number(name, self._own[name])

    def _is_plain(self, some: list[Statement]) -> bool:
        read = {name for one in some for name in one.reads}
        if any(_is_a_check(self._own.get(name)) for name in read):
            return False
        try:
            self._check(some)
        except NotPlain:
            return False
        return True

    def checked(
        self, name: str, kernel: bool = False, known: Iterable[str] = ()
    ) -> list[Statement]:
        """Return the statements that a name needs, all of them plain.

        Args:
            name: what a learner's cell defines.
            kernel: it has to be a Triton kernel.
            known: kernels and numbers of elsewhere.

        Raises:
            NotPlain: one of them is not.
        """
        needed = needed_for(name, self._known)
        if not needed and self._broken:
            raise NotPlain(f"{WATCHED} {self._broken[-1]}")
        if kernel and not (needed and _defining(name, needed) is not None):
            raise NotPlain(NO_KERNEL)
        self._check(needed, known)
        return needed

    def _check(self, needed: list[Statement], known: Iterable[str] = ()) -> None:
        kernels, numbers = _of_kernels(needed)
        defined = {name for one in needed for name in defined_in(one.node)}
        for one in needed:
            if id(one) in self._done:
                continue
            if wrong := [name for name in one.binds if is_pythons(name)]:
                raise NotPlain(at_line(one.node, one.lines, f"{wrong[0]} is Python's own."))
            if kernels and one.binds & TRITON:
                raise NotPlain(at_line(one.node, one.lines, "Triton stays what it is."))
            if isinstance(one.node, ast.FunctionDef) and is_kernel(one.node):
                check_kernel(one.node, one.lines, kernels.union(numbers, known))
            else:
                _check_imports(one)
                check_plain(one.node, one.lines, defined)
                if "tl" in one.reads | one.later:
                    check_host(one.node, one.lines)


def _stopped(statement: Statement, error: Exception) -> NotPlain:
    why = f"{type(error).__name__}: {error}"
    return NotPlain(at_line(statement.node, statement.lines, why[:300]))


def _is_a_check(value: Any) -> bool:
    """Return whether a value is one of the course's own tools, which change nobody's values."""
    return isinstance(value, FunctionType) and value.__module__.startswith(_TOOLS)


def needs_kernel(needed: list[Statement]) -> bool:
    """Return whether one of these statements is a kernel."""
    return any(is_kernel(one.node) for one in needed)


def _defining(name: str, needed: list[Statement]) -> Statement | None:
    """Return the statement that makes a name the kernel that it is."""
    last = [one for one in needed if name in one.binds][-1]
    return last if is_kernel(last.node) else None


def _of_kernels(needed: list[Statement]) -> tuple[set[str], set[str]]:
    """Return the names that are kernels, and those that may be numbers, wherever they are bound."""
    no_number = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    others = [one for one in needed if not is_kernel(one.node)]
    kernels = {n for one in needed if is_kernel(one.node) for n in one.binds}
    defined = {n for one in others if isinstance(one.node, no_number) for n in one.binds}
    numbers = {n for one in others for n in one.binds}
    return kernels - numbers, numbers - kernels - defined


def _read_by_kernel(statement: Statement) -> frozenset[str]:
    bare = bare_kernel(cast(ast.FunctionDef, statement.node))
    read = statement.reads | statement.later
    return read & {one.id for one in ast.walk(bare) if isinstance(one, ast.Name)}


def _is_of_the_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _flags_of(node: ast.stmt) -> int:
    """Return what an import of annotations from the future asks of the compiler, else 0."""
    return __future__.annotations.compiler_flag if _is_of_the_future(node) else 0


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
