"""The one place where a submission is graded: nbgrader's autograde with our steps in it.

`settings.nbgrader_config` names these steps, so `gqa submit`, `nbgrader autograde` and
Formgrader's button all grade the same way.
"""

import logging

import nbformat
from nbconvert.exporters import NotebookExporter
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    LimitOutput,
    OverwriteCells,
    SaveAutoGrades,
)

from grading.intake.admit import stub
from grading.intake.collect import clean_submitted
from grading.intake.reading import MAX_BYTES, Refused, parse
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


class ReadSafely(NotebookExporter):
    """How nbgrader reads what it grades: a submission comes in as `parse` lets it in."""

    def from_file(self, file_stream, resources=None, **kw):
        """Return what comes of a notebook's file: a submitted one, or nbgrader's own copy of it."""
        if not getattr(self.parent, "_sanitizing"):  # noqa: B009  # nbgrader's second round, over what the first has written
            return super().from_file(file_stream, resources, **kw)
        try:
            notebook = parse(file_stream.buffer.read(MAX_BYTES + 1))
        except Refused as refused:
            verdict = f"The submitted notebook was not accepted: {refused}"
            notebook = nbformat.reads(stub(verdict).decode(), 4)
        return self.from_notebook_node(notebook, resources, **kw)


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
