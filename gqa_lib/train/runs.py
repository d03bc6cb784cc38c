"""Runs that are computed once each, several at a time, and kept where they are not lost."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import torch
from filelock import FileLock, Timeout

from gqa_lib.arguments import check_distinct, check_kind, check_whole, place_for, plain, several
from gqa_lib.course.files import replace_file
from gqa_lib.processes import end_with

from .loop import shown

Rows = list[dict[str, Any]]


class Job(Protocol):
    """What some runs have in common; it can be sent to another process."""

    @property
    def device(self) -> str:
        """Where the runs compute."""

    @property
    def folder(self) -> Path | None:
        """Where they are kept; None keeps none."""

    def about(self) -> dict[str, Any]:
        """Return what they are of, ready for JSON: a folder holds runs of one such thing."""

    def do(self, run: Any) -> Rows:
        """Compute a run, from its checkpoints if there are some, and return its rows."""


def whole_seeds(seeds: Any) -> list[int]:
    """Return seeds as a list.

    Raises:
        ValueError: one is no whole number, or there twice, or there is none.
    """
    numbers = several(seeds, "seeds", "whole numbers")
    for one in numbers:
        check_whole(None, seeds=one)
    numbers = [plain(one) for one in numbers]
    check_distinct(numbers, "seeds")
    return numbers


def checked_folder(folder: Any) -> Path | None:
    """Return where runs are kept, None for nowhere.

    Args:
        folder: a path, or None.

    Raises:
        ValueError: it is neither, or a file.
    """
    if folder is None:
        return None
    path = place_for(folder, "folder")
    if path.exists() and not path.is_dir():
        raise ValueError(f"folder={folder} is a file: runs are kept in a folder. Name one.")
    return path


def kind_of(device: str) -> str:
    """Return the type of a device, such as "cuda" of "cuda:1": results are the same on both.

    Args:
        device: as torch writes it.
    """
    return torch.device(device).type


def compute(job: Job, runs: Sequence[Hashable], workers: int | None, bar: bool) -> list[Rows]:
    """Return the rows of each run; those that are kept already are not computed again.

    Args:
        job: what they have in common.
        runs: what each is, as its file is called.
        workers: runs at a time, each a process with one thread; None is one per CPU core, and one
            on a GPU.
        bar: whether a bar shows how far it is; it needs tqdm.

    Raises:
        ValueError: the folder is of another job, or in use.
        RuntimeError: a process ended before its run did.
    """
    check_kind(bool, "Give True or False.", bar=bar)
    if workers is None:
        workers = _cores() if job.device == "cpu" else 1
    check_whole(workers=workers)
    with _own(job) if job.folder else nullcontext():
        done = {run: rows for run in runs if (rows := _finished(job, run)) is not None}
        todo = [run for run in runs if run not in done]
        workers = min(workers, len(todo))
        pairs = _together(job, todo, workers) if workers > 1 else _one_by_one(job, todo)
        done |= dict(shown(pairs, len(todo), "run") if bar else pairs)
    return [done[run] for run in runs]


def _finished(job: Job, run: Hashable) -> Rows | None:
    file = job.folder and job.folder / f"{run}.json"
    return _read(file) if file and file.exists() else None


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except ValueError as trouble:
        raise ValueError(
            f"{file} is damaged ({trouble}): remove it, and what it was of is computed again."
        ) from None


def _done(job: Job, run: Hashable) -> Rows:
    rows = job.do(run)
    if job.folder:
        replace_file(job.folder / f"{run}.json", json.dumps(rows, indent=1))
        (job.folder / f"{run}.pt").unlink(missing_ok=True)
    return rows


@contextmanager
def _own(job: Job) -> Iterator[None]:
    """Have the job's folder to oneself, and make sure that it is of this job."""
    assert job.folder
    job.folder.mkdir(parents=True, exist_ok=True)
    about, file = job.about(), job.folder / "sweep.json"
    with _lock(job.folder):
        if not file.exists():
            replace_file(file, json.dumps(about, indent=1))
        was = _read(file)
        for name, wanted in json.loads(json.dumps(about)).items():
            if was.get(name) != wanted:
                raise ValueError(
                    f"{job.folder} holds a sweep with {name}={was.get(name)}, and here it is "
                    f"{wanted}: their runs cannot be compared. Choose another folder."
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


def _one_by_one(job: Job, runs: Sequence[Hashable]) -> Iterator[tuple[Hashable, Rows]]:
    threads = torch.get_num_threads()
    if job.device == "cpu":
        torch.set_num_threads(1)
    try:
        for run in runs:
            yield run, _done(job, run)
    finally:
        torch.set_num_threads(threads)


def _together(job: Job, runs: Sequence[Hashable], workers: int) -> Iterator[tuple[Hashable, Rows]]:
    try:
        yield from _in_processes(job, runs, workers)
    except BrokenProcessPool:
        raise RuntimeError(
            f"one of {workers} processes ended before its run did. Each imports the program "
            "that called this: in a script the call must stand below "
            '`if __name__ == "__main__":`. If it does, the memory was not enough: give fewer '
            "workers, or workers=1."
        ) from None


def _in_processes(
    job: Job, runs: Sequence[Hashable], workers: int
) -> Iterator[tuple[Hashable, Rows]]:
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_begin, initargs=(os.getpid(), job)
    ) as pool:
        waiting = {pool.submit(_do, run): run for run in runs}
        try:
            for one in as_completed(waiting):
                yield waiting[one], one.result()
        finally:  # after an error, what has not begun is not begun
            pool.shutdown(cancel_futures=True)


_job: Job  # of this process, where it is a worker


def _begin(parent: int, job: Job) -> None:
    global _job
    end_with(parent)
    torch.set_num_threads(1)
    _job = job


def _do(run: Hashable) -> Rows:
    return _done(_job, run)


def _cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
