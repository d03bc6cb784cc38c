"""The judge's end of the line to a witness: see `grading.student.witness`."""

import socket
from typing import Any

from gqa_lib.learn.watch import NotSeen

from ..student.wire import Channel
from .link import Link

START_S = 120  # until a student's process has its witness


class WitnessLink(Link):
    """The judge's end of the line to the witness of a student's process.

    Attributes:
        cells: (whether it is the lesson's own, source) of the notebook's cells so far.
    """

    must_report = True

    def __init__(self, channel: Channel):
        super().__init__(channel)
        self.cells: list[tuple[bool, str]] = []
        self._told = 0

    def plain(self, name: str, kernel: bool) -> Any:
        """Return the value of a name, once all it needs is seen to be plain.

        Raises:
            NotSeen: it is not.
        """
        if new := self.cells[self._told :]:
            self._told = len(self.cells)
            self._ask({"op": "cells", "cells": new}, [])
        reply, blobs = self._ask({"op": "get", "name": name, "kernel": kernel}, [])
        if "refused" in reply:
            raise NotSeen(str(reply["refused"]))
        return self._named(name, self._value(reply, blobs))


def witness_of(student: Channel) -> WitnessLink | None:
    """Return the line to the witness: what comes first, before any code of the student's ran."""
    student.sock.settimeout(START_S)
    try:
        _, lines, *_ = socket.recv_fds(student.sock, 1, 1)
    except OSError:
        return None
    student.sock.settimeout(None)
    return WitnessLink(Channel(socket.socket(fileno=lines[0]))) if lines else None
