"""Opens what a learner handed in and trusts nothing about it.

A file is opened relative to its folder, without following links and without waiting; only a
regular file of the folder's owner, of bounded size, that is a notebook and valid, comes in.
Anything else becomes a small notebook that says why (`refusals`): it is graded 0 with that sentence
in its feedback, and the rest of the class is graded as ever.
"""

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from nbformat import NotebookNode

from grading.limited.verdict import verdict_of
from grading.nb.cells import as_text
from grading.nb.texts import printable, sentence

from .reading import AGAIN, MAX_BYTES, MAX_FILE, CutOff, Refused, parse, too_large
from .refusals import stub, with_remark

# Of the machine's making, and nothing that anyone should lose points for.
_TROUBLE = {errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE}
MAX_NAMES = 10_000  # of files in a folder
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Admitted:
    """One expected notebook of a submission.

    `content` is the file to grade: the learner's own, without its outputs where these make it
    large, or one that tells the `verdict`. The verdict is "" and `notebook` is there (without its
    outputs) when it was accepted; `raw` is then what was read. `partial` says that it may be one
    of a submission whose copying was interrupted.
    """

    name: str
    content: bytes
    notebook: NotebookNode | None = None
    verdict: str = ""
    partial: bool = False
    raw: bytes = b""


def admit(folder: int, names: Iterable[str]) -> list[Admitted]:
    """Return each expected notebook of an `opened` folder, accepted or with its verdict."""
    there = file_names(folder, names := list(names))
    return [_admit_one(folder, name, there[name]) for name in names]


def file_names(folder: int, names: Iterable[str]) -> dict[str, str]:
    """Return expected notebook -> the name of its file in an opened folder.

    A browser or a platform may have renamed it: then it is the only other notebook, or the only
    one that has its name but for case, a number, or a word such as "Copy of".
    """
    found, expected = {}, set(names)
    others: list[str] | None = None
    for name in sorted(expected):
        found[name] = name
        if not is_there(folder, name):
            if others is None:
                others = [n for n in _notebooks(folder) if n not in expected]
            alike = [other for other in others if _is_renamed(other, name)]
            if len(expected) == 1 and not alike:
                alike = others
            found[name] = alike[0] if len(alike) == 1 else name
    return found


def _is_renamed(other: str, name: str) -> bool:
    stem = re.escape(name.removesuffix(".ipynb"))
    added = r"[\s_.-]*(?:\(\d+\)|copy\s*\d*|\d+)"
    return bool(re.fullmatch(rf"(?:copy of )?{stem}(?:{added})*\.ipynb", other, re.IGNORECASE))


def is_there(folder: int, name: str) -> bool:
    """Return whether an opened folder has something of a name, of whatever kind."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno in _TROUBLE:
            raise
        return False
    return True


def _notebooks(folder: int) -> list[str]:
    return sorted(name for name in some_names(folder) if name.lower().endswith(".ipynb"))


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """Yield a descriptor of a folder that is not reached through a link.

    Raises:
        Refused: there is no such folder, or it is a link or a file.
    """
    try:
        folder = os.open(path, _OPEN | os.O_DIRECTORY)
    except OSError as error:
        if error.errno in _TROUBLE:
            raise
        kind = "a link" if Path(path).is_symlink() else str(error.strerror).lower()
        raise Refused(f"the submitted folder cannot be opened ({kind})") from None
    try:
        yield folder
    finally:
        os.close(folder)


def read_file(folder: int, name: str, limit: int = MAX_FILE) -> bytes:
    """Return the content of a regular file with no other name, owned by the folder's owner.

    Raises:
        FileNotFoundError: there is nothing of that name.
        Refused: it is anything else, or longer than `limit` bytes.
    """
    try:
        descriptor = os.open(name, _OPEN, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in _TROUBLE:
            raise
        if error.errno == errno.ELOOP:
            raise Refused("it is a link to another file. Submit the notebook itself.") from None
        raise Refused(f"it cannot be opened ({str(error.strerror).lower()}). {AGAIN}") from None
    try:
        _check_file(os.fstat(descriptor), os.fstat(folder))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise Refused(too_large(limit))
    return content


def _admit_one(folder: int, name: str, file: str) -> Admitted:
    partial = False
    try:
        raw = read_file(folder, file)
        notebook = parse(raw)
        content = raw if len(raw) <= MAX_BYTES else as_text(notebook).encode()
        if file != name:
            told = f"Your notebook was handed in as {printable(file)}: it was taken as {name}."
            content = with_remark(notebook, told)
        return Admitted(name, content, notebook=notebook, raw=raw)
    except FileNotFoundError:
        others = _notebooks(folder)
        verdict, partial = _missing(name, others), not others
    except Refused as refused:
        verdict = f"The submitted file {name} was not accepted: {refused}"
        partial = isinstance(refused, CutOff)
    except Exception as error:  # whatever reading it raises
        verdict = verdict_of(error, f"The submitted file {name} was not accepted. Reading it")
    verdict = sentence(verdict)
    return Admitted(name, stub(verdict), verdict=verdict, partial=partial)


def some_names(folder: int) -> list[str]:
    """Return the names in an opened folder; of very many, the first that the system tells."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in islice(entries, MAX_NAMES)]


def _missing(name: str, others: list[str]) -> str:
    if not others:
        return f"The notebook {name} is not in the submission. Submit the folder that holds it."
    found = ", ".join(map(printable, others[:3])) + (" and others" if len(others) > 3 else "")
    return (
        f"The notebook {name} is not in the submission; {found} was found instead, and which of "
        f"these is meant cannot be told. Rename your notebook to {name} and submit again."
    )


def _check_file(found: os.stat_result, home: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"it is a {_kind(found.st_mode)}, not a file. {AGAIN}")
    if found.st_nlink != 1:
        raise Refused(
            "it is a second name of a file elsewhere (a hard link). Submit a copy of your own."
        )
    if found.st_uid != home.st_uid:
        raise Refused(
            "it belongs to someone other than the folder's owner. Submit a file of your own."
        )


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "folder"
    return "pipe" if stat.S_ISFIFO(mode) else "device"
