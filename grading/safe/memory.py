"""How much a student's process grew during a call, seen through /proc by its grader.

The judge is behind walls and sees no other process: it asks its grader (`asking`), whom it tells
when a call begins and ends, and who has a `Growth` for each student's process.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..student.wire import Channel

BEGIN, END = "begin", "end"
MEASURE, MEASURED = "measure", "measured"  # the keys of the question and of its answer
Measure = Callable[[str], int]  # takes BEGIN or END; of END, it returns the bytes


class Growth:
    """What a process grew by at its peak, in bytes, from one `BEGIN` to the next `END`.

    It is 0 for a process whose peak cannot be read: pid is 0, or there is no /proc.
    """

    def __init__(self, pid: int):
        self._pid, self._before = pid, 0

    def __call__(self, step: str) -> int:
        """Take the step; return the growth at the END and else 0."""
        before, self._before = self._before, 0
        if step == BEGIN:
            self._before = _begin(self._pid) if self._pid else 0
        elif before:
            return max(0, _kib(self._pid, "VmHWM") - before) * 1024
        return 0


def asking(grader: Channel) -> Measure:
    """Return how a judge has its student's process measured: it asks over the grader's line."""

    def measure(step: str) -> int:
        grader.send({MEASURE: step})
        return int(grader.receive()[0][MEASURED])

    return measure


@contextmanager
def growth_during(measure: Measure) -> Iterator[Callable[[], int]]:
    """Yield a function that gives the bytes by which the process had grown at its peak, or 0."""
    measure(BEGIN)
    yield lambda: measure(END)


def _begin(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/clear_refs", "w") as file:
            file.write("5")  # the peak is what it is now: see proc(5)
        return _kib(pid, "VmRSS")
    except OSError:
        return 0


def _kib(pid: int, field: str) -> int:
    try:
        with open(f"/proc/{pid}/status") as file:
            return next((int(row.split()[1]) for row in file if row.startswith(field)), 0)
    except OSError:
        return 0
