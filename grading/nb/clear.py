"""nbgrader's step that takes solutions out of the students' notebook, made fit for quizzes."""

import re

from nbgrader.converters import GenerateAssignment
from nbgrader.preprocessors import ClearSolutions
from traitlets.config import Config

from .cells import QUIZ, grade_id


def configure(config: Config) -> None:
    """Make nbgrader's releases with this step."""
    steps = GenerateAssignment.class_traits()["preprocessors"].default()
    config.GenerateAssignment.preprocessors = [
        ClearAnswers if step is ClearSolutions else step for step in steps
    ]


class ClearAnswers(ClearSolutions):
    """Leaves no stub that raises in the cell of a quiz's written answers: most never touch it."""

    def preprocess_cell(self, cell, resources, cell_index):
        """Return the cell without its solution."""
        if grade_id(cell) != QUIZ:
            return super().preprocess_cell(cell, resources, cell_index)
        begin = re.escape(self.begin_solution_delimeter)
        end = re.escape(self.end_solution_delimeter)
        cell.source = re.sub(rf"\n[^\n]*{begin}.*{end}[^\n]*", "", cell.source, flags=re.DOTALL)
        return cell, resources
