"""Slurm's commands: what the engine asks of a cluster, and what the answers mean."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_MAX_ARRAY = 1001  # Slurm's default
_WAIT_S = 120  # for a command's answer
_ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"),
    *("PREEMPTED", "REVOKED", "TIMEOUT"),
}
NO_FOLDER, NO_PYTHON = 72, 73  # exit codes of the script
_CODES = {
    NO_FOLDER: "its node does not have the folder for results: give an --out that all nodes share",
    NO_PYTHON: "its node does not have this Python: the environment must be at the same path there",
}
_HINTS = {
    "TIMEOUT": "give a longer --sbatch time=",
    "OUT_OF_MEMORY": "give more --sbatch mem=",
}


@dataclass(frozen=True)
class Task:
    """How a task of an array stands.

    Attributes:
        state: as Slurm calls it.
        seconds: that it has been running.
        reason: why it is in that state, as Slurm calls it.
    """

    state: str
    seconds: float
    reason: str

    @property
    def ended(self) -> bool:
        """Whether it will not go on."""
        return self.state in _ENDED

    @property
    def began(self) -> bool:
        """Whether it runs, or ran before it ended."""
        return self.seconds > 0 or self.state in ("RUNNING", "COMPLETING")


def need_slurm() -> None:
    """Make sure that Slurm's commands are there.

    Raises:
        ValueError: they are not.
    """
    needed = ("sbatch", "squeue", "scancel", "scontrol")
    missing = [name for name in needed if not shutil.which(name)]
    if missing:
        raise ValueError(
            f"--slurm needs Slurm's commands, and there is no {missing[0]} here: give it on a "
            "login node of the cluster, or leave it out to run on this machine."
        )


def max_array_size() -> int:
    """Return how many tasks an array may have on this cluster, or else by Slurm's default."""
    try:
        told = _asked("scontrol", "show", "config").stdout
    except OSError:
        return _MAX_ARRAY
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", told, re.MULTILINE)
    return max(1, int(found[1])) if found else _MAX_ARRAY


def submit(script: str, *options: str) -> str:
    """Submit a script and return the job's number.

    Args:
        script: its path.
        options: of sbatch, in addition to those in the script.

    Raises:
        ValueError: Slurm refuses it.
    """
    done = _asked("sbatch", "--parsable", *options, script)
    if done.returncode:
        told = " ".join(done.stderr.replace("sbatch: error: ", "").split())
        raise ValueError(f"Slurm refuses the sweep, so nothing was submitted: {told}")
    return done.stdout.strip().split(";")[0]


def queue(arrays: Iterable[str]) -> dict[tuple[str, int], Task] | None:
    """Return the tasks of arrays, by array and index; None if Slurm does not answer.

    Args:
        arrays: their names.
    """
    if not (names := ",".join(arrays)):
        return {}
    form = "--format=%j|%K|%T|%M|%r"
    done = _asked(
        "squeue", "--me", f"--name={names}", "--noheader", "--array", "--states=all", form
    )
    return None if done.returncode else read_queue(done.stdout)


def read_queue(text: str) -> dict[tuple[str, int], Task]:
    """Return what squeue printed as tasks, by array and index.

    Args:
        text: lines `name|index|state|time|reason`.
    """
    tasks: dict[tuple[str, int], Task] = {}
    for line in text.splitlines():
        name, index, state, time, reason = (*line.strip().split("|"), "", "", "", "")[:5]
        if index.isdigit():
            tasks[name, int(index)] = Task(state, _seconds(time), reason)
    return tasks


def _seconds(time: str) -> float:
    """The seconds of a time as Slurm writes it: 1-02:03:04, 2:03:04, 3:04."""
    days, _, rest = time.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdigit() for part in (days or "0", *parts)):
        return 0.0
    seconds = 0
    for part in parts:
        seconds = seconds * 60 + int(part)
    return seconds + 86400.0 * int(days or 0)


def cancel(arrays: Sequence[str]) -> None:
    """Cancel arrays.

    Args:
        arrays: their names.
    """
    for array in arrays:
        _asked("scancel", f"--name={array}")


def why_it_ended(array: str, index: int, task: Task | None) -> str:
    """Return why a task left no record, in words.

    Args:
        array: its name.
        index: of the task in it.
        task: as it last stood; None: Slurm does not know it any more.
    """
    if task is None:
        return "Slurm does not know the task any more; sacct may tell what became of it"
    code, number = _exit_code(array, index)
    if code in _CODES:
        return _CODES[code]
    told = [f"Slurm ended the task: {task.state}"]
    told += [f"reason {task.reason}"] if task.reason not in ("", "None") else []
    told += [f"exit code {code}"] if code else []
    told += [f"signal {number}"] if number else []
    hint = _HINTS.get(task.state, f"its log is .slurm/{array}-{index}.log")
    return f"{', '.join(told)}; {hint}"


def _exit_code(array: str, index: int) -> tuple[int, int]:
    """The exit code of a task and the signal that ended it, 0 where Slurm does not tell."""
    listed = _asked(
        *("squeue", "--me", f"--name={array}", "--noheader", "--array", "--states=all"),
        "--format=%F|%K",
    )
    for line in listed.stdout.splitlines():
        job, _, number = line.strip().partition("|")
        if number == str(index):
            shown = _asked("scontrol", "--oneliner", "show", "job", f"{job}_{index}").stdout
            if found := re.search(r"\bExitCode=(\d+):(\d+)", shown):
                return int(found[1]), int(found[2])
    return 0, 0


def _asked(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=_WAIT_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"no answer within {_WAIT_S} s")
