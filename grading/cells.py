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
    matplotlib.use("Agg")
    namespace: dict = {"__name__": "__main__"}
    outcome = {}
    os.environ["NBGRADER_EXECUTION"] = "build"
    try:
        for cell in notebook.cells:
            if cell.cell_type != "code" or grade_id(cell) is None:
                continue
            error = _run(cell.source, grade_id(cell), namespace)
            if is_graded(cell):
                outcome[grade_id(cell)] = error
    finally:
        del os.environ["NBGRADER_EXECUTION"]
    return outcome


def _run(source: str, name: str, namespace: dict) -> str:
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            exec(compile(source, f"<{name}>", "exec"), namespace)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return ""
