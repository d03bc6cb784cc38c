"""Grades one notebook: its cells in order, student code in the sandbox, tests before the judge."""

import math
import time
from collections.abc import Iterable
from dataclasses import replace

from gqa_lib.learn.quiz.sitting import Sitting
from grading.nb.texts import sentence

from ..limited.fork_server import Gone
from ..limited.verdict import NotTheirs
from .cell import ALONE, ANSWER, OWN, TEST, TRUSTED, WHOLE, Cell
from .limits import Limits, on_the_wall
from .outputs import credit_output, error_output, text_output, words_of
from .pool import GradingProcesses, JudgeProcess
from .process import Ended, StudentProcess
from .tree import computed_here

OTHERS = 0.25  # they may compute so many cores' worth beside a submission that runs alone
NOT_RUN = "It was not run: cells of your own may take {:g} s in all."


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

    First the exercises run alone. Only if that gives less than all points, and the student has
    cells of their own or below a check, all of them run once more as the notebook does from top to
    bottom, in the time that is left; of each test the better outcome counts.

    A student's process that is stopped - by the time or memory it may take, or by itself - fails
    the cell it was stopped in. The cells after that get a new one, in which the answers before
    have run again, except the one that stopped it.

    What the machine ends of the grader's own processes is nobody's verdict: the notebook runs once
    more, in new ones.

    Raises:
        NotTheirs: these ended, too.
    """
    todo = list(cells)
    alone = [cell for cell in todo if cell.tries != WHOLE]
    first = _run(alone, _Grading(processes, limits, sitting, seed))
    late = first.overtime and first.others() > OTHERS
    tests = [cell for cell in alone if cell.kind == TEST]
    if len(alone) == len(todo) or all(test.is_right() for test in tests):
        return late
    whole = [(cell, replace(cell, outputs=[])) for cell in todo if cell.tries != ALONE]
    grading = _Grading(processes, limits, sitting, seed, first.spent)
    second = _run([cell for _, cell in whole], grading)
    _keep_better(todo, whole)
    lost = [error["ename"] + error["evalue"] for test in tests for error in test.errors()]
    own = second.own_overtime and any("NameError" in words for words in lost)
    return late or (bool(lost) and (second.overtime or own) and second.others() > OTHERS)


def _run(cells: list[Cell], grading: "_Grading") -> "_Grading":
    """Run cells; once more, in new processes, if the machine ended those of the grader's."""
    for last in (False, True):
        try:
            for cell in cells:
                cell.outputs = grading.run(cell)
            return grading
        except Gone as gone:
            if last:
                raise NotTheirs(f"a process of the grader's ended, twice: {gone}") from None
        finally:
            grading.close()
        grading = grading.afresh()
    return grading


def _keep_better(todo: list[Cell], whole: list[tuple[Cell, Cell]]) -> None:
    """Give each test its better outcome; of equal ones that of the whole notebook, unless stopped.

    Args:
        todo: all cells, with what came of those that ran alone.
        whole: each cell of the whole notebook, and what came of it there.
    """
    better = []
    for first, second in (pair for pair in whole if pair[0].kind == TEST):
        stopped = any(error["ename"] == "Stopped" for error in second.errors())
        gain = second.reached() - first.reached()
        if gain > 0 or (gain == 0 and not first.is_right() and not stopped):
            better.append((first, second))
    if better:
        others = [pair for pair in whole if pair[0].kind != TEST]
        for cell in todo:
            cell.outputs = cell.outputs if cell.kind == TEST else []
        for first, second in [*better, *others]:
            first.outputs = second.outputs


class _Grading:
    def __init__(
        self,
        processes: GradingProcesses,
        limits: Limits,
        sitting: Sitting | None,
        seed: int | None,
        spent: float = 0.0,
    ):
        self.processes, self.limits, self.sitting, self.seed = processes, limits, sitting, seed
        self.spent_before = spent
        self.began, self.computed_before = time.monotonic(), computed_here()
        self.deadline = self.began + on_the_wall(limits.notebook_s)
        self.spent, self.computed = spent, 0.0  # in processes that are closed
        self.overtime = self.own_overtime = False
        self.own_spent = 0.0
        self.own_trouble = ""  # which of the student's own cells stopped first, and why
        self.trusted: list[str] = []
        self.sources: list[str] = []  # of the cells that the student's process has run
        self.to_repeat: list[str] = []  # of these, in a new process
        self.cells: list[tuple[bool, str]] = []  # so far: whether it is the lesson's own, source
        self.running: tuple[StudentProcess, JudgeProcess] | None = None
        self.trouble = ""  # what stopped the last answer's cell

    def afresh(self) -> "_Grading":
        """Return one in which nothing has run."""
        return _Grading(self.processes, self.limits, self.sitting, self.seed, self.spent_before)

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
        act = {TEST: self._test, OWN: self._run_own}.get(cell.kind, self._run_cell)
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

    def _run_own(self, cell: Cell, student: StudentProcess, judge: JudgeProcess) -> list[dict]:
        """Run one of the student's own cells; its errors and its time cost no answer anything."""
        left, before = self.limits.own_s - self.own_spent, (student.spent(), student.overtime)
        if left <= 0:
            outputs = [error_output("NotRun", NOT_RUN.format(self.limits.own_s))]
        else:
            outputs = self._run_cell(cell, student, judge, min(left, self.limits.own_s / 3))
        self.own_spent += student.spent() - before[0]
        self.own_overtime |= student.overtime and not before[1]
        student.overtime = before[1]
        errors = [o for o in outputs if o["output_type"] == "error"]
        if errors and not self.own_trouble:
            begins = next((line for line in cell.source.split("\n") if line.strip()), "")
            words = f"{errors[0]['ename']}: {errors[0]['evalue']}"
            self.own_trouble = (
                "Of your own cells, which run before it, one stopped. It begins "
                f"`{sentence(begins, 60)}`: {sentence(words, 200)}"
            )
        return outputs

    def _run_cell(
        self, cell: Cell, student: StudentProcess, judge: JudgeProcess, most: float = math.inf
    ) -> list[dict]:
        time_s = min(most, self._time())
        try:
            self.cells.append((cell.kind == TRUSTED, cell.source))
            with student.timed(time_s, tell=True):
                outputs = student.run_cell(cell.source, on_the_wall(time_s))
        except Ended as ended:
            outputs = [self._stopped(str(ended))]
        else:
            self.sources.append(cell.source)
        if cell.kind == ANSWER:
            errors = [words_of(o) for o in outputs if o["output_type"] == "error"]
            self.trouble = self.trouble or next(iter(errors), "")
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
        trouble, self.trouble = self.trouble, ""
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
            if name == "NameError" and trouble:
                text = f"{text}, because the cell of the answer stopped. {trouble}"
            if self.own_trouble and "NameError" in name + text:
                text = f"{text}\n{self.own_trouble}"
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
