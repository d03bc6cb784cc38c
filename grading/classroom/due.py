"""`gqa due`: when lessons are due, from a CSV file."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from gqa_lib.course import places
from gqa_lib.course.files import replace_file
from gqa_lib.course.manifest import Lesson, class_exchange, find_lesson, lessons
from gqa_lib.learn.progress.due import DUE_FILE
from grading.intake.class_file import read_class

from ..settings import released_copy
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
        line = f"{self.lesson.slug}: due {shown(self.at)}"
        if not self.at.utcoffset():
            return line
        return f"{line}, which is {self.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def shown(at: datetime) -> str:
    """Return a moment as people write it, with its time zone."""
    return f"{at:%Y-%m-%d %H:%M} {at.tzname()}"


def class_zone() -> tzinfo | None:
    """Return the time zone that `class.toml` names; None is this machine's."""
    return zone_of(name) if (name := read_class().timezone) else None


def load_due_dates(path: Path) -> list[Due]:
    """Enter due dates into the gradebook, all of them or none; return them.

    A date without a time is due at the end of that day; an empty one takes the due date away.
    Lessons that the file does not name keep theirs.

    Args:
        path: the CSV file, with a column for the lesson and one for the due date, such as
            2026-12-01, 2026-12-01 18:00, 2026-12-01T18:00+01:00 or 2026-12-01 18:00 Europe/Berlin.
            One that names no time zone is in the class's.

    Raises:
        ValueError: something in the file is wrong; the message has the lines.
    """
    table = read_table(path)
    name, when = table.need("the lesson", *LESSON), table.need("the due date", *DUE)
    zone = class_zone()
    dates: dict[Lesson, Due] = {}
    lines: dict[Lesson, int] = {}
    wrong = []
    for line, row in table.rows:
        try:
            lesson = find_lesson(row[name])
            if lesson in dates:
                raise ValueError(f"lesson {lesson.number} is already in line {lines[lesson]}")
            dates[lesson], lines[lesson] = Due(lesson, moment_of(row[when], zone)), line
        except ValueError as error:
            wrong.append(f"line {line}: {error}")
    refuse(path, wrong)
    with open_gradebook() as gradebook:
        for due in dates.values():
            gradebook.update_or_create_assignment(due.lesson.slug, duedate=due.at)
    for due in dates.values():
        publish_due(due)
    return list(dates.values())


def due_dates() -> list[Due]:
    """Return when each lesson that is in the gradebook is due, in the class's time zone."""
    zone = class_zone()
    with open_gradebook() as gradebook:
        known = {one.name: one.duedate for one in gradebook.assignments}
    return [
        Due(lesson, at and at.replace(tzinfo=UTC).astimezone(zone))
        for lesson in lessons()
        if lesson.slug in known
        for at in [known[lesson.slug]]
    ]


def publish_due(due: Due, *folders: Path) -> None:
    """Tell students when a lesson is due, in a file next to the release.

    Args:
        due: the lesson and when.
        folders: the release's; unless given those of the records and the exchange, if it is there.
    """
    exchange = [released_copy(due.lesson).parent] if class_exchange() else []
    kept = places.home() / "course" / "release" / due.lesson.slug
    for folder in folders or [kept, *exchange]:
        if not folder.is_dir():
            continue
        if due.at is None:
            (folder / DUE_FILE).unlink(missing_ok=True)
            continue
        iso = due.at.isoformat(timespec="seconds")
        replace_file(folder / DUE_FILE, f"Due {shown(due.at)}\n{iso}\n", mode=0o644, exact=True)


def moment_of(text: str, zone: tzinfo | None) -> datetime | None:
    """Return the moment that a text names, with its time zone; None for an empty one.

    Args:
        text: a date or a date and time, as `load_due_dates` has it.
        zone: the time zone of one that names none; this machine's unless given.

    Raises:
        ValueError: it is neither.
    """
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
