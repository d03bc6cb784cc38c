"""nbgrader's step that takes the penalty for being late, and penalties made anew."""

import logging

from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import AssignLatePenalties
from sqlalchemy.exc import SQLAlchemyError

from grading.intake.deadlines import put_extensions
from grading.limited.verdict import NotTheirs

from .database import one_database


class TakeLatePenalty(AssignLatePenalties):
    """nbgrader's step, in which a plugin that fails costs nobody the other points."""

    def preprocess(self, nb, resources):
        """Return the notebook as it is; the penalty goes into the gradebook.

        Raises:
            NotTheirs: the plugin failed.
        """
        try:
            return super().preprocess(nb, resources)
        except (OSError, SQLAlchemyError):
            raise
        except Exception as error:  # whatever an instructor's plugin raises
            raise NotTheirs(
                f"the plugin for late penalties, {self.plugin_class.__name__}, stopped with "
                f"{type(error).__name__}: {error}. Mend it, or its name in nbgrader_config.py, and "
                "grade again."
            ) from error


def renew_penalties(course: CourseDirectory, log: logging.Logger) -> None:
    """Make the late penalties of `course.assignment_id` anew, with extensions and marks as now.

    nbgrader takes them when it grades, and not again when a due date changes or a person marks.

    Args:
        course: nbgrader's course, with its configuration.
        log: what nbgrader says.

    Raises:
        NotTheirs: the plugin failed.
    """
    put_extensions(course)
    with Gradebook(course.db_url, course.course_id) as gradebook:
        try:
            submissions = gradebook.find_assignment(course.assignment_id).submissions
        except MissingEntry:
            return
        late = [
            (one.student_id, notebook.name)
            for one in submissions
            for notebook in one.notebooks
            if one.total_seconds_late > 0 or notebook.late_submission_penalty
        ]
    step = TakeLatePenalty(config=course.config)
    step.log = log
    with one_database():
        for student, notebook in late:
            about = {
                "student": student,
                "assignment": course.assignment_id,
                "notebook": notebook,
                "db_url": course.db_url,
            }
            step.preprocess(NotebookNode(cells=[], metadata={}), {"nbgrader": about})
