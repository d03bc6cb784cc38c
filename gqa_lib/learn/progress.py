"""A learner's record: every check, hint and mark, appended to one SQLite file.

Rows are only ever added, so two kernels may write at once and nothing is lost;
"best" and "latest" are queries. A damaged file is set aside and work goes on.
"""

import fcntl
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from .places import home

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    lesson TEXT NOT NULL,
    exercise TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('check', 'hint', 'mark')),
    score REAL,
    max_score REAL,
    detail TEXT NOT NULL DEFAULT ''
)
"""


def path() -> Path:
    """Return the file the record is kept in."""
    return home() / "progress.sqlite"


def _connect() -> sqlite3.Connection:
    path().parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path(), timeout=30)
    try:
        with connection:
            connection.execute(_SCHEMA)
    except sqlite3.OperationalError:
        connection.close()
        raise
    except sqlite3.DatabaseError:
        pass  # not a database at all: found unsound below
    if not _sound(connection):
        connection.close()
        _set_aside()
        return _connect()
    connection.row_factory = sqlite3.Row
    return connection


def _sound(connection: sqlite3.Connection) -> bool:
    try:
        return connection.execute("PRAGMA quick_check").fetchone()[0] == "ok"
    except sqlite3.DatabaseError:
        return False


def _set_aside() -> None:
    """Rename a damaged file, unless another process has done it already."""
    with path().with_name("progress.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with closing(sqlite3.connect(path(), timeout=30)) as connection:
            if _sound(connection):
                return
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        os.replace(path(), path().with_name(f"{path().name}.broken-{stamp}"))


def add(
    lesson: str,
    exercise: str,
    kind: str,
    score: float | None = None,
    max_score: float | None = None,
    detail: str = "",
) -> None:
    """Append one event: a `check` (score 0 or 1), a `hint` shown, or a `mark` from grading."""
    add_all([(lesson, exercise, kind, score, max_score, detail)])


def add_all(events: list[tuple]) -> None:
    """Append several events, all or none; each is (lesson, exercise, kind, score, max, detail)."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    with closing(_connect()) as connection, connection:
        connection.executemany(
            "INSERT INTO events (at, lesson, exercise, kind, score, max_score, detail)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(now, *event) for event in events],
        )


def events(lesson: str | None = None, kind: str | None = None) -> list[sqlite3.Row]:
    """Return the events, oldest first, of one lesson or kind or of all."""
    if not path().exists():
        return []
    query = (
        "SELECT * FROM events WHERE (? IS NULL OR lesson = ?) AND (? IS NULL OR kind = ?)"
        " ORDER BY id"
    )
    with closing(_connect()) as connection:
        return connection.execute(query, (lesson, lesson, kind, kind)).fetchall()


def marks(lesson: str) -> list[tuple[float, float]]:
    """Return (score, max_score) of each graded submission of a lesson, oldest first."""
    return [(e["score"], e["max_score"]) for e in events(lesson, "mark") if e["exercise"] == ""]
