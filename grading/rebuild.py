"""Puts a learner's answers into the released notebook, and nothing else of theirs.

Whatever happened to the rest of the file - cells deleted, copied, renamed, their points or
tags changed - what is graded is the released lesson with the learner's answers in it.
"""

import copy

from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor

from gqa_lib.learn.manifest import find_lesson

from .source import grade_id, is_graded, is_solution, read_notebook


def rebuild(submitted: NotebookNode, released: NotebookNode) -> tuple[NotebookNode, list[str]]:
    """Return the released notebook with the answers of the submitted one, and notes on it.

    An exercise deleted by the learner comes back empty; of several copies the last one that
    is not the untouched stub counts, as it does when the notebook runs from top to bottom.
    Cells that belong to no exercise are shown and not run.
    """
    rebuilt, notes = copy.deepcopy(released), []
    known = {grade_id(cell) for cell in released.cells if grade_id(cell)}
    answers: dict[str, list[str]] = {name: [] for name in known}
    for cell in submitted.cells:
        if grade_id(cell) in known:
            answers[grade_id(cell)].append(cell.source)
    for cell in rebuilt.cells:
        name = grade_id(cell)
        if is_solution(cell):
            found = answers[name]
            if not found:
                notes.append(f"The exercise cell {name} is gone; it counts as not answered.")
            elif len(found) > 1:
                notes.append(
                    f"The exercise cell {name} is there {len(found)} times; the last counts."
                )
            edited = [source for source in found if source != cell.source]
            cell.source = edited[-1] if edited else cell.source
        elif is_graded(cell) and len(answers[name]) != 1:
            notes.append(f"The check cell {name} was deleted or copied; the released one is used.")
        elif name is None and cell.cell_type == "code":
            cell.metadata["tags"] = ["skip-execution"]
    return rebuilt, notes


def unanswered(rebuilt: NotebookNode) -> list[str]:
    """Return the exercises whose cells still raise NotImplementedError."""
    return [
        grade_id(cell)
        for cell in rebuilt.cells
        if is_solution(cell) and "raise NotImplementedError()" in cell.source
    ]


def own_cells(submitted: NotebookNode, released: NotebookNode) -> int:
    """Return how many code cells of the learner's own the submitted notebook has."""
    theirs = {cell.source for cell in released.cells}
    return sum(
        cell.cell_type == "code"
        and grade_id(cell) is None
        and cell.source not in theirs
        and bool(cell.source.strip())
        for cell in submitted.cells
    )


class Rebuild(NbGraderPreprocessor):
    """nbgrader's sanitising step: replaces what was submitted by `rebuild` of it."""

    def preprocess(self, nb, resources):
        """Return the notebook to grade."""
        try:
            lesson = find_lesson(resources["nbgrader"]["assignment"])
        except ValueError:  # an instructor's own assignment
            return nb, resources
        rebuilt, notes = rebuild(nb, read_notebook(lesson.pristine))
        for note in notes:
            self.log.warning("%s: %s", resources["nbgrader"]["student"], note)
        return rebuilt, resources
