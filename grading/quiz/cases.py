"""A quiz's own catalogue: answers that must earn nothing, one point less, or everything."""

from collections.abc import Iterator
from dataclasses import dataclass

from gqa_lib.course.manifest import Lesson
from gqa_lib.learn.exercises.exercise import NotYet
from gqa_lib.learn.quiz.check import check_quiz
from gqa_lib.learn.quiz.questions import DRAWN, LETTERS, questions_of
from gqa_lib.learn.quiz.sitting import Sitting, taking

from .marking import asked_count, mark_quiz, right_answers

LEARNERS = ("ada", "zoë", "s1234567")


@dataclass(frozen=True)
class Case:
    """Answers, chosen in a panel or written, and the points they must earn."""

    title: str
    points: float
    saved: dict[str, str]
    written: dict[str, str]
    learner: str
    attempt: int = 1

    def problem(self, quiz: str) -> str:
        """Say what is wrong with the points they earn, or ""."""
        with taking(Sitting(self.learner, self.attempt, self.saved)):
            try:
                check_quiz(quiz, self.written)
                got = float(mark_quiz(quiz, self.written))
            except NotYet:
                got = 0.0
        if got == self.points:
            return ""
        return f"quiz of {quiz}, {self.title}: {got:g} points instead of {self.points:g}"


def cases(lesson: Lesson) -> Iterator[Case]:
    """Yield the cases of a lesson's quiz; a drawn one has those of several learners."""
    everything, full = right_answers(lesson.number), asked_count(lesson)
    for learner in LEARNERS if lesson.number == DRAWN else LEARNERS[:1]:
        asked = [one.id for one in questions_of(lesson.number, learner, 1)]
        right = {name: everything[name] for name in asked}
        yield Case("nothing answered", 0, {}, {}, learner)
        yield Case("all right, in the panel", full, right, {}, learner)
        yield Case("all right, written", full, {}, right, learner)
        for name in asked:
            others = {n: letter for n, letter in right.items() if n != name}
            yield Case(f"{name} not answered", full - 1, others, {}, learner)
            for letter in LETTERS.replace(right[name], ""):
                wrong = {name: letter}
                yield Case(f"{name} answered {letter}", full - 1, right | wrong, {}, learner)
                yield Case(f"{name} written over as {letter}", full - 1, right, wrong, learner)
        if lesson.number == DRAWN:
            yield from _others(lesson, learner, right, everything)


def _others(lesson: Lesson, learner: str, right: dict, everything: dict) -> Iterator[Case]:
    """Yield cases with the right answers to what someone else, or another attempt, drew."""
    draws = {f"those of {one}": (one, 1) for one in LEARNERS if one != learner}
    for title, (who, attempt) in (draws | {"those of attempt 2": (learner, 2)}).items():
        drawn = [one.id for one in questions_of(lesson.number, who, attempt)]
        theirs = {name: everything[name] for name in drawn}
        shared = len(theirs.keys() & right.keys())
        yield Case(f"{title} for {learner}", shared, theirs, {}, learner)
