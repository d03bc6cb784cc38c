"""Forks a limited child for each call of `grading.limited.call`, with the module imported.

python -m grading.limited CONTROL_DESCRIPTOR MODULE walled|plain
"""

import importlib
import os
import socket
import sys

from ..student.forks import serve_forks
from ..student.isolate import isolate_ours, limit, untraceable
from .call import OK, RAISED, described


def main() -> None:
    """Serve until the caller hangs up."""
    module = importlib.import_module(sys.argv[2])
    getattr(module, "warm", lambda: None)()
    walled = sys.argv[3] == "walled"

    def child(request: dict, descriptors: list[int]) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # nobody reads what is said there
        line = socket.socket(fileno=descriptors[0])
        data = b"".join(iter(lambda: line.recv(1 << 20), b""))
        if walled:
            isolate_ours(request["limits"] | {"processes": 1, "scratch_mb": 1})  # it makes none
        else:
            limit(request["limits"])
        try:
            answer = OK + getattr(module, request["work"])(data)
        except MemoryError:
            return  # without an answer: it took too much
        except Exception as error:
            answer = RAISED + described(error).encode(errors="replace")
        line.sendall(len(answer).to_bytes(8, "big") + answer)

    if walled:
        untraceable()
    serve_forks(socket.socket(fileno=int(sys.argv[1])), child)


main()
os._exit(0)  # without taking apart what takes long to take apart
