"""What the gradebook has of a class: four queries, however many students and lessons there are."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from nbgrader.api import (
    Assignment,
    BaseCell,
    Grade,
    GradeCell,
    Notebook,
    Student,
    SubmittedAssignment,
    SubmittedNotebook,
    TaskCell,
)
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from grading.intake.lateness import seconds_late


@dataclass
class Submission:
    """A graded submission, as the gradebook has it.

    Attributes:
        at: when it was handed in: in UTC, without a time zone; None if nobody knows.
        seconds_late: how long after the student's own due date.
        penalty: the points taken off for that; None if no penalty was ever computed.
        scores: the points of each graded cell.
        waiting: the cells that a person still has to mark.
        by_hand: the cells that a person has marked.
    """

    at: datetime | None
    seconds_late: float
    penalty: float | None
    scores: dict[str, float] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)

    @property
    def score(self) -> float:
        """What the cells give, less the penalty, and never below 0."""
        return max(0.0, sum(self.scores.values()) - (self.penalty or 0.0))


@dataclass
class LessonMarks:
    """What the gradebook has of a lesson.

    Attributes:
        due: in UTC, without a time zone.
        points: the points of each graded cell; none as long as the lesson is not released.
        submissions: of each student who has one.
    """

    due: datetime | None
    points: dict[str, float] = field(default_factory=dict)
    submissions: dict[str, Submission] = field(default_factory=dict)


@dataclass
class ClassMarks:
    """What the gradebook has of a class: students' ids with their names, and lessons."""

    students: dict[str, str]
    lessons: dict[str, LessonMarks]


def read_marks(session: Session) -> ClassMarks:
    """Return what a gradebook has of the class."""
    names = select(Student.id, Student.first_name, Student.last_name).order_by(
        func.coalesce(Student.last_name, ""), func.coalesce(Student.first_name, ""), Student.id
    )
    students = {
        one: " ".join(filter(None, (first, last))) for one, first, last in session.execute(names)
    }
    dates = session.execute(select(Assignment.name, Assignment.duedate))
    lessons = {name: LessonMarks(due) for name, due in dates}
    for lesson, cell, points in _cells(session):
        lessons[lesson].points[cell] = points
    for lesson, student, submission in _submissions(session):
        lessons[lesson].submissions[student] = submission
    _add_scores(session, lessons)
    return ClassMarks(students, lessons)


def _cells(session: Session) -> Iterator[tuple[str, str, float]]:
    for kind in (GradeCell, TaskCell):
        query = (
            select(Assignment.name, kind.name, kind.max_score)
            .join(Notebook, Notebook.id == kind.notebook_id)
            .join(Assignment, Assignment.id == Notebook.assignment_id)
        )
        for lesson, cell, points in session.execute(query):
            yield lesson, cell, float(points or 0)


def _submissions(session: Session) -> Iterator[tuple[str, str, Submission]]:
    query = (
        select(
            Assignment.name,
            SubmittedAssignment.student_id,
            SubmittedAssignment.timestamp,
            SubmittedAssignment.extension,
            Assignment.duedate,
            func.sum(SubmittedNotebook.late_submission_penalty),
        )
        .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
        .outerjoin(SubmittedNotebook, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        .group_by(SubmittedAssignment.id, Assignment.id)
        .order_by(SubmittedAssignment.student_id)
    )
    for lesson, student, at, more, due, penalty in session.execute(query):
        yield lesson, student, Submission(at, seconds_late(at, due, more), penalty)


def _add_scores(session: Session, lessons: dict[str, LessonMarks]) -> None:
    query = (
        select(
            Assignment.name,
            SubmittedAssignment.student_id,
            BaseCell.name,
            Grade.score,
            Grade.needs_manual_grade,
            Grade.manual_score,
        )
        .join(SubmittedNotebook, SubmittedNotebook.id == Grade.notebook_id)
        .join(SubmittedAssignment, SubmittedAssignment.id == SubmittedNotebook.assignment_id)
        .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
        .join(BaseCell, BaseCell.id == Grade.cell_id)
    )
    for lesson, student, cell, score, waits, manual in session.execute(query):
        submission = lessons[lesson].submissions[student]
        submission.scores[cell] = float(score or 0)
        if waits:
            submission.waiting.append(cell)
        elif manual is not None:
            submission.by_hand.append(cell)
