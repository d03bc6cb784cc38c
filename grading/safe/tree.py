"""What a process and all that came of it take, read in /proc; elsewhere psutil reads it."""

import contextlib
import os
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import psutil

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_STATE, _TIMES, _SINCE = 0, slice(11, 15), 19  # in what follows the name in /proc/PID/stat
_WAITING_FOR_DISK = 0.25  # of that time counts as sleep: it may be the machine's doing


def members(top: int) -> list[int]:
    """Return the numbers of a process and of all that came of it and is still below it."""
    if not _has_children():
        with contextlib.suppress(psutil.Error):
            return [top, *(one.pid for one in psutil.Process(top).children(recursive=True))]
        return [top]
    found, todo = [], [top]
    while todo:
        found.append(pid := todo.pop())
        for task in _tasks(pid):
            todo += map(int, _read(f"{task}/children").split())
    return found


def memory_of(pids: Iterable[int]) -> int:
    """Return the bytes that processes have in memory, each page once for each that has it.

    A process whose first thread has ended tells of none itself; its other threads do.
    """
    if not _linux():
        return sum(_by_psutil(pid, lambda one: one.memory_info().rss) for pid in pids)
    pages = 0
    for pid in pids:
        resident = _resident(f"/proc/{pid}")
        pages += resident or max(map(_resident, _tasks(pid)), default=0)
    return pages * _PAGE


def cpu_of(pids: Iterable[int]) -> dict[int, tuple[float, float]]:
    """Return the seconds that each process has computed: itself, and children it waited for."""
    found = {}
    for pid in pids:
        if fields := _stat(f"/proc/{pid}"):
            times = [int(one) / _TICKS for one in fields[_TIMES]]
            found[pid] = sum(times[:2]), sum(times[2:])
        elif not _linux():
            found[pid] = _by_psutil(pid, lambda one: sum(one.cpu_times()[:2])), 0.0
    return found


def asleep(pids: Iterable[int]) -> float:
    """Return 1 if all threads sleep or are stopped, 0 if one computes or would, if it were let.

    A thread that waits for a disk, and may be waiting for something else, makes it less than 1.
    """
    states: set[str] = set()
    for pid in pids:
        if _linux():
            states |= {fields[_STATE] for task in _tasks(pid) if (fields := _stat(task))}
        elif _by_psutil(pid, lambda one: one.status()) in (psutil.STATUS_RUNNING, 0):
            states.add("R")
    if "R" in states:
        return 0
    return _WAITING_FOR_DISK if "D" in states else 1


def started(pid: int) -> int:
    """Return when a process began, in the system's ticks; 0 if there is none."""
    fields = _stat(f"/proc/{pid}")
    return int(fields[_SINCE]) if fields else 0


def computed_here() -> float:
    """Return the seconds that all processes of this machine have computed."""
    times = psutil.cpu_times()._asdict()
    idle = ("idle", "iowait", "guest", "guest_nice", "steal")  # guests are in user
    return sum(value for name, value in times.items() if name not in idle)


def _linux() -> bool:
    return sys.platform.startswith("linux")


@cache
def _has_children() -> bool:
    return Path("/proc/thread-self/children").exists()


def _tasks(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return [f"/proc/{pid}/task/{one}" for one in os.listdir(f"/proc/{pid}/task")]
    return []


def _resident(folder: str) -> int:
    fields = _read(f"{folder}/statm").split()
    return int(fields[1]) if len(fields) > 1 else 0


def _stat(folder: str) -> list[str]:
    """Return the fields of a stat after the name, which may have anything in it."""
    return _read(f"{folder}/stat").rpartition(")")[2].split()


def _read(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _by_psutil(pid: int, read):
    try:
        return read(psutil.Process(pid))
    except psutil.Error:
        return 0
