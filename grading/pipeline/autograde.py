"""The one place where a submission is graded: nbgrader's autograde with our steps in it.

`settings.nbgrader_config` names these steps, so `gqa submit`, `nbgrader autograde` and
Formgrader's button all grade the same way.
"""

import logging

from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    LimitOutput,
    OverwriteCells,
    SaveAutoGrades,
)

from grading.intake.collect import clean_submitted
from grading.intake.rebuild import Rebuild
from grading.pages.outputs import SanitizeOutputs
from grading.safe.execute import SafeExecute

SANITIZE = [Rebuild, OverwriteCells]  # what else nbgrader mends there, the release never has
GRADE = [
    SafeExecute,
    SanitizeOutputs,
    LimitOutput,
    SaveAutoGrades,
    AssignLatePenalties,
    CheckCellMetadata,
]


def autograde(course: CourseDirectory, log: logging.Logger, *, cleaned: bool = False) -> None:
    """Grade what was collected for `course.assignment_id` and `course.student_id`.

    Args:
        course: nbgrader's course, with its configuration.
        log: what nbgrader says.
        cleaned: `clean_submitted` has been called.

    Raises:
        nbgrader.converters.base.NbGraderException: a submission could not be graded.
        ValueError: the assignment was not released here.
    """
    if not cleaned:
        clean_submitted(course)
    converter = Autograde(coursedir=course, config=course.config)
    converter.log = log
    converter.force = True
    converter.start()
