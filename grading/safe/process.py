"""What a student's process is to grading, however it was made."""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, Protocol

import psutil

from ..limited.fork_server import Ended
from . import tree
from .cgroups import Group, new_group
from .clock import INTERVAL_S, Clock
from .limits import Limits, on_the_wall
from .outputs import checked_outputs

GRACE_S = 1  # for a cell that is told that its time is over


class Judging(Protocol):
    """What a student's process is to know of its judge."""

    pid: int

    def hang_up(self) -> None:
        """Wait for it no longer."""


class StudentProcess:
    """One student's process: runs cells, answers the judge. What it says is not believed.

    Attributes:
        pid: the process as seen from here.
        judge_line: the judge's end of the line to it.
        group: its control group, where the system gives one.
        stopped: why it was stopped, or "".
        overtime: a time limit was reached.
    """

    pid = 0
    judge_line: socket.socket
    can_be_told = False  # a signal tells it that a cell's time is over, and it goes on
    own_threads = 0  # besides those that the student's code may start

    def __init__(self, limits: Limits):
        self.limits, self.stopped, self.overtime = limits, "", False
        self.group: Group | None = None
        self._clock: Clock | None = None
        self._bound: _Bound | None = None
        self._judge: Judging | None = None
        self._output_room = 2 * limits.output_bytes  # what it prints it counts itself
        self._over = threading.Event()
        self._process: psutil.Process | None = None

    def run_cell(self, source: str, time_s: float) -> list[dict]:
        """Return the outputs of a cell, checked for their form.

        Args:
            source: the cell.
            time_s: how long it may take by the clock on the wall. Its own clock is `timed`'s.

        Raises:
            Ended: the process was stopped.
        """
        raise NotImplementedError

    def serve(self) -> None:
        """Let the process answer the judge until the judge says it may rest."""
        raise NotImplementedError

    def check_origin(self) -> None:
        """Make sure that nothing of the grader's has ended with which it had to end."""

    def judged_by(self, judge: Judging) -> None:
        """Count the judge's time with the process's own."""
        self._judge = judge
        if self._clock is not None:
            self._clock.judge = judge.pid

    def spent(self) -> float:
        """Return the seconds that it has taken so far, by its own clock."""
        return self._clock.spent(counting=False) if self._clock else 0.0

    @property
    def computed(self) -> float:
        """The seconds that it has computed so far, its judge included."""
        return self._clock.computed if self._clock else 0.0

    @contextmanager
    def timed(self, seconds: float, *, tell: bool = False) -> Iterator[None]:
        """Stop the process if what is done meanwhile takes longer.

        Args:
            seconds: how long that may take by the process's own clock.
            tell: first tell it that its time is over, if it can be told.
        """
        wall = time.monotonic() + on_the_wall(seconds)
        self._bound = _Bound(seconds, self.spent() + seconds, wall, tell and self.can_be_told)
        try:
            yield
        finally:
            if self._bound is not None and self._clock is not None:
                self._clock.spent()
            self._bound = None

    def stop(self, reason: str) -> None:
        """End the process; the first reason stands, unless it was short of memory."""
        if not self.stopped:
            self.stopped = self._short_of_memory() or reason
        if self._process is not None:
            with contextlib.suppress(OSError, psutil.Error):
                self._process.kill()

    def close(self) -> None:
        """End the process, even against its will, and forget it."""
        self._over.set()
        self.stop("it is over")
        self.judge_line.close()

    def forget_group(self) -> None:
        """Remove its control group, with what may be left in it."""
        if self.group is not None:
            self.group.remove()

    def end(self, reason: str) -> NoReturn:
        """Stop the process and say why.

        Raises:
            Ended: always.
        """
        time.sleep(0.02)  # the watch may know better
        self.stop(reason)
        raise Ended(self.stopped)

    def hold(self, pid: int) -> None:
        """Be about this process from now on; stop it when it takes too much memory or time.

        Raises:
            Ended: it has ended, or cannot be seen from here.
        """
        try:
            self._process, self.pid = psutil.Process(pid), pid
        except psutil.Error:
            raise Ended("its process ended before it began") from None
        self.group = new_group(self.limits, pid, self.own_threads)
        self._clock = Clock(pid, self.group)
        threading.Thread(target=self._watch, daemon=True).start()

    def checked(self, outputs: Any) -> list[dict]:
        """Return what the process says a cell put out, as far as it is sound and there is room."""
        kept, taken = checked_outputs(outputs, self._output_room)
        self._output_room -= taken
        return kept

    def _watch(self) -> None:
        while not self._over.wait(INTERVAL_S) and not self.stopped:
            if reason := self._short_of_memory() or self._late():
                self.stop(reason)
                if self._judge is not None:
                    self._judge.hang_up()

    def _short_of_memory(self) -> str:
        """Return what is said of it if it wanted more memory than it may have, or ""."""
        if self.group is not None:
            over = self.group.out_of_memory()
        else:
            taken = tree.memory_of(tree.members(self.pid)) if self.pid else 0
            over = taken > self.limits.memory_mb << 20
        return f"more than {self.limits.memory_mb} MB of memory" if over else ""

    def _late(self) -> str:
        """Return what is said of it if its time is over, or ""."""
        if (bound := self._bound) is None or self._clock is None:
            return ""
        spent, over = self._clock.spent(), time.monotonic() > bound.wall
        if spent <= bound.until and not over:
            return ""
        self.overtime = True
        if bound.tell and not over and self._process is not None:
            bound.tell, bound.until = False, spent + GRACE_S
            with contextlib.suppress(OSError, psutil.Error):
                self._process.send_signal(signal.SIGALRM)
            return ""
        if over:
            return (
                f"time limit, more than {on_the_wall(bound.seconds):g} s in which little was done"
            )
        return f"time limit, more than {bound.seconds:.4g} s of computing or waiting"


class _Bound:
    """When the time of what is done now is over, by the process's clock and by that on the wall."""

    def __init__(self, seconds: float, until: float, wall: float, tell: bool):
        self.seconds, self.until, self.wall, self.tell = seconds, until, wall, tell
