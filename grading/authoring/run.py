"""Runs a lesson's graded part in this process: quick, for checking our own notebooks."""

import contextlib
import io
import linecache
import os
import zlib
from collections.abc import Iterator
from unittest.mock import patch

import matplotlib
import torch
from nbformat import NotebookNode

from gqa_lib.learn.quiz.sitting import Sitting, taking
from grading.nb.cells import grade_id, is_graded, known_id


def run_graded(notebook: NotebookNode) -> dict[str, str]:
    """Run the cells nbgrader knows, in order; return graded cell -> what it raised, or "".

    These are the set-up, the exercises and the checks: what grading runs of a submission.
    """
    namespace, outcome = new_namespace(), {}
    with as_grader():
        for cell in known_cells(notebook):
            error = run_cell(cell.source, known_id(cell), namespace)
            if is_graded(cell):
                outcome[known_id(cell)] = error
    return outcome


def known_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the code cells that nbgrader knows."""
    return [c for c in notebook.cells if c.cell_type == "code" and grade_id(c) is not None]


def new_namespace() -> dict:
    """Return what a notebook's cells begin with."""
    return {"__name__": "__main__"}


@contextlib.contextmanager
def as_grader() -> Iterator[None]:
    """Run what is inside as grading does: no figure opens, nothing goes on a learner's record.

    Triton kernels run in its interpreter, GPU or not; torch has one thread, which is quicker for
    tensors this small.
    """
    matplotlib.use("Agg")
    triton = {"TRITON_INTERPRET": "1", "TRITON_FRONT_END_DEBUGGING": "1"}
    grader, threads = Sitting("grader"), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with patch.dict(os.environ, NBGRADER_EXECUTION="build", **triton), taking(grader):
            yield
    finally:
        torch.set_num_threads(threads)


def run_cell(source: str, name: str, namespace: dict) -> str:
    """Run one cell's source and return what it raised, or "".

    The source can be looked up by its name afterwards, as in a notebook: Triton reads its kernels.
    """
    file = f"<{name} {zlib.crc32(source.encode()):08x}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            exec(compile(source, file, "exec"), namespace)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return ""
