"""Grades one notebook: its cells in order, student code in the sandbox, tests before the judge."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from gqa_lib.learn.quiz.sitting import Sitting

from ..limited.fork_server import Gone
from ..limited.verdict import NotTheirs
from .limits import Limits, on_the_wall
from .outputs import credit_output, error_output, text_output
from .pool import GradingProcesses, JudgeProcess
from .process import Ended, StudentProcess
from .tree import computed_here

TRUSTED, ANSWER, TEST = "trusted", "answer", "test"
ALONE = 0.25  # others may compute so many cores' worth beside a submission that runs alone


@dataclass
class Cell:
    """A code cell: what it is to grading, its source, its points, and what came of it.

    A `TRUSTED` cell is the lesson's own and runs on both sides, an `ANSWER` is the student's, and
    a `TEST` runs before the judge.
    """

    kind: str
    source: str
    points: float = 0
    outputs: list[dict] = field(default_factory=list)


def grade_notebook(
    cells: Iterable[Cell],
    processes: GradingProcesses,
    limits: Limits,
    sitting: Sitting | None = None,
    seed: int | None = None,
) -> bool:
    """Run a notebook's cells and fill in their outputs; quizzes in it are the sitting's.

    Its hidden tests draw from `seed`, where it is given, and not from the course's own.

    Returns:
        Whether a time limit was reached while the machine did other things, too: such a verdict
        stands only if it is the same when nothing else runs.

    A student's process that is stopped - by the time or memory it may take, or by itself - fails
    the cell it was stopped in. The cells after that get a new one, in which the answers before
    have run again, except the one that stopped it.

    What the machine ends of the grader's own processes is nobody's verdict: the notebook runs once
    more, in new ones.

    Raises:
        NotTheirs: these ended, too.
    """
    todo = list(cells)
    for last in (False, True):
        grading = _Grading(processes, limits, sitting, seed)
        try:
            for cell in todo:
                cell.outputs = grading.run(cell)
            break
        except Gone as gone:
            if last:
                raise NotTheirs(f"a process of the grader's ended, twice: {gone}") from None
        finally:
            grading.close()
    return grading.overtime and grading.others() > ALONE


class _Grading:
    def __init__(
        self,
        processes: GradingProcesses,
        limits: Limits,
        sitting: Sitting | None,
        seed: int | None,
    ):
        self.processes, self.limits, self.sitting, self.seed = processes, limits, sitting, seed
        self.began, self.computed_before = time.monotonic(), computed_here()
        self.deadline = self.began + on_the_wall(limits.notebook_s)
        self.spent = self.computed = 0.0  # in processes that are closed
        self.overtime = False
        self.trusted: list[str] = []
        self.sources: list[str] = []  # of the cells that the student's process has run
        self.to_repeat: list[str] = []  # of these, in a new process
        self.cells: list[tuple[bool, str]] = []  # so far: whether it is the lesson's own, source
        self.running: tuple[StudentProcess, JudgeProcess] | None = None
        self.trouble = ""  # what stopped the last answer's cell

    def run(self, cell: Cell) -> list[dict]:
        """Return a cell's outputs.

        Raises:
            Gone: what stopped it is the machine's doing.
        """
        if self._time() <= 0:
            return [self._stopped("")]
        student, judge = self._started()
        try:
            self._repeat(student)
        except Ended as ended:
            outputs = [self._stopped(str(ended))]
            self._check_machine(student, judge)
            self.close()
            return outputs
        act = self._test if cell.kind == TEST else self._run_cell
        outputs = act(cell, student, judge)
        if student.stopped:
            self._check_machine(student, judge)
        return outputs

    def _check_machine(self, student: StudentProcess, judge: JudgeProcess) -> None:
        student.check_origin()
        judge.check_origin()

    def close(self) -> None:
        """End the processes of this notebook."""
        if self.running is not None:
            student, judge = self.running
            self.spent, self.computed = (
                self.spent + student.spent(),
                self.computed + student.computed,
            )
            self.overtime = self.overtime or student.overtime
            judge.close()
            student.close()
        self.running = None

    def others(self) -> float:
        """Return how many cores' worth others have computed since this began."""
        all_together = computed_here() - self.computed_before
        return (all_together - self.computed) / max(0.01, time.monotonic() - self.began)

    def _run_cell(self, cell: Cell, student: StudentProcess, judge: JudgeProcess) -> list[dict]:
        time_s = self._time()
        try:
            self.cells.append((cell.kind == TRUSTED, cell.source))
            with student.timed(time_s, tell=True):
                outputs = student.run_cell(cell.source, on_the_wall(time_s))
        except Ended as ended:
            outputs = [self._stopped(str(ended))]
        else:
            self.sources.append(cell.source)
        if cell.kind == ANSWER:
            errors = [o["evalue"] for o in outputs if o["output_type"] == "error"]
            self.trouble = errors[0] if errors else ""
        if cell.kind == TRUSTED:
            self.trusted.append(cell.source)
            try:
                self._tell_judge(judge, cell.source)
            except Ended:
                self.close()  # the next cell's judge is told again
        return outputs

    def _test(self, cell: Cell, student: StudentProcess, judge: JudgeProcess) -> list[dict]:
        time_s = self._time()
        wall = on_the_wall(time_s)
        try:
            with student.timed(time_s):
                student.serve()
                asked = {"test": cell.source, "time_s": wall, "cells": self.cells}
                verdict = judge.ask(asked, wall + 2)
        except Ended as ended:
            student.stop(str(ended))
            return [self._stopped(student.stopped)]
        if verdict["stopped"]:
            student.stop(verdict["stopped"])
            return [self._stopped(student.stopped)]
        outputs = [text_output(text) for text in (verdict["printed"], verdict["out"]) if text]
        if verdict["error"]:
            name, text = verdict["error"]
            if name == "NameError" and self.trouble:
                text = f"{text}, because the cell of the answer stopped. {self.trouble}"
            return [*outputs, error_output(name, text)]
        if (credit := verdict.get("credit")) is not None:
            if not 0 <= credit <= cell.points:
                text = f"This test gives {credit} of {cell.points:g} points. Tell your instructor."
                return [*outputs, error_output("ValueError", text)]
            outputs.append(credit_output(credit, verdict.get("about")))
        return outputs

    def _started(self) -> tuple[StudentProcess, JudgeProcess]:
        """Return a student's process, and a judge that knows the lesson's own cells so far.

        Raises:
            Gone: nothing of the student's has run in them, and they have ended.
        """
        if self.running is not None and not self.running[0].stopped:
            return self.running
        self.close()
        student = self.processes.student(self.limits)
        try:
            judge = self.processes.judge(student, self.sitting, self.seed)
        except BaseException:
            student.close()
            raise
        self.running, self.to_repeat = (student, judge), list(self.sources)
        try:
            for source in self.trusted:
                self._tell_judge(judge, source)
        except Ended as ended:
            raise Gone(str(ended)) from None
        return self.running

    def _repeat(self, student: StudentProcess) -> None:
        """Run what was run before, in a new process."""
        while self.to_repeat:
            time_s = max(0.1, self._time())
            with student.timed(time_s, tell=True):
                student.run_cell(self.to_repeat.pop(0), on_the_wall(time_s))

    def _tell_judge(self, judge: JudgeProcess, source: str) -> None:
        reply = judge.ask({"trusted": source}, on_the_wall(self.limits.cell_s))
        if reply["error"]:
            name, text = reply["error"]
            raise NotTheirs(f"a locked cell of the lesson stops with {name}: {text}")

    def _time(self) -> float:
        if time.monotonic() > self.deadline:
            return 0
        spent = self.spent + (self.running[0].spent() if self.running else 0)
        return min(self.limits.cell_s, self.limits.notebook_s - spent)

    def _stopped(self, reason: str) -> dict:
        """Return what a student reads of a stop; where all of the time is over, that is why."""
        if self._time() <= 0:
            reason = f"the notebook took more than {self.limits.notebook_s:g} s in all"
        return error_output("Stopped", f"Your code was stopped: {reason}.")
