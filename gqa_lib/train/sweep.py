"""Several seeds of several models, in one call that goes on where it was stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import torch
from filelock import FileLock, Timeout

from gqa_lib.arguments import check_kind, check_whole, several
from gqa_lib.course.files import replace_file
from gqa_lib.measure import pick_device
from gqa_lib.processes import end_with

from .loop import shown, train
from .recipe import Recipe
from .task import Heads, Task

_LABELS = ("num_heads", "num_kv_heads", "head_dim", "cached_numbers", "params", "seed")


class Run(NamedTuple):
    """One model to train."""

    heads: Heads
    seed: int

    def __str__(self) -> str:
        return f"{self.heads}-seed{self.seed}"


def sweep(
    task: Task,
    heads: Iterable[Heads],
    seeds: Iterable[int],
    recipe: Recipe | None = None,
    *,
    folder: str | Path | None = None,
    device: str | None = None,
    workers: int | None = None,
    bar: bool = False,
) -> list[dict[str, Any]]:
    """Train every model from every seed, and return what came of each.

    On a CPU each run has one thread, so that what comes out does not depend on how many are at
    work. Models with the same seed are shown the same batches: their results are pairs.

    Args:
        task: what they learn.
        heads: of each model.
        seeds: of weights and batches.
        recipe: how; None is Recipe().
        folder: where finished runs and checkpoints are kept: the same call goes on from there, and
            one with more heads or seeds computes only those. None keeps nothing.
        device: as in `gqa_lib.measure.pick_device`.
        workers: runs at a time, each a process; None is one per CPU core, and one on a GPU.
        bar: whether a bar shows how far it is; it needs tqdm.

    Returns:
        A row for each evaluation, ordered by heads, seeds and steps: the heads, "cached_numbers"
        per token and layer, "params", "seed", and what `fit` gives. `final` picks the last ones.

    Raises:
        ValueError: the folder holds the runs of another task or recipe, or as in `fit`.
    """
    recipe, place = recipe or Recipe(), pick_device(device)
    check_kind(Recipe, "Give Recipe(...).", recipe=recipe)
    every = several(heads, "heads", "Heads(...)")
    numbers = several(seeds, "seeds", "whole numbers")
    for one in every:
        check_kind(Heads, "Give Heads(num_heads, num_kv_heads, head_dim).", heads=one)
    for one in numbers:
        check_whole(None, seeds=one)
    runs = [Run(one, seed) for one in every for seed in numbers]
    if workers is None:
        workers = _cores() if place.type == "cpu" else 1
    check_whole(workers=workers)
    job = _Job(task, recipe, str(place), None if folder is None else Path(folder))
    with _own(job) if job.folder else nullcontext():
        done = {run: rows for run in runs if (rows := job.finished(run)) is not None}
        todo = [run for run in runs if run not in done]
        done |= _all(job, todo, min(workers, len(todo)), bar)
    return [row for run in runs for row in done[run]]


def final(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the last row of each run, in the order of the runs.

    Args:
        rows: as `sweep` returns them.
    """
    last = {tuple(row[name] for name in _LABELS): row for row in rows}
    return list(last.values())


class _Job(NamedTuple):
    """What all runs of a sweep have in common, and where they are kept."""

    task: Task
    recipe: Recipe
    device: str
    folder: Path | None

    def finished(self, run: Run) -> list[dict[str, Any]] | None:
        """The rows of a run that reached its end, None for one that did not."""
        file = self.folder and self.folder / f"{run}.json"
        return json.loads(file.read_text()) if file and file.exists() else None

    def do(self, run: Run) -> list[dict[str, Any]]:
        """Train a model, from its checkpoint if there is one, and keep its rows."""
        path = self.folder and self.folder / f"{run}.pt"
        model, rows = train(
            self.task, run.heads, self.recipe, seed=run.seed, device=self.device, path=path
        )
        about = asdict(run.heads) | {
            "cached_numbers": run.heads.cached_numbers,
            "params": sum(one.numel() for one in model.parameters()),
            "seed": run.seed,
        }
        rows = [about | row for row in rows]
        if self.folder and path:
            replace_file(self.folder / f"{run}.json", json.dumps(rows, indent=1))
            path.unlink(missing_ok=True)
        return rows


@contextmanager
def _own(job: _Job) -> Iterator[None]:
    """Have the job's folder to itself, and make sure that it is of this task and recipe."""
    assert job.folder
    job.folder.mkdir(parents=True, exist_ok=True)
    about, file = job.task.described() | asdict(job.recipe), job.folder / "sweep.json"
    with _lock(job.folder):
        if not file.exists():
            replace_file(file, json.dumps(about, indent=1))
        was = json.loads(file.read_text())
        for name in about:
            if was.get(name) != about[name]:
                raise ValueError(
                    f"{job.folder} holds a sweep with {name}={was.get(name)}, and here it is "
                    f"{about[name]}: their runs cannot be compared. Choose another folder."
                )
        yield


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise ValueError(
            f"{folder} is in use by another sweep, which keeps its runs there: wait for it, or "
            "choose another folder."
        ) from None


def _all(
    job: _Job, runs: Sequence[Run], workers: int, bar: bool
) -> dict[Run, list[dict[str, Any]]]:
    """The rows of all runs, computed by so many processes at a time."""
    pairs = _one_by_one(job, runs) if workers < 2 else _together(job, runs, workers)
    return dict(shown(pairs, len(runs), "run") if bar else pairs)


def _one_by_one(job: _Job, runs: Sequence[Run]) -> Iterator[tuple[Run, list[dict[str, Any]]]]:
    threads = torch.get_num_threads()
    if job.device == "cpu":
        torch.set_num_threads(1)
    try:
        for run in runs:
            yield run, job.do(run)
    finally:
        torch.set_num_threads(threads)


def _together(
    job: _Job, runs: Sequence[Run], workers: int
) -> Iterator[tuple[Run, list[dict[str, Any]]]]:
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_begin, initargs=(os.getpid(), job)
    ) as pool:
        waiting = {pool.submit(_do, run): run for run in runs}
        try:
            for one in as_completed(waiting):
                yield waiting[one], one.result()
        finally:  # after an error, what has not begun is not begun
            pool.shutdown(cancel_futures=True)


_job: _Job  # of this process, where it is a worker


def _begin(parent: int, job: _Job) -> None:
    global _job
    end_with(parent)
    torch.set_num_threads(1)
    _job = job


def _do(run: Run) -> list[dict[str, Any]]:
    return _job.do(run)


def _cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
