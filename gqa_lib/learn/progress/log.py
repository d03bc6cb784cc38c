"""A learner's record: checks, hints, marks, resets, hunts, and what they predicted and recalled.

Events are only ever added, so any number of kernels may write at once and nothing is lost;
"best" and "latest" are queries. Each event has an id of its own, so records of several devices
are joined by taking the union.
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from .event import new_event, valid_event
from .store import connect, insert, journal, path

_FORMAT = "gqa-progress"
LARGEST = 50_000_000  # bytes of a file to import: more than a hundred thousand events


def add(
    lesson: str,
    exercise: str,
    kind: str,
    score: float | None = None,
    max_score: float | None = None,
    detail: str = "",
) -> None:
    """Append one event: a `check` (score 0 or 1), a `hint` shown, a `mark`, a `hunt`, a `guess`.

    Args:
        lesson: slug of the lesson.
        exercise: its name; for a mark, of the graded cell; "" is the lesson as a whole.
        kind: one of `event.KINDS`.
        score, max_score: points reached and to be had.
        detail: anything to be remembered.
    """
    add_all([(lesson, exercise, kind, score, max_score, detail)])


def add_all(events: list[tuple]) -> None:
    """Append several events, all or none; each is (lesson, exercise, kind, score, max, detail)."""
    insert([new_event(*event) for event in events])


def events(lesson: str | None = None, kind: str | None = None) -> list[sqlite3.Row]:
    """Return the events, oldest first, of one lesson or kind or of all."""
    if not path().exists() and not journal().exists():
        return []
    query = (
        "SELECT * FROM events WHERE (? IS NULL OR lesson = ?) AND (? IS NULL OR kind = ?)"
        " ORDER BY at, id"
    )
    with closing(connect()) as connection:
        return connection.execute(query, (lesson, lesson, kind, kind)).fetchall()


def scores_of(lesson: str) -> list[tuple[float, float]]:
    """Return (score, max_score) of each graded submission of a lesson, oldest first."""
    return [(e["score"], e["max_score"]) for e in events(lesson, "mark") if e["exercise"] == ""]


def to_carry() -> list[dict]:
    """Return all events as other records take them: without the number that each has here."""
    rows = [dict(row) for row in events()]
    for row in rows:
        del row["id"]
    return rows


def export_to(file: Path) -> int:
    """Write the whole record into one file to carry elsewhere; return the number of events.

    Raises:
        OSError: the file exists already, or cannot be written.
    """
    rows = to_carry()
    text = json.dumps({"format": _FORMAT, "events": rows}, ensure_ascii=False, indent=0)
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(text + "\n")
    except FileExistsError:
        raise FileExistsError(f"{file} already exists: name another file.") from None
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{file} was not written: there is no folder {file.parent}. Make it, or name another."
        ) from None
    return len(rows)


def import_from(file: Path) -> tuple[int, int]:
    """Add what an exported file has and this record has not; return (events in it, new ones).

    Raises:
        ValueError: the file is not such an export; nothing of it was taken.
        OSError: it cannot be read.
    """
    if not file.exists():
        raise FileNotFoundError(f"{file} is not there: name a file of `gqa progress export`.")
    if (size := file.stat().st_size) > LARGEST:
        raise ValueError(f"{file} has {size} bytes, too many for a record: at most {LARGEST}.")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise _no_export(file, "it is not JSON") from None
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        raise _no_export(file, f"it does not say that its format is {_FORMAT}")
    if not isinstance(found.get("events"), list):
        raise _no_export(file, "it has no list of events")
    taken = []
    for place, event in enumerate(found["events"], 1):
        try:
            taken.append(valid_event(event))
        except ValueError as wrong:
            raise _no_export(file, f"event {place}: {wrong}") from None
    return len(taken), insert(taken)


def _no_export(file: Path, why: str) -> ValueError:
    return ValueError(
        f"{file} was not imported, and your record is as it was: {why}. Make the file with "
        "`gqa progress export FILE` on the other device and carry it unchanged; if it comes from "
        "a newer version of the course, update this one first."
    )
