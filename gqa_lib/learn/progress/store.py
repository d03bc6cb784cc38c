"""The two files of a learner's record: a SQLite file to ask, and a journal to rebuild it from.

Every event goes into both in one transaction. The journal is text, a line per event, and is only
ever appended to, so damage to one line costs that line. A SQLite file that is damaged, emptied, of
an older form or gone is rebuilt from the journal and from what can still be read in the file.
"""

import json
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from gqa_lib.course.files import make_private
from gqa_lib.course.places import home

from .event import FIELDS, events_in, uid_of_old, valid_event

Event = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    at TEXT NOT NULL,
    lesson TEXT NOT NULL,
    exercise TEXT NOT NULL,
    kind TEXT NOT NULL,
    score REAL,
    max_score REAL,
    detail TEXT NOT NULL DEFAULT ''
)
"""
_INSERT = f"INSERT OR IGNORE INTO events ({', '.join(FIELDS)}) VALUES (:{', :'.join(FIELDS)})"
_TROUBLE_ELSEWHERE = {  # which a new file would not mend
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY),
    *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM),
}


def path() -> Path:
    """Return the file that is asked."""
    return home() / "progress.sqlite"


def journal() -> Path:
    """Return the file that it can be made from."""
    return home() / "progress.jsonl"


def connect() -> sqlite3.Connection:
    """Return a connection to a sound record, made or rebuilt where there is none."""
    make_private(path().parent)
    connection = _open(path())
    if not _sound(connection):
        connection.close()
        _make_anew()
        connection = _open(path())
    return connection


def insert(events: list[Event]) -> int:
    """Write events, all or none, and return how many were not there yet."""
    with closing(connect()) as connection, connection:
        connection.execute("BEGIN IMMEDIATE")  # one writer at a time, in both files
        new = [event for event in events if connection.execute(_INSERT, event).rowcount]
        if not journal().exists():
            new_lines = [_event_of(row) for row in connection.execute("SELECT * FROM events")]
        else:
            new_lines = new
        _append(new_lines)
    return len(new)


def _open(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=30)
    connection.row_factory = sqlite3.Row
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    return connection


def _sound(connection: sqlite3.Connection) -> bool:
    """Return whether this is a record of the present form, undamaged."""
    try:
        if connection.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            return False
        columns = {row["name"] for row in connection.execute("PRAGMA table_info(events)")}
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in _TROUBLE_ELSEWHERE:
            raise
        return False
    return columns == {"id", *FIELDS}


def _make_anew() -> None:
    """Make the record from the journal and from what can be read of the file that is there."""
    with FileLock(path().with_name("progress.lock")):
        with closing(_open(path())) as connection:
            if _sound(connection):  # another process was faster
                return
            found = _readable(connection)
        kept = _journalled()
        known = {event["uid"] for event in kept} | {_content(event) for event in kept}
        rescued = [e for e in found if e["uid"] not in known and _content(e) not in known]
        _append(rescued)
        _set_aside()
        part = path().with_name(f".{path().name}.part")
        part.unlink(missing_ok=True)
        with closing(_open(part)) as connection, connection:
            connection.execute(_SCHEMA)
            connection.executemany(_INSERT, [*kept, *rescued])
        os.replace(part, path())


def _set_aside() -> None:
    """Rename the file that is to be replaced, unless it is empty."""
    if path().exists() and path().stat().st_size:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        os.replace(path(), path().with_name(f"{path().name}.broken-{stamp}"))


def _readable(connection: sqlite3.Connection) -> list[Event]:
    """Return the valid events of a file, up to the damage from the front and from the back."""
    found: dict[str, Event] = {}
    for order in ("ASC", "DESC"):
        try:
            for row in connection.execute(f"SELECT * FROM events ORDER BY id {order}"):
                event = _event_of(row)
                found.setdefault(event["uid"], event)
        except (sqlite3.Error, ValueError, KeyError):
            continue
    return sorted(found.values(), key=lambda event: event["at"])


def _event_of(row: sqlite3.Row) -> Event:
    known = dict(row)
    return valid_event(
        {"uid": known.get("uid") or uid_of_old(known)} | {name: known[name] for name in FIELDS[1:]}
    )


def _content(event: Event) -> str:
    return repr([event[name] for name in FIELDS[1:]])


def _append(events: list[Event]) -> None:
    """Add lines to the journal; each begins with the line's end, so a torn one spoils no other."""
    text = "".join("\n" + json.dumps(event, ensure_ascii=False) for event in events)
    if text:
        with journal().open("ab") as file:
            file.write(text.encode("utf-8", "replace"))


def _journalled() -> list[Event]:
    """Return the valid events of the journal, oldest first."""
    if not journal().exists():
        return []
    found = events_in(journal().read_bytes())
    return sorted(found.values(), key=lambda event: event["at"])
