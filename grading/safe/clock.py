"""A submission's own clock: the time it computes or sleeps, not the time it is kept waiting."""

import threading
import time

from . import tree
from .cgroups import Group

INTERVAL_S = 0.05


class Clock:
    """The seconds that a student's process, what came of it, and its judge have taken.

    Seconds count that were computed, by any of them, and seconds in which all of them slept or were
    stopped: on an idle machine that is the time on the wall. While others have the cores, the clock
    stands still.

    Attributes:
        computed: seconds of computing.
        slept: seconds of sleep, as far as it was looked at often enough.
        judge: the judge's process, or 0.

    Args:
        pid: the student's process.
        group: its control group, if there is one.
    """

    def __init__(self, pid: int, group: Group | None):
        self.computed, self.slept, self.judge = 0.0, 0.0, 0
        self._pid, self._group = pid, group
        self._lock = threading.Lock()
        self._own: dict[int, float] = {}  # of each process, when last seen
        self._seen, self._total, self._judged = 0.0, 0.0, 0.0
        self._last = time.monotonic()
        self._quiet, self._uncounted = 0.0, 0.0  # since it fell asleep; of that, not in slept yet

    def spent(self, counting: bool = True) -> float:
        """Return the seconds taken by now.

        Args:
            counting: sleep counts; else the process has nothing to do.
        """
        with self._lock:
            self._look(counting)
            return self.computed + self.slept

    def _look(self, counting: bool) -> None:
        now = time.monotonic()
        passed, self._last = min(now - self._last, 2 * INTERVAL_S), now
        before = self.computed
        self.computed = max(before, self._students() + self._judges())
        idle = passed - (self.computed - before)
        weight = tree.asleep(self._pids()) if counting and idle > passed / 2 else 0
        if not weight:
            self._quiet = self._uncounted = 0.0
            return
        self._quiet, self._uncounted = self._quiet + idle, self._uncounted + weight * idle
        if self._quiet > 2 * INTERVAL_S:  # longer than an answer lies there before it is fetched
            self.slept, self._uncounted = self.slept + self._uncounted, 0.0

    def _pids(self, judge: bool = True) -> list[int]:
        students = self._group.pids() if self._group else tree.members(self._pid)
        return [*students, *([self.judge] if judge and self.judge else [])]

    def _students(self) -> float:
        try:
            counted = self._group.cpu_s() if self._group else None
        except OSError:  # it is over
            return 0.0
        return self._by_processes() if counted is None else counted

    def _by_processes(self) -> float:
        """Return the most that two ways of counting have found.

        Children that nobody waits for are in no sum once they end: each is counted when seen. What
        a child that was waited for has computed unseen is in its parent's sum.
        """
        now = tree.cpu_of(self._pids(judge=False))
        for pid, (own, _) in now.items():
            before = self._own.get(pid, 0.0)
            self._seen += own - before if own >= before else own
        self._own = {pid: own for pid, (own, _) in now.items()}
        self._total = max(self._total, sum(own + waited for own, waited in now.values()))
        return max(self._seen, self._total)

    def _judges(self) -> float:
        if self.judge:
            now = tree.cpu_of([self.judge]).get(self.judge, (0.0, 0.0))
            self._judged = max(self._judged, now[0])
        return self._judged
