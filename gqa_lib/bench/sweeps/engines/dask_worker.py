"""What Dask's workers do: run one job of a sweep, and stop when nobody waits for it any more."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...jobs import Job, library_digest
from ...machine import Slot
from ...run import run_job
from .lost import left_by

_GONE = ("closing", "closed", "failed")  # what distributed calls a worker that is not to go on

_stopped: set[str] = set()  # sweeps that were stopped while this process worked for them


def run_there(job: Job, out: str, slots: Mapping[Any, Slot], sweep: str) -> dict | None:
    """Run a job in a worker and return its record; None if the sweep was stopped before.

    Args:
        job: the run.
        out: the sweep's folder.
        slots: what a run may use, by the name of its worker; for others it is everything.
        sweep: what the command that asks for it is called.

    Raises:
        RuntimeError: the sweep's folder is not there, or the library is another.
    """
    from distributed import get_worker

    worker = get_worker()
    key, slot = worker.get_current_task(), slots.get(worker.name, Slot())
    if sweep in _stopped:
        return None
    if not Path(out).is_dir():
        raise RuntimeError(_no_folder(out))
    worker.log_event(sweep, {"key": key})

    def nobody_waits() -> bool:
        task = worker.state.tasks.get(key)
        return sweep in _stopped or task is None or task.state != "executing" or _gone(worker)

    try:
        return run_job(job, Path(out), slot=slot, stopped=nobody_waits)
    except KeyboardInterrupt:
        return left_by(job, Path(out), slot)


def _gone(worker: Any) -> bool:
    return worker.status.name in _GONE


def stop_there(sweep: str) -> None:
    """Stop what a worker does for a sweep.

    Args:
        sweep: what its command is called.
    """
    _stopped.add(sweep)


def look_there(mark: str, library: str) -> str | None:
    """Return why runs of a sweep are not possible in a worker, None where they are.

    Args:
        mark: a file in the sweep's folder.
        library: digest of the sources that it was started with.
    """
    if not Path(mark).exists():
        return _no_folder(str(Path(mark).parent))
    if library != library_digest():
        return (
            "it has another version of gqa_lib, torch or numpy, and results would not belong "
            "together: install the same there"
        )
    return None


def _no_folder(out: str) -> str:
    return f"it does not have the folder {out}: give an --out that all machines share"


def dask_setup(worker: Any) -> None:
    """Leave signals of the terminal to the command: it stops its workers in order.

    Args:
        worker: that begins.
    """
    for name in ("SIGINT", "SIGHUP"):
        with suppress(AttributeError, ValueError):
            signal.signal(getattr(signal, name), _for_the_command)


def _for_the_command(number: int, frame: object) -> None:
    """Unlike SIG_IGN this is not inherited by what a worker starts."""
