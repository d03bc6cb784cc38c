"""The one place where a submission is graded: nbgrader's autograde with our steps in it.

`settings.nbgrader_config` names these steps, so `gqa submit`, `nbgrader autograde` and
Formgrader's button all grade the same way.
"""

import logging

import nbformat
from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import LimitOutput, OverwriteCells

from grading.intake.reading import MAX_FILE, Refused, parse
from grading.intake.rebuild import Rebuild, released_notebook, with_notice
from grading.intake.refusals import stub
from grading.intake.submitted import clean_submitted
from grading.limited.verdict import verdict_of
from grading.nb.databases import telling
from grading.nb.texts import printable
from grading.pages.outputs import SanitizeOutputs
from grading.safe.execute import VERDICT, SafeExecute

from .late import TakeLatePenalty
from .marks import SaveMarks

SANITIZE = [Rebuild, OverwriteCells]  # what else nbgrader mends there, the release never has
GRADE = [  # the metadata of cells, which nbgrader checks at last, are the release's
    SafeExecute,
    SanitizeOutputs,
    LimitOutput,
    SaveMarks,
    TakeLatePenalty,
]


class ReadSafely(NotebookExporter):
    """How nbgrader reads, grades and writes a submission: it comes in as `parse` lets it in.

    Whatever a step raises, or the file that comes of it, is this submission's verdict: it is graded
    once more as one without answers, which says why.
    """

    def from_file(self, file_stream, resources=None, **kw):
        """Return what comes of a notebook's file: a submitted one, or nbgrader's own copy of it."""
        try:
            notebook = self._read(file_stream)
        except Refused as refused:
            verdict = f"The submitted notebook was not accepted: {refused}"
            return self._refuse(verdict, resources, **kw)
        except Exception as error:
            return self._refuse(verdict_of(error, "Reading your notebook"), resources, **kw)
        return self.from_notebook_node(notebook, resources, **kw)

    def from_notebook_node(self, nb, resources=None, **kw):
        """Return the text of the file that comes of a notebook, and nbgrader's resources."""
        try:
            text, about = super().from_notebook_node(nb, resources, **kw)
            text.encode()  # as it will be written
        except Exception as error:
            verdict = verdict_of(error, "Grading your notebook")
            student = printable(resources["nbgrader"]["student"])
            self.log.error("%s: %s", student, verdict, exc_info=error)
            return self._refuse(verdict, resources, **kw)
        return text, about

    def _preprocess(self, nb, resources):
        """Run the steps: nbconvert copies the notebook for them three times, and checks each."""
        for step in self._preprocessors:
            nb, resources = step(nb, resources)
        self._validate_preprocessor(nb, self._preprocessors[-1])
        return nb, resources

    def _is_submitted(self) -> bool:
        """Return whether this is nbgrader's first round; its second is over its own copy."""
        return getattr(self.parent, "_sanitizing")  # noqa: B009

    def _read(self, file_stream) -> NotebookNode:
        if self._is_submitted():
            return parse(file_stream.buffer.read(MAX_FILE + 1))
        return nbformat.read(file_stream, as_version=4)

    def _refuse(self, verdict: str, resources, **kw):
        """Return what comes of a submission that has no answers and this verdict."""
        if self._is_submitted():
            return super().from_notebook_node(_standing_for_it(verdict), resources, **kw)
        course = getattr(self.parent, "coursedir")  # noqa: B009
        released = released_notebook(course, resources["nbgrader"])
        resources[VERDICT] = verdict
        return super().from_notebook_node(with_notice(released, [verdict]), resources, **kw)


def _standing_for_it(verdict: str) -> NotebookNode:
    return nbformat.reads(stub(verdict).decode(), 4)


def autograde(course: CourseDirectory, log: logging.Logger, *, cleaned: bool = False) -> None:
    """Grade what was collected for `course.assignment_id` and `course.student_id`.

    Args:
        course: nbgrader's course, with its configuration.
        log: what nbgrader says.
        cleaned: `clean_submitted` has been called, when this grading began at the latest.

    Raises:
        nbgrader.converters.base.NbGraderException: a submission could not be graded.
        OSError: the gradebook does not answer.
        ValueError: the assignment was not released here.
    """
    if not cleaned:
        clean_submitted(course)
    converter = Autograde(coursedir=course, config=course.config)
    converter.log = log
    converter.force = True
    converter.pre_convert_hook = lambda **_: None  # it would clean once more
    with telling(course.db_url):
        converter.start()
