"""Reads a lesson's percent-format source as a notebook that is the same on every run."""

import hashlib
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from gqa_lib.course.manifest import Lesson, anchor_of, terms
from gqa_lib.course.places import course_root

QUIZ, CHECK = "quiz", "quiz-check"  # the cells of a quiz: for written answers, and its check
MARK = "generated"  # metadata of a source's cell that stands for cells generated in its place
EARNED = "## What you earned"  # heading of the cell above the one that shows a learner's record
KERNEL = {
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python"},
}


def read_source(path: Path) -> NotebookNode:
    """Return the notebook of a percent-format file, with cell ids drawn from its content.

    A lesson's has marked cells still in it: `lesson_notebook` puts in what they stand for.
    """
    notebook = jupytext.read(path)
    notebook.metadata = NotebookNode(KERNEL)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for cell in notebook.cells:
        cell.metadata.pop("lines_to_next_cell", None)
    return _identified(notebook, path.stem)


def lesson_notebook(lesson: Lesson) -> NotebookNode:
    """Return a lesson's notebook as it is given out, with solutions and hidden tests still in it.

    Raises:
        ValueError: a cell that is generated is missing in its source, or written by hand.
    """
    from grading.generated import (
        expand,  # not in the students' copy, which reads other things from here
    )

    notebook = read_source(source_of(lesson))
    notebook.cells = expand(lesson, notebook.cells)
    _identified(notebook, lesson.slug)
    for section in {term.section for term in terms().values() if term.lesson == lesson}:
        _anchor(notebook, section)
    return notebook


def _identified(notebook: NotebookNode, stem: str) -> NotebookNode:
    """Give each cell the same id on every build: from its nbgrader id, else its place and text.

    jupytext draws random ids and keeps its own version in the metadata; either would make every
    build different.
    """
    for place, cell in enumerate(notebook.cells):
        key = grade_id(cell) or f"{place}:{cell.cell_type}:{cell.source}"
        cell.id = hashlib.sha256(f"{stem}:{key}".encode()).hexdigest()[:12]
    nbformat.validate(notebook)
    return notebook


def _anchor(notebook: NotebookNode, section: str) -> None:
    """Put an anchor below a heading that links cannot name by itself."""
    if section.isascii():
        return
    for cell in notebook.cells:
        heading, _, rest = cell.source.partition("\n")
        if cell.cell_type == "markdown" and heading.replace("`", "") == f"## {section}":
            cell.source = f'{heading}\n\n<a id="{anchor_of(section)}"></a>\n{rest}'


def source_of(lesson: Lesson) -> Path:
    """Return the percent-format source of a lesson."""
    return course_root() / "solutions" / f"{lesson.slug}.py"


def write_instructor_notebook(lesson: Lesson, folder: Path) -> None:
    """Write a lesson with its solutions and hidden tests into an nbgrader source folder."""
    path = folder / lesson.slug / f"{lesson.slug}.ipynb"
    write_if_changed(path, as_text(lesson_notebook(lesson)))


def write_if_changed(path: Path, text: str) -> None:
    """Write a text file and the folders it needs, unless it says that already."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def as_text(notebook: NotebookNode) -> str:
    """Return a notebook as the text of its file."""
    return nbformat.writes(notebook) + "\n"


def grade_id(cell: NotebookNode) -> str | None:
    """Return the cell's nbgrader id, or None."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def is_solution(cell: NotebookNode) -> bool:
    """Return whether the learner answers in this cell."""
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def is_graded(cell: NotebookNode) -> bool:
    """Return whether this cell gives points."""
    return bool(cell.metadata.get("nbgrader", {}).get("grade"))


def read_notebook(path: Path) -> NotebookNode:
    """Return a notebook file in the current format.

    Raises:
        ValueError: the file is not a notebook; the message says why.
    """
    try:
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
