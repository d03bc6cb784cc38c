"""A warm process that forks children, seen from the process that asks for them."""

import array
import contextlib
import json
import os
import socket
import subprocess
import threading

START_S = 120  # torch, read for the first time from a slow disk


class Ended(Exception):
    """A process of the grader's ended or fell silent; the message says why."""


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
        self._asking = threading.Lock()

    def alive(self) -> "ForkServer":
        """Return this process, or one that takes its place if it is gone."""
        if self.process.poll() is None:
            return self
        self.close()
        return ForkServer(*self._made_of)

    def spawn(self, request: dict, lines: list[socket.socket]) -> int:
        """Fork a child that gets these sockets; return its process number there."""
        descriptors = array.array("i", [line.fileno() for line in lines])
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
        with self._asking:
            self._wait_until_awake()
            self.control.sendmsg([json.dumps({"spawn": request}).encode()], rights)
            for line in lines:
                line.close()
            return self._answer()["pid"]

    def kill(self, pid: int) -> None:
        """End a child and all that came of it."""
        with self._asking, contextlib.suppress(OSError, Ended):
            self.control.send(json.dumps({"kill": pid}).encode())
            self._answer()

    def close(self) -> None:
        """End the process and its children: it ends by itself when its line is closed."""
        self.control.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()

    def _wait_until_awake(self) -> None:
        if not self._awake:
            self._answer()
            self._awake = True

    def _answer(self) -> dict:
        self.control.settimeout(START_S)
        try:
            data = self.control.recv(65536)
        except TimeoutError:
            raise Ended(f"no answer in {START_S} s") from None
        if not data:
            self.process.wait(5)
            written = self.process.stderr.read() if self.process.stderr is not None else b""
            said = written.decode(errors="replace").strip()
            raise Ended(said.splitlines()[-1] if said else "it ended")
        return json.loads(data)
