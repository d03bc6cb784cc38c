"""`gqa release`: gives the class its lessons, through nbgrader's own converter and exchange."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange import ExchangeError
from traitlets.config import Config

from gqa_lib.course import places
from gqa_lib.course.manifest import Lesson, class_exchange
from gqa_lib.learn.quiz.questions import DRAWN
from gqa_lib.learn.quiz.sitting import ATTEMPT_FILE
from grading.authoring.build import student_notebook
from grading.authoring.source import write_instructor_notebook
from grading.intake.class_file import attempts_opened, open_attempt
from grading.intake.exchange import UnsafeExchange, prepare_exchange
from grading.nb.steps import course_of, exchange, file_log, generate, quietly

from ..settings import COURSE_ID, class_config, source_directory
from .due import Due, due_dates, publish_due


class ReleaseError(ValueError):
    """A release that was not made; the message tells the instructor what to do."""


def release(lessons: Sequence[Lesson], *, new_attempt: bool = False) -> list[Path]:
    """Release lessons to the class's exchange and return where they are in it.

    A lesson released before is replaced there; marks and submissions stay. With `new_attempt`
    another attempt at the quiz is open from now on.

    Raises:
        ReleaseError: there is no exchange, students could change others' work in it, or a lesson
            cannot be released; those before it were.
    """
    exchange_root = class_exchange()
    if exchange_root is None:
        raise ReleaseError(
            "nothing was released: no exchange is named. It is the folder that students and you "
            "both reach; give it with --exchange, or set GQA_EXCHANGE, and nbgrader's own commands "
            "and Formgrader use it too."
        )
    check_built(lessons)
    try:
        prepare_exchange(exchange_root, COURSE_ID)
    except UnsafeExchange as error:
        raise ReleaseError(str(error)) from error
    if new_attempt:
        open_attempt()
    with quietly():
        config, dates = class_config(), {due.lesson: due for due in due_dates()}
    return [_release_one(lesson, config, dates.get(lesson)) for lesson in lessons]


def check_built(lessons: Sequence[Lesson]) -> None:
    """See that the notebooks for students are what nbgrader makes of their sources now.

    Raises:
        ReleaseError: one is not, for example because someone worked in it.
    """
    with tempfile.TemporaryDirectory() as scratch, quietly():
        stale = [
            lesson.pristine
            for lesson in lessons
            if not lesson.pristine.exists()
            or lesson.pristine.read_text(encoding="utf-8")
            != student_notebook(lesson, Path(scratch))
        ]
    if stale:
        raise ReleaseError(
            f"nothing was released: {', '.join(map(str, stale))} does not match its source, "
            "so answers or old exercises may be in it. Run `gqa build`."
        )


def _release_one(lesson: Lesson, config: Config, due: Due | None) -> Path:
    write_instructor_notebook(lesson, source_directory())
    with quietly():
        course, log = course_of(lesson, config), file_log("release")
        try:
            generate(course, log)
            _tell_attempt(lesson, course)
            folder = Path(course.format_path(course.release_directory, ".", lesson.slug))
            publish_due(due or Due(lesson, None), folder)
            exchange(course, "ReleaseAssignment", log, force=True)
        except (NbGraderException, ExchangeError) as error:
            raise ReleaseError(f"{lesson.slug} was not released: {_reason(error)}") from error
    return class_exchange() / course.course_id / "outbound" / lesson.slug


def _tell_attempt(lesson: Lesson, course: CourseDirectory) -> None:
    """Put the open attempt next to the released quiz, where students' copies look for it."""
    if lesson.number == DRAWN:
        folder = Path(course.format_path(course.release_directory, ".", lesson.slug))
        (folder / ATTEMPT_FILE).write_text(f"{1 + len(attempts_opened())}\n", encoding="ascii")


def _reason(error: Exception) -> str:
    """Return why in words; nbgrader keeps the reason of a failed conversion in its log."""
    log = places.home() / "release.log"
    if "Cannot add or remove cells" in log.read_text(encoding="utf-8"):
        return (
            "its exercises are others than those students have handed in, and their marks hang on "
            "the old ones. The old release stays in place. Keep those exercises for this class, or "
            "give up the marks with `nbgrader db assignment remove`."
        )
    return f"{str(error).strip()} Details: {log}."
