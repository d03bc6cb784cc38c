"""Reads a lesson's percent-format source as a notebook that is the same on every run."""

import hashlib
import os
import re
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from gqa_lib.course.manifest import Lesson, anchor_of, terms
from gqa_lib.course.places import course_root
from gqa_lib.learn.guide.ending import key_terms, related_lessons

QUIZ, CHECK = "quiz", "quiz-check"  # the cells of a quiz: for written answers, and its check
KERNEL = {
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python"},
}

_TERMS = re.compile(r"\*\*Key terms:\*\*.*?(?=\n\n|\Z)", re.DOTALL)


def read_source(path: Path) -> NotebookNode:
    """Return the notebook of a percent-format file, with cell ids drawn from its content.

    jupytext draws random ids and keeps its own version in the metadata; either would make
    every build different. An id is the cell's nbgrader id, else a hash of its place and text.
    """
    notebook = jupytext.read(path)
    notebook.metadata = NotebookNode(KERNEL)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for place, cell in enumerate(notebook.cells):
        cell.metadata.pop("lines_to_next_cell", None)
        key = grade_id(cell) or f"{place}:{cell.cell_type}:{cell.source}"
        cell.id = hashlib.sha256(f"{path.stem}:{key}".encode()).hexdigest()[:12]
    nbformat.validate(notebook)
    return notebook


def lesson_notebook(lesson: Lesson) -> NotebookNode:
    """Return a lesson's notebook as it is given out, with solutions and hidden tests still in it.

    The card's key terms become links, with the related lessons below, and a last cell shows what
    the lesson earned. nbgrader does not know that cell, so grading leaves it out.
    """
    notebook = read_source(source_of(lesson))
    card = notebook.cells[0]
    lines = "\n\n".join(filter(None, (key_terms(lesson, lesson), related_lessons(lesson))))
    card.source = _TERMS.sub(lambda _: lines, card.source)
    ending = nbformat.v4.new_code_cell(
        f'from gqa_lib.learn import wrap_up\n\nwrap_up("{lesson.number}")',
        id=hashlib.sha256(f"{lesson.slug}:wrap_up".encode()).hexdigest()[:12],
        metadata={"deletable": False, "editable": False},
    )
    notebook.cells.append(ending)
    for section in {term.section for term in terms().values() if term.lesson == lesson}:
        _anchor(notebook, section)
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
    part = path.with_name(f".{path.name}.{os.getpid()}")  # others may be reading, or writing too
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


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
