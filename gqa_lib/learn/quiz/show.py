"""`show_quiz`: the questions as a panel, and as text wherever panels do not show."""

from collections.abc import Sequence
from pathlib import Path

from gqa_lib.course.manifest import find_lesson

from ..show import show
from .questions import DRAWN, LETTERS, Question, all_questions, may_be_drawn, questions_of
from .sitting import Sitting, keep_draw, sitting_of

_SAVED = "Your choices are saved at once."


def show_quiz(quiz: str, *, text: bool = False, everything: bool = False) -> None:
    """Show a quiz's questions; choices are saved next to the notebook at once.

    A place that cannot show the panel shows the questions as text: write the answers into the
    cell below then, as it says.

    Args:
        quiz: the number of the lesson.
        text: show the text in any case.
        everything: draw from every lesson, and not only from those that you have begun; choices
            made in this attempt, of questions that are not drawn then, no longer count.
    """
    sitting = keep_draw(quiz, sitting_of(quiz), everything=everything)
    questions = questions_of(quiz, sitting.learner, sitting.attempt, sitting.lessons)
    heading = heading_of(quiz, sitting, len(questions))
    shown = as_text(questions, heading)
    show(shown, widget=None if text else _panel(questions, heading, sitting))


def heading_of(quiz: str, sitting: Sitting, count: int) -> str:
    """Return the line above the questions."""
    if find_lesson(quiz).number != DRAWN:
        return f"{_words(count)} questions."
    numbers = sorted({one.lesson for one in all_questions().values() if may_be_drawn(one)})
    within = [number for number in numbers if number in sitting.lessons]
    about = f", from lessons {', '.join(within)}" if within and within != numbers else ""
    return f"{count} questions, drawn for {sitting.learner}, attempt {sitting.attempt}{about}."


def as_text(questions: list[Question], heading: str) -> str:
    """Return the questions as Markdown."""
    example = f'answers = {{"{questions[0].id}": "B"}}'
    how = f"Write your answers into the cell below: `{example}`, and so on."
    return "\n\n".join([heading, *listed(questions), how])


def listed(questions: Sequence[Question]) -> list[str]:
    """Return each question with its options, as Markdown."""
    parts = []
    for place, one in enumerate(questions, 1):
        options = "\n".join(
            f"- **{letter}** {option}" for letter, option in zip(LETTERS, one.options, strict=True)
        )
        parts.append(f"**{place} · {one.id}.** {one.stem}\n\n{options}")
    return parts


def _words(count: int) -> str:
    return {3: "Three"}.get(count, str(count))


def _panel(questions: list[Question], heading: str, sitting: Sitting):
    """Return the panel, or None where anywidget is not there."""
    try:
        from .panel import QuizPanel
    except ImportError:
        return None
    return QuizPanel.of(questions, f"{heading} {_SAVED}", sitting, Path.cwd())
