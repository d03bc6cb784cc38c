"""Asks before a quiz that is not complete uses up an attempt."""

import sys

from gqa_lib.course.manifest import Lesson
from gqa_lib.learn.quiz.check import unanswered_count
from gqa_lib.learn.quiz.questions import DRAWN
from grading.intake.rebuild import rebuild_or_refuse, wrote_answers
from grading.nb.cells import read_notebook

from .submit import work_notebook


def go_on(lesson: Lesson) -> bool:
    """Return whether to hand in a quiz as it is, which a person decides if it is not complete.

    Args:
        lesson: the lesson that would be handed in.
    """
    try:
        found = left_open(lesson)
    except (OSError, ValueError):  # submitting says what is wrong
        return True
    if found is None:
        return True
    missing, asked = found
    said = f"{missing} of {asked} questions are not answered, and this would use up an attempt."
    if sys.stdin.isatty():
        return input(f"{said} Submit all the same? [y/N] ").strip().lower() in ("y", "yes")
    print(
        f"gqa submit: {said} Nothing was handed in. Answer them, or add --incomplete (in a cell: "
        f'submit("{lesson.number}", incomplete=True)).',
        file=sys.stderr,
    )
    return False


def left_open(lesson: Lesson) -> tuple[int, int] | None:
    """Return (questions not answered, questions asked) where handing in would waste an attempt.

    None where every question is answered, none is, or answers are written in the notebook.

    Args:
        lesson: the lesson that would be handed in.
    """
    if lesson.number != DRAWN:
        return None
    missing, asked = unanswered_count(lesson.number, work_notebook(lesson).parent)
    if not 0 < missing < asked:
        return None
    notebook, released = read_notebook(work_notebook(lesson)), read_notebook(lesson.pristine)
    written = wrote_answers(rebuild_or_refuse(notebook, released)[0], released)
    return None if written else (missing, asked)
