"""`gqa export`: the marks as CSV, read from the gradebook by one query over all submissions.

nbgrader's own exporter asks the database again for each student and lesson.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nbgrader.api import Assignment, Grade, SubmittedAssignment, SubmittedNotebook
from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from gqa_lib.course.manifest import lessons
from grading.intake.class_file import BEST, read_class
from grading.intake.earlier import EarlierMark, earlier_marks
from grading.intake.lateness import late_costs, seconds_late
from grading.settings import instructors_config

from .gradebook import open_gradebook
from .known import off_roster
from .table import write_table

_WHO = ["ID", "Last name", "First name", "Email"]
_LONG = ["ID", "Lesson", "Score", "Max score", "Seconds late", "Submitted at", "Needs manual grade"]


@dataclass(frozen=True)
class Mark:
    """A submission's mark.

    Attributes:
        score: the points, less the penalty for lateness and never below 0.
        seconds_late: how long after the student's own due date it was submitted.
        submitted_at: in UTC, without a time zone, as the gradebook has it.
        needs_manual_grade: whether a cell still waits for a person.
    """

    score: float
    seconds_late: float
    submitted_at: datetime | None
    needs_manual_grade: bool


def export(path: Path | None = None, *, long: bool = False, url: str | None = None) -> int:
    """Write the marks as CSV and return how many students it has.

    Wide: one row per student, one column per lesson with its points, the total; a lesson not
    submitted is empty and counts 0 in the total. Long: one row per student and lesson. If somebody
    is in no roster, a last column says who.

    Args:
        path: the file; the standard output unless given.
        long: whether to write the long shape.
        url: the gradebook's database, if not the class's.

    Raises:
        ValueError: the gradebook has no lesson yet, or `path` is a folder.
    """
    if path and path.is_dir():
        raise ValueError(f"{path} is a folder: name a file in it.")
    with open_gradebook(url) as gradebook:
        points = points_of(gradebook.db)
        off = {one.student for one in off_roster(gradebook)}
        students = sorted(
            ((s.id, s.last_name, s.first_name, s.email) for s in gradebook.students),
            key=lambda who: (who[1] or "", who[2] or "", who[0]),
        )
        marks = read_marks(gradebook.db)
    rows = (_long if long else _wide)(students, points, marks)
    write_table(path, _with_strangers(rows, off) if off else rows)
    return len(students)


def read_marks(session: Session) -> dict[tuple[str, str], Mark]:
    """Return (student, lesson) -> mark of every submission in the gradebook.

    Where the best counts by the class's settings, that of an earlier submission if it is better.
    """
    graded = (
        select(
            Grade.notebook_id,
            func.sum(Grade.score).label("score"),
            func.max(case((Grade.needs_manual_grade, 1), else_=0)).label("manual"),
        )
        .group_by(Grade.notebook_id)
        .subquery()
    )
    query = (
        select(
            SubmittedAssignment.student_id,
            Assignment.name,
            func.coalesce(func.sum(graded.c.score), 0.0),
            func.coalesce(func.sum(SubmittedNotebook.late_submission_penalty), 0.0),
            func.coalesce(func.max(graded.c.manual), 0),
            SubmittedAssignment.timestamp,
            SubmittedAssignment.extension,
            Assignment.duedate,
        )
        .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
        .outerjoin(SubmittedNotebook, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        .outerjoin(graded, graded.c.notebook_id == SubmittedNotebook.id)
        .group_by(SubmittedAssignment.id, Assignment.id)
    )
    best, marks = earlier_that_count(), {}
    for student, lesson, score, penalty, manual, at, more, due in session.execute(query):
        tried = [(max(0.0, score - penalty), at), *best.get(lesson, {}).get(student, [])]
        points, when = max(tried, key=lambda mark: mark[0])  # of equal ones the last
        marks[student, lesson] = Mark(points, seconds_late(when, due, more), when, bool(manual))
    return marks


def earlier_that_count() -> dict[str, dict[str, list[tuple[float, datetime | None]]]]:
    """Return lesson -> student -> points and time of earlier submissions, where the best counts."""
    settings, costs = read_class(), late_costs(instructors_config())
    return {
        lesson.slug: {
            student: [_of_earlier(one) for one in marks]
            for student, marks in earlier_marks(lesson.slug).items()
        }
        for lesson in lessons()
        if settings.counts(lesson.slug, late_costs=costs) == BEST
    }


def _of_earlier(mark: EarlierMark) -> tuple[float, datetime | None]:
    at = datetime.fromisoformat(mark.at) if mark.at else None
    return max(0.0, mark.score - mark.penalty), at


def points_of(session: Session) -> dict[str, float]:
    """Return lesson -> its points, in the order of the course; others come after.

    Raises:
        ValueError: the gradebook has no lesson yet.
    """
    rows = session.execute(select(Assignment.name, Assignment.max_score))
    found: dict[str, float] = {row.name: row.max_score for row in rows}
    if not found:
        raise ValueError(
            "the gradebook has no lesson yet, so there are no marks to export. `gqa release` "
            "enters the lessons; if you grade elsewhere, see GQA_HOME and GQA_GRADEBOOK."
        )
    ours = [lesson.slug for lesson in lessons() if lesson.slug in found]
    return {name: found[name] for name in [*ours, *sorted(found.keys() - set(ours))]}


def _wide(students, points: dict[str, float], marks: dict[tuple[str, str], Mark]) -> Iterator[list]:
    columns = {**points, "Total": sum(points.values())}
    yield [*_WHO, *(f"{name} ({most:.10g})" for name, most in columns.items())]
    for who in students:
        found = [marks.get((who[0], name)) for name in points]
        scores = [mark.score if mark else None for mark in found]
        yield [*who, *scores, sum(score or 0 for score in scores)]


def _long(students, points: dict[str, float], marks: dict[tuple[str, str], Mark]) -> Iterator[list]:
    yield _LONG
    for who in students:
        for name, most in points.items():
            mark = marks.get((who[0], name))
            if mark is None:
                yield [who[0], name, None, most, None, None, None]
                continue
            at = f"{mark.submitted_at:%Y-%m-%dT%H:%M:%SZ}" if mark.submitted_at else None
            manual = "yes" if mark.needs_manual_grade else "no"
            yield [who[0], name, mark.score, most, mark.seconds_late, at, manual]


def _with_strangers(rows: Iterator[list], off: set[str]) -> Iterator[list]:
    """Yield rows with a last column that says who is in no roster."""
    yield [*next(rows), "In no roster"]
    for row in rows:
        yield [*row, "yes" if row[0] in off else ""]
