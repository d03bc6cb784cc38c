"""One control group for each student's process, where the system gives them.

What is in a group is counted and limited by the kernel, whatever process, thread, pipe or file has
it: memory without swap, processes, and the share of the cores. Both versions of control groups
serve: version 2 where a folder is delegated to this user or belongs to root, version 1 for root.
"""

import atexit
import contextlib
import os
import signal
import subprocess
import threading
import time
from functools import cache
from itertools import count
from pathlib import Path

from .limits import Limits
from .places import OWN, Place, version_1, version_2
from .tree import started

_CORES, _PERIOD_US = 1.1, 100_000  # a core, and a little for what runs beside it
_numbers = count()
_lock = threading.Lock()
_leftover: list["Group"] = []  # not empty yet when they were to be removed


class Group:
    """A student's process and all that came of it, as the kernel counts and limits them.

    Raises:
        OSError: the system does not give it after all.
    """

    def __init__(self, place: Place, limits: Limits, more: int = 0):
        self._place = place
        name = f"{_owner()}-{next(_numbers)}"
        self._folders = {kind: folder / name for kind, folder in place.folders.items()}
        try:
            for folder in set(self._folders.values()):
                folder.mkdir()
            self._limit(limits, str(limits.processes + more))
        except OSError:
            self.remove()
            raise

    def add(self, pid: int) -> None:
        """Put a process in; what it starts from then on is in it, too."""
        for folder in set(self._folders.values()):
            (folder / "cgroup.procs").write_text(str(pid))

    def cpu_s(self) -> float | None:
        """Return the seconds computed by all that was ever in it, or None: nobody counts."""
        if self._place.version == 2:
            return _field(self._folders["memory"] / "cpu.stat", "usage_usec") / 1e6
        if "cpuacct" not in self._folders:
            return None
        return int((self._folders["cpuacct"] / "cpuacct.usage").read_text()) / 1e9

    def current(self) -> int:
        """Return the bytes of memory that it has now, files in memory included."""
        return int(self._memory("memory.current", "memory.usage_in_bytes").read_text())

    def out_of_memory(self) -> bool:
        """Return whether the kernel has ended a process in it that wanted more memory."""
        with contextlib.suppress(OSError):
            return _field(self._memory("memory.events", "memory.oom_control"), "oom_kill") > 0
        return False

    def pids(self) -> list[int]:
        """Return the processes in it."""
        with contextlib.suppress(OSError):
            return [int(n) for n in (self._folders["pids"] / "cgroup.procs").read_text().split()]
        return []

    def kill(self) -> None:
        """End everything in it."""
        if self._place.version == 2:
            with contextlib.suppress(OSError):
                (self._folders["memory"] / "cgroup.kill").write_text("1")
        for pid in self.pids():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def remove(self) -> None:
        """End what is in it and remove it; if that takes a moment, when the next one is made."""
        if not self._removed():
            with _lock:
                _leftover.append(self)

    def _removed(self) -> bool:
        self.kill()
        left = [folder for folder in set(self._folders.values()) if not _remove(folder)]
        return not left

    def _memory(self, version_2: str, version_1: str) -> Path:
        return self._folders["memory"] / (version_2 if self._place.version == 2 else version_1)

    def _limit(self, limits: Limits, tasks: str) -> None:
        memory, quota = str(limits.memory_mb << 20), str(round(_CORES * _PERIOD_US))
        if self._place.version == 2:
            wanted = [
                ("memory", "memory.max", memory),
                ("memory", "memory.swap.max", "0"),
                ("memory", "memory.oom.group", "1"),
                ("pids", "pids.max", tasks),
                ("cpu", "cpu.max", f"{quota} {_PERIOD_US}"),
            ]
        else:
            wanted = [
                ("memory", "memory.limit_in_bytes", memory),
                ("memory", "memory.memsw.limit_in_bytes", memory),
                ("memory", "memory.swappiness", "0"),
                ("pids", "pids.max", tasks),
                ("cpu", "cpu.cfs_period_us", str(_PERIOD_US)),
                ("cpu", "cpu.cfs_quota_us", quota),
            ]
        for kind, name, value in wanted:
            must = name in ("memory.max", "memory.limit_in_bytes", "pids.max")
            if kind in self._folders and (must or (self._folders[kind] / name).exists()):
                (self._folders[kind] / name).write_text(value)


def new_group(limits: Limits, pid: int, more: int = 0) -> Group | None:
    """Return a group with a process in it, or None where the system gives none.

    Args:
        limits: what all in it together may use.
        pid: the process, which has started nothing yet.
        more: threads besides those of the limits.
    """
    if (place := usable()) is None:
        return None
    with _lock:
        _leftover[:] = [one for one in _leftover if not one._removed()]
    group = None
    try:
        group = Group(place, limits, more)
        group.add(pid)
    except OSError:
        if group is not None:
            group.remove()
        return None
    return group


@cache
def usable() -> Place | None:
    """Return where groups can be made, or None; what a grader that was killed left is removed."""
    with contextlib.suppress(OSError, ValueError):
        for found in (version_2(), version_1()):
            if found is not None and _works(found):
                for folder in set(found.folders.values()):
                    _clean(folder)
                atexit.register(_leave_nothing)
                return found
    return None


def _leave_nothing() -> None:
    end = time.monotonic() + 2
    while _leftover and time.monotonic() < end:
        time.sleep(0.01)
        _leftover[:] = [one for one in _leftover if not one._removed()]


def _works(place: Place) -> bool:
    """Return whether a process can be put into a group there, with limits."""
    tried = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL)
    try:
        group = Group(place, Limits())
        try:
            group.add(tried.pid)
            group.cpu_s(), group.current()
            return tried.pid in group.pids()
        finally:
            group.remove()
    except OSError:
        return False
    finally:
        tried.kill()
        tried.wait()


def _owner() -> str:
    """Return what names this process among all that ever make groups here."""
    space = os.stat("/proc/self/ns/pid").st_ino
    return f"{OWN}-{space}-{os.getpid()}-{started(os.getpid())}"


def _clean(folder: Path) -> None:
    """Remove the groups whose grader is gone; those of other systems' processes stay."""
    space = _owner().split("-")[1]
    for group in folder.glob(f"{OWN}-{space}-*"):
        pid, since = group.name.split("-")[2:4]
        if started(int(pid)) == int(since):
            continue
        with contextlib.suppress(OSError):
            for left in (group / "cgroup.procs").read_text().split():
                os.kill(int(left), signal.SIGKILL)
        _remove(group)


def _remove(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        folder.rmdir()
    return not folder.exists()


def _field(path: Path, name: str) -> int:
    rows = (row.split() for row in path.read_text().splitlines())
    return next((int(row[1]) for row in rows if row[0] == name), 0)
