"""Folders that are complete or not there, whenever the process that writes them is killed.

A folder is written under a hidden name next to its place, gets another hidden name once it is
complete and the disk has it, and then takes its place. `recover` ends what a kill interrupted
between the two.
"""

import glob
import os
import shutil
from pathlib import Path

from gqa_lib.course.files import replace_file, write_file


def put_folder(
    folder: Path, files: dict[str, bytes], *, aside: Path | None = None, shared: bool = False
) -> None:
    """Make a folder of these files; what has its name, of whatever kind, is replaced.

    Args:
        folder: where it will be.
        files: name -> content, written in this order.
        aside: where to move what is replaced; it is deleted unless given.
        shared: make it writable for the group.

    Raises:
        OSError: it could not be written; what was there is there still.
    """
    part, new, old = (folder.with_name(f".{folder.name}.{kind}") for kind in ("part", "new", "old"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in (part, new, old):
        _remove(left)
    try:
        part.mkdir()
        for name, content in files.items():
            write_file(part / name, content)
            if shared:
                (part / name).chmod(0o664)
        if shared:
            part.chmod(0o2775)
        _sync(part)
        os.rename(part, new)
    except BaseException:
        _remove(part)
        raise
    _replace(folder, new, aside or old)
    _sync(folder.parent)
    _remove(old)


def _replace(folder: Path, new: Path, old: Path) -> None:
    replaced = os.path.lexists(folder)
    if replaced:
        old.parent.mkdir(parents=True, exist_ok=True)
        os.rename(folder, old)
    try:
        os.rename(new, folder)
    except BaseException:
        if replaced:
            os.rename(old, folder)
        raise


def recover(pattern: str) -> None:
    """Put complete folders into their places where `put_folder` was killed before it did.

    Args:
        pattern: the folders' paths, as for `glob`.
    """
    above, name = os.path.split(pattern)
    for kind in (".new", ".old"):
        for left in map(Path, glob.glob(os.path.join(above, f".{name}{kind}"))):
            folder = left.with_name(left.name[1:].removesuffix(kind))
            if os.path.lexists(folder):
                _remove(left)
            else:
                os.rename(left, folder)


def put_file(path: Path, content: bytes, *, shared: bool = False) -> None:
    """Write a file that is complete or not there.

    Args:
        path: the file.
        content: all of it.
        shared: make it writable for the group.

    Raises:
        OSError: it could not be written; what was there is there still.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):  # of one that was killed
        left.unlink()
    if shared:
        replace_file(path, content, mode=0o664, exact=True)
    else:
        replace_file(path, content)


def _sync(folder: Path) -> None:
    """Have the disk keep which names are in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Delete a file, a link or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
