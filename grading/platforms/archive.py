"""A platform's zip, of which nothing is believed: its names make no path, its sizes are counted."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gqa_lib.learn.quiz import saved
from grading.intake.admit import Refused
from grading.intake.reading import too_large

from .names import Named, Names

MAX_ENTRIES = 50_000
MAX_READ = 64 * 2**20  # of one file, whatever the zip says of its size
_LISTED = (".ipynb", ".zip")  # what is told of; pictures and data are not


@dataclass(frozen=True)
class Entry:
    """A file in the zip, with what its name says."""

    info: zipfile.ZipInfo
    named: Named

    @property
    def is_notebook(self) -> bool:
        """Whether it is called like a notebook."""
        return self.named.file.lower().endswith(".ipynb")


@contextmanager
def opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Yield a zip of bounded length.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no zip, or has too many files.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        raise ValueError(
            f"{path} is not a zip that can be read ({error}). Give the file that your platform "
            "makes of all hand-ins to the lesson."
        ) from error
    with archive:
        if len(archive.infolist()) > MAX_ENTRIES:
            raise ValueError(
                f"{path} has {len(archive.infolist())} files, and {MAX_ENTRIES} at most are read. "
                "Download the hand-ins in parts."
            )
        yield archive


def entries(
    archive: zipfile.ZipFile, names: Names, platform: str | None = None
) -> tuple[str, list[Entry]]:
    """Return whose zip it is, and its files that a student made or that stand for a student.

    Args:
        archive: the zip.
        names: reads their names.
        platform: whose it is, if that is known.

    Raises:
        ValueError: it is not clear whose it is.
    """
    paths = {
        path: info
        for info in archive.infolist()
        if not info.is_dir() and not _is_litter(path := _decoded(info))
    }
    platform = platform or names.platform_of(paths)
    found = [Entry(info, names.read(path, platform)) for path, info in paths.items()]
    told = (*_LISTED, saved.FILE)
    return platform, [
        one for one in found if one.named.student or one.named.file.lower().endswith(told)
    ]


def content(archive: zipfile.ZipFile, entry: Entry) -> bytes:
    """Return what a file of a zip holds.

    Raises:
        Refused: it is too large, locked or damaged.
    """
    try:
        with archive.open(entry.info) as file:
            read = file.read(MAX_READ + 1)
    except Exception as error:  # zlib, lzma, struct and zipfile each have their own
        why = str(error) or type(error).__name__
        raise Refused(f"it cannot be read from the zip ({why})") from None
    if len(read) > MAX_READ:
        raise Refused(too_large(MAX_READ))
    return read


def _is_litter(path: str) -> bool:
    return bool({"__MACOSX", ".ipynb_checkpoints"} & set(path.replace("\\", "/").split("/")))


def _decoded(info: zipfile.ZipInfo) -> str:
    """Return a file's name; many programs write UTF-8 and do not say so."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename
