"""What is in a handed-in folder next to the notebooks, and whether the folder is complete."""

import os
import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nbgrader.utils import parse_utc

from gqa_lib.learn.quiz import saved

from .admit import Refused, admit, file_names, opened, read_file
from .arrivals import TIMESTAMP
from .refusals import refusal
from .sittings import answers_file

SECRET = "submission_secret.txt"
_EARLIEST = datetime(2020, 1, 1)


def arrival(folder: int, names: Iterable[str]) -> datetime:
    """Return when the kernel last saw a change in an opened folder or its expected files, in UTC.

    Its renaming is one, too. A student cannot set that back, but can change a mapped file without
    it: see `arrivals`.
    """
    changed = [os.fstat(folder).st_ctime]
    for name in [*file_names(folder, names).values(), saved.FILE]:
        try:
            changed.append(os.stat(name, dir_fd=folder, follow_symlinks=False).st_ctime)
        except FileNotFoundError:
            continue
    return datetime.fromtimestamp(max(changed), UTC).replace(tzinfo=None)


def checked_time(folder: int) -> bytes | None:
    """Return a timestamp.txt that is empty or tells a time that can be, else None."""
    try:
        content = read_file(folder, TIMESTAMP, limit=100)
        claimed = _time_in(content)
        now = datetime.now(UTC).replace(tzinfo=None)
        possible = claimed is None or _EARLIEST <= claimed <= now + timedelta(days=1)
    except Exception:  # dateutil raises many kinds, one per way to be no time
        return None
    return content if possible else None


def claimed_time(folder: int) -> datetime | None:
    """Return the time in a folder's timestamp.txt; None if there is none that can be."""
    content = checked_time(folder)
    return _time_in(content) if content else None


def _time_in(content: bytes) -> datetime | None:
    text = content.decode("ascii").strip()
    return parse_utc(text) if text else None


def checked_secret(folder: int) -> bytes | None:
    """Return a submission_secret.txt like those that nbgrader writes, else None."""
    try:
        content = read_file(folder, SECRET, limit=1000)
    except (Refused, OSError):
        return None
    return content if re.fullmatch(rb"[0-9a-f]{32,256}", content) else None


def new_secret() -> bytes:
    """Return a secret nobody knows: nbgrader's release of feedback stops where there is none."""
    return secrets.token_hex(64).encode()


def is_whole(path: Path, names: list[str]) -> bool:
    """Return whether a hand-in in the exchange was copied to its end.

    nbgrader writes timestamp.txt after all files, so one of a submission that was killed, or ran
    out of disk space, lacks it, or holds a notebook that ends too early.

    Args:
        path: the hand-in's folder.
        names: the notebooks expected.

    Raises:
        OSError: one of them could not be read.
        Refused: the folder cannot be opened.
    """
    with opened(path) as folder:
        try:
            claimed = _time_in(read_file(folder, TIMESTAMP, limit=100))
        except FileNotFoundError:
            return False
        except OSError:
            raise
        except Exception:  # dateutil raises many kinds, one per way to be no time
            return False
        return claimed is not None and not any(one.partial for one in admit(folder, names))


def is_damaged(collected: Path, source: Path, names: list[str], came: datetime) -> bool:
    """Return whether a collected folder has lost something that its hand-in still has.

    What a person changed in there and left readable is not damage.

    Args:
        collected: the folder in `submitted/`.
        source: the hand-in's folder.
        names: the notebooks expected.
        came: when the hand-in came.

    Raises:
        OSError: one of them could not be read.
        Refused: the hand-in cannot be opened.
    """
    with opened(source) as there:
        try:
            with opened(collected) as here:
                if checked_time(here) is None or _secret_damaged(here, there, came):
                    return True
                if _choices_damaged(here, there):
                    return True
                return any(_notebook_damaged(here, there, name) for name in names)
        except Refused:
            return True


def _secret_damaged(here: int, there: int, came: datetime) -> bool:
    """Return whether a collected secret is gone, or made anew: no feedback is found by that."""
    ours, theirs = checked_secret(here), checked_secret(there)
    same_hand_in = claimed_time(here) == came
    return ours is None or bool(same_hand_in and theirs and ours != theirs)


def _notebook_damaged(here: int, there: int, name: str) -> bool:
    """Return whether a collected notebook is gone, unreadable, or a refusal without a reason."""
    try:
        if read_file(here, name) == read_file(there, name):
            return False
    except (Refused, FileNotFoundError):
        pass
    (ours,), (theirs,) = admit(here, [name]), admit(there, [name])
    return ours.notebook is None or bool(refusal(ours.notebook) and not theirs.verdict)


def _choices_damaged(here: int, there: int) -> bool:
    """Return whether a collected file of quiz answers is gone or unreadable."""
    ours, theirs = answers_file(here)[0], answers_file(there)[0]
    if ours == theirs or not theirs:
        return False
    try:
        saved.parse(ours[saved.FILE])
    except (KeyError, ValueError):
        return True
    return False
