"""Makes a page of an executed notebook: the student's cells, and outputs that a page can show."""

import re

import nbformat
from nbformat import NotebookNode

from gqa_lib.course.manifest import Lesson
from grading.authoring.generated import EARNED, FROM_BEFORE
from grading.nb.cells import is_solution

from .execute import MADE

WIDGET = "application/vnd.jupyter.widget-view+json"
_NEEDS_A_KERNEL = "*This figure has sliders, and that needs Python: open the notebook.*"
_MAP_IS_A_PAGE = "*The map is [a page of its own](../../map.html) here.*"
_QUESTIONS_ARE_A_PAGE = (
    "*Each learner draws different questions; [all of them](../../questions.html) are here.*"
)
_DRAWN = re.compile(r"\d+ questions,? drawn for ")  # and then the name of who made the site
_OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n)")  # what a bar showed before its last state
_RUNS_FOR_A_LEARNER = re.compile(r"^(wrap_up|warm_up)\(", re.MULTILINE)  # of a record's


def lesson_page(
    student: NotebookNode, executed: NotebookNode | None, lesson: Lesson
) -> NotebookNode:
    """Return the student's notebook with the outputs of the executed one.

    An exercise is shown as a learner finds it, and what the solved one said is left out. Cells
    that show a learner's own record are left out.

    Args:
        student: the notebook as it is given out.
        executed: the same notebook run with the exercises solved; None to show no output.
        lesson: the lesson it is.
    """
    page = nbformat.from_dict(student)
    outputs = {cell.id: cell.get("outputs", []) for cell in executed.cells} if executed else {}
    for cell in page.cells:
        if cell.cell_type == "code":
            found = [] if is_solution(cell) else outputs[cell.id] if executed else []
            cell.outputs = [shown(output) for output in found]
            cell.metadata = NotebookNode()
    page.cells = [cell for cell in page.cells if not _is_for_a_learner(cell)]
    _say(
        page,
        executed,
        "The exercises were solved to run this page, and the solutions are not shown. "
        f"To work on it: `gqa lab {lesson.number}`.",
    )
    return page


def benchmark_page(notebook: NotebookNode, executed: NotebookNode | None) -> NotebookNode:
    """Return a benchmark notebook as a page, with the outputs it gave, if it was run."""
    page = nbformat.from_dict(executed or notebook)
    page.cells = [
        cell for cell in page.cells if "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    for cell in page.cells:
        if cell.cell_type == "code":
            cell.outputs = [shown(output) for output in cell.outputs]
        cell.metadata = NotebookNode()
    _say(page, executed, "It ran at its defaults; `gqa bench` takes other parameters.")
    return page


def _is_for_a_learner(cell: NotebookNode) -> bool:
    if cell.cell_type == "code":
        return bool(_RUNS_FOR_A_LEARNER.search(cell.source))
    return cell.source.startswith((EARNED, FROM_BEFORE))


def _say(page: NotebookNode, executed: NotebookNode | None, more: str) -> None:
    """Put below the title where and when the page was run, and leave only that as metadata."""
    made = executed.metadata[MADE] if executed else None
    where = (
        f"Run on {made['utc'][:10]}: {made['cpu_model']}, {made['cpu_affinity']} cores, torch "
        f"{made['torch']}. Your machine gives other numbers."
        if made
        else "Not run for this page."
    )
    page.metadata = NotebookNode(kernelspec=page.metadata.kernelspec)
    page.cells.insert(
        1, nbformat.v4.new_markdown_cell(f":::{{admonition}} About this page\n{where} {more}\n:::")
    )


def shown(output: NotebookNode) -> NotebookNode:
    """Return an output without what only a notebook can show."""
    data = output.get("data")
    if data is None:
        if "text" in output:
            output.text = _OVERWRITTEN.sub("", output.text)
        return output
    markdown = data.get("text/markdown", "")
    if "```mermaid" in markdown:
        output.data = NotebookNode({"text/markdown": _MAP_IS_A_PAGE})
    elif _DRAWN.match(markdown):
        output.data = NotebookNode({"text/markdown": _QUESTIONS_ARE_A_PAGE})
    elif WIDGET in data:
        rest = {kind: data[kind] for kind in ("text/html", "text/markdown") if kind in data}
        output.data = NotebookNode(rest or {"text/markdown": _NEEDS_A_KERNEL})
    elif "text/html" in data:  # a figure's HTML has its text alternative, its image does not
        output.data = NotebookNode({"text/html": data["text/html"]})
    return output
