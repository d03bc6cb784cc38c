"""nbgrader's steps for one lesson: what a learner's round and a class's release are made of."""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

from nbgrader.auth import Authenticator
from nbgrader.converters import GenerateAssignment
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange import ExchangeFactory
from nbgrader.exchange.abc import Exchange
from traitlets.config import Config

from gqa_lib.course import places
from gqa_lib.course.files import make_private
from gqa_lib.course.manifest import Lesson

from .databases import telling


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep the working directory, which nbgrader changes, and its warnings from the reader."""
    with warnings.catch_warnings(), contextlib.chdir("."):
        warnings.simplefilter("ignore")
        yield


def course_of(lesson: Lesson, config: Config) -> CourseDirectory:
    """Return nbgrader's course directory, set to a lesson."""
    course = CourseDirectory(config=config)
    course.assignment_id = lesson.slug
    return course


class _Readable(logging.Formatter):
    """Writes no character that a terminal would act on: a log has words of strangers."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text; other characters as Python writes them in a string."""
        lines = super().format(record).split("\n")
        return "\n".join("".join(map(_shown, line)) for line in lines)


def _shown(character: str) -> str:
    return character if character.isprintable() or character == "\t" else repr(character)[1:-1]


class _File(logging.FileHandler):
    """A log's file; where nothing can be written to it, what is being done goes on in silence."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Pass over a record: the trouble, such as a full disk, is told where it matters."""


def student_folders(course: CourseDirectory, step: str) -> dict[str, Path]:
    """Return student -> what is in one of nbgrader's folders of the course's assignment.

    Args:
        course: nbgrader's course, set to the assignment.
        step: the folder, such as `course.submitted_directory`.
    """
    pattern = Path(course.format_path(step, "*", course.assignment_id))
    place = pattern.parts.index("*")
    top, below = Path(*pattern.parts[:place]), Path(*pattern.parts[place:])
    return {path.parts[place]: path for path in sorted(top.glob(str(below)))}


def file_log(name: str) -> logging.Logger:
    """Return a log that starts empty in the file `name`.log among the records."""
    log = logging.getLogger(f"gqa.{name}")
    log.propagate = False
    path = make_private(places.home()) / f"{name}.log"
    handler = _File(path, mode="w", encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_Readable())
    log.handlers = [handler]
    return log


def generate(course: CourseDirectory, log: logging.Logger) -> None:
    """Make nbgrader's release of the course's lesson and enter it into the gradebook.

    Raises:
        nbgrader.converters.base.NbGraderException: it could not be made; the log says why.
        OSError: the gradebook does not answer.
    """
    converter = GenerateAssignment(coursedir=course, config=course.config)
    converter.log, converter.force = log, True
    with telling(course.db_url):
        converter.start()


def exchange(course: CourseDirectory, step: str, log: logging.Logger, **traits) -> Exchange:
    """Run one step of nbgrader's exchange, with these of its options; return what ran.

    Raises:
        nbgrader.exchange.ExchangeError: it could not be done; the message says why.
        OSError: the gradebook does not answer.
    """
    config = course.config
    make = getattr(ExchangeFactory(config=config), step)
    app = make(coursedir=course, authenticator=Authenticator(config=config), config=config)
    app.log = log
    for name, value in traits.items():
        setattr(app, name, value)
    with telling(course.db_url):
        app.start()
    return app
