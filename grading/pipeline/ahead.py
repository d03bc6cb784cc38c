"""Runs a class's notebooks before nbgrader's own steps come to them, several at a time."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gqa_lib.learn.quiz.sitting import Sitting
from grading.intake.admit import admit, opened
from grading.intake.reading import parse
from grading.intake.rebuild import rebuild_or_refuse
from grading.limited.verdict import verdict_of
from grading.nb.cells import grade_id
from grading.safe.cell import Cell
from grading.safe.execute import cells_of, remember, run_cells
from grading.safe.limits import Limits
from grading.safe.pool import GradingProcesses


@dataclass(frozen=True)
class Assignment:
    """What the tests of an assignment are: the release, and the locked cells by notebook."""

    names: tuple[str, ...]
    released: dict
    locked: dict[str, dict[str, str]]
    fingerprint: str


def default_workers() -> int:
    """Return how many notebooks to run at once: each keeps a student and a judge busy in turn."""
    return max(2, len(os.sched_getaffinity(0)) * 3 // 4)


def run_ahead(
    folder: Path,
    assignment: Assignment,
    processes: GradingProcesses,
    sitting: Sitting,
    log: logging.Logger,
    *,
    alone: bool = False,
) -> bool:
    """Run a submission's notebooks now; nbgrader's own steps then find what came of them.

    Where that stops, those steps come to it again and give it its verdict.

    Args:
        folder: the submission.
        assignment: what it is of.
        processes: in which they run.
        sitting: whose quiz it has.
        log: what went wrong.
        alone: nothing else runs: its verdicts stand.

    Returns:
        Whether it is to run once more alone.
    """
    try:
        for cells in _cells_to_run(folder, assignment):
            if run_cells(cells, processes, Limits(), sitting, log) and not alone:
                return True
            remember(cells, sitting)
    except Exception as error:
        log.error("%s: %s", folder, verdict_of(error, "Running it ahead"), exc_info=error)
    return False


def _cells_to_run(folder: Path, assignment: Assignment) -> Iterator[list[Cell]]:
    with opened(folder) as descriptor:
        admitted = admit(descriptor, [f"{name}.ipynb" for name in assignment.names])
    for name, one in zip(assignment.names, admitted, strict=True):
        submitted = one.notebook or parse(one.content)
        rebuilt, _ = rebuild_or_refuse(submitted, assignment.released[name])
        for cell in rebuilt.cells:  # as nbgrader's OverwriteCells has it
            cell.source = assignment.locked[name].get(grade_id(cell) or "", cell.source)
        yield cells_of(rebuilt)[1]
