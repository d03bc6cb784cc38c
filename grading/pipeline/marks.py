"""Writes what came of a notebook into the gradebook; keeps what a new submission would erase."""

import hashlib
import json
from dataclasses import replace

from nbformat import NotebookNode
from nbgrader.api import Comment, Grade, Gradebook, MissingEntry, SubmittedNotebook
from nbgrader.preprocessors import SaveAutoGrades
from nbgrader.utils import is_solution, is_task
from sqlalchemy.orm import joinedload

from grading.intake.class_file import read_class
from grading.intake.deadlines import extension_of
from grading.intake.earlier import TIME, EarlierMark, Kept, read_kept, write_kept
from grading.nb.cells import known_id
from grading.safe.execute import SITTING

_CHOICES = "choices in the quiz"  # next to the names of cells


class SaveMarks(SaveAutoGrades):
    """Writes the marks of a submission: all of a notebook's, or none.

    Three things are others than in nbgrader. The mark of the submission before is kept, a student's
    extension holds for the first submission, too, and a mark that a person gave waits for a person
    only where the answer, or the points that its test gives, are others than when it was given.
    """

    def preprocess(self, nb, resources):
        """Return the notebook as it is; the marks go into the gradebook."""
        about = resources["nbgrader"]
        whose = about["assignment"], about["student"], about["notebook"]
        self.notebook_id, self.assignment_id, self.student_id = whose[2], whose[0], whose[1]
        kept, answers = read_kept(*whose), answers_of(nb, resources.get(SITTING, ""))
        with Gradebook(about["db_url"]) as gradebook:
            submission = gradebook.find_submission(*whose[:2])
            extra = extension_of(read_class(), *whose[:2], submission.assignment.duedate)
            if extra is not None:
                submission.extension = extra
                gradebook.db.commit()
            at = submission.timestamp.isoformat() if submission.timestamp else ""
            answers[TIME] = at
            key = _digest(json.dumps(answers))
            self._changed = {name for name in answers if kept.answers.get(name) != answers[name]}
            notebook = gradebook.find_submission_notebook(whose[2], *whose[:2])
            if key != kept.key:
                kept = _begun(kept, key, at, notebook)
                write_kept(*whose, kept)  # before its marks are gone
            self.gradebook = _Cells(gradebook, notebook)
            for place, cell in enumerate(nb.cells):
                self.preprocess_cell(cell, resources, place)
            gradebook.db.commit()
        if kept.answers != answers:
            write_kept(*whose, replace(kept, answers=answers))  # after what waits is written
        return nb, resources

    def _add_score(self, cell, resources):
        name = cell.metadata["nbgrader"]["grade_id"]
        grade = self.gradebook.find_grade(name)
        waited, points = grade.needs_manual_grade, grade.auto_score
        super()._add_score(cell, resources)
        others = {name} if is_solution(cell) else self._changed - {TIME}
        same_answer = not others & self._changed
        if grade.manual_score is not None and same_answer and grade.auto_score == points:
            grade.needs_manual_grade = waited

    def _add_comment(self, cell, resources):
        super()._add_comment(cell, resources)
        if not is_task(cell) or not self._changed:
            return
        name = cell.metadata["nbgrader"]["grade_id"]  # of what it asks for, no cell has the answer
        grade = self.gradebook.find_grade(name)
        grade.needs_manual_grade = True


class _Cells:
    """As much of a gradebook as that step asks: the grades and comments of one notebook."""

    def __init__(self, gradebook: Gradebook, notebook: SubmittedNotebook):
        self.db = self
        self._grades, self._comments = (
            {
                row.name: row
                for row in gradebook.db.query(kind)
                .filter(kind.notebook_id == notebook.id)
                .options(joinedload(kind.cell))
            }
            for kind in (Grade, Comment)
        )

    def find_grade(self, cell: str, *_) -> Grade:
        return _found(self._grades, cell)

    def find_comment(self, cell: str, *_) -> Comment:
        return _found(self._comments, cell)

    def commit(self) -> None:
        """Write nothing yet: that is done once, at the end."""


def _found(rows: dict, cell: str):
    if cell not in rows:
        raise MissingEntry(f"the submission has no cell {cell} in the gradebook")
    return rows[cell]


def answers_of(nb: NotebookNode, sitting: str) -> dict[str, str]:
    """Return what is compared of two submissions: solution cell -> hash of its text.

    Args:
        nb: the notebook.
        sitting: what tells the choices in its quiz.
    """
    texts = {known_id(cell): cell.source for cell in nb.cells if is_solution(cell)}
    return {name: _digest(text) for name, text in (texts | {_CHOICES: sitting}).items()}


def _begun(kept: Kept, key: str, at: str, notebook: SubmittedNotebook) -> Kept:
    """Return what to keep when another submission begins, with the mark of the one before.

    Where nothing was kept of that, as of one that an earlier version graded, it may be the same.
    """
    earlier = kept.earlier
    if kept.key and any(_is_marked(grade) for grade in notebook.grades):
        cells = {grade.name: float(grade.score) for grade in notebook.grades}
        penalty = float(notebook.late_submission_penalty or 0)
        earlier = [*earlier, EarlierMark(kept.at, sum(cells.values()), penalty, cells)]
    return replace(kept, key=key, at=at, earlier=earlier)


def _is_marked(grade: Grade) -> bool:
    return grade.auto_score is not None or grade.manual_score is not None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
