"""Files that are written whole or not at all."""

import os
import stat
from pathlib import Path
from uuid import uuid4


def replace_file(
    path: Path, content: bytes | str, *, mode: int = 0o666, exact: bool = False
) -> None:
    """Write a file, and the folders it needs, so that readers never see part of it.

    The content is written to a hidden file in the same folder, which then takes the name: whoever
    stops this, and whenever, the file is as it was before or complete.

    Args:
        path: the file.
        content: all of it; text is written as UTF-8.
        mode: permissions of the file, less those that the umask takes away.
        exact: whether it gets these permissions whatever the umask is.

    Raises:
        OSError: it cannot be written; what was there is unchanged.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name a file in it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    part = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")  # two writers, two parts
    try:
        write_file(part, data, mode=mode)
        if exact:
            os.chmod(part, mode)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def make_private(folder: Path) -> Path:
    """Make a folder that only its owner can read, unless there is one; return it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def private_mode(path: Path) -> int:
    """Return the permissions of a file about people: for its owner, or those who share the folder.

    A folder is shared by a group if it gives that group to what is made in it, and is closed to
    all others.
    """
    found = path.parent.stat().st_mode if path.parent.is_dir() else 0
    shared = found & stat.S_ISGID and not found & 0o007
    return 0o640 if shared else 0o600


def write_file(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write a file that is not there yet; on return the disk has it, and not only the system.

    Args:
        path: the file.
        content: all of it.
        mode: permissions of the file, less those that the umask takes away.

    Raises:
        OSError: it is there already, or cannot be written; part of it may be there.
    """
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
