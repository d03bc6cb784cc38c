"""Which questions of earlier lessons a learner is asked again, and what they are told at once."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from gqa_lib.course.manifest import Lesson, find_lesson, lessons
from gqa_lib.learn import progress

from .graded import Graded, graded_questions
from .questions import Question, all_questions
from .sitting import learner

KIND = "warm-up"  # of events: a question's first answer on a day counts; None where it is not known
COUNT = 2


@dataclass(frozen=True)
class Recall:
    """What is asked as a lesson begins.

    Attributes:
        lesson: the one that begins.
        questions: those to ask.
        graded: what feedback pages said of questions, by id.
        chosen: question id -> the letter chosen today.
    """

    lesson: Lesson
    questions: tuple[Question, ...]
    graded: dict[str, Graded]
    chosen: dict[str, str]

    def answer(self, name: str, letter: str) -> str:
        """Take an answer into the record, and return what can be said of it.

        Args:
            name: the question's id.
            letter: A, B, C or D.
        """
        one = self.graded.get(name)
        score = None if one is None else float(letter == one.answer)
        try:
            progress.add(self.lesson.slug, name, KIND, score, None, letter)
        except Exception as trouble:  # it is only practice
            return f"{self.told(name, letter)} (It was not saved: {trouble})"
        return self.told(name, letter)

    def told(self, name: str, letter: str) -> str:
        """Return what can be said of an answer: nothing of a question that is yet to be graded.

        Args:
            name: the question's id.
            letter: the answer.
        """
        one = self.graded.get(name)
        if one is None:
            lesson = find_lesson(all_questions()[name].lesson)
            return (
                f"Kept. This question is not graded yet, so the answer comes with lesson "
                f'{lesson.number}\'s feedback: `submit("{lesson.number}")` there.'
            )
        if letter == one.answer:
            return f"Right. {one.whys[letter]}"
        return f"Not quite. {one.whys[letter]} Right is {one.answer}: {one.whys[one.answer]}"


def recall(lesson: Lesson, now: datetime | None = None) -> Recall:
    """Return what to ask as a lesson begins: the same all day, what was once missed first.

    Args:
        lesson: the one that begins.
        now: the time, with its zone, that the day is taken from.
    """
    now = now or datetime.now().astimezone()
    events = progress.events()
    graded = graded_questions()
    answers = [event for event in events if event["kind"] == KIND]
    recalled = _recalled(answers, now)
    may = _from_before(lesson, {event["lesson"] for event in events}, graded)
    day, who = now.date().isoformat(), learner()

    def order(one: Question) -> tuple[int, bytes]:
        known = graded.get(one.id)
        missed = known is not None and known.missed and one.id not in recalled
        rank = 0 if missed else 1 if known else 2
        return rank, hashlib.sha256(f"{who}\n{day}\n{one.id}".encode()).digest()

    asked = tuple(sorted(may, key=order)[:COUNT])
    ids = {one.id for one in asked}
    today = (event for event in answers if _day(event["at"], now) == day)
    chosen = {event["exercise"]: event["detail"] for event in today if event["exercise"] in ids}
    return Recall(lesson, asked, graded, chosen)


def _from_before(lesson: Lesson, begun: set[str], graded: Iterable[str]) -> list[Question]:
    """Return the questions that close earlier lessons, if begun, and others that were graded."""
    order = [one.number for one in lessons()]
    earlier = set(order[: order.index(lesson.number)])
    found = [one for one in all_questions().values() if one.lesson in earlier]
    return [
        one
        for one in found
        if one.id in graded or (one.closes in earlier and find_lesson(one.closes).slug in begun)
    ]


def _recalled(answers: Iterable, now: datetime) -> set[str]:
    """Return the questions whose first answer on the last day before today was right."""
    today, first = now.date().isoformat(), dict[tuple[str, str], float | None]()
    for event in answers:
        first.setdefault((event["exercise"], _day(event["at"], now)), event["score"])
    last = {name: score for (name, day), score in sorted(first.items(), key=_by_day) if day < today}
    return {name for name, score in last.items() if score}


def _by_day(item: tuple[tuple[str, str], float | None]) -> str:
    return item[0][1]


def _day(at: str, now: datetime) -> str:
    """Return the day of an event where the learner is."""
    return datetime.fromisoformat(at).astimezone(now.tzinfo).date().isoformat()
