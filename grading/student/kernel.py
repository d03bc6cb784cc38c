"""The same service in a Jupyter kernel: started by the grader, in the kernel's own shell."""

import socket

from IPython import get_ipython

from .imports import watch_imports
from .magics import NotebookShell
from .serve import Server
from .wire import Channel
from .witness import stand_by

_server: Server | None = None


def begin(descriptor: int) -> None:
    """Take the line to the judge that the kernel has inherited."""
    global _server
    watch_imports()
    shell = get_ipython()
    shell.__class__ = type("KernelShell", (NotebookShell, type(shell)), {})
    judge = socket.socket(fileno=descriptor)
    stand_by(judge)
    line = Channel(judge)
    _server = Server(line, shell.user_ns)


def serve() -> None:
    """Answer the judge until it says `rest`.

    Raises:
        RuntimeError: `begin` was not called before.
    """
    if _server is None:
        raise RuntimeError("the kernel has no line to the judge: begin() comes before serve()")
    _server.serve()
