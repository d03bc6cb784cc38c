"""Quizzes where they are graded: the key, the public half of the bank, points and explanations.

The tests of quizzes are the same in every lesson and hold no answer: they call `mark_quiz`, and
only the judge has the bank.
"""

import json
from collections.abc import Mapping

from gqa_lib.course.manifest import Lesson, find_lesson, lessons
from gqa_lib.learn.checking.credit import Credit, partial_credit
from gqa_lib.learn.quiz.check import choices
from gqa_lib.learn.quiz.draw import DRAWN_COUNT
from gqa_lib.learn.quiz.questions import DRAWN, LETTERS, questions_of
from gqa_lib.learn.quiz.sitting import sitting_of

from .bank import CLOSING, BankQuestion, facts, load_bank


def public_bank() -> str:
    """Return the text of `gqa_lib/learn/quiz/quiz.json`: what anybody may read of the bank."""
    rows = [
        {
            "id": one.id,
            "claim": one.claim,
            "lesson": one.lesson,
            "closes": one.closes,
            "stem": one.stem,
            "options": [option.text for option in one.options],
        }
        for one in load_bank()
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def asked_count(lesson: Lesson) -> int:
    """Return how many questions a lesson's quiz asks."""
    return DRAWN_COUNT if lesson.number == DRAWN else CLOSING


def right_answers(quiz: str) -> dict[str, str]:
    """Return question id -> right letter: of those that close a lesson, or of all to draw from."""
    closes = None if find_lesson(quiz).number == DRAWN else find_lesson(quiz).number
    return {one.id: one.answer for one in load_bank() if one.closes == closes}


def mark_quiz(quiz: str, answers: Mapping[str, str]) -> Credit:
    """Return the points of a quiz, one for each right answer, with what explains them.

    Args:
        quiz: the number of the lesson.
        answers: question id -> letter, as written in the notebook.

    Raises:
        NotYet: what is written in the notebook cannot be read.
    """
    sitting = sitting_of(quiz)
    asked = questions_of(quiz, sitting.learner, sitting.attempt, sitting.lessons)
    chosen = choices(asked, sitting, answers)
    bank = {one.id: one for one in load_bank()}
    explained = [_explained(bank[one.id], chosen.get(one.id, "")) for one in asked]
    right = sum(one["chosen"] == one["answer"] for one in explained)
    print(f"{right} of {len(asked)} right.")
    about: dict[str, object] = {"quiz": explained}
    if find_lesson(quiz).number == DRAWN:
        about |= {"learner": sitting.learner, "attempt": sitting.attempt}
    return partial_credit(right, about)


def _explained(one: BankQuestion, chosen: str) -> dict:
    """Return a question with its answer and what there is to say of each option, as plain data."""
    known = facts()
    return {
        "id": one.id,
        "lesson": one.lesson,
        "taught": one.lesson in {lesson.number for lesson in lessons()},
        "stem": one.stem,
        "chosen": chosen,
        "answer": one.answer,
        "options": [
            {"letter": letter, "text": option.text, "why": option.why}
            for letter, option in zip(LETTERS, one.options, strict=True)
        ],
        "sources": [
            *({"text": known[fact].text, "source": known[fact].source} for fact in one.facts),
            *([{"text": one.derived, "source": ""}] if one.derived else []),
        ],
    }
