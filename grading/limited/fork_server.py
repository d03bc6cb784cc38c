"""A warm process that forks children, seen from the process that asks for them."""

import array
import contextlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Sequence

START_S = 120  # torch, read for the first time from a slow disk


class Ended(Exception):
    """A process of the grader's ended or fell silent; the message says why."""


class Gone(Ended):
    """A warm process of the grader's is gone, or does not answer: that is the machine's doing."""


class ForkServer:
    """A warm process that forks children, and the line to it, which several threads may use."""

    def __init__(self, argv: list[str], clean: bool = False):
        self._made_of = argv, clean
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        number = str(theirs.fileno())
        argv = [number if part == "CONTROL" else part for part in argv]
        self.process = subprocess.Popen(
            argv,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
            cwd="/",
            env={} if clean else os.environ | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        theirs.close()
        self.control = ours
        self._awake = False
        self._over = ""  # why it is of no use any more
        self._asking = threading.Lock()

    def alive(self) -> "ForkServer":
        """Return this process, or one that takes its place if it is gone."""
        if self.process.poll() is None and not self._over:
            return self
        self.close()
        return ForkServer(*self._made_of)

    def spawn(self, request: dict, lines: list[socket.socket]) -> int:
        """Fork a child that gets these sockets; return its process number there.

        Raises:
            Gone: it cannot.
        """
        descriptors = array.array("i", [line.fileno() for line in lines])
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
        with self._asking:
            try:
                return self._ask({"spawn": request}, rights)["pid"]
            finally:
                for line in lines:
                    line.close()

    def kill(self, pid: int) -> None:
        """End a child and all that came of it."""
        with self._asking, contextlib.suppress(Gone):
            self._ask({"kill": pid})

    def check(self) -> None:
        """Make sure that it is still there.

        Raises:
            Gone: it is not, and what its children were doing says nothing of those they did it for.
        """
        with self._asking:
            self._ask({"check": True})

    def close(self) -> None:
        """End the process and its children: it ends by itself when its line is closed."""
        self._over = self._over or "it was closed"
        with contextlib.suppress(OSError):
            self.control.shutdown(socket.SHUT_RDWR)  # who waits for an answer waits no longer
        with self._asking:
            self._end()
            self.control.close()
            if self.process.stderr is not None:
                self.process.stderr.close()

    def _ask(self, request: dict, rights: Sequence = ()) -> dict:
        """Return the answer to a request; without one, the process is of no use any more."""
        if self._over:
            raise Gone(self._over)
        try:
            self.control.settimeout(START_S)
            if not self._awake:
                self._answer()
                self._awake = True
            self.control.sendmsg([json.dumps(request).encode()], rights)
            return self._answer()
        except TimeoutError:
            self._over = self._over or f"no answer in {START_S} s"
        except (OSError, EOFError, ValueError):
            self._over = self._over or self._last_words()
        self._end()
        raise Gone(self._over)

    def _answer(self) -> dict:
        if not (data := self.control.recv(65536)):
            raise EOFError
        return json.loads(data)

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            self.control.shutdown(socket.SHUT_RDWR)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _last_words(self) -> str:
        """Return the last line that it said of itself; a child may still hold that line open."""
        self._end()
        if self.process.stderr is None:
            return "it ended"
        os.set_blocking(self.process.stderr.fileno(), False)
        said = (self.process.stderr.read() or b"").decode(errors="replace").strip()
        return said.splitlines()[-1] if said else "it ended"
