"""Where `gqa bench run` runs a sweep: on this machine, on a Slurm cluster, or on Dask."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gqa_lib.bench.jobs import Job
    from gqa_lib.bench.sweeps.live import Progress


def _no_scripts(jobs: Sequence[Job], out: Path) -> list[str]:
    return []


@dataclass(frozen=True)
class Engine:
    """What runs a sweep.

    Attributes:
        run: takes its jobs, its folder, and what is told of each run.
        here: whether the runs are on this machine.
        at_a_time: how many are at most, None where nobody knows.
        scripts: what it would submit, for jobs and a folder.
    """

    run: Callable[[Sequence[Job], Path, Progress], None]
    here: bool
    at_a_time: int | None
    scripts: Callable[[Sequence[Job], Path], list[str]] = _no_scripts


def arguments(parser: ArgumentParser) -> None:
    """Add the arguments that say where a sweep runs.

    Args:
        parser: the command's.
    """
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--slurm", action="store_true", help="run on a Slurm cluster, as job arrays")
    where.add_argument("--dask", nargs="?", const="", metavar="ADDRESS", help="run on Dask: on the "
        "cluster whose scheduler has this address, or on this machine")  # fmt: skip
    parser.add_argument("--sbatch", action="append", default=[], metavar="OPTION", help="of "
        "sbatch, for --slurm, without dashes: partition=gpu; may be repeated")  # fmt: skip


def engine(asked: Namespace, slots: int | None) -> Engine:
    """Return what the arguments choose.

    Args:
        asked: the parsed arguments.
        slots: how many runs are wanted at a time; None leaves it to the engine.

    Raises:
        ValueError: they do not fit together, or this machine has fewer slots.
        ModuleNotFoundError: Dask is not installed.
    """
    if asked.sbatch and not asked.slurm:
        raise ValueError("--sbatch gives options of a Slurm job: add --slurm, or leave it out.")
    if asked.slurm:
        from gqa_lib.bench.sweeps.engines.slurm import run_slurm
        from gqa_lib.bench.sweeps.engines.slurm_scripts import scripts

        how = {"options": asked.sbatch, "at_a_time": slots}
        return Engine(partial(run_slurm, **how), False, slots, partial(scripts, **how))
    if asked.dask is not None:
        return _dask(asked.dask, slots)
    from gqa_lib.bench.machine import slots as places_of
    from gqa_lib.bench.sweeps.engines.local import run_local

    places = places_of(slots)
    return Engine(partial(run_local, slots=places), True, len(places))


def _dask(address: str, slots: int | None) -> Engine:
    from gqa_lib.course.extras import require

    if address and "://" not in address:
        raise ValueError(
            f"--dask {address}: a scheduler's address is like tcp://host:8786. For workers on this "
            "machine put --dask last."
        )
    require("distributed")
    from gqa_lib.bench.machine import slots as places_of
    from gqa_lib.bench.sweeps.engines.dask import run_dask, run_dask_here

    if address:
        return Engine(partial(run_dask, address=address, at_a_time=slots), False, slots)
    places = places_of(slots)
    return Engine(partial(run_dask_here, slots=places), True, len(places))
