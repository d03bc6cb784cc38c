"""`show_quiz`: the questions as a panel, and as text wherever panels do not show."""

from pathlib import Path

from gqa_lib.course.manifest import find_lesson

from ..show import show
from .questions import DRAWN, LETTERS, Question, questions_of
from .sitting import Sitting, sitting_of

_SAVED = "Your choices are saved at once."


def show_quiz(quiz: str, *, text: bool = False) -> None:
    """Show a quiz's questions; choices are saved next to the notebook at once.

    A place that cannot show the panel shows the questions as text: write the answers into the
    cell below then, as it says.

    Args:
        quiz: the number of the lesson.
        text: show the text in any case.
    """
    sitting = sitting_of(quiz)
    questions = questions_of(quiz, sitting.learner, sitting.attempt)
    heading = heading_of(quiz, sitting, len(questions))
    shown = as_text(questions, heading)
    show(shown, widget=None if text else _panel(questions, heading, sitting))


def heading_of(quiz: str, sitting: Sitting, count: int) -> str:
    """Return the line above the questions."""
    if find_lesson(quiz).number != DRAWN:
        return f"{_words(count)} questions."
    return f"{count} questions, drawn for {sitting.learner}, attempt {sitting.attempt}."


def as_text(questions: list[Question], heading: str) -> str:
    """Return the questions as Markdown."""
    parts = [heading]
    for place, one in enumerate(questions, 1):
        options = "\n".join(
            f"- **{letter}** {option}" for letter, option in zip(LETTERS, one.options, strict=True)
        )
        parts.append(f"**{place} · {one.id}.** {one.stem}\n\n{options}")
    example = f'answers = {{"{questions[0].id}": "B"}}'
    parts.append(f"Write your answers into the cell below: `{example}`, and so on.")
    return "\n\n".join(parts)


def _words(count: int) -> str:
    return {3: "Three"}.get(count, str(count))


def _panel(questions: list[Question], heading: str, sitting: Sitting):
    """Return the panel, or None where anywidget is not there."""
    try:
        from .panel import QuizPanel
    except ImportError:
        return None
    return QuizPanel.of(questions, f"{heading} {_SAVED}", sitting, Path.cwd())
