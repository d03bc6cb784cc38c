"""A process that has imported what is slow to import, and forks a fresh child for each notebook."""

import array
import contextlib
import json
import os
import signal
import socket
import struct
import traceback
from collections.abc import Callable


def serve_forks(control: socket.socket, child: Callable[[dict, list[int]], None]) -> None:
    """Fork and kill children as asked over `control`, until the other end is closed.

    Args:
        control: a SOCK_SEQPACKET socket. `{"spawn": ...}` comes with descriptors and is answered
            `{"pid": n}`; `{"kill": n}` is answered `{"killed": n}`, `{"check": true}` as it is.
        child: what a child does with the request and its descriptors before it ends.
    """
    control.send(b'{"ready": true}')
    while True:
        data, ancillary, *_ = control.recvmsg(65536, socket.CMSG_LEN(16))
        if not data:
            return
        request = json.loads(data)
        if "check" in request:
            control.send(data)
            continue
        if "kill" in request:
            with contextlib.suppress(ProcessLookupError):
                os.kill(request["kill"], signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(request["kill"], 0)
            control.send(json.dumps({"killed": request["kill"]}).encode())
            continue
        descriptors = _descriptors(ancillary)
        pid = os.fork()
        if pid == 0:
            control.close()
            try:
                child(request["spawn"], descriptors)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(json.dumps({"pid": pid}).encode())


def _descriptors(ancillary) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % struct.calcsize("i")])
    return list(found)
