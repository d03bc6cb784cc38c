"""`gqa extend`: more time for one student, whether or not they have handed in."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo

from nbgrader.api import Gradebook, MissingEntry

from gqa_lib.course.manifest import Lesson
from grading.intake.class_file import ClassFile, read_class, write_class
from grading.nb.steps import course_of, file_log
from grading.nb.texts import printable
from grading.pipeline.late import renew_penalties
from grading.settings import class_config

from .due import class_zone, moment_of, shown
from .gradebook import open_gradebook


@dataclass(frozen=True)
class Extension:
    """Until when a student may hand in; None is the lesson's own due date."""

    student: str
    lesson: Lesson
    until: datetime | None

    def __str__(self) -> str:
        """Return it as a line for the terminal."""
        who = printable(self.student)
        if self.until is None:
            return f"{self.lesson.slug}: {who} has the due date of everybody"
        return f"{self.lesson.slug}: {who} has until {shown(self.until)}"


def extend(
    student: str,
    lesson: Lesson,
    *,
    longer: timedelta | None = None,
    until: str | None = None,
) -> Extension:
    """Give a student more time for a lesson, instead of what was given before; return until when.

    It holds before they hand in. What was handed in already is late or not by the new time, and
    its penalty is made anew.

    Args:
        student: the id in the gradebook.
        lesson: the lesson.
        longer: how long after the lesson's due date; none takes the extension away.
        until: instead of that, a time as in a file of due dates.

    Raises:
        ValueError: there is no such student or due date, or the time is not after that.
    """
    zone = class_zone()
    with open_gradebook() as gradebook:
        _check_student(gradebook, student)
        due = _due_of(gradebook, lesson)
        end = _end(due, longer, until, zone)
        settings = read_class()
        if end is None:
            _take_from_row(gradebook, student, lesson)
    given = {name: dict(of_students) for name, of_students in settings.extensions.items()}
    given.setdefault(lesson.slug, {}).pop(student, None)
    if end is not None:
        given[lesson.slug][student] = end
    write_class(replace(settings, extensions=given))
    course = course_of(lesson, class_config())
    renew_penalties(course, file_log("extend"))
    return Extension(student, lesson, end)


def extensions_of(
    settings: ClassFile, lesson: Lesson, zone: tzinfo | None = None
) -> list[Extension]:
    """Return the extensions for a lesson, by student.

    Args:
        settings: the class's.
        lesson: the lesson.
        zone: the time zone to show them in; this machine's unless given.
    """
    given: Mapping[str, datetime] = settings.extensions.get(lesson.slug, {})
    return [Extension(who, lesson, given[who].astimezone(zone)) for who in sorted(given)]


def _check_student(gradebook: Gradebook, student: str) -> None:
    known = [one.id for one in gradebook.students]
    if student in known:
        return
    near = difflib.get_close_matches(student, known, 3) or sorted(known)[:3]
    raise ValueError(
        f"there is no student {printable(student)!r} in the gradebook, so nobody got more time. "
        f"There are {', '.join(map(printable, near)) or 'none'}"
        f"{' and others' if len(known) > len(near) else ''}; `gqa roster` enters students."
    )


def _due_of(gradebook: Gradebook, lesson: Lesson) -> datetime:
    try:
        due = gradebook.find_assignment(lesson.slug).duedate
    except MissingEntry:
        due = None
    if due is None:
        raise ValueError(
            f"{lesson.slug} has no due date, so nobody needs more time for it. `gqa due` enters "
            "due dates."
        )
    return due.replace(tzinfo=UTC)


def _end(
    due: datetime, longer: timedelta | None, until: str | None, zone: tzinfo | None
) -> datetime | None:
    if until is None:
        return (due + longer).astimezone(zone) if longer else None
    end = moment_of(until, zone)
    if end is None or end <= due:
        raise ValueError(
            f"{until!r} is not after the lesson's due date, {shown(due.astimezone(zone))}: nobody "
            "got more time. Name a later time."
        )
    return end


def _take_from_row(gradebook: Gradebook, student: str, lesson: Lesson) -> None:
    try:
        gradebook.grant_extension(lesson.slug, student)
    except MissingEntry:  # nothing was handed in
        return
