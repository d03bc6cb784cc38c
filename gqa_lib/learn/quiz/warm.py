"""`warm_up`: two questions from before, as a lesson begins. Nothing here is graded."""

import os
from collections.abc import Mapping
from typing import Any

from gqa_lib.course.manifest import find_lesson
from gqa_lib.learn.show import show

from .questions import LETTERS
from .recall import Recall, recall
from .sections import linked_section
from .show import listed

_NONE_YET = (
    "*No questions from before yet: they come from earlier lessons, once you have begun them.*"
)
_HEADING = "From before, not graded: answer them or go on."


def warm_up(number: str, answers: Mapping[str, str] | None = None) -> None:
    """Show two questions on lessons that you have begun, those that you once missed first.

    Args:
        number: the lesson that begins, such as "04".
        answers: question id -> letter, where no panel shows.
    """
    if "NBGRADER_EXECUTION" in os.environ:  # while it is graded
        return
    try:
        asked = recall(find_lesson(number))
    except OSError as trouble:  # it must not keep anybody from a lesson
        show(f"*No questions from before: your record cannot be read ({trouble}).*")
        return
    if not asked.questions:
        show(_NONE_YET)
    elif answers is not None:
        show("\n\n".join(_answered(asked, answers)))
    else:
        _show(asked)


def _show(asked: Recall) -> None:
    first = asked.questions[0].id
    how = f'`warm_up("{asked.lesson.number}", {{"{first}": "B"}})` answers without buttons.'
    said = [asked.told(name, letter) for name, letter in asked.chosen.items()]
    show("\n\n".join([_HEADING, *listed(asked.questions), *said, how]), widget=_panel(asked))
    links = (f"{place}. {linked_section(one)}" for place, one in enumerate(asked.questions, 1))
    show("To read again: " + " · ".join(links))


def _answered(asked: Recall, answers: Mapping[str, str]) -> list[str]:
    """Take written answers; return what can be said of each."""
    lines, ids = [], [one.id for one in asked.questions]
    for name, letter in dict(answers).items():
        tidy = letter.strip().upper() if isinstance(letter, str) else ""
        if name not in ids:
            lines.append(f"{name!s:.20} is not asked here: the questions are {', '.join(ids)}.")
        elif len(tidy) != 1 or tidy not in LETTERS:
            lines.append(f"{name}: an answer is A, B, C or D, not {letter!r:.20}.")
        else:
            lines.append(f"**{name}** {asked.answer(name, tidy)}")
    return lines or ["No answer was given."]


def _panel(asked: Recall) -> Any:
    """Return the panel, or None where anywidget is not there."""
    try:
        from .panel import RecallPanel
    except ImportError:
        return None
    return RecallPanel.asking(asked, _HEADING)
