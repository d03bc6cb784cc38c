"""One record on several machines, joined through a folder that all of them reach at times.

Each machine keeps one file there, with all that it knows, and takes in what the others' files have.
Nobody writes into a file of another's, and events are only ever added, each once by its id. So it
does not matter who comes when, who is cut off in the midst, or that two come at once.

The folder is one that a service or a share keeps in step, or an address that fsspec opens. What
that needs to know about you stays in fsspec's own configuration.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from gqa_lib.course.files import make_private, replace_file
from gqa_lib.course.places import home

from .event import events_in
from .log import LARGEST, to_carry
from .store import insert

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_NAME = "gqa-progress-{machine}.jsonl"
_OURS = re.compile(r"gqa-progress-[0-9a-f]{32}\.jsonl")
PATIENCE_S = 8.0  # that a learner waits for a network in passing


@dataclass(frozen=True)
class Synced:
    """What came of it.

    Attributes:
        new: events that this machine did not have.
        there: events that it has now, and the folder, too.
        machines: how many others have been there.
    """

    new: int
    there: int
    machines: int

    def __str__(self) -> str:
        """It in a sentence."""
        others = f"{self.machines} other machine{'s' * (self.machines != 1)}"
        return f"Synced with {others}: {self.there:,} events, {self.new:,} of them new here."


def remember(address: str) -> None:
    """Sync with a folder from now on.

    Raises:
        ValueError: the address has a password in it, or nothing opens it.
    """
    if "@" in address and re.match(r"[\w+.-]+://[^/@]*:[^/@]*@", address):
        raise ValueError(
            "this address has a password in it, which would be kept in a file: write the address "
            "without it, and the password into fsspec's configuration (~/.config/fsspec), your SSH "
            "keys, or wherever the service has its own."
        )
    _open(address)
    told = _remembered() | {"address": address if "://" in address else str(_absolute(address))}
    told.setdefault("machine", uuid.uuid4().hex)
    make_private(home())
    replace_file(_file(), json.dumps(told, indent=1) + "\n", mode=0o600)


def forget() -> None:
    """Sync no more; what is in the folder stays there."""
    _file().unlink(missing_ok=True)


def address() -> str | None:
    """Return the folder that is synced with, None where none is."""
    return _remembered().get("address")


def sync() -> Synced | None:
    """Take in what other machines know, and leave what this one knows; None without a folder.

    Raises:
        OSError: the folder cannot be reached, or not be written; what was taken in stays.
    """
    told = _remembered()
    if not told.get("address"):
        return None
    try:
        with FileLock(home() / "sync.lock"):  # one of this machine's at a time
            return _sync(*_open(told["address"]), told["machine"])
    except Exception as trouble:  # every kind of file system has its own
        why = str(trouble).replace(told["address"], "it") or type(trouble).__name__
        raise OSError(
            f"your progress was not synced with {told['address']}: {why}. It is all here; the next "
            "time will do."
        ) from trouble


def sync_in_passing(patience_s: float = PATIENCE_S) -> str:
    """Sync if there is a folder and it answers soon; return what to say, empty if nothing.

    Args:
        patience_s: seconds to wait for it; then it goes on in the background.
    """
    if not address():
        return ""
    said: list[str] = []

    def run() -> None:
        try:
            done = sync()
        except OSError:  # offline, most of the time
            return
        if done and done.new:
            said.append(str(done))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(patience_s)
    return "".join(said)


def _sync(files: AbstractFileSystem, folder: str, machine: str) -> Synced:
    files.makedirs(folder, exist_ok=True)
    files.invalidate_cache()
    own, found, others = _NAME.format(machine=machine), dict[str, dict[str, Any]](), 0
    for path in sorted(files.ls(folder, detail=False)):
        name = str(path).rstrip("/").rpartition("/")[2]
        if _OURS.fullmatch(name) and name != own:
            others += 1
            found |= _events_of(files, path)
    new = insert(list(found.values())) if found else 0
    rows = to_carry()
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    _put(files, f"{folder}/{own}", text.encode())
    return Synced(new, len(rows), others)


def _events_of(files: AbstractFileSystem, path: str) -> dict[str, dict[str, Any]]:
    """The valid events of another machine's file, by id: it may be cut off, or there no more."""
    try:
        return {} if (files.size(path) or 0) > LARGEST else events_in(files.cat_file(path))
    except FileNotFoundError:
        return {}


def _put(files: AbstractFileSystem, path: str, content: bytes) -> None:
    """Write this machine's file, unless it is there as it is to be."""
    try:
        if files.cat_file(path) == content:
            return
    except FileNotFoundError:
        pass
    part = f"{path}.part"  # of no other machine's name
    files.pipe_file(part, content)
    files.mv(part, path)


def _open(address: str) -> tuple[AbstractFileSystem, str]:
    from fsspec.core import url_to_fs

    try:
        files, folder = url_to_fs(address if "://" in address else str(_absolute(address)))
    except (ImportError, ValueError) as trouble:
        raise ValueError(f"nothing here opens {address}: {trouble}") from None
    return files, folder.rstrip("/")


def _absolute(address: str) -> Path:
    return Path(address).expanduser().absolute()


def _file() -> Path:
    return home() / "sync.json"


def _remembered() -> dict[str, str]:
    try:
        told = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
