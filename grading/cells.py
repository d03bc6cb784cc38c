"""Runs a lesson's graded part in this process: quick, for checking our own notebooks."""

import contextlib
import io
import os

import matplotlib
from nbformat import NotebookNode

from .source import grade_id, is_graded


def run_graded(notebook: NotebookNode) -> dict[str, str]:
    """Run the cells nbgrader knows, in order; return graded cell -> what it raised, or "".

    These are the set-up, the exercises and the checks: what grading runs of a submission.
    """
    namespace, outcome = new_namespace(), {}
    with as_grader():
        for cell in known_cells(notebook):
            error = run_cell(cell.source, grade_id(cell), namespace)
            if is_graded(cell):
                outcome[grade_id(cell)] = error
    return outcome


def known_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the code cells that nbgrader knows."""
    return [c for c in notebook.cells if c.cell_type == "code" and grade_id(c) is not None]


def new_namespace() -> dict:
    """Return what a notebook's cells begin with."""
    return {"__name__": "__main__"}


@contextlib.contextmanager
def as_grader():
    """Run what is inside as grading does: no figure opens, nothing goes on a learner's record."""
    matplotlib.use("Agg")
    os.environ["NBGRADER_EXECUTION"] = "build"
    try:
        yield
    finally:
        del os.environ["NBGRADER_EXECUTION"]


def run_cell(source: str, name: str, namespace: dict) -> str:
    """Run one cell's source and return what it raised, or ""."""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            exec(compile(source, f"<{name}>", "exec"), namespace)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return ""
