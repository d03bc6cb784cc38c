"""Until when each student may hand in: the due date in the gradebook, and what was given beyond.

An extension holds before a student has handed in, when the gradebook has no row for it: so it is
in `class.toml`, and goes into the row when there is one.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.coursedir import CourseDirectory

from .class_file import ClassFile, read_class


@dataclass(frozen=True)
class Deadlines:
    """When an assignment is due, in UTC without a zone, and for whom at another time."""

    due: datetime | None = None
    of_student: dict[str, datetime] = field(default_factory=dict)

    def of(self, student: str) -> datetime | None:
        """Return until when a student may hand in; None is for ever."""
        return self.of_student.get(student, self.due)


def deadlines(course: CourseDirectory) -> Deadlines:
    """Return the deadlines of `course.assignment_id`."""
    name = course.assignment_id
    with Gradebook(course.db_url, course.course_id) as gradebook:
        try:
            assignment = gradebook.find_assignment(name)
        except MissingEntry:
            return Deadlines()
        if assignment.duedate is None:
            return Deadlines()
        own = {
            one.student_id: assignment.duedate + one.extension
            for one in assignment.submissions
            if one.extension is not None
        }
        due = assignment.duedate
    settings = read_class()
    for student in settings.extensions.get(name, {}):
        own[student] = due + (extension_of(settings, name, student, due) or timedelta())
    return Deadlines(due, own)


def extension_of(
    settings: ClassFile, assignment: str, student: str, due: datetime | None
) -> timedelta | None:
    """Return how long after the due date `class.toml` lets a student hand in; None: it says none.

    Args:
        settings: the class's.
        assignment: its name.
        student: the student's id.
        due: when it is due, in UTC without a zone.
    """
    until = settings.until(assignment, student)
    if until is None or due is None:
        return None
    return max(until - due, timedelta())


def put_extensions(course: CourseDirectory) -> None:
    """Put the extensions of `course.assignment_id` into the rows of those who have handed in."""
    settings, name = read_class(), course.assignment_id
    given = settings.extensions.get(name, {})
    if not given:
        return
    with Gradebook(course.db_url, course.course_id) as gradebook:
        try:
            assignment = gradebook.find_assignment(name)
        except MissingEntry:
            return
        for one in assignment.submissions:
            if one.student_id in given:
                one.extension = extension_of(settings, name, one.student_id, assignment.duedate)
        gradebook.db.commit()
