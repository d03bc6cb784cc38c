"""Runs a sweep on a Slurm cluster: arrays of tasks, each of which is one run.

What is kept for it is in the folder `.slurm` of the sweep's: for each array a list of its tasks, a
script and a log for each task; in `answers` where each run's record is. An array goes on without
the command that submitted it, and another one can follow it.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gqa_lib.processes import stopping

from ...jobs import Job, folder_name, result_of
from ..live import Progress
from . import slurm_commands as slurm
from .lost import lost
from .slurm_scripts import arrays, checked, script

_LOOK_S = 0.5  # how often answers are looked for
_PATIENCE_S = 30.0  # that a folder on the network may take to show what a node wrote
_CANCEL_S = 60  # that cancelled tasks have to end


@dataclass
class _Followed:
    """A job that is a task of an array.

    Attributes:
        job: what is run.
        name: of its answer.
        array, index: of its task.
        ended: when Slurm was first seen to have ended it, None before.
        task: as it stood when Slurm was last asked.
    """

    job: Job
    name: str
    array: str
    index: int
    ended: float | None = None
    task: slurm.Task | None = None


def run_slurm(
    jobs: Sequence[Job],
    out: Path,
    progress: Progress,
    *,
    options: Sequence[str] = (),
    at_a_time: int | None = None,
    look_s: float = 5.0,
    patience_s: float = _PATIENCE_S,
) -> None:
    """Run jobs as tasks of Slurm arrays, and follow them to their end.

    Those with a result are not submitted, those that an earlier command left in the queue are
    followed.

    Args:
        jobs: what is run.
        out: the sweep's folder, which all nodes have.
        progress: is told of each.
        options: of sbatch, as `partition=gpu` or `--partition=gpu`.
        at_a_time: how many tasks of an array run at most; None is as many as Slurm lets.
        look_s: how often Slurm is asked.
        patience_s: how long an answer may take after Slurm ended its task.

    Raises:
        KeyboardInterrupt: a signal. After Ctrl-C the tasks are cancelled, and the records of those
            that ran say so; after another one they go on.
        ValueError: there is no Slurm here, or it refuses the sweep.
    """
    from filelock import FileLock

    slurm.need_slurm()
    folder, given = out.resolve() / ".slurm", checked(options)
    (folder / "answers").mkdir(parents=True, exist_ok=True)
    with stopping():
        with FileLock(folder / "submitting.lock"):
            missing = _without_result(jobs, out, progress, given)
            followed = _in_the_queue(missing, folder)
            queued = {one.name for one in followed}
            new = {name: job for name, job in missing.items() if name not in queued}
            followed += _submitted(new, folder, given, at_a_time)
        _Follower(followed, out, progress, look_s, patience_s).to_the_end()


def _without_result(
    jobs: Sequence[Job], out: Path, progress: Progress, options: list[str]
) -> dict[str, Job]:
    """The jobs that are still to be done, by the names of their answers."""
    missing = {}
    for job in jobs:
        name = folder_name(job, " ".join(["Slurm", *sorted(options)]))
        answer = _answer(out, name) or {}
        record = answer.get("folder") and result_of(out / answer["folder"], job)
        if record:
            progress.ended(job, record | {"cached": True})
        else:
            missing[name] = job
    return missing


def _answer(out: Path, name: str) -> dict | None:
    try:
        return json.loads((out / ".slurm" / "answers" / f"{name}.json").read_text())
    except (OSError, ValueError):
        return None


def _in_the_queue(missing: dict[str, Job], folder: Path) -> list[_Followed]:
    """Of what is still to be done, the tasks that are in Slurm's queue."""
    there: dict[tuple[str, int], str] = {}
    for path in folder.glob("*.jsonl"):
        for index, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
            if (name := json.loads(line)["name"]) in missing:
                there[path.stem, index] = name
    tasks = slurm.queue({array for array, _ in there})
    if tasks is None:
        raise ValueError("Slurm does not answer (squeue failed): try again when it does.")
    found = {
        name: _Followed(missing[name], name, *place, task=tasks[place])
        for place, name in there.items()
        if place in tasks and not tasks[place].ended
    }
    return list(found.values())


def _submitted(
    jobs: dict[str, Job], folder: Path, options: list[str], at_a_time: int | None
) -> list[_Followed]:
    """Submit jobs; if Slurm refuses some, none stays in the queue."""
    names, followed, before = {id(job): name for name, job in jobs.items()}, [], ""
    try:
        for alone, part in arrays(list(jobs.values())):
            array = f"gqa-{secrets.token_hex(6)}"
            tasks = [_Followed(job, names[id(job)], array, n) for n, job in enumerate(part)]
            lines = [json.dumps({"name": one.name, "job": asdict(one.job)}) for one in tasks]
            for one in tasks:
                (folder / "answers" / f"{one.name}.json").unlink(missing_ok=True)
            (folder / f"{array}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
            path = folder / f"{array}.sh"
            path.write_text(script(array, folder, len(part), options, at_a_time, alone=alone))
            in_turn = [f"--dependency=afterany:{before}"] if before and at_a_time else []
            followed += tasks
            before = slurm.submit(str(path), *in_turn)
    except BaseException:
        slurm.cancel(sorted({one.array for one in followed}))
        raise
    return followed


class _Follower:
    """Waits for the records of tasks."""

    def __init__(
        self,
        followed: list[_Followed],
        out: Path,
        progress: Progress,
        look_s: float,
        patience_s: float,
    ):
        self._left, self._out, self._progress = followed, out, progress
        self._look_s, self._patience_s = look_s, patience_s
        self._asked = -look_s

    def to_the_end(self) -> None:
        """Wait for all; Ctrl-C cancels those that are left."""
        try:
            while self._left:
                self._step()
                time.sleep(_LOOK_S if self._left else 0)
        except KeyboardInterrupt as stop:
            if str(stop) in ("", "SIGINT"):
                self._cancel()
            raise

    def _step(self, *, lost_too: bool = True) -> None:
        now = time.monotonic()
        if now - self._asked >= self._look_s:
            self._asked = now
            if (tasks := slurm.queue({one.array for one in self._left})) is not None:
                for one in self._left:
                    self._note(one, tasks.get((one.array, one.index)), now)
        there = {path.stem for path in (self._out / ".slurm" / "answers").iterdir()}
        for one in list(self._left):
            late = one.ended is not None and now - one.ended >= self._patience_s
            record = self._record(one) if one.name in there else None
            if record is None and late and lost_too:
                why = slurm.why_it_ended(one.array, one.index, one.task)
                record = self._lost(one, why)
            if record:
                self._left.remove(one)
                self._progress.ended(one.job, record)
        self._show()

    def _note(self, one: _Followed, task: slurm.Task | None, now: float) -> None:
        one.task = task or one.task
        gone = task is None or task.ended
        one.ended = (one.ended or now) if gone else None

    def _record(self, one: _Followed) -> dict | None:
        answer = _answer(self._out, one.name) or {}
        if "lost" in answer:
            return self._lost(one, answer["lost"])
        if "stopped" in answer and one.ended is None:
            return None  # Slurm may have put it back into the queue
        try:
            path = self._out / answer["folder"] / "record.json"
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError):
            return None
        return record | ({"cached": True} if answer["cached"] else {})

    def _lost(self, one: _Followed, why: str) -> dict:
        seconds = one.task.seconds if one.task else 0.0
        return lost(one.job, self._out, why, engine="Slurm", wall_s=seconds)

    def _show(self) -> None:
        running = [
            (one.job, one.task.seconds)
            for one in self._left
            if one.task and one.task.began and not one.task.ended
        ]
        self._progress.running(running)

    def _cancel(self) -> None:
        """Cancel what is left, and wait for the records of what ran."""
        slurm.cancel(arrays := sorted({one.array for one in self._left}))
        tasks, give_up = slurm.queue(arrays) or {}, time.monotonic() + _CANCEL_S
        for one in self._left:
            one.task = tasks.get((one.array, one.index), one.task)
        self._left = [one for one in self._left if one.task and one.task.began]
        while self._left and time.monotonic() < give_up:
            self._step(lost_too=False)
            if all(one.ended is not None for one in self._left):
                give_up = min(give_up, time.monotonic() + min(5, self._patience_s))
            time.sleep(_LOOK_S)
