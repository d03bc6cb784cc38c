"""Marks that a person gave to an answer that is another now: they count until someone looks."""

from collections.abc import Sequence
from dataclasses import dataclass

from nbgrader.api import Assignment, BaseCell, Grade, SubmittedAssignment, SubmittedNotebook
from sqlalchemy import select
from sqlalchemy.orm import Session

from gqa_lib.course.manifest import Lesson
from grading.nb.texts import printable


@dataclass(frozen=True)
class HandMark:
    """A mark that a person gave to an earlier answer, with the points there are."""

    student: str
    cell: str
    score: float
    max_score: float

    def __str__(self) -> str:
        """Return it as words of a line."""
        name = self.cell.removesuffix("-check")
        return f"{printable(self.student)}: {name} ({self.score:g} of {self.max_score:g})"


def marks_to_check(session: Session, lesson: Lesson) -> list[HandMark]:
    """Return the marks by hand of a lesson that wait for a person again, by student.

    Args:
        session: of the gradebook.
        lesson: the lesson.
    """
    query = (
        select(SubmittedAssignment.student_id, BaseCell.name, Grade)
        .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
        .join(SubmittedNotebook, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        .join(Grade, Grade.notebook_id == SubmittedNotebook.id)
        .join(BaseCell, BaseCell.id == Grade.cell_id)
        .where(Assignment.name == lesson.slug)
        .where(Grade.needs_manual_grade, Grade.manual_score.is_not(None))
        .order_by(SubmittedAssignment.student_id, BaseCell.name)
    )
    return [
        HandMark(student, cell, float(grade.manual_score), float(grade.cell.max_score))
        for student, cell, grade in session.execute(query)
    ]


def text_of(marks: Sequence[HandMark], most: int = 10) -> str:
    """Return whose answers to look at again, as lines for the terminal; "" for nobody's.

    Args:
        marks: the marks.
        most: how many to name.
    """
    if not marks:
        return ""
    lines = [f"  {mark}" for mark in marks[:most]]
    if len(marks) > most:
        lines.append(f"  and {len(marks) - most} more")
    return "\n".join(
        [
            f"Marked by hand, and changed since: {len(marks)}. Each of these marks counts until "
            "you save one again in Formgrader (Manual Grading).",
            *lines,
        ]
    )
