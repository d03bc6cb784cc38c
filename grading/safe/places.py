"""Where this process may make control groups: folders below /sys/fs/cgroup, as a rule."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

_V1 = ("memory", "pids", "cpu", "cpuacct")
_NEEDED = {"memory", "pids"}
OWN = "gqa"  # how names of ours begin


@dataclass(frozen=True)
class Place:
    """Where groups can be made: a folder for each controller, all the same one in version 2."""

    version: int
    folders: dict[str, Path]


def version_1() -> Place | None:
    """Return where version 1 lets groups be made, one folder for each controller, or None."""
    folders = {}
    for kinds, mounted, root in _mounts("cgroup"):
        for kind in kinds & set(_V1):
            folder = _own(mounted, root, kind)
            if os.access(folder, os.W_OK):
                folders[kind] = folder
    return Place(1, folders) if folders.keys() >= _NEEDED else None


def version_2() -> Place | None:
    """Return the nearest folder, from this process's own upwards, whose groups can be limited."""
    for _, mounted, root in _mounts("cgroup2"):
        own = _own(mounted, root, "")
        for folder in (own, *own.parents):
            if _limits_below(folder):
                return _place_2(folder)
            if folder == mounted:
                break
        if _may(own) and _words(own / "cgroup.controllers") >= _NEEDED:  # delegated, and full
            _make_room(own)
            return _place_2(own) if _limits_below(own) else None
    return None


def _place_2(folder: Path) -> Place:
    return Place(2, dict.fromkeys(_words(folder / "cgroup.subtree_control") & {*_V1}, folder))


def _limits_below(folder: Path) -> bool:
    """Return whether groups made in a folder have limits, after asking that they should."""
    if not _may(folder) or not _words(folder / "cgroup.controllers") >= _NEEDED:
        return False
    control = folder / "cgroup.subtree_control"
    for kind in ("memory", "pids", "cpu"):
        if kind not in _words(control):
            with contextlib.suppress(OSError):  # processes are in it: it may not have both
                control.write_text(f"+{kind}")
    return _words(control) >= _NEEDED


def _may(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)


def _make_room(own: Path) -> None:
    """Move the processes of a delegated folder into one below, so that it may have limits."""
    inner = own / f"{OWN}-grader"
    with contextlib.suppress(OSError):
        inner.mkdir(exist_ok=True)
        for pid in (own / "cgroup.procs").read_text().split():
            (inner / "cgroup.procs").write_text(pid)


def _mounts(kind: str) -> list[tuple[set[str], Path, str]]:
    """Return (controllers, folder, what it shows of the whole) of what is mounted of a kind."""
    found = []
    for row in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, last = row.partition(" - ")
        if last.split()[0] == kind:
            root, mounted = fields.split()[3:5]
            found.append((set(last.split()[2].split(",")), Path(mounted), root))
    return found


def _own(mounted: Path, root: str, kind: str) -> Path:
    """Return this process's own folder in a mount; where that does not show it, the topmost."""
    for row in Path("/proc/self/cgroup").read_text().splitlines():
        _, kinds, path = row.split(":", 2)
        if kind in kinds.split(","):
            shown = os.path.relpath(path, root)
            if not shown.startswith("..") and (mounted / shown).is_dir():
                return mounted / shown
    return mounted


def _words(path: Path) -> set[str]:
    with contextlib.suppress(OSError):
        return set(path.read_text().split())
    return set()
