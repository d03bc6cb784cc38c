"""What a regrade changed: marks by exercise before and after, and the difference as a table."""

from collections.abc import Mapping
from dataclasses import dataclass

from nbgrader.api import Assignment, BaseCell, Grade, SubmittedAssignment, SubmittedNotebook
from sqlalchemy import select

from gqa_lib.course.manifest import Lesson

from .gradebook import open_gradebook

ClassMarks = Mapping[str, Mapping[str, float]]  # student -> exercise -> score


@dataclass(frozen=True)
class Change:
    """One exercise of one student whose score changed; None is "not there"."""

    student: str
    exercise: str
    before: float | None
    after: float | None

    @property
    def points(self) -> float:
        """The points won (above 0) or lost."""
        return (self.after or 0.0) - (self.before or 0.0)


def marks_by_exercise(db_url: str, lesson: Lesson) -> dict[str, dict[str, float]]:
    """Return student -> exercise -> score of a lesson's submissions, manual scores included.

    Raises:
        OSError: the database does not answer.
    """
    query = (
        select(SubmittedAssignment.student_id, BaseCell.name, Grade.score)
        .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
        .join(SubmittedNotebook, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        .join(Grade, Grade.notebook_id == SubmittedNotebook.id)
        .join(BaseCell, BaseCell.id == Grade.cell_id)
        .where(Assignment.name == lesson.slug)
        .order_by(SubmittedAssignment.student_id, BaseCell.name)
    )
    marks: dict[str, dict[str, float]] = {}
    with open_gradebook(db_url) as gradebook:
        for student, cell, score in gradebook.db.execute(query):
            marks.setdefault(student, {})[cell.removesuffix("-check")] = float(score)
    return marks


def diff_of_marks(before: ClassMarks, after: ClassMarks) -> list[Change]:
    """Return what differs between two snapshots, by student and exercise."""
    changes = []
    for student in sorted(before.keys() | after.keys()):
        old, new = before.get(student, {}), after.get(student, {})
        for exercise in [*old, *(name for name in new if name not in old)]:
            if old.get(exercise) != new.get(exercise):
                changes.append(Change(student, exercise, old.get(exercise), new.get(exercise)))
    return changes


def table_of_changes(changes: list[Change]) -> str:
    """Return the changes as text for the terminal: each, then how many students rose and fell."""
    if not changes:
        return "No mark changed."
    wide = max(len(change.student) for change in changes)
    longest = max(len(change.exercise) for change in changes)
    lines = []
    totals: dict[str, float] = {}
    for c in changes:
        totals[c.student] = totals.get(c.student, 0.0) + c.points
        lines.append(
            f"  {c.student:<{wide}}  {c.exercise:<{longest}}  {_points(c.before):>5} -> "
            f"{_points(c.after):>5}  {c.points:+.10g}"
        )
    up, down = ([t for t in totals.values() if t * sign > 0] for sign in (1, -1))
    level = len(totals) - len(up) - len(down)
    lines.append(
        f"{len(totals)} student{'s' if len(totals) > 1 else ''} changed: {len(up)} up by "
        f"{sum(up):.10g} points in all, {len(down)} down by {-sum(down):.10g}"
        + (f", {level} with the same total." if level else ".")
    )
    return "\n".join(lines)


def _points(score: float | None) -> str:
    return "none" if score is None else f"{score:.10g}"
