"""Whose quiz a submission is: the learner and the attempt from the records, the choices from it."""

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from nbgrader.utils import parse_utc

from gqa_lib.course.manifest import find_lesson
from gqa_lib.learn.quiz import saved
from gqa_lib.learn.quiz.questions import DRAWN
from gqa_lib.learn.quiz.sitting import Sitting
from grading.limited.verdict import verdict_of

from .admit import Refused, opened, read_file
from .arrivals import TIMESTAMP, Submissions
from .class_file import attempts_opened
from .refusals import reason_of_choices, refused_choices


def answers_file(folder: int) -> tuple[dict[str, bytes], bool]:
    """Return the file of choices to keep of an opened folder, and whether it is the one there.

    What is not a plain file of the folder's owner, or too large, becomes one that says why it was
    not taken. Without a file nothing is kept.
    """
    try:
        return {saved.FILE: read_file(folder, saved.FILE, limit=saved.MAX_BYTES)}, True
    except FileNotFoundError:
        return {}, True
    except Refused as reason:
        return {saved.FILE: refused_choices(str(reason))}, False


def sitting_of_submission(
    folder: Path, student: str, assignment: str, own: dict | None = None
) -> Sitting:
    """Return the sitting that a folder of `submitted/` is graded as.

    Args:
        folder: the submission as it was collected.
        student: its student's id.
        assignment: its name.
        own: learner, attempt and lessons asked about of someone who learns alone and is not in a
            class's records.

    Raises:
        OSError: the machine could not read it.
    """
    answers, trouble = {}, ""
    try:
        with opened(folder) as here:
            for content in answers_file(here)[0].values():
                if not (trouble := reason_of_choices(content)):
                    answers = dict(saved.parse(content).answers)
    except OSError:
        raise
    except (Refused, ValueError) as error:
        trouble = str(error)
    except Exception as error:  # whatever reading them raises
        trouble = verdict_of(error, "Reading them")
    if own:
        about = tuple(own.get("lessons", ()))
        return Sitting(own["learner"], own["attempt"], answers, trouble, about)
    return Sitting(student, _attempt(folder, student, assignment), answers, trouble)


def as_key(sitting: Sitting | None) -> str:
    """Return what tells a sitting from every other, as it did when no sitting named lessons."""
    if sitting is None:
        return ""
    about = asdict(sitting)
    if not about["lessons"]:
        del about["lessons"]
    return json.dumps(about, sort_keys=True)


def _attempt(folder: Path, student: str, assignment: str) -> int:
    """Return the attempt that was open when a submission came; the last, if that is not known."""
    try:
        if find_lesson(assignment).number != DRAWN:
            return 1
    except ValueError:  # an assignment of the instructor's own
        return 1
    came = _arrival(folder, student, assignment)
    return 1 + sum(came is None or opened_at <= came for opened_at in attempts_opened())


def _arrival(folder: Path, student: str, assignment: str) -> datetime | None:
    """Return when a submission came: as collected, or when one that was brought was first seen."""
    try:
        with opened(folder) as here:
            if text := read_file(here, TIMESTAMP, limit=100).decode("ascii").strip():
                return parse_utc(text).replace(tzinfo=UTC)
            names = sorted(name for name in os.listdir(here) if name.endswith(".ipynb"))
            return Submissions(assignment).brought(student, here, names).replace(tzinfo=UTC)
    except Exception:  # dateutil raises many kinds, one per way to be no time
        return None
