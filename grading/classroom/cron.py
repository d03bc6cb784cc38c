"""The lines for `crontab -e` that collect and grade each lesson when it is due."""

import os
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nbgrader.api import MissingEntry
from sqlalchemy.engine import make_url

from gqa_lib.course import places
from gqa_lib.course.manifest import Lesson, class_exchange
from grading.intake.class_file import read_class

from .gradebook import open_gradebook

_DAILY = "0 0 * * *"


def crontab(lessons: Sequence[Lesson]) -> str:
    """Return what goes into the instructor's crontab; cron reads no profile, so all is in it."""
    lines = [_setting("GQA_HOME", str(places.home()))]
    if exchange := class_exchange():
        lines.append(_setting("GQA_EXCHANGE", str(exchange.absolute())))
    if url := os.environ.get("GQA_GRADEBOOK"):  # a password is for a file, not for the terminal
        lines.append(_setting("GQA_GRADEBOOK", make_url(url).render_as_string(hide_password=True)))
    settings = read_class()
    with open_gradebook() as gradebook:
        for lesson in lessons:
            try:
                due = gradebook.find_assignment(lesson.slug).duedate
            except MissingEntry:
                due = None
            given = settings.extensions.get(lesson.slug, {})
            ends = {settings.until(lesson.slug, student) for student in given}
            later = sorted(end for end in ends if end and due and end > due)
            lines += [line_of(lesson, at) for at in (due, *later)]
    return "\n".join(lines)


def line_of(lesson: Lesson, at: datetime | None) -> str:
    """Return the line that collects and grades a lesson.

    Args:
        lesson: the lesson.
        at: when it is due, in UTC without a zone; None is every midnight.
    """
    command = f"{_gqa()} grade {lesson.number} --collect".replace("%", r"\%")
    return f"{_when(at)} {command}"


def _setting(name: str, value: str) -> str:
    return f'{name}="{value}"' if " " in value else f"{name}={value}"


def _when(due: datetime | None) -> str:
    """Return the first whole minute after a lesson is due, by this machine's clock."""
    if due is None:
        return _DAILY
    at = (due.replace(tzinfo=UTC) + timedelta(seconds=60)).astimezone()
    return f"{at.minute} {at.hour} {at.day} {at.month} *"


def _gqa() -> str:
    command = Path(sys.executable).with_name("gqa")
    if command.exists():
        return shlex.quote(str(command))
    return f"{shlex.quote(sys.executable)} -m gqa_lib.cli"
