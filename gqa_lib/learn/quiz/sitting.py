"""Who takes a quiz, which attempt this is, and what they chose in the panel.

In a notebook that is worked out here. A grader says it instead (`take`): the learner's id and
the attempt come from their records, and only the choices from the submission.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from gqa_lib.course.manifest import (
    class_exchange,
    class_release,
    find_lesson,
    is_students_copy,
    lessons,
)

from .. import progress
from . import saved
from .questions import DRAWN, drawn_about

KIND = "draw"  # of events: the lessons that an attempt is about, for good
ATTEMPT_FILE = "attempt.txt"  # of a class's release: the attempt that is open


@dataclass(frozen=True)
class Sitting:
    """A learner's attempt; `trouble` says why the file with the choices was not taken.

    A drawn quiz is about `lessons`, by number, or about all if there are none.
    """

    learner: str
    attempt: int = 1
    saved: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""
    lessons: Sequence[str] = ()


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
        about = _lessons(quiz, attempt, begun_before=False)
        return Sitting(who, attempt, trouble=str(error), lessons=about)
    chosen = found.answers if found.attempt == attempt else {}
    about = _lessons(quiz, attempt, begun_before=bool(chosen))
    return Sitting(who, attempt, chosen, lessons=about)


def keep_draw(quiz: str, sitting: Sitting, *, everything: bool = False) -> Sitting:
    """Note what an attempt at the drawn quiz is about, as lessons begun later must not change it.

    Args:
        quiz: the number of the lesson.
        sitting: the attempt.
        everything: whether it is to be about every lesson.

    Returns:
        The sitting, which is another one if it was to be about every lesson.
    """
    if _taken is not None or not _draws_from_begun(quiz):
        return sitting
    slug, name = find_lesson(quiz).slug, str(sitting.attempt)
    about = () if everything else sitting.lessons
    noted = [event["detail"] for event in _draws(slug, name)]
    if noted[-1:] != [",".join(about)] and (about or everything):
        progress.add(slug, name, KIND, detail=",".join(about))
    return replace(sitting, lessons=about)


def _lessons(quiz: str, attempt: int, *, begun_before: bool) -> tuple[str, ...]:
    """Return what an attempt is about: as noted, else the lessons that are begun by now.

    An attempt that was begun when all lessons were asked about goes on like that.
    """
    if not _draws_from_begun(quiz):
        return ()
    slug = find_lesson(quiz).slug
    if noted := _draws(slug, str(attempt)):
        return tuple(filter(None, noted[-1]["detail"].split(",")))
    if begun_before:
        return ()
    touched = {event["lesson"] for event in progress.events()}
    return drawn_about([one.number for one in lessons() if one.slug in touched])


def _draws_from_begun(quiz: str) -> bool:
    """Return whether a quiz is drawn from lessons begun: a class's records do not know those."""
    alone = class_exchange() is None and not is_students_copy()
    return find_lesson(quiz).number == DRAWN and alone


def _draws(slug: str, name: str) -> list:
    return [event for event in progress.events(slug, KIND) if event["exercise"] == name]


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
