"""What holds for a whole class: `class.toml` among the records, never in what students get.

People edit the file, and commands change it: then it is written anew from what it says, with a
comment for each setting.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from gqa_lib.course import places
from gqa_lib.course.files import make_private, replace_file
from gqa_lib.course.manifest import find_lesson
from gqa_lib.learn.quiz.questions import DRAWN

from .class_form import text_of

LATEST, IN_TIME, BEST = COUNTS = ("latest", "in-time", "best")
_KEYS = {
    "": ("seed", "quiz_attempts", "timezone", "late", "counts", "extensions"),
    "late": ("percent_per_day", "max_percent"),
    "counts": ("lessons", "quiz"),
}


@dataclass(frozen=True)
class ClassFile:
    """The settings of a class.

    Attributes:
        seed: what the hidden tests draw from; None: every run draws anew.
        quiz_attempts: when each attempt at the quiz after the first was opened.
        timezone: of due dates that name none; "" is this machine's.
        percent_per_day: what a day late takes off the points earned; None: nothing is set here.
        max_percent: what is taken off at most.
        lessons, quiz: which hand-in counts, one of `COUNTS`; None: nothing is set.
        extensions: lesson's slug -> student -> until when they may hand in.
    """

    seed: int | None = None
    quiz_attempts: tuple[datetime, ...] = ()
    timezone: str = ""
    percent_per_day: float | None = None
    max_percent: float = 100.0
    lessons: str | None = None
    quiz: str | None = None
    extensions: Mapping[str, Mapping[str, datetime]] = field(default_factory=dict)

    def counts(self, assignment: str, *, late_costs: bool) -> str:
        """Return which hand-in to an assignment counts.

        Args:
            assignment: its name.
            late_costs: whether a late one loses points.
        """
        if assignment == find_lesson(DRAWN).slug:
            return self.quiz or BEST
        return self.lessons or (BEST if late_costs else LATEST)

    def penalty(self) -> str:
        """Return what being late costs by these settings, in words."""
        if not self.percent_per_day:
            return "none in class.toml"
        return f"{self.percent_per_day:g} % a day, {self.max_percent:g} % at most"

    def until(self, assignment: str, student: str) -> datetime | None:
        """Return until when a student may hand in where that was extended, in UTC without a zone.

        Args:
            assignment: its name.
            student: the student's id.
        """
        given = self.extensions.get(assignment, {}).get(student)
        return given.astimezone(UTC).replace(tzinfo=None) if given else None


def class_path() -> Path:
    """Return the file of the class's settings."""
    return places.home() / "class.toml"


def read_class() -> ClassFile:
    """Return the class's settings; those of a file that is not there are the defaults.

    Raises:
        ValueError: a setting is wrong or unknown; the message has it.
    """
    path = class_path()
    if not path.exists():
        return ClassFile()
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} cannot be read ({error}): mend or remove it.") from error
    for table, known in _KEYS.items():
        _check_table(said.get(table, {}) if table else said, table, known)
    late, counts = said.get("late", {}), said.get("counts", {})
    return ClassFile(
        seed=_seed(said.get("seed")),
        quiz_attempts=_attempts(said.get("quiz_attempts", [])),
        timezone=_timezone(said.get("timezone", "")),
        percent_per_day=_percent("percent_per_day", late.get("percent_per_day")),
        max_percent=_percent("max_percent", late.get("max_percent", 100.0)) or 0.0,
        lessons=_which("lessons", counts.get("lessons")),
        quiz=_which("quiz", counts.get("quiz")),
        extensions=_extensions(said.get("extensions", {})),
    )


def write_class(settings: ClassFile) -> Path:
    """Write the class's settings, for the instructor alone, and return the file."""
    path = class_path()
    make_private(path.parent)
    replace_file(path, text_of(vars(settings)), mode=0o600)
    return path


def make_class_file() -> Path:
    """Make the file of settings, with each of them explained, unless there is one; return it."""
    return class_path() if class_path().exists() else write_class(ClassFile())


def course_seed() -> int | None:
    """Return the seed that the hidden tests draw from, or None: every run draws anew.

    Raises:
        ValueError: the settings cannot be read.
    """
    return read_class().seed


def set_course_seed(seed: int | None) -> None:
    """Keep the seed of the hidden tests; with None they draw anew each run from now on."""
    write_class(replace(read_class(), seed=seed))


def attempts_opened() -> tuple[datetime, ...]:
    """Return when each attempt at the quiz after the first was opened.

    Raises:
        ValueError: the settings cannot be read.
    """
    return read_class().quiz_attempts


def open_attempt() -> int:
    """Open another attempt at the quiz for submissions from now on; return its number."""
    now = read_class()
    opened = (*now.quiz_attempts, datetime.now(UTC).replace(microsecond=0))
    write_class(replace(now, quiz_attempts=opened))
    return 1 + len(opened)


# Reading


def _wrong(what: str, remedy: str) -> ValueError:
    return ValueError(f"{class_path()} has {what}: {remedy}")


def _check_table(said, name: str, known: tuple[str, ...] | None = None) -> None:
    if type(said) is not dict:
        raise _wrong(f"{name} = {said!r:.60}", f"write it as a table, [{name}].")
    if known is None:  # it may have any names
        return
    if unknown := sorted(said.keys() - set(known)):
        where = f"[{name}]" if name else "the file"
        raise _wrong(
            f"the unknown setting {unknown[0]!r:.60}",
            f"{where} may have {', '.join(known)}. Correct or remove it.",
        )


def _seed(seed) -> int | None:
    if seed is not None and type(seed) is not int:
        raise _wrong(f"the seed {seed!r:.60}", "write a whole number, or remove the line.")
    return seed


def _attempts(opened) -> tuple[datetime, ...]:
    if type(opened) is not list or not all(isinstance(at, datetime) and at.tzinfo for at in opened):
        raise _wrong(
            "quiz_attempts that are not times with a time zone, such as [2027-02-01T09:00:00Z]",
            "mend the line.",
        )
    return tuple(opened)


def _timezone(name) -> str:
    try:
        if name:
            ZoneInfo(name)
    except (OSError, ValueError, KeyError, TypeError):
        remedy = 'there is none such. Write one such as "Europe/Berlin" or "UTC".'
        raise _wrong(f"the time zone {name!r:.60}", remedy) from None
    return name


def _percent(key: str, value) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 <= value <= 100:
        raise _wrong(f"{key} = {value!r:.60}", "write a number from 0 to 100, in percent.")
    return float(value)


def _which(key: str, value) -> str | None:
    if value is not None and value not in COUNTS:
        raise _wrong(f"{key} = {value!r:.60}", f"write one of {', '.join(map(repr, COUNTS))}.")
    return value


def _extensions(said) -> dict[str, dict[str, datetime]]:
    _check_table(said, "extensions")
    for lesson, of_students in said.items():
        _check_table(of_students, f"extensions.{lesson}")
        for student, until in of_students.items():
            if not isinstance(until, datetime) or not until.tzinfo:
                raise _wrong(
                    f"an extension of {student!r:.60} until {until!r:.60}",
                    "write a time with a time zone, such as 2027-01-17T23:59:59+01:00.",
                )
    return {_slug(lesson): of_students for lesson, of_students in said.items()}


def _slug(name: str) -> str:
    try:
        return find_lesson(name).slug
    except ValueError:  # an assignment of the instructor's own
        return name
