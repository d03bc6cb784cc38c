"""`gqa due`: when lessons are due, from a CSV file."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from gqa_lib.course.manifest import Lesson, find_lesson

from .gradebook import open_gradebook
from .table import read_table, refuse

LESSON = ("lesson", "assignment", "name", "number")
DUE = ("due", "due date", "deadline")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class Due:
    """When a lesson is due, with its time zone; None is never."""

    lesson: Lesson
    at: datetime | None

    def __str__(self) -> str:
        """Return it as a line for the terminal."""
        if self.at is None:
            return f"{self.lesson.slug}: no due date"
        return (
            f"{self.lesson.slug}: due {self.at:%Y-%m-%d %H:%M} {self.at.tzname()}, which is "
            f"{self.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        )


def load_due_dates(path: Path, timezone: str | None = None) -> list[Due]:
    """Enter due dates into the gradebook, all of them or none; return them.

    A date without a time is due at the end of that day; an empty one takes the due date away.
    Lessons that the file does not name keep theirs.

    Args:
        path: the CSV file, with a column for the lesson and one for the due date, such as
            2026-12-01, 2026-12-01 18:00, 2026-12-01T18:00+01:00 or 2026-12-01 18:00 Europe/Berlin.
        timezone: of the dates that name none, such as Europe/Berlin; this machine's unless given.

    Raises:
        ValueError: something in the file is wrong; the message has the lines.
    """
    table = read_table(path)
    name, when = table.need("the lesson", *LESSON), table.need("the due date", *DUE)
    zone = zone_of(timezone) if timezone else None
    dates: dict[Lesson, Due] = {}
    lines: dict[Lesson, int] = {}
    wrong = []
    for line, row in table.rows:
        try:
            lesson = find_lesson(row[name])
            if lesson in dates:
                raise ValueError(f"lesson {lesson.number} is already in line {lines[lesson]}")
            dates[lesson], lines[lesson] = Due(lesson, _moment(row[when], zone)), line
        except ValueError as error:
            wrong.append(f"line {line}: {error}")
    refuse(path, wrong)
    with open_gradebook() as gradebook:
        for due in dates.values():
            gradebook.update_or_create_assignment(due.lesson.slug, duedate=due.at)
    return list(dates.values())


def _moment(text: str, zone: tzinfo | None) -> datetime | None:
    """Return the moment that a cell names, in `zone` or else this machine's time zone."""
    if not text:
        return None
    named = re.fullmatch(r"(.*\d)\s+([A-Za-z][\w/+-]+)", text)
    if named:
        text, zone = named[1], zone_of(named[2])
    try:
        if _DAY.fullmatch(text):
            moment = datetime.combine(date.fromisoformat(text), time(23, 59, 59))
        else:
            moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a date such as 2026-12-01 or 2026-12-01 18:00 (year, month, day), "
            "with or without a time zone after it"
        ) from None
    if moment.tzinfo:
        return moment
    return moment.replace(tzinfo=zone) if zone else moment.astimezone()


def zone_of(name: str) -> tzinfo:
    """Return a time zone by its name.

    Raises:
        ValueError: there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValueError(
            f"there is no time zone {name!r}. Give one such as Europe/Berlin or UTC."
        ) from None
