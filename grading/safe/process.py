"""What a student's process is to grading, however it was made."""

import contextlib
import socket
import threading
import time
from typing import Any, NoReturn

import psutil

from ..limited.fork_server import Ended
from .limits import Limits
from .outputs import checked_outputs


class StudentProcess:
    """One student's process: runs cells, answers the judge. What it says is not believed.

    Attributes:
        pid: the process as seen from here.
        judge_line: the judge's end of the line to it.
        stopped: why it was stopped, or "".
    """

    pid = 0
    judge_line: socket.socket

    def __init__(self, limits: Limits):
        self.limits, self.stopped = limits, ""
        self._output_room = 2 * limits.output_bytes  # what it prints it counts itself
        self._over = threading.Event()
        self._process: psutil.Process | None = None

    def run_cell(self, source: str, time_s: float) -> list[dict]:
        """Return the outputs of a cell, checked for their form.

        Raises:
            Ended: the process was stopped.
        """
        raise NotImplementedError

    def serve(self) -> None:
        """Let the process answer the judge until the judge says it may rest."""
        raise NotImplementedError

    def stop(self, reason: str) -> None:
        """End the process; the first reason stands."""
        self.stopped = self.stopped or reason
        if self._process is not None:
            with contextlib.suppress(OSError, psutil.Error):
                self._process.kill()

    def close(self) -> None:
        """End the process, even against its will, and forget it."""
        self._over.set()
        self.stop("it is over")
        self.judge_line.close()

    def end(self, reason: str) -> NoReturn:
        """Stop the process and say why.

        Raises:
            Ended: always.
        """
        time.sleep(0.02)  # the memory watch may know better
        self.stop(reason)
        raise Ended(self.stopped)

    def hold(self, pid: int) -> None:
        """Be about this process from now on; stop it when it takes too much memory.

        Raises:
            Ended: it has ended, or cannot be seen from here.
        """
        try:
            self._process, self.pid = psutil.Process(pid), pid
        except psutil.Error:
            raise Ended("its process ended before it began") from None
        threading.Thread(target=self._watch_memory, daemon=True).start()

    def checked(self, outputs: Any) -> list[dict]:
        """Return what the process says a cell put out, as far as it is sound and there is room."""
        kept, taken = checked_outputs(outputs, self._output_room)
        self._output_room -= taken
        return kept

    def _watch_memory(self) -> None:
        while not self._over.wait(0.05):
            if _memory_of(self._process) > self.limits.memory_mb << 20:
                self.stop(f"more than {self.limits.memory_mb} MB of memory")
                return


def _memory_of(top: psutil.Process) -> int:
    """Return the bytes of memory of a process and all that came of it."""
    total = 0
    with contextlib.suppress(psutil.Error):
        for process in [top, *top.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
    return total
