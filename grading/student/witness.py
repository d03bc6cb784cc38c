"""The witness: a twin of the student's process in which nothing but plain code ever runs.

It is forked before the student's first cell, and asked by the judge over a line of its own. What is
seen of a call here can be believed: see `gqa_lib.learn.watch.plain`. To the student's process it is
closed: no memory, line or descriptor is shared, and it cannot be traced.
"""

import contextlib
import io
import os
import signal
import socket
import sys
from collections.abc import Callable

from gqa_lib.learn.watch.plain import NotPlain, PlainNames

from .imports import watch_imports
from .isolate import forget_scratch
from .serve import Server
from .wire import Channel


def stand_by(judge: socket.socket, shut: Callable[[], object] = lambda: None) -> None:
    """Fork the witness, and send the judge its line as the first that comes over `judge`.

    Args:
        judge: the judge's line to the student's process.
        shut: what the witness calls first, to be cut off as the student's process will be.
    """
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        try:
            _be_witness(theirs, shut)
        finally:
            os._exit(0)
    theirs.close()
    socket.send_fds(judge, [b"w"], [ours.fileno()])
    ours.close()


def _be_witness(line: socket.socket, shut: Callable[[], object]) -> None:
    for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGALRM):
        signal.signal(one, signal.SIG_IGN)  # the student's process may send them
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.closerange(3, line.fileno())
    os.closerange(line.fileno() + 1, 4096)
    forget_scratch()
    shut()
    sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
    watch_imports()
    with contextlib.suppress(EOFError, OSError):
        Witness(Channel(line), {}).serve()


class Witness(Server):
    """Answers as a student's process does, but about the notebook's plain code alone."""

    names = PlainNames()

    def _do(self, request: dict, blobs: list, sent: list) -> dict:
        operation = request["op"]
        if operation == "cells":
            for is_trusted, source in request["cells"]:
                (self.names.trusted if is_trusted else self.names.answer)(source)
            return {"value": None}
        if operation != "get":
            return super()._do(request, blobs, sent)
        try:
            value = self.names.get(request["name"], request["kernel"])
        except NotPlain as problem:
            return {"refused": str(problem)}
        return {"value": self._pack(value, sent)}
