"""Calls a function on bytes from a stranger in a process that may take so much and no more.

The process is a fork of a warm one that has imported the function's module. Where there is a
sandbox, both are in it: whatever the bytes make of the code that reads them finds no network, no
records and no work of others there. What goes in and comes out is bytes.
"""

import atexit
import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .fork_server import ForkServer, Gone
from .ours import for_readers
from .sandbox import command, python, sandbox_problem

OK, RAISED = b"+", b"-"  # the first byte of an answer; before it, in 8 bytes, how many there are
_server_lock = threading.Lock()
_servers: dict[str, ForkServer] = {}


@dataclass(frozen=True)
class Bounds:
    """What a call may take: MiB of address space, CPU and wall seconds, bytes of its answer."""

    memory_mb: int = 1024
    cpu_s: int = 10
    wall_s: float = 300  # only a machine that is far too busy needs so long
    answer_bytes: int = 64 << 20

    def __str__(self):
        return f"{self.cpu_s} s or {self.memory_mb / 1024:g} GiB of memory"


class Exceeded(Exception):
    """The call took more memory or time than it may, or ended its process."""


class Raised(Exception):
    """The call ended with an exception, which the message names."""


def call(work: Callable[[bytes], bytes], data: bytes, bounds: Bounds | None = None) -> bytes:
    """Return `work(data)`, computed in a process of its own.

    A call that ends without an answer is made once more: the system may have ended it, being short
    of memory. If the warm process is gone, that is not the call's doing, and another takes its
    place. Where there is no Linux, the call is made in this process, without bounds.

    Args:
        work: a function at the top level of a module that is quick to import. The module's `warm`,
            if it has one, is called before the first call.
        data: what it is called with.
        bounds: what it may take.

    Raises:
        Exceeded: it took more than the bounds allow.
        Raised: it raised an exception.
        OSError: it could not be called, or the machine was too busy to call it.
    """
    bounds = bounds or Bounds()
    if not sys.platform.startswith("linux"):
        return _here(work, data)
    answer = _call_surely(work, data, bounds) or _call_surely(work, data, bounds)
    if not answer:
        raise Exceeded(f"more than {bounds}")
    if answer[:1] == RAISED:
        raise Raised(answer[1:].decode(errors="replace"))
    return answer[1:]


def _here(work: Callable[[bytes], bytes], data: bytes) -> bytes:
    try:
        return work(data)
    except Exception as error:
        raise Raised(described(error)) from error


def described(error: Exception) -> str:
    """Return an exception as one short line."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]


def _call_surely(work: Callable[[bytes], bytes], data: bytes, bounds: Bounds) -> bytes:
    """Return what `_call_once` does, from a new warm process if the first is gone."""
    with contextlib.suppress(Gone):
        return _call_once(work, data, bounds)
    try:
        return _call_once(work, data, bounds)
    except Gone as gone:
        raise ChildProcessError(f"no process starts that reads submissions: {gone}") from None


def _call_once(work: Callable[[bytes], bytes], data: bytes, bounds: Bounds) -> bytes:
    """Return the answer with its first byte, or nothing if the process ended without one."""
    ours, theirs = socket.socketpair()
    limits = {"address_mb": bounds.memory_mb, "cpu_s": bounds.cpu_s, "file_mb": 0, "open_files": 64}
    try:
        with _server_lock:
            server = _server(work.__module__)
        number = server.spawn({"work": work.__qualname__, "limits": limits}, [theirs])
        try:
            answer = _ask(ours, data, bounds)
        finally:
            server.kill(number)
        if not answer:
            server.check()
        return answer
    finally:
        ours.close()
        theirs.close()


def _server(module: str) -> ForkServer:
    """Return the warm process that has imported a module."""
    if not _servers:
        atexit.register(_close_all)
    if module in _servers:
        _servers[module] = _servers[module].alive()
    else:
        _servers[module] = _new_server(["-m", __package__, "CONTROL", module])
    return _servers[module]


def _new_server(reader: list[str]) -> ForkServer:
    if sandbox_problem():
        return ForkServer([sys.executable, *reader, "plain"])
    inside = [python(), "-P", *reader, "walled"]
    return ForkServer(command(inside, nested=True, ours=for_readers()), clean=True)


def _close_all() -> None:
    while _servers:
        _servers.popitem()[1].close()


def _ask(line: socket.socket, data: bytes, bounds: Bounds) -> bytes:
    """Send the data and return the answer, or nothing if it does not come whole."""
    deadline, received = time.monotonic() + bounds.wall_s, bytearray()
    try:
        line.settimeout(bounds.wall_s)
        line.sendall(data)
        line.shutdown(socket.SHUT_WR)
        while (more := line.recv(1 << 20)) and len(received) <= bounds.answer_bytes:
            received += more
            line.settimeout(max(0.001, deadline - time.monotonic()))
    except (BrokenPipeError, ConnectionResetError):
        return b""
    except TimeoutError:
        raise TimeoutError(f"no answer in {bounds.wall_s:g} s: the machine is too busy") from None
    whole = int.from_bytes(received[:8], "big") == len(received) - 8 > 0
    return bytes(received[8:]) if whole else b""
