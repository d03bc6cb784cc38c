"""Runs a sweep on this machine: a run in each slot, and those that time alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from gqa_lib.processes import stopping

from ...jobs import Job, by_quiet
from ...machine import Slot
from ...run import LOOK_S, Turn
from ..live import Progress


def run_local(jobs: Sequence[Job], out: Path, progress: Progress, *, slots: Sequence[Slot]) -> None:
    """Run jobs, each in a slot; after them those that time, one by one.

    Args:
        jobs: what is run.
        out: the sweep's folder.
        progress: is told of each.
        slots: places for runs.

    Raises:
        KeyboardInterrupt: a signal; all that was under way has ended, and its records say so.
    """
    together, alone = by_quiet(jobs)
    with stopping():
        _run(together, out, progress, slots)
        _run(alone, out, progress, [Slot(gpu=slots[0].gpu)])  # with all cores


def _run(jobs: list[Job], out: Path, progress: Progress, slots: Sequence[Slot]) -> None:
    waiting, free, turns = iter(jobs), list(slots), list[Turn]()
    try:
        while True:
            while free and (job := next(waiting, None)):
                turns.append(Turn(job, out, free.pop(0)))
            if not turns:
                return
            there = len(turns)
            for turn in list(turns):
                if record := turn.step():
                    turns.remove(turn)
                    free.append(turn.slot)
                    progress.ended(turn.job, record)
            progress.running([(turn.job, turn.seconds) for turn in turns])
            if len(turns) == there:
                time.sleep(LOOK_S)
    except BaseException as stop:
        for turn in turns:
            if record := turn.stop(str(stop) or type(stop).__name__):
                progress.ended(turn.job, record)
        raise
