"""The judge: runs the locked cells and the tests of one submission, in a sandbox of its own.

A test runs here unchanged. The names it uses come from the lesson's own cells where these define
them, and else from the student's process, as values or proxies. Student code can therefore not
patch, skip, read or answer for a test.
"""

import ast
import contextlib
import io
import symtable
import time
from collections.abc import Sequence

from gqa_lib.learn.checking.credit import Credit

from ..student.wire import Channel
from .hidden import BEGIN, PRINTED, Unshown, split
from .link import Link, Stopped
from .witness import WitnessLink, witness_of

MAX_TEXT = 20_000


class Judge:
    """The trusted half of grading one notebook."""

    def __init__(self, link: Link):
        self.link = link
        self.names = {"__name__": "__main__", "__builtins__": __builtins__}
        self.own: set[str] = set(dir(__import__("builtins"))) | set(self.names)

    def run_trusted(self, source: str) -> dict:
        """Run a locked cell of the lesson; what it defines is what the tests use."""
        self.own |= _bound(source)
        return self._run(source)[0]

    def run_test(self, source: str, time_s: float, cells: Sequence[tuple[bool, str]] = ()) -> dict:
        """Return what a graded cell comes to: what it printed, the error if it failed, credit.

        Args:
            source: the cell, hidden tests included.
            time_s: how long it may take, the student's code included.
            cells: of the notebook so far, as `WitnessLink` has them.
        """
        if isinstance(self.link.witness, WitnessLink):
            self.link.witness.cells = list(cells)
        self.link.deadline, self.link.printed = time.monotonic() + time_s, ""
        unshown = Unshown(cells)
        bound = _bound(source)
        try:
            for name in sorted(_read(source) - self.own - bound):
                self.names.pop(name, None)
                with contextlib.suppress(NameError, KeyError):
                    self.names[name] = self.link.get(name)
            result, value = self._run(source, unshown)
        except (Exception, Stopped) as problem:
            result, value = {"out": "", "error": _error_of(problem)}, None
        self.link.unshown = None
        self.own |= bound
        with contextlib.suppress(Stopped):
            self.link.rest()
        result["printed"] = self.link.printed[:MAX_TEXT] + PRINTED * unshown.printed
        result["stopped"] = self.link.stopped or getattr(self.link.witness, "stopped", "")
        if isinstance(value, Credit):
            result["credit"], result["about"] = float(value), value.about
        return result

    def _run(self, source: str, unshown: Unshown | None = None) -> tuple[dict, object]:
        out, value, error = io.StringIO(), None, None
        try:
            tree, last = ast.parse(source, "<test>"), None
            if tree.body and isinstance(end := tree.body[-1], ast.Expr):
                last = ast.Expression(end.value)
                tree.body.pop()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                for part in split(source, tree.body):
                    exec(compile(ast.Module(part, []), "<test>", "exec"), self.names)
                    self.link.unshown = unshown if BEGIN in source else None
                if last is not None:
                    value = eval(compile(last, "<test>", "eval"), self.names)
        except BaseException as problem:
            error = _error_of(problem)
            if self.link.unshown:
                error[1] = self.link.unshown.out_of(error[1])
        return {"out": out.getvalue()[:MAX_TEXT], "error": error}, value


def _error_of(problem: BaseException) -> list[str]:
    if isinstance(problem, Stopped):
        return ["Stopped", f"Your code was stopped: {problem}."]
    return [type(problem).__name__, str(problem)[:MAX_TEXT]]


def _bound(source: str) -> set[str]:
    """Return the names that a cell binds at its top level."""
    symbols = symtable.symtable(source, "<cell>", "exec").get_symbols()
    return {s.get_name() for s in symbols if s.is_assigned() or s.is_imported() or s.is_namespace()}


def _read(source: str) -> set[str]:
    """Return the global names that a cell reads, at any depth."""

    def names(table, top: bool):
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (top or symbol.is_global()):
                yield symbol.get_name()
        for child in table.get_children():
            yield from names(child, False)

    return set(names(symtable.symtable(source, "<cell>", "exec"), True))


def serve(grader: Channel, student: Channel) -> None:
    """Judge one notebook's cells as the grader sends them, until it hangs up."""
    judge = Judge(Link(student))
    judge.link.witness = witness_of(student)
    grader.send({"ready": True})
    while True:
        try:
            asked, _ = grader.receive()
        except EOFError:
            return
        if "trusted" in asked:
            grader.send(judge.run_trusted(asked["trusted"]))
        else:
            grader.send(judge.run_test(asked["test"], asked["time_s"], asked["cells"]))
