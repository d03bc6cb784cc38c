"""The one place where a submission is graded: nbgrader's autograde with our steps in it.

`settings.nbgrader_config` names these steps, so `gqa submit`, `nbgrader autograde` and
Formgrader's button all grade the same way.
"""

import logging

from nbconvert.preprocessors import ClearMetadataPreprocessor
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    ClearOutput,
    DeduplicateIds,
    IgnorePattern,
    LimitOutput,
    OverwriteCells,
    OverwriteKernelspec,
    SaveAutoGrades,
)

from .collect import clean_submitted
from .outputs import SanitizeOutputs
from .rebuild import Rebuild
from .safe.execute import SafeExecute

SANITIZE = [
    Rebuild,
    ClearOutput,
    DeduplicateIds,
    OverwriteKernelspec,
    OverwriteCells,
    CheckCellMetadata,
]
GRADE = [
    SafeExecute,
    SanitizeOutputs,
    IgnorePattern,
    ClearMetadataPreprocessor,
    LimitOutput,
    SaveAutoGrades,
    AssignLatePenalties,
    CheckCellMetadata,
]


def autograde(course: CourseDirectory, log: logging.Logger) -> None:
    """Grade what was collected for `course.assignment_id` and `course.student_id`.

    Raises:
        nbgrader.converters.base.NbGraderException: a submission could not be graded.
        ValueError: the assignment was not released here.
    """
    clean_submitted(course)
    converter = Autograde(coursedir=course, config=course.config)
    converter.log = log
    converter.force = True
    converter.start()
