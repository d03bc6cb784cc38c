"""The scripts that are submitted to Slurm, and which options of sbatch may be passed on."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...jobs import Job, by_quiet
from . import slurm_commands as slurm

_OURS = frozenset(("array", "chdir", "job-name", "output", "parsable", "wait", "wrap"))


def checked(options: Iterable[str]) -> list[str]:
    """Return options of sbatch with their dashes.

    Args:
        options: as given, with or without dashes.

    Raises:
        ValueError: one has a line break, or is set by the engine.
    """
    found = []
    for option in options:
        if not option.strip("- ") or not option.isprintable():
            raise ValueError(
                f"--sbatch {option!r} is not an option of sbatch, as partition=gpu is."
            )
        name = option.lstrip("-").partition("=")[0]
        if name in _OURS or re.match(r"-[aDJoW]", option):
            raise ValueError(f"--sbatch {option}: gqa sets {name} itself, so leave it out.")
        found.append(option if option.startswith("-") else f"--{option}")
    return found


def scripts(
    jobs: Sequence[Job], out: Path, options: Iterable[str] = (), at_a_time: int | None = None
) -> list[str]:
    """Return the scripts that would be submitted for jobs of which none is done.

    Args:
        jobs: what is run.
        out: the sweep's folder.
        options: of sbatch.
        at_a_time: how many tasks of an array run at most.
    """
    given, folder = checked(options), out.resolve() / ".slurm"
    return [
        script(f"gqa-{number}", folder, len(part), given, at_a_time, alone=alone)
        for number, (alone, part) in enumerate(arrays(list(jobs)), 1)
    ]


def arrays(jobs: list[Job]) -> list[tuple[bool, list[Job]]]:
    """Return jobs by array, with whether its tasks have a node for themselves.

    Args:
        jobs: all of them.
    """
    most, found = slurm.max_array_size(), []
    for alone, those in zip((False, True), by_quiet(jobs), strict=True):
        found += [(alone, those[at : at + most]) for at in range(0, len(those), most)]
    return found


def script(
    name: str, folder: Path, tasks: int, options: list[str], at_a_time: int | None, *, alone: bool
) -> str:
    """Return the script of an array.

    Args:
        name: of the array.
        folder: that has its list of tasks, and gets their logs.
        tasks: how many there are.
        options: of sbatch, with dashes.
        at_a_time: how many run at most.
        alone: whether each has its node for itself.
    """
    limit = f"%{at_a_time}" if at_a_time else ""
    own = [f"--job-name={name}", f"--array=0-{tasks - 1}{limit}", f"--chdir={folder}"]
    own += ["--output=%x-%a.log", *(["--exclusive"] if alone else []), *options]
    where, python = shlex.quote(str(folder)), shlex.quote(sys.executable)
    lines = [
        "#!/bin/sh",
        *(f"#SBATCH {shlex.quote(option)}" for option in own),
        'export OMP_NUM_THREADS="${OMP_NUM_THREADS:-${SLURM_CPUS_ON_NODE:-1}}"',
        f"cd {where} && [ -f {name}.jsonl ] || exit {slurm.NO_FOLDER}",
        f"[ -x {python} ] || exit {slurm.NO_PYTHON}",
        f"exec {python} -m gqa_lib.bench.sweeps.engines.slurm_task {name}.jsonl",
    ]
    return "\n".join(lines) + "\n"
