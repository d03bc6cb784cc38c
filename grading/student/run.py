"""One student's process: runs cells for the grader, answers the judge in between."""

import io
import os
import signal
import socket

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils import capture

from .imports import watch_imports
from .isolate import HOME
from .magics import NotebookShell
from .serve import Server, message_of
from .wire import Channel

_TRACEBACK: list[str] = []  # of the cell that runs
MAX_TRACEBACK = 6000
KEPT = ("text/plain", "image/png", "image/jpeg")  # of what a cell displays


def run_student(grader: socket.socket, judge: socket.socket, output_bytes: int) -> None:
    """Run cells and serve tests as the grader says, until it hangs up."""
    watch_imports()
    shell = _Shell.instance(colors="nocolor")
    channel, server = Channel(grader), Server(Channel(judge), shell.user_ns)
    signal.signal(signal.SIGALRM, _out_of_time)
    _Bounded.left = output_bytes
    capture.StringIO = _Bounded  # type: ignore[misc]  # what IPython collects a cell's text in
    channel.send({"ready": True})
    while True:
        try:
            asked, _ = channel.receive()
        except EOFError:
            return
        if "cell" in asked:
            channel.send({"outputs": _run_cell(shell, asked["cell"], asked["limit_s"])})
        else:
            server.serve()


class _Shell(NotebookShell):
    def _showtraceback(self, etype, evalue, stb) -> None:  # as ipykernel's does
        _TRACEBACK.extend(stb)


class _Bounded(io.StringIO):
    """What cells print, up to a limit for all of them."""

    left = 0

    def write(self, text: str) -> int:
        kept = text[: max(0, _Bounded.left)]
        if len(text) > len(kept) and _Bounded.left >= 0:
            kept += "\n(the rest of what was printed was not kept)\n"
        _Bounded.left -= len(text)
        super().write(kept)
        return len(text)


class OutOfTime(BaseException):
    """The cell's time is over."""


def _out_of_time(*_):
    if _Running.cell:  # else the grader's word came too late
        raise OutOfTime


class _Running:
    cell = False


def _run_cell(shell: InteractiveShell, source: str, limit_s: float) -> list[dict]:
    """Return the outputs of a cell as a notebook keeps them; the grader says when time is over."""
    error, shown = None, None
    _TRACEBACK.clear()
    _Running.cell = True
    try:
        with capture.capture_output() as shown:
            result = shell.run_cell(source, store_history=True)
        error = result.error_before_exec or result.error_in_exec
    except BaseException as raised:
        error = raised
    finally:
        _Running.cell = False
    outputs = []
    if shown is not None:
        for name in ("stdout", "stderr"):
            if text := getattr(shown, name):
                outputs.append({"output_type": "stream", "name": name, "text": text})
        for one in shown.outputs:
            data = {kind: one.data[kind] for kind in KEPT if kind in one.data}
            outputs.append({"output_type": "display_data", "data": data, "metadata": {}})
    if error is not None:
        late = f"The cell took too long: more than {limit_s:.4g} s of computing or waiting."
        text = late if isinstance(error, OutOfTime) else message_of(error)
        lines = "\n".join(map(str, _TRACEBACK))[-MAX_TRACEBACK:]
        outputs.append(
            {
                "output_type": "error",
                "ename": type(error).__name__,
                "evalue": text,
                "traceback": lines,
            }
        )
    return outputs


def begin(*, scratch_is_home: bool) -> None:
    """Let go of what the process inherited: its output, and a home folder it cannot write to."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    if scratch_is_home:
        os.environ.update(TMPDIR="/tmp", HOME=HOME, IPYTHONDIR=f"{HOME}/.ipython")
        os.chdir(HOME)
