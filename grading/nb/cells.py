"""A cell's part in grading, as nbgrader's metadata has it, and notebooks read from files."""

import warnings
from pathlib import Path

import nbformat
from nbformat import NotebookNode

QUIZ, CHECK = "quiz", "quiz-check"  # the cells of a quiz: for written answers, and its check
OWN = "own"  # metadata "gqa" of a cell that the learner added


def grade_id(cell: NotebookNode) -> str | None:
    """Return the cell's nbgrader id, or None."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def known_id(cell: NotebookNode) -> str:
    """Return the nbgrader id of a cell that must have one.

    Raises:
        ValueError: it has none.
    """
    name = grade_id(cell)
    if name is None:
        raise ValueError(
            f"the cell that begins {cell.source[:40]!r} has no nbgrader id, so grading cannot name "
            "it. Give it one: metadata.nbgrader.grade_id."
        )
    return name


def is_solution(cell: NotebookNode) -> bool:
    """Return whether the learner answers in this cell."""
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def is_graded(cell: NotebookNode) -> bool:
    """Return whether this cell gives points."""
    return bool(cell.metadata.get("nbgrader", {}).get("grade"))


def is_written(cell: NotebookNode) -> bool:
    """Return whether the learner writes a text in this cell, which a person marks."""
    return cell.cell_type == "markdown" and is_solution(cell) and is_graded(cell)


def read_notebook(path: Path) -> NotebookNode:
    """Return a notebook file in the current format.

    Raises:
        ValueError: the file is not a notebook; the message says why.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about ids that older notebooks lack
            notebook = nbformat.read(path, as_version=4)
        cells = notebook.cells
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"it cannot be read ({error})") from error
    except Exception as error:  # nbformat raises many kinds, one per way to be broken
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else error
        raise ValueError(f"it is not a readable notebook ({reason})") from error
    for place, cell in enumerate(cells, 1):
        if not isinstance(cell.get("source"), str) or not isinstance(cell.get("metadata"), dict):
            raise ValueError(f"it is not a readable notebook (cell {place} lacks its text)")
        ours = cell.metadata.get("nbgrader", {})
        if not isinstance(ours, dict) or not isinstance(ours.get("grade_id", ""), str):
            del cell.metadata["nbgrader"]
    return notebook


def as_text(notebook: NotebookNode) -> str:
    """Return a notebook as the text of its file."""
    return nbformat.writes(notebook) + "\n"
