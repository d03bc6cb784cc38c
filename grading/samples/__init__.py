"""Sample learners: answers to a lesson's exercises, put into its student notebook."""

from pathlib import Path

import jupytext
from nbformat import NotebookNode

from gqa_lib.learn.manifest import Lesson

from ..source import grade_id, is_solution, read_notebook


def sample_notebook(lesson: Lesson, sample: str) -> NotebookNode:
    """Return the lesson's student notebook with a sample learner's answers in it.

    Args:
        lesson: the lesson.
        sample: a file beside this one, without `.py`: percent format, one cell an exercise.
    """
    cells = jupytext.read(Path(__file__).with_name(f"{sample}.py")).cells
    answers = {cell.metadata["answer"]: cell.source for cell in cells if "answer" in cell.metadata}
    notebook = read_notebook(lesson.pristine)
    for cell in notebook.cells:
        if is_solution(cell):
            cell.source = answers.get(grade_id(cell), cell.source)
    return notebook
