"""`check_quiz`: what of a quiz is answered. Which answers are right, only grading knows."""

from collections.abc import Mapping
from pathlib import Path

from gqa_lib.course.manifest import find_lesson
from gqa_lib.learn.exercises.exercise import NotYet

from .questions import DRAWN, LETTERS, Question, questions_of
from .sitting import Sitting, sitting_of


def check_quiz(quiz: str, answers: Mapping[str, str]) -> None:
    """Say which questions are answered, and so what grading would count.

    An answer written in the notebook takes precedence over one chosen in the panel.

    Args:
        quiz: the number of the lesson.
        answers: question id -> letter, as written in the notebook; most often empty.

    Raises:
        NotYet: no question is answered, or an answer cannot be read.
    """
    sitting = sitting_of(quiz)
    questions = questions_of(quiz, sitting.learner, sitting.attempt, sitting.lessons)
    chosen = choices(questions, sitting, answers)
    missing = [one.id for one in questions if one.id not in chosen]
    if not chosen:
        raise NotYet("\n".join([_nothing(questions, sitting, answers), *_trouble(sitting)]))
    shown = [
        f"{name} {letter}{' (written)' * (name in answers)}" for name, letter in chosen.items()
    ]
    print(f"{len(chosen)} of {len(questions)} answered: {', '.join(shown)}.")
    if missing:
        print(f"Not answered, so 0 points for now: {', '.join(missing)}.")
    for line in [*_strange(questions, sitting), *_trouble(sitting)]:
        print(line)


def unanswered_count(quiz: str, folder: Path) -> tuple[int, int]:
    """Return how many questions of the panel are not answered, and how many it asks.

    Args:
        quiz: the number of the lesson.
        folder: where its notebook is.
    """
    sitting = sitting_of(quiz, folder)
    questions = questions_of(quiz, sitting.learner, sitting.attempt, sitting.lessons)
    return sum(one.id not in sitting.saved for one in questions), len(questions)


def before_submitting(quiz: str, folder: Path) -> list[str]:
    """Return what a learner who wrote no answer in the notebook should know before handing it in.

    Args:
        quiz: the number of the lesson.
        folder: where its notebook is.

    Raises:
        ValueError: it is the drawn quiz, and nothing is answered: that would use up an attempt.
    """
    sitting = sitting_of(quiz, folder)
    questions = questions_of(quiz, sitting.learner, sitting.attempt, sitting.lessons)
    missing = [one.id for one in questions if one.id not in sitting.saved]
    if len(missing) == len(questions) and find_lesson(quiz).number == DRAWN:
        raise ValueError(
            f"none of the {len(questions)} questions of attempt {sitting.attempt} is answered. Run "
            "the cell that shows them, choose, and submit again."
        )
    notes = [f"Quiz: not answered yet: {', '.join(missing)}."] if missing else []
    return [*notes, *_strange(questions, sitting), *_trouble(sitting)]


def choices(
    questions: list[Question], sitting: Sitting, answers: Mapping[str, str]
) -> dict[str, str]:
    """Return question id -> letter of the questions that are answered, in their order.

    Raises:
        NotYet: what is written in the notebook cannot be read.
    """
    if not isinstance(answers, dict):
        raise NotYet(
            f"quiz: answers is a {type(answers).__name__}. Write question and letter in braces: "
            'answers = {"Q00": "B"}.'
        )
    both = dict(sitting.saved)
    for name, letter in answers.items():
        tidy = letter.strip().upper() if isinstance(letter, str) else ""
        if len(tidy) != 1 or tidy not in LETTERS:
            raise NotYet(f"quiz: {name} is answered {letter!r:.40}; an answer is A, B, C or D.")
        both[name] = tidy
    return {one.id: both[one.id] for one in questions if one.id in both}


def _nothing(questions: list[Question], sitting: Sitting, answers: Mapping[str, str]) -> str:
    others = sorted(map(str, {*sitting.saved, *answers}))[:15]
    if others:
        asked = ", ".join(one.id for one in questions)
        return (
            f"quiz: not yet. The answers are to {', '.join(others):.200}, and the questions for "
            f"{sitting.learner}, attempt {sitting.attempt}, are {asked}. Run the cell that shows "
            "the questions again."
        )
    return (
        f"quiz: not yet. None of the {len(questions)} questions is answered. Run the cell that "
        "shows them, choose, and run this one again."
    )


def _strange(questions: list[Question], sitting: Sitting) -> list[str]:
    """Return a line about saved answers to questions that this quiz does not ask, or nothing."""
    others = sorted(sitting.saved.keys() - {one.id for one in questions})
    if not others:
        return []
    shown = f"{', '.join(others[:8])}{', ...' if len(others) > 8 else ''}"
    return [f"Not asked here, so it does not count (quiz_answers.json): {shown}."]


def _trouble(sitting: Sitting) -> list[str]:
    if not sitting.trouble:
        return []
    return [f"The saved choices (quiz_answers.json) do not count: {sitting.trouble.rstrip('.')}."]
