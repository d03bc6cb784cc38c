"""Runs a sweep on Dask: on workers on this machine, or on those of a scheduler somewhere.

A worker's death is Dask's to mend: the run is repeated on another worker, until it has taken along
too many. Runs end with the command that wants them: when it is gone, the scheduler drops what it
asked for, and the workers see that.
"""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gqa_lib.processes import end_below, stopping

from ...jobs import Job, by_quiet, library_digest
from ...machine import Slot
from ...run import LOOK_S
from ..live import Progress
from .dask_worker import __name__ as _WORKER
from .dask_worker import look_there, run_there, stop_there
from .lost import lost

if TYPE_CHECKING:
    from distributed import Client, Future

_CONNECT_S = 20
_CLOSE_S = 30  # that workers have to end
_STOP_S = 60  # that runs have to end in order


def run_dask_here(
    jobs: Sequence[Job], out: Path, progress: Progress, *, slots: Sequence[Slot]
) -> None:
    """Run jobs on workers on this machine, one for each slot.

    Args:
        jobs: what is run.
        out: the sweep's folder.
        progress: is told of each.
        slots: places for runs.

    Raises:
        KeyboardInterrupt: a signal; all that was under way has ended, and its records say so.
    """
    with stopping(), _workers_here(len(slots)) as client:
        _Sweep(client, out, progress, dict(enumerate(slots))).run(jobs, None)


def run_dask(
    jobs: Sequence[Job],
    out: Path,
    progress: Progress,
    *,
    address: str,
    at_a_time: int | None = None,
) -> None:
    """Run jobs on the workers of a scheduler that is running.

    Args:
        jobs: what is run.
        out: the sweep's folder, which all workers have.
        progress: is told of each.
        address: of the scheduler.
        at_a_time: how many runs it is given at most; None is all.

    Raises:
        KeyboardInterrupt: a signal; all that was under way has ended, and its records say so.
        ValueError: a worker does not have the folder, or has another version of the library; or
            certificates are missing.
        OSError: the scheduler does not answer.
    """
    from distributed import Client

    with stopping():
        try:
            client = Client(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError) as trouble:
            raise OSError(
                f"no Dask scheduler answers at {address} ({trouble}): is it running, and is this "
                "its address?"
            ) from None
        except TypeError as trouble:  # so distributed says it
            if "TLS" not in str(trouble):
                raise
            raise ValueError(
                f"{address} needs certificates, and distributed's configuration names none: set "
                "distributed.comm.tls there."
            ) from None
        with client:
            _check_workers(client, out)
            _Sweep(client, out, progress, {}).run(jobs, at_a_time)


@contextmanager
def _workers_here(number: int) -> Iterator[Client]:
    """Workers that nobody else on this machine can reach, and that end with this process."""
    import dask
    from distributed import Client, LocalCluster
    from distributed.security import Security

    settings = {
        "distributed.nanny.pre-spawn-environ": {},  # threads are the runs' own matter
        "distributed.scheduler.worker-saturation": 1.0,  # no run waits at a worker that may die
    }
    late = threading.Timer(_CLOSE_S, end_below, [os.getpid()])  # what does not end by itself
    late.daemon = True
    try:
        with (
            tempfile.TemporaryDirectory(prefix="gqa-dask-") as folder,
            dask.config.set(settings),
            LocalCluster(
                n_workers=number,
                threads_per_worker=1,
                host="127.0.0.1",
                security=Security.temporary(),
                dashboard_address="127.0.0.1:0",
                worker_dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
                memory_limit=0,
                local_directory=folder,
                preload=[_WORKER],
                silence_logs=logging.CRITICAL,
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            try:
                yield client
            finally:
                late.start()
    finally:
        late.cancel()


def _check_workers(client: Client, out: Path) -> None:
    """Refuse a sweep that a worker could not run; those that come later see to it themselves."""
    mark = out.resolve() / f".here-{secrets.token_hex(6)}"
    out.mkdir(parents=True, exist_ok=True)
    mark.touch()
    try:
        told = client.run(look_there, str(mark), library_digest(), on_error="return")
    finally:
        mark.unlink()
    for worker, why in told.items():
        if isinstance(why, ImportError):
            why = f"it does not have the course ({why}): install the same version there"
        if why:
            raise ValueError(f"the Dask worker {worker} cannot run this: {why}.")


class _Sweep:
    """The runs of one command, as Dask has them."""

    def __init__(self, client: Client, out: Path, progress: Progress, slots: Mapping[Any, Slot]):
        self._client, self._out, self._progress, self._slots = client, out, progress, slots
        self._name = f"gqa-bench-{secrets.token_hex(6)}"
        self._futures: dict[Future, Job] = {}
        self._began: dict[str, float] = {}

    def run(self, jobs: Sequence[Job], at_a_time: int | None) -> None:
        """Run jobs; those that time come last."""
        together, alone = by_quiet(jobs)
        waiting = chain(((job, False) for job in together), ((job, True) for job in alone))
        self._client.subscribe_topic(self._name, self._note_begin)
        try:
            while True:
                while at_a_time is None or len(self._futures) < at_a_time:
                    if (one := next(waiting, None)) is None:
                        break
                    self._submit(*one)
                if not self._futures:
                    return
                self._collect()
                self._show()
                time.sleep(LOOK_S)
        except KeyboardInterrupt:
            with suppress(OSError, TimeoutError):
                self._stop()
            raise

    def _submit(self, job: Job, last: bool) -> None:
        future = self._client.submit(
            run_there,
            job,
            str(self._out.resolve()),
            dict(self._slots if not last else self._alone()),
            self._name,
            key=f"{job.name}-{secrets.token_hex(8)}",
            pure=False,
            priority=-1 if last else 0,
        )
        self._futures[future] = job

    def _alone(self) -> dict[Any, Slot]:
        """Slots with all cores, for runs that have the machine for themselves."""
        return {name: Slot(gpu=slot.gpu) for name, slot in self._slots.items()}

    def _note_begin(self, event: tuple[float, dict]) -> None:
        self._began[event[1]["key"]] = time.monotonic()

    def _collect(self) -> None:
        if self._client.status not in ("running", "connecting"):
            raise OSError(
                "the Dask scheduler is gone, and the runs with it: give the same command again "
                "when it is back."
            )
        for future in [one for one in self._futures if one.done()]:
            job = self._futures.pop(future)
            if record := self._record(future, job):
                self._progress.ended(job, record)

    def _record(self, future: Future, job: Job) -> dict | None:
        if future.status == "finished":
            return future.result()
        trouble = future.exception() if future.status == "error" else None
        if trouble is None:
            return lost(job, self._out, "Dask dropped the run", engine="Dask")
        from distributed import KilledWorker

        why = str(trouble) or type(trouble).__name__
        if isinstance(trouble, KilledWorker):
            why = (
                "its Dask workers died again and again, as they do where memory runs out; "
                "their logs may tell why"
            )
        return lost(job, self._out, why, engine="Dask")

    def _show(self) -> None:
        now = time.monotonic()
        running = [
            (job, now - self._began[future.key])
            for future, job in self._futures.items()
            if future.key in self._began
        ]
        self._progress.running(running)

    def _stop(self) -> None:
        """End what runs, and wait for its records."""
        begun = [one for one in self._futures if one.key in self._began]
        self._client.cancel([one for one in self._futures if one.key not in self._began])
        self._futures = {one: self._futures[one] for one in begun}
        tell = partial(self._client.run, stop_there, self._name, on_error="ignore")
        threading.Thread(target=tell, daemon=True).start()  # a worker may not answer any more
        give_up = time.monotonic() + _STOP_S
        while self._futures and time.monotonic() < give_up:
            self._collect()
            time.sleep(LOOK_S)
