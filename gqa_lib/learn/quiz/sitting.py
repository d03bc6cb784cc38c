"""Who takes a quiz, which attempt this is, and what they chose in the panel.

In a notebook that is worked out here. A grader says it instead (`take`): the learner's id and
the attempt come from their records, and only the choices from the submission.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gqa_lib.course.manifest import class_release, find_lesson, is_students_copy

from .. import progress
from . import saved
from .questions import DRAWN

ATTEMPT_FILE = "attempt.txt"  # of a class's release: the attempt that is open


@dataclass(frozen=True)
class Sitting:
    """A learner's attempt; `trouble` says why the file with the choices was not taken."""

    learner: str
    attempt: int = 1
    saved: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""


_taken: Sitting | None = None


def take(sitting: Sitting | None) -> None:
    """Make this the sitting that quizzes in this process are about."""
    global _taken
    _taken = sitting


@contextmanager
def taking(sitting: Sitting) -> Iterator[None]:
    """Make this the sitting meanwhile."""
    before = _taken
    take(sitting)
    try:
        yield
    finally:
        take(before)


def sitting_of(quiz: str, folder: Path | None = None) -> Sitting:
    """Return the sitting taken, else the learner's own; its file is here or in `folder`."""
    if _taken is not None:
        return _taken
    attempt = attempt_at(quiz)
    who = learner() if find_lesson(quiz).number == DRAWN else "everybody"
    try:
        found = saved.read(folder or Path.cwd())
    except (ValueError, OSError) as error:
        return Sitting(who, attempt, trouble=str(error))
    return Sitting(who, attempt, found.answers if found.attempt == attempt else {})


def learner() -> str:
    """Return the id the learner hands in under: `GQA_STUDENT`, else the user's name."""
    if chosen := os.environ.get("GQA_STUDENT"):
        return chosen
    from nbgrader.utils import get_username

    return get_username()


def check_learner(quiz: str) -> None:
    """See that a quiz's questions are those that a class's exchange will have it graded with.

    Raises:
        ValueError: they were drawn for another name than that under which it takes the hand-in.
    """
    from nbgrader.utils import get_username

    if find_lesson(quiz).number == DRAWN and learner() != get_username():
        raise ValueError(
            f"the questions were drawn for {learner()!r} (GQA_STUDENT), and the exchange takes the "
            f"hand-in under the user name {get_username()!r}, for which others are drawn. Unset "
            "GQA_STUDENT, start again, and answer the questions that then appear."
        )


def attempt_at(quiz: str) -> int:
    """Return which attempt at a quiz this is.

    Alone, each graded submission of the drawn quiz was one. In a class the first is open until the
    instructor opens another, which is noted next to the release. Closing questions do not change.
    """
    if find_lesson(quiz).number != DRAWN:
        return 1
    slug = find_lesson(quiz).slug
    release = class_release(slug)
    if release is None:
        return 1 if is_students_copy() else 1 + len(progress.scores_of(slug))
    try:
        return max(1, int((release / ATTEMPT_FILE).read_text(encoding="ascii")))
    except (OSError, ValueError):  # the exchange is out of reach, or no other attempt was opened
        return 1
