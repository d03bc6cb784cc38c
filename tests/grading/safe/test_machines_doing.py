"""What ends of the grader's own processes is nobody's verdict: the notebook runs again."""

import contextlib
import threading
import time

import psutil
import pytest

from grading.limited import sandbox
from grading.limited.verdict import NotTheirs
from grading.safe.cell import ANSWER, TEST, TRUSTED, Cell
from grading.safe.grade_notebook import grade_notebook
from grading.safe.limits import Limits
from grading.safe.pool import ForkedStudent, GradingProcesses

pytestmark = pytest.mark.skipif(
    bool(sandbox.sandbox_problem()), reason=f"no sandbox here: {sandbox.sandbox_problem()}"
)
ENDLESS = "while True: pass"


@pytest.fixture(scope="module")
def processes():
    with contextlib.closing(GradingProcesses(seed=1)) as made:
        yield made


def honest():
    return [
        Cell(TRUSTED, "import math"),
        Cell(ANSWER, "def f(x):\n    return 2 * x"),
        Cell(TEST, "assert f(2) == 4", 1),
        Cell(ANSWER, "def g(x):\n    return 3 * x"),
        Cell(TEST, "assert g(2) == 6", 1),
    ]


def end(server):
    """End the sandbox's Python, as a system does that is short of memory."""
    inside = psutil.Process(server.process.pid).children(recursive=True)
    names = ("bwrap", "setpriv")
    next(one for one in inside if not one.name().startswith(names)).kill()
    server.process.wait(60)


def when(processes, monkeypatch, warm, times):
    """End a warm process while the fourth cell's result is waited for; so many times."""
    real, left = ForkedStudent.run_cell, [times]

    def run_cell(self, source, time_s):
        if "def g" in source and left[0]:
            left[0] -= 1
            end(processes._students if warm == "students" else processes._judges)
        return real(self, source, time_s)

    monkeypatch.setattr(ForkedStudent, "run_cell", run_cell)


@pytest.mark.parametrize("warm", ["students", "judges"])
def test_a_notebook_whose_warm_process_ends_runs_once_more(processes, monkeypatch, warm):
    cells = honest()
    when(processes, monkeypatch, warm, times=1)
    grade_notebook(cells, processes, Limits(), seed=1)
    assert [cell.outputs for cell in cells] == [[]] * 5


def test_if_it_ends_again_nobody_is_graded(processes, monkeypatch):
    when(processes, monkeypatch, "students", times=2)
    with pytest.raises(NotTheirs, match="twice"):
        grade_notebook(honest(), processes, Limits(), seed=1)
    grade_notebook(cells := honest(), processes, Limits(), seed=1)
    assert cells[-1].outputs == []


def test_a_students_process_that_ends_itself_is_the_students_doing(processes):
    cells = [Cell(ANSWER, "import os\nos._exit(0)"), Cell(TEST, "assert x", 1)]
    grade_notebook(cells, processes, Limits(), seed=1)
    assert [cell.outputs[0]["ename"] for cell in cells] == ["Stopped", "NameError"]


def test_who_closes_the_processes_waits_for_no_notebook(processes):  # the last: they stay closed
    told = []

    def run():
        try:
            grade_notebook([Cell(ANSWER, ENDLESS)], processes, Limits(cell_s=600), seed=1)
        except NotTheirs as error:
            told.append(str(error))

    running = threading.Thread(target=run)
    running.start()
    time.sleep(1)
    processes.close()
    running.join(120)
    assert told == ["grading was stopped"]
