"""Puts a learner's answers into the released notebook, and nothing else of theirs.

Whatever happened to the rest of the file - cells deleted, copied, renamed, their points or
tags changed - what is graded is the released notebook with the learner's answers in it.
"""

import copy
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_task

from grading.limited.verdict import verdict_of
from grading.nb.cells import (
    OWN,
    QUIZ,
    grade_id,
    is_graded,
    is_solution,
    is_written,
    known_id,
    read_notebook,
)
from grading.nb.texts import as_markdown

from .refusals import refusal, remark
from .sorting import Sorted, answer_of, checks_of, claimed_id, sort_cells

MAX_ANSWER = 100_000  # characters
MAX_OWN = 200_000  # characters of all cells of the learner's own together
MAX_WORK = 20  # cells below a task
NOTICE = "notice"  # metadata of the cell that tells what became of a submission


def rebuild(submitted: NotebookNode, released: NotebookNode) -> tuple[NotebookNode, list[str]]:
    """Return the released notebook with the answers of the submitted one, and notes on it.

    Answers are the texts of solution and task cells (`sorting` says which copies count), and what
    the learner added right below a task, which is how nbgrader has tasks done. One deleted or
    emptied by the learner comes back as released. The learner's own cells of code come along, each
    below the released cell that it followed. Cells that belong to no exercise are shown and not
    run.
    """
    rebuilt, found = copy.deepcopy(released), sort_cells(submitted, released)
    notes = _notes_on(found)
    checks = checks_of(released)
    for cell in rebuilt.cells:
        name = grade_id(cell)
        if is_solution(cell) or is_task(cell):
            name = known_id(cell)
            if not found.is_written(name) and found.defines(cell.source):
                cell.source = "# Other cells define what this one is for."
                continue
            places = found.checks.get(checks.get(name, ""), [])
            answer, remarks = answer_of(cell, found.copies[name], min(places, default=None))
            cell.source, more = _cut(name, answer)
            notes += remarks + more
        elif is_graded(cell) and len(found.checks[known_id(cell)]) != 1:
            notes.append(f"The check cell {name} was deleted or copied; the released one is used.")
        elif name is None and cell.cell_type == "code":
            cell.metadata["tags"] = ["skip-execution"]
    _insert_own(rebuilt, found.own)
    for task, work in _work_on_tasks(submitted, released).items():
        below = next(i for i, cell in enumerate(rebuilt.cells, 1) if grade_id(cell) == task)
        rebuilt.cells[below:below] = [_fresh(cell, rebuilt) for cell in work[:MAX_WORK]]
    return rebuilt, notes


def _notes_on(found: Sorted) -> list[str]:
    notes = []
    if found.by_name:
        notes.append(
            "Your notebook had lost the marks by which grading knows its cells, as some platforms "
            f"strip them. Found by what they define: {', '.join(found.by_name)}."
        )
    notes += [
        f"The lesson's cell {name} was changed: the released one runs, and yours as a cell of your "
        "own."
        for name in found.edited
    ]
    if (size := sum(len(text) for _, text in found.own)) > MAX_OWN:
        notes.append(
            f"Your own cells have {size} characters in all; only the first {MAX_OWN} are taken."
        )
    return notes


def _cut(name: str, answer: str) -> tuple[str, list[str]]:
    """Return an answer of bounded length, and a note if it was longer."""
    if len(answer) <= MAX_ANSWER:
        return answer, []
    return answer[:MAX_ANSWER], [
        f"The exercise cell {name} is longer than {MAX_ANSWER} characters; the rest of it was cut "
        "off."
    ]


def _insert_own(rebuilt: NotebookNode, own: list[tuple[int, str]]) -> None:
    """Put the learner's own cells below those that they followed, marked as theirs."""
    below: dict[int, list[NotebookNode]] = {}
    left = MAX_OWN
    for after, text in own:
        left -= len(text)
        if left >= 0:
            about = {"tags": ["skip-execution"], "gqa": OWN}
            cell = _fitting(new_code_cell(text, metadata=about), rebuilt)
            below.setdefault(after, []).append(cell)
    cells = below.get(-1, [])
    for place, cell in enumerate(rebuilt.cells):
        cells += [cell, *below.get(place, [])]
    rebuilt.cells = cells


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
    notes = [said, *notes] if (said := remark(submitted)) else notes
    return rebuilt, [verdict] if (verdict := refusal(submitted)) else notes


def _work_on_tasks(submitted: NotebookNode, released: NotebookNode) -> dict[str, list]:
    """Return task -> the cells the learner added between it and the next released cell."""
    known = {grade_id(cell): is_task(cell) for cell in released.cells if grade_id(cell)}
    theirs = {cell.source for cell in released.cells}
    work: dict[str, list] = {}
    task = None
    for cell in submitted.cells:
        if (name := claimed_id(cell)) in known:
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
    return len(sort_cells(submitted, released).own)


def released_folder(course: CourseDirectory, assignment: str) -> Path:
    """Return the folder of an assignment's released notebooks.

    Raises:
        ValueError: it was not released on this machine; the message says what makes the release.
    """
    folder = Path(course.format_path(course.release_directory, ".", assignment))
    if not any(folder.glob("*.ipynb")):
        raise ValueError(
            f"{assignment} has no release in {folder}. A submission is graded as the released "
            "notebook with the student's answers in it, so grading needs that. If it was released, "
            "GQA_HOME is not the class's; else make it with `gqa release`, or, of an assignment of "
            f"your own, with `nbgrader generate_assignment {assignment}`, and grade again."
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
