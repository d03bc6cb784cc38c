"""What a grader keeps warm: a sandbox and a bench of judges, for several notebooks at a time.

Both have imported torch before the first submission comes. For each one the sandbox forks a
student's process, cut off from everything, and the bench, in a sandbox too, forks a judge; they
talk to each other over a line of their own. A judge has met a stranger's values: what it says is
checked for its form.
"""

import contextlib
import socket
import sys
import threading
from dataclasses import asdict
from weakref import WeakSet

from gqa_lib.learn.quiz.sitting import Sitting

from ..limited.fork_server import START_S, Ended, ForkServer, Gone
from ..limited.ours import for_judges
from ..limited.sandbox import check_sandbox, command, python
from ..limited.verdict import NotTheirs
from ..student.wire import Channel, Garbled
from .kernel import KernelStudent
from .limits import Limits
from .process import StudentProcess
from .verdicts import checked_verdict


class IsolationRefused(Gone):
    """The kernel lets nobody make namespaces inside the sandbox."""


class ForkedStudent(StudentProcess):
    """A student's process forked from a warm one.

    Raises:
        IsolationRefused: it cannot be shut off here.
        Gone: the warm process, or this one, is gone before any code of the student's.
    """

    can_be_told = True

    def __init__(self, server: ForkServer, limits: Limits):
        super().__init__(limits)
        ours, theirs = _line()
        self.judge_line, judge_end = socket.socketpair()
        self._server, self._channel = server, Channel(ours)
        self._number = server.spawn(limits.as_dict(), [theirs, judge_end])
        try:
            ours.settimeout(START_S)
            pid = _sender(ours) or self._number
            if refused := self._receive(START_S).get("refused"):
                raise IsolationRefused(str(refused))
            self.hold(pid)
        except BaseException as error:
            self.close()
            if isinstance(error, Ended) and not isinstance(error, Gone):
                raise Gone(str(error)) from None
            raise

    def run_cell(self, source: str, time_s: float) -> list[dict]:
        """Return the outputs of a cell, checked for their form.

        Args:
            source: the cell.
            time_s: how long it may take by the clock on the wall.

        Raises:
            Ended: the process was stopped.
        """
        self._send({"cell": source, "limit_s": self._bound.seconds if self._bound else time_s})
        return self.checked(self._receive(time_s + 2).get("outputs"))

    def serve(self) -> None:
        """Let the process answer the judge until the judge says it may rest."""
        self._send({"serve": True})

    def stop(self, reason: str) -> None:
        """End the process; the first reason stands."""
        super().stop(reason)
        with contextlib.suppress(OSError):
            self._channel.sock.shutdown(socket.SHUT_RDWR)

    def check_origin(self) -> None:
        """Make sure that the process it was forked from is there, else raise `Gone`."""
        self._server.check()

    def close(self) -> None:
        """End the process and forget it."""
        super().close()
        self._server.kill(self._number)
        self._channel.close()
        self.forget_group()

    def _send(self, message: dict) -> None:
        if self.stopped:
            raise Ended(self.stopped)
        try:
            self._channel.within(10).send(message)
        except TimeoutError:
            self.end("time limit")
        except OSError:
            self.end("its process ended")

    def _receive(self, time_s: float) -> dict:
        try:
            return self._channel.within(time_s).receive()[0]
        except TimeoutError:
            self.end("time limit")
        except Garbled as error:
            self.end(f"its process sent {error}")
        except (EOFError, OSError):
            self.end("its process ended")


class JudgeProcess:
    """The line to one judge.

    Attributes:
        pid: the judge's process.
    """

    def __init__(
        self,
        server: ForkServer,
        student: StudentProcess,
        seed: int | None,
        sitting: Sitting | None = None,
    ):
        ours, theirs = _line()
        self._server, self._channel, self._student = server, Channel(ours), student
        limits = student.limits
        may = {"address_mb": limits.address_mb, "cpu_s": limits.cpu_s, "file_mb": 1}
        may |= {"processes": limits.processes, "open_files": limits.open_files, "scratch_mb": 1}
        request = {"limits": may, "seed": seed}
        request["sitting"] = asdict(sitting) if sitting else None
        self._number = server.spawn(request, [theirs, student.judge_line.dup()])
        self.pid = 0  # until it is asked for the first time
        student.judged_by(self)

    def hang_up(self) -> None:
        """Wait for it no longer: what it is asked ends at once."""
        with contextlib.suppress(OSError):
            self._channel.sock.shutdown(socket.SHUT_RDWR)

    def ask(self, message: dict, time_s: float) -> dict:
        """Return what the judge says of a cell.

        Raises:
            Ended: it did not say anything of a judge's form in time, or ended.
        """
        try:
            self._channel.within(time_s)
            if not self.pid:
                self._meet()
            self._channel.send(message)
            return checked_verdict(self._channel.receive()[0])
        except TimeoutError:
            raise Ended("time limit") from None
        except (EOFError, OSError, Garbled):
            raise Ended("the test took more memory or time than it may") from None

    def _meet(self) -> None:
        self.pid = _sender(self._channel.sock) or self._number
        self._channel.receive()  # that it is ready
        self._student.judged_by(self)

    def check_origin(self) -> None:
        """Make sure that the process it was forked from is there, else raise `Gone`."""
        self._server.check()

    def close(self) -> None:
        """End the judge."""
        self._server.kill(self._number)
        self._channel.close()


class GradingProcesses:
    """Warm processes for grading notebooks, in several threads if need be.

    Args:
        kind: "warm", forked in a warm sandbox; "cold", a Jupyter kernel in a sandbox of its own for
            each notebook; "open", without a sandbox, only for one's own code.
        seed: the course's seed of the hidden tests, or None for fresh draws.

    Raises:
        NoSandbox: it is to be sandboxed and cannot.
    """

    def __init__(self, kind: str = "warm", seed: int | None = None):
        if kind != "open":
            check_sandbox()
        self.kind, self.seed = kind, seed
        self._judges = _judges(kind)
        self._students = _warm_students(kind) if kind != "cold" else None
        self._replacing = threading.Lock()
        self._closed = False
        self._kernels: WeakSet[KernelStudent] = WeakSet()

    def student(self, limits: Limits) -> StudentProcess:
        """Return a fresh student's process.

        Raises:
            NoSandbox: the sandbox does not start.
            NotTheirs: grading was stopped.
            Gone: the warm process is, and so is the one that took its place.
        """
        if self.kind == "cold":
            return self._cold(limits)
        try:
            return self._forked(limits)
        except IsolationRefused:
            if self.kind == "open":
                raise
            self.kind = "cold"
            return self._cold(limits)
        except Gone:
            return self._forked(limits)

    def _cold(self, limits: Limits) -> KernelStudent:
        self._check_open()
        student = KernelStudent(limits)
        self._kernels.add(student)
        return student

    def _forked(self, limits: Limits) -> ForkedStudent:
        with self._replacing:
            self._check_open()
            self._students = (self._students or _warm_students(self.kind)).alive()
        return ForkedStudent(self._students, limits)

    def judge(
        self, student: StudentProcess, sitting: Sitting | None = None, seed: int | None = None
    ) -> JudgeProcess:
        """Return a judge for a student's process; to it, quizzes are the sitting's.

        Args:
            student: the process.
            sitting: whose quiz it is.
            seed: of the hidden tests; the course's unless given.

        Raises:
            NotTheirs: grading was stopped.
            Gone: the bench is.
        """
        with self._replacing:
            self._check_open()
            self._judges = self._judges.alive()
        return JudgeProcess(self._judges, student, self.seed if seed is None else seed, sitting)

    def close(self) -> None:
        """End all processes, whatever they are at, and make no more."""
        self._closed = True
        for student in list(self._kernels):
            student.stop("grading was stopped")
        with self._replacing:
            self._judges.close()
            if self._students is not None:
                self._students.close()

    def _check_open(self) -> None:
        if self._closed:
            raise NotTheirs("grading was stopped")


def _judges(kind: str) -> ForkServer:
    bench = ["-m", "grading.safe", "CONTROL"]
    if kind == "open":
        return ForkServer([sys.executable, *bench, "plain"])
    inside = [python(), "-P", *bench, "walled"]
    return ForkServer(command(inside, nested=True, ours=for_judges()), clean=True)


def _warm_students(kind: str) -> ForkServer:
    student = ["-m", "grading.student", "CONTROL"]
    if kind == "open":
        return ForkServer([sys.executable, *student, "plain"])
    return ForkServer(command([python(), *student, "isolate"], nested=True), clean=True)


def _line() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a line; of messages to the first the kernel tells whose they are."""
    ours, theirs = socket.socketpair()
    if hasattr(socket, "SO_PASSCRED"):
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return ours, theirs


def _sender(line: socket.socket) -> int:
    """Return the number, seen from here, of the process whose message waits on a line, or 0."""
    if not hasattr(socket, "SCM_CREDENTIALS"):
        return 0
    _, ancillary, *_ = line.recvmsg(1, socket.CMSG_SPACE(12), socket.MSG_PEEK)
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            return int.from_bytes(data[:4], sys.byteorder, signed=True)
    return 0
