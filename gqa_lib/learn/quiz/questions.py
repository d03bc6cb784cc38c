"""The questions as a learner may see them, and which of them a quiz asks."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from gqa_lib.course.manifest import find_lesson, lessons
from gqa_lib.learn.progress.standing import DRAWN

from .draw import DRAWN_COUNT, draw

LETTERS = "ABCD"


@dataclass(frozen=True)
class Question:
    """A question without its answer; `lesson` explains it, `closes` is where it is asked."""

    id: str
    claim: str
    lesson: str
    closes: str | None
    stem: str
    options: tuple[str, ...]


@cache
def all_questions() -> dict[str, Question]:
    """Return every question of the bank by its id."""
    text = (files(__package__) / "quiz.json").read_text(encoding="utf-8")
    rows = (row | {"options": tuple(row["options"])} for row in json.loads(text))
    return {row["id"]: Question(**row) for row in rows}


def questions_of(
    quiz: str, learner: str, attempt: int, about: Collection[str] = ()
) -> list[Question]:
    """Return the questions of a quiz, in the order they are asked.

    The drawn one asks about lessons that are written: what is planned explains no answer yet.

    Args:
        quiz: the number of the lesson.
        learner: whose questions; only the drawn quiz depends on it, and on the attempt.
        attempt: 1, 2, ...
        about: numbers of the lessons that the drawn quiz is about; of every one if empty.

    Raises:
        ValueError: there is no such lesson, or it has no question.
    """
    known, quiz = all_questions(), find_lesson(quiz).number
    if quiz == DRAWN:
        claims = {one.id: one.claim for one in known.values() if may_be_drawn(one, about)}
        return [known[name] for name in draw(learner, attempt, claims)]
    asked = [one for one in known.values() if one.closes == quiz]
    if not asked:
        raise ValueError(f"no question of the bank closes lesson {quiz}.")
    return asked


def may_be_drawn(one: Question, about: Collection[str] = ()) -> bool:
    """Return whether the drawn quiz may ask a question.

    Args:
        one: the question.
        about: as of `questions_of`.
    """
    written = one.lesson in {lesson.number for lesson in lessons()}
    return one.closes is None and written and (not about or one.lesson in about)


def drawn_about(begun: Collection[str]) -> tuple[str, ...]:
    """Return the lessons that a drawn quiz is about: those begun, and the next ones if too few.

    Args:
        begun: numbers of lessons; none are all.
    """
    order = [lesson.number for lesson in lessons() if lesson.number != DRAWN]
    about = [number for number in order if number in begun]
    if not about:
        return ()
    for number in order:
        if sum(may_be_drawn(one, about) for one in all_questions().values()) >= DRAWN_COUNT:
            break
        if number not in about:
            about.append(number)
    return tuple(sorted(about, key=order.index))
