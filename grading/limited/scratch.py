"""Folders that a grader needs while it runs; those of graders that were killed are removed."""

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

_OWN = "gqa-grader-"
_YOUNG_S = 60  # its maker may not have locked it yet
_locks: dict[Path, int] = {}


def new_folder() -> Path:
    """Return an empty folder that lasts as this process, or until `remove`."""
    if not _locks:
        atexit.register(_remove_all)
        _remove_leftovers()
    folder = Path(tempfile.mkdtemp(prefix=_OWN))
    _locks[folder] = os.open(folder, os.O_RDONLY)
    fcntl.flock(_locks[folder], fcntl.LOCK_EX)  # let go of by the kernel, however this ends
    return folder


def remove(folder: Path) -> None:
    """Remove a folder that `new_folder` has made."""
    shutil.rmtree(folder, ignore_errors=True)
    if (lock := _locks.pop(folder, None)) is not None:
        os.close(lock)


def _remove_all() -> None:
    for folder in list(_locks):
        remove(folder)


def _remove_leftovers() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_OWN}*"):
        with contextlib.suppress(OSError):
            _remove_if_left(folder)


def _remove_if_left(folder: Path) -> None:
    about = folder.lstat()
    if about.st_uid != os.geteuid() or about.st_mtime > time.time() - _YOUNG_S:
        return
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
