"""Puts a learner's answers into the released notebook, and nothing else of theirs.

Whatever happened to the rest of the file - cells deleted, copied, renamed, their points or
tags changed - what is graded is the released notebook with the learner's answers in it.
"""

import copy
import re
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_task

from grading.limited.verdict import verdict_of
from grading.nb.cells import (
    QUIZ,
    grade_id,
    is_graded,
    is_solution,
    is_written,
    known_id,
    read_notebook,
)
from grading.nb.texts import as_markdown

from .refusals import refusal

MAX_ANSWER = 100_000  # characters
MAX_WORK = 20  # cells below a task
NOTICE = "notice"  # metadata of the cell that tells what became of a submission
_ASKS_THE_COURSE = re.compile(  # a line without space at its ends
    r"#.*|%load_ext.*|(?:from|import) gqa_lib[^;]*"
    r"|(?:hint|submit|check|check_quiz|show_quiz|show_map|wrap_up)\([^;]*\)|"
)


def rebuild(submitted: NotebookNode, released: NotebookNode) -> tuple[NotebookNode, list[str]]:
    """Return the released notebook with the answers of the submitted one, and notes on it.

    Answers are the texts of solution and task cells, and what the learner added right below a
    task, which is how nbgrader has tasks done. One deleted or emptied by the learner comes back
    as released; of several copies the last one that is not the untouched stub counts, as it does
    when the notebook runs from top to bottom. Cells that belong to no exercise are shown and not
    run.
    """
    rebuilt, notes = copy.deepcopy(released), []
    known = {known_id(cell) for cell in released.cells if grade_id(cell)}
    answers: dict[str, list[str]] = {name: [] for name in known}
    for cell in submitted.cells:
        if (claimed := _claimed_id(cell)) in answers:
            answers[claimed].append(cell.source)
    for cell in rebuilt.cells:
        name = grade_id(cell)
        if is_solution(cell) or is_task(cell):
            name = known_id(cell)
            cell.source, remarks = _answer(name, cell.source, answers[name])
            notes += remarks
        elif is_graded(cell) and len(answers[known_id(cell)]) != 1:
            notes.append(f"The check cell {name} was deleted or copied; the released one is used.")
        elif name is None and cell.cell_type == "code":
            cell.metadata["tags"] = ["skip-execution"]
    for task, work in _work_on_tasks(submitted, released).items():
        below = next(i for i, cell in enumerate(rebuilt.cells, 1) if grade_id(cell) == task)
        rebuilt.cells[below:below] = [_fresh(cell, rebuilt) for cell in work[:MAX_WORK]]
    return rebuilt, notes


def rebuild_or_refuse(
    submitted: NotebookNode, released: NotebookNode
) -> tuple[NotebookNode, list[str]]:
    """Return what `rebuild` does; of a notebook that it cannot rebuild, the released one and why.

    Raises:
        OSError: the machine is at fault.
    """
    try:
        rebuilt, notes = rebuild(submitted, released)
    except Exception as error:
        step = "Your notebook was not accepted. Taking the answers from it"
        rebuilt, notes = copy.deepcopy(released), [verdict_of(error, step)]
    return rebuilt, [verdict] if (verdict := refusal(submitted)) else notes


def _work_on_tasks(submitted: NotebookNode, released: NotebookNode) -> dict[str, list]:
    """Return task -> the cells the learner added between it and the next released cell."""
    known = {grade_id(cell): is_task(cell) for cell in released.cells if grade_id(cell)}
    theirs = {cell.source for cell in released.cells}
    work: dict[str, list] = {}
    task = None
    for cell in submitted.cells:
        if (name := _claimed_id(cell)) in known:
            task = name if known[name] else None
        elif cell.get("source") in theirs:
            task = None
        elif task and cell.cell_type in ("code", "markdown") and isinstance(cell.source, str):
            work.setdefault(task, []).append(cell)
    return work


def _fresh(cell: NotebookNode, notebook: NotebookNode) -> NotebookNode:
    """Return a new cell for a notebook with a learner's text, which is shown and not run."""
    make = new_code_cell if cell.cell_type == "code" else new_markdown_cell
    tags = {"tags": ["skip-execution"]} if cell.cell_type == "code" else {}
    return _fitting(make(cell.source[:MAX_ANSWER], metadata=tags), notebook)


def _fitting(cell: NotebookNode, notebook: NotebookNode) -> NotebookNode:
    if notebook.nbformat_minor < 5:  # before cells had ids
        del cell["id"]
    return cell


def _answer(name: str, untouched: str, found: list[str]) -> tuple[str, list[str]]:
    """Return the text that counts among those found for a cell, and notes on it."""
    notes = []
    if not found:
        notes.append(f"The exercise cell {name} is gone; it counts as not answered.")
    elif len(found) > 1:
        notes.append(f"The exercise cell {name} is there {len(found)} times; the last counts.")
    own = (text for text in reversed(found) if text.strip() and text != untouched)
    answer = next(own, untouched)
    if len(answer) > MAX_ANSWER:
        notes.append(
            f"The exercise cell {name} is longer than {MAX_ANSWER} characters; the rest of it was "
            "cut off."
        )
    return answer[:MAX_ANSWER], notes


def _claimed_id(cell: NotebookNode) -> str | None:
    """Return the nbgrader id that a submitted cell gives itself, if it is one with a text."""
    ours = cell.metadata.get("nbgrader") if isinstance(cell.get("metadata"), dict) else None
    name = ours.get("grade_id") if isinstance(ours, dict) else None
    return name if isinstance(name, str) and isinstance(cell.get("source"), str) else None


def unanswered(rebuilt: NotebookNode, released: NotebookNode) -> list[str]:
    """Return the exercises whose cells still raise NotImplementedError, and texts not written.

    Args:
        rebuilt: a learner's notebook.
        released: the notebook as it was given out.
    """
    stubs = {known_id(cell): cell.source for cell in released.cells if is_written(cell)}
    return [
        known_id(cell)
        for cell in rebuilt.cells
        if is_solution(cell)
        and (
            "raise NotImplementedError()" in cell.source or cell.source == stubs.get(known_id(cell))
        )
    ]


def changed_of(names: list[str], rebuilt: NotebookNode, released: NotebookNode) -> list[str]:
    """Return those of some cells in which the learner has written something.

    Args:
        names: the cells.
        rebuilt: a learner's notebook.
        released: the notebook as it was given out.
    """
    stubs = {grade_id(cell): cell.source for cell in released.cells}
    texts = {grade_id(cell): cell.source for cell in rebuilt.cells}
    return [name for name in names if texts.get(name, "").split() != stubs.get(name, "").split()]


def wrote_answers(rebuilt: NotebookNode, released: NotebookNode) -> bool:
    """Return whether the cell for written answers to the quiz was written in."""
    text = [c.source for nb in (rebuilt, released) for c in nb.cells if grade_id(c) == QUIZ]
    return len(text) == 2 and text[0] != text[1]


def own_cells(submitted: NotebookNode, released: NotebookNode) -> int:
    """Return how many code cells of the learner's own the submitted notebook has.

    Cells that only ask the course for something, such as a hint, are not counted.

    Args:
        submitted: the learner's notebook.
        released: the notebook as it was given out.
    """
    theirs = {cell.source for cell in released.cells}
    return sum(
        cell.cell_type == "code"
        and grade_id(cell) is None
        and cell.source not in theirs
        and not _only_asks(cell.source)
        for cell in submitted.cells
    )


def _only_asks(source: str) -> bool:
    """Return whether a cell only asks the course for something."""
    if source.startswith("%%ask"):
        return True
    return all(_ASKS_THE_COURSE.fullmatch(line.strip()) for line in source.split("\n"))


def released_folder(course: CourseDirectory, assignment: str) -> Path:
    """Return the folder of an assignment's released notebooks.

    Raises:
        ValueError: it was not released on this machine; the message says what makes the release.
    """
    folder = Path(course.format_path(course.release_directory, ".", assignment))
    if not any(folder.glob("*.ipynb")):
        raise ValueError(
            f"{assignment} has no release in {folder}. A submission is graded as the released "
            "notebook with the student's answers in it, so grading needs that. Make it with "
            f"`nbgrader generate_assignment {assignment}` and grade again."
        )
    return folder


def released_notebook(course: CourseDirectory, about: dict[str, str]) -> NotebookNode:
    """Return the released notebook of a submission; `about` is what nbgrader says of that.

    Raises:
        ValueError: it was not released on this machine, or cannot be read.
    """
    folder = released_folder(course, about["assignment"])
    return read_notebook(folder / f"{about['notebook']}.ipynb")


def with_notice(notebook: NotebookNode, notes: list[str]) -> NotebookNode:
    """Return a rebuilt notebook that tells first what became of the submission, if there is."""
    if notes:
        notice = new_markdown_cell(as_markdown("\n\n".join(notes)), metadata={"gqa": NOTICE})
        notebook.cells.insert(0, _fitting(notice, notebook))
    return notebook


class Rebuild(NbGraderPreprocessor):
    """nbgrader's sanitising step: replaces what was submitted by `rebuild` of it."""

    def preprocess(self, nb, resources):
        """Return the notebook to grade, which tells first what became of the submission.

        Raises:
            ValueError: there is no released notebook of this name.
        """
        about = resources["nbgrader"]
        course = self.parent.parent.coursedir  # of the converter that exports with this step
        rebuilt, notes = rebuild_or_refuse(nb, released_notebook(course, about))
        for note in notes:
            self.log.warning("%s: %s", about["student"], note)
        return with_notice(rebuilt, notes), resources
