"""Processes that end with the one that started them, signals that end a run in order, IPython's."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36  # of prctl, on Linux
_LOOK_S = 0.5  # where the system sends no signal, how often a process looks for its parent
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
ENDINGS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))


def in_ipython() -> bool:
    """Return whether this process runs cells, of a notebook or of IPython in a terminal."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


class Stopped(KeyboardInterrupt):
    """A signal told this process to end.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def stopping() -> Iterator[None]:
    """Raise Stopped where SIGINT, SIGTERM or SIGHUP comes, so that what runs can clean up.

    Signals that are ignored, or that somebody else handles, stay so; outside the main thread
    nothing changes.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        usual = (signal.SIG_DFL, signal.default_int_handler)
        before = {n: signal.getsignal(n) for n in ENDINGS if signal.getsignal(n) in usual}
    for number in before:
        signal.signal(number, _raise)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is _raise:
                signal.signal(number, handler)


def _raise(number: int, frame: object) -> None:
    raise Stopped(number)


def end_with(parent: int, number: int = _KILL) -> None:
    """Have this process get a signal when its parent ends, however that ends.

    On Linux the system sends it, whatever this process is doing; elsewhere a thread looks, which a
    computation that keeps Python's lock delays.

    Args:
        parent: the process number of the parent, as the parent knows it.
        number: the signal.
    """
    if not (_linux() and _prctl(_SET_PDEATHSIG, number)):
        threading.Thread(target=_watch, args=(parent, number), daemon=True).start()
    if os.getppid() != parent:  # it ended before this was set
        os.kill(os.getpid(), number)


def _watch(parent: int, number: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os.kill(os.getpid(), number)


def end_all_on_signals() -> None:
    """End this process and all below it at once where SIGINT, SIGTERM or SIGHUP comes.

    What its children leave behind becomes its own (on Linux), so that nothing escapes.
    """
    if _linux():
        _prctl(_SET_CHILD_SUBREAPER, 1)
    for number in ENDINGS:
        signal.signal(number, _end_all)


def _end_all(number: int, frame: object) -> None:
    end_below(os.getpid())
    os._exit(128 + number)


def end_tree(pid: int) -> None:
    """Kill a process, all below it, and the process groups that these lead.

    Args:
        pid: its number; one that is gone is fine.
    """
    below = _below(pid)
    _kill([pid, *below])


def end_below(pid: int) -> None:
    """Kill all processes below one, until there is none.

    Args:
        pid: the number of the one that stays.
    """
    _end(partial(_below, pid))


def end_marked(name: str, value: str) -> None:
    """Kill all processes that were started with an environment variable, until there is none.

    That finds what a process left when it was killed: nobody is above it any more.

    Args:
        name: of the variable.
        value: that it has.
    """
    _end(partial(_marked, name, value))


def _end(find: Callable[[], list[int]]) -> None:
    for _ in range(100):  # what one of them started meanwhile comes next
        found = find()
        if not found:
            return
        _kill(found)
        time.sleep(0.01)


def _marked(name: str, value: str) -> list[int]:
    import psutil

    def has_it(process: psutil.Process) -> bool:
        return process.pid != os.getpid() and process.environ().get(name) == value

    return _alive(psutil.process_iter(), has_it)


def _below(pid: int) -> list[int]:
    """The processes below one that have not ended."""
    import psutil

    try:
        found = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []
    return _alive(found)


def _alive(processes: Iterable[Any], wanted: Callable[[Any], bool] = lambda _: True) -> list[int]:
    """The numbers of those that have not ended, and are wanted."""
    import psutil

    alive = []
    for process in processes:
        with suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and wanted(process):
                alive.append(process.pid)
    return alive


def _kill(pids: list[int]) -> None:
    leads = set()
    if hasattr(os, "getpgid"):
        for pid in pids:
            with suppress(OSError):
                leads |= {pid} & {os.getpgid(pid)}
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, _KILL)
    for pid in leads:
        with suppress(OSError):
            os.killpg(pid, _KILL)


def _linux() -> bool:
    return sys.platform.startswith("linux")


def _prctl(option: int, value: int) -> bool:
    """Set something of this process; return whether the system did."""
    import ctypes

    return ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0
