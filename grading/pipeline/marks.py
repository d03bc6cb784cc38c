"""Writes what came of a notebook into the gradebook: all of its marks, or none."""

from nbgrader.api import Comment, Grade, Gradebook, MissingEntry, SubmittedNotebook
from nbgrader.preprocessors import SaveAutoGrades
from sqlalchemy.orm import joinedload


class SaveMarks(SaveAutoGrades):
    """nbgrader's step, which asks the gradebook for each cell anew and writes each by itself."""

    def preprocess(self, nb, resources):
        """Write the marks of all cells in one transaction."""
        about = resources["nbgrader"]
        which = [about[part] for part in ("notebook", "assignment", "student")]
        self.notebook_id, self.assignment_id, self.student_id = which
        with Gradebook(about["db_url"]) as gradebook:
            self.gradebook = _Cells(gradebook, gradebook.find_submission_notebook(*which))
            for place, cell in enumerate(nb.cells):
                self.preprocess_cell(cell, resources, place)
            gradebook.db.commit()
        return nb, resources


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
