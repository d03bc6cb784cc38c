"""Bytes to train small models on, and bytes held out to judge them by.

Files are split whole: what is held out is never the neighbourhood of what was trained on. Which
files are held out depends on their names alone, so that a new file moves no other. A corpus is
the same on every run; `digest` says whether two are the same.
"""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import sysconfig
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from gqa_lib.arguments import check_kind, check_number, check_whole, shown

HELD_OUT_SHARE = 0.05
_HEAD = 8 * 2**10  # bytes of a file that are searched for a NUL byte
# Parts of the standard library's folder that are not its sources, or differ between two builds.
_NOT_SOURCES = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
_OF_THE_BUILD = ("_sysconfigdata", "config-")
_OWN_TEXT = "Give a file or a folder of your own to read_corpus."


@dataclass(frozen=True, eq=False)
class Corpus:
    """Bytes in two parts. Two corpora with the same digest hold the same bytes.

    Args:
        train: (num_train_bytes,) uint8, to train on.
        held_out: (num_held_out_bytes,) uint8, to judge by.
        origin: where the bytes come from and how they were split, a sentence.
        train_files: number of files of which anything is in `train`.
        held_out_files: number of files of which anything is in `held_out`.
        digest: SHA-256 of both parts and of where one ends, in hexadecimal.

    Raises:
        ValueError: a part is not a vector of bytes, or is empty.
    """

    train: Tensor = field(repr=False)
    held_out: Tensor = field(repr=False)
    origin: str
    train_files: int
    held_out_files: int
    digest: str

    def __post_init__(self) -> None:
        for name in ("train", "held_out"):
            part = getattr(self, name)
            if not isinstance(part, Tensor) or part.dtype != torch.uint8 or part.ndim != 1:
                raise ValueError(
                    f"{name}={shown(part)} is not a vector of bytes: models of a corpus read "
                    "bytes. Give a one-dimensional tensor of dtype torch.uint8."
                )
            if not len(part):
                raise ValueError(
                    f"{name} is empty: a corpus needs bytes to train on and others to judge by. "
                    "Give at least one of each."
                )


def python_sources(max_bytes: int | None = None) -> Corpus:
    """Return the sources of the running Python's standard library, about 12 MB without its tests.

    They are on every machine that runs this, under the PSF's licence. About 5 % of the files are
    held out. The order is a fixed shuffle, so that a prefix is not all of one package. Another
    version of Python has other sources, and so another digest.

    Args:
        max_bytes: bytes of the training part, which is cut there, inside a file; None is all.

    Raises:
        ValueError: this Python has no sources of its library, or max_bytes is not a positive number
            of bytes.
    """
    _check_max_bytes(max_bytes)
    folder = Path(sysconfig.get_path("stdlib"))
    files = _regular_files(folder, without=_NOT_SOURCES)[0] if folder.is_dir() else []
    texts, _ = _texts(folder, [name for name in files if _is_source(name)])
    if len(texts) < 2:
        raise ValueError(
            f"{folder} has {len(texts)} sources of the standard library: this Python was installed "
            f"without them, or in an archive. {_OWN_TEXT}"
        )
    texts.sort(key=lambda name: _hash("order", name))
    whose = f"Python {platform.python_version()}'s standard library without tests"
    return _split_by_file(folder, texts, max_bytes, HELD_OUT_SHARE, [whose])


def read_corpus(
    path: str | Path, max_bytes: int | None = None, held_out_share: float = HELD_OUT_SHARE
) -> Corpus:
    """Return the bytes of any file, or of all text files in a folder, in two parts.

    A folder is split by file, in the order of the files' names; there is at least one file on
    each side. Files with a NUL byte in their first 8 KiB (not text, or UTF-16), hidden files and
    folders (names that begin with a dot), symbolic links inside the folder and empty files are left
    out, and so is a training file that is a copy of a held-out one. A single file, whatever is in
    it, is split at its end: what is held out is then the continuation of what is trained on. Files
    follow each other with nothing between them.

    Args:
        path: a file or a folder.
        max_bytes: bytes of the training part, which is cut there, inside a file; None is all. Of a
            folder these are the first files by name.
        held_out_share: share of the files that is held out, or of a single file's bytes, between
            0 and 1.

    Returns:
        The corpus; its `origin` says what was left out.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: there is nothing in it, or too little to hold anything out.
    """
    check_kind((str, Path), "Give the path of a file or a folder.", path=path)
    _check_max_bytes(max_bytes)
    check_number(above=0, held_out_share=held_out_share)
    if held_out_share >= 1:
        raise ValueError(
            f"held_out_share={shown(held_out_share)} leaves nothing to train on: it is a share of "
            f"the files. Give a number between 0 and 1, such as {HELD_OUT_SHARE}."
        )
    path = Path(path).expanduser()
    if path.is_dir():
        return _read_folder(path, max_bytes, held_out_share)
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is not there: there is nothing to train on. Give a file or a folder."
        )
    if not path.is_file():
        raise ValueError(
            f"{path} is neither a file nor a folder: there is nothing to train on. Give one."
        )
    return _split_at_end(path, max_bytes, held_out_share, [path.name])


def _read_folder(folder: Path, max_bytes: int | None, share: float) -> Corpus:
    names, num_links = _regular_files(folder)
    texts, num_binary = _texts(folder, names)
    left_out = [
        f"{number} {what} left out"
        for number, what in ((num_binary, "files that are not text"), (num_links, "symbolic links"))
        if number
    ]
    if not texts:
        raise ValueError(
            f"{folder} has no text files{' (' * bool(left_out)}{', '.join(left_out)}"
            f"{')' * bool(left_out)}: there is nothing to train on. Give a folder with text in it."
        )
    said = [f"{folder.resolve().name}/", *left_out]
    if len(texts) == 1:
        return _split_at_end(folder / texts[0], max_bytes, share, [*said, f"only {texts[0]}"])
    return _split_by_file(folder, texts, max_bytes, share, said)


def _split_by_file(
    folder: Path, names: Sequence[str], max_bytes: int | None, share: float, said: list[str]
) -> Corpus:
    """The corpus of two text files or more, in the order given."""
    rank = {name: _hash("held out", name) / 2**64 for name in names}
    held_out = {name for name in names if rank[name] < share} or {min(names, key=rank.__getitem__)}
    if len(held_out) == len(names):
        held_out.remove(max(names, key=rank.__getitem__))
    judged = [(folder / name).read_bytes() for name in names if name in held_out]
    copies = {hashlib.sha256(text).digest() for text in judged}
    train, train_files, num_copies = bytearray(), 0, 0
    for name in names:
        if name in held_out or (max_bytes is not None and len(train) >= max_bytes):
            continue
        text = (folder / name).read_bytes()
        if hashlib.sha256(text).digest() in copies:
            num_copies += 1
            continue
        train += text
        train_files += 1
    if not train:
        raise ValueError(
            f"{folder} has {num_copies} files to train on, each a copy of a held-out one: a model "
            "would be judged by what it was trained on. Give files that differ."
        )
    if num_copies:
        said = [*said, f"{num_copies} copies of held-out files left out"]
    said = [*said, "split by file"]
    if max_bytes is not None and len(train) >= max_bytes:
        del train[max_bytes:]
        said.append(f"training part cut at {max_bytes:,} bytes")
    return _corpus(train, b"".join(judged), said, train_files, len(judged))


def _split_at_end(path: Path, max_bytes: int | None, share: float, said: list[str]) -> Corpus:
    """The corpus of one file: its end is held out."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        num_held_out = int(size * share)
        if not size or not num_held_out:
            raise ValueError(
                f"{path} has {size} bytes, of which held_out_share={share:g} is {num_held_out}: "
                "there is nothing to judge a model by. Give a longer text."
            )
        num_train = min(size - num_held_out, size if max_bytes is None else max_bytes)
        file.seek(0)
        train = file.read(num_train)
        file.seek(size - num_held_out)
        held_out = file.read(num_held_out)
    said = [*said, "one file, its end held out"]
    if num_train < size - num_held_out:
        said.append(f"training part cut at {max_bytes:,} bytes")
    return _corpus(train, held_out, said, 1, 1)


def _corpus(
    train: bytes | bytearray, held_out: bytes, said: list[str], train_files: int, num_held_out: int
) -> Corpus:
    digest = hashlib.sha256(len(train).to_bytes(8, "big"))
    digest.update(train)
    digest.update(held_out)
    return Corpus(
        torch.frombuffer(bytearray(train), dtype=torch.uint8),  # a copy that may be written to
        torch.frombuffer(bytearray(held_out), dtype=torch.uint8),
        origin="; ".join(said),
        train_files=train_files,
        held_out_files=num_held_out,
        digest=digest.hexdigest(),
    )


def _regular_files(folder: Path, without: Container[str] = ()) -> tuple[list[str], int]:
    """The files in a folder, as relative paths in order, and the number of symbolic links.

    Hidden ones are left out, and folders by the names that are to be left out.
    """

    def fail(error: OSError) -> None:
        raise error  # by default os.walk says nothing of a folder that it cannot read

    names, num_links = [], 0
    for place, folders, files in os.walk(folder, onerror=fail):
        num_links += sum(os.path.islink(os.path.join(place, name)) for name in folders)
        folders[:] = [one for one in folders if one not in without and not one.startswith(".")]
        for name in files:
            path = Path(place, name)
            mode = path.lstat().st_mode
            num_links += stat.S_ISLNK(mode)
            if stat.S_ISREG(mode) and not name.startswith("."):
                names.append(path.relative_to(folder).as_posix())
    return sorted(names), num_links


def _texts(folder: Path, names: Iterable[str]) -> tuple[list[str], int]:
    """Those of some files that are text and not empty, and how many are not text."""
    texts, num_binary = [], 0
    for name in names:
        with (folder / name).open("rb") as file:
            head = file.read(_HEAD)
        if b"\0" in head:
            num_binary += 1
        elif head:
            texts.append(name)
    return texts, num_binary


def _is_source(name: str) -> bool:
    of_the_build = any(part.startswith(_OF_THE_BUILD) for part in name.split("/"))
    return name.endswith(".py") and not of_the_build


def _hash(purpose: str, name: str) -> int:
    """A number below 2^64 that depends on a purpose and a name alone, on every machine."""
    # A file's name need not be UTF-8: fsencode gives back its bytes.
    return int.from_bytes(hashlib.sha256(f"{purpose}\0".encode() + os.fsencode(name)).digest()[:8])


def _check_max_bytes(max_bytes: int | None) -> None:
    if max_bytes is not None:
        check_whole(max_bytes=max_bytes)
