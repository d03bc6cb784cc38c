"""Running benchmark notebooks one by one: at once, or as what a sweep asks for.

Here a run waits for its place on the machine, is looked up among the results there are, and is
tried again if somebody kills its process. `child` has what happens in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from gqa_lib.processes import stopping

from .child import Run
from .jobs import Job, folder_of, identity, library_now, result_of
from .machine import Place, Slot, described
from .notebooks import about, check_params

LOOK_S = 0.2  # how often the clock is looked at while a run goes on
_ATTEMPTS = 2  # of a run whose process somebody kills
_EDITED = (
    "the sources of gqa_lib were edited while this ran, so nobody knows which of them were "
    "measured: start the same again"
)


class Turn:
    """A job on its way: it waits for its place, runs unless that was done, and leaves a record.

    Attributes:
        job: what is run.
        slot: where.
        alone: whether it times, and so has the machine for itself.
    """

    def __init__(
        self,
        job: Job,
        out: Path,
        slot: Slot | None = None,
        *,
        stamp: str = "",
        clock: Callable[[], float] = time.monotonic,
    ):
        """Begin to wait.

        Args:
            job: what is run.
            out: where its folder goes.
            slot: what it may use; None is everything.
            stamp: the end of its folder's name if it is run now, whatever was done before.
            clock: seconds, increasing; by it a run takes too long.
        """
        self.job, self.slot, self._clock = job, slot or Slot(), clock
        self.alone = about(job.notebook)["times"]
        self._device, self._attempts = described(job.params, self.slot), 0
        self._out, self._stamp, self._once = out.resolve(), stamp, not stamp
        self._run: Run | None = None
        self._settle()

    def _settle(self) -> None:
        """Say by what its result is known, and where it goes."""
        job = self.job
        self._known = identity(job, self._device)
        name = f"{job.name}-{self._known['point']}-{self._stamp}"
        self._folder = self._out / (folder_of(job, self._known) if self._once else name)
        own = self._out / ".locks" / self._folder.name if self._once else None
        self._place = Place(alone=self.alone, own=own)

    @property
    def seconds(self) -> float | None:
        """How long it has been running; None while it waits."""
        return self._run.seconds if self._run else None

    def step(self, wait_s: float = 0) -> dict | None:
        """Go on, and return the record once there is one.

        Args:
            wait_s: seconds to wait for a run's end.
        """
        if self._run is None:
            if there := self._result():
                return there
            if not self._place.take():
                time.sleep(wait_s)
                return None
            if there := self._result():  # of whoever had the place before
                self._place.leave()
                return there
            library_now()
            if identity(self.job, self._device) != self._known:  # edited since this was asked
                self._place.leave()
                self._settle()
                return None
            self._run = self._start()
        if (record := self._run.poll(wait_s)) is None:
            return None
        if record["status"] == "killed" and self._once and self._attempts < _ATTEMPTS:
            self._run = self._start()
            return None
        if record["status"] == "ok" and library_now() != self._known["key"]["library"]:
            record = self._run.discard(_EDITED)
        self._place.leave()
        return record

    def _result(self) -> dict | None:
        there = result_of(self._folder, self.job) if self._once else None
        return there and there | {"cached": True}

    def _start(self) -> Run:
        self._attempts += 1
        return Run(
            self.job.notebook,
            self.job.params,
            self._folder,
            timeout_s=self.job.timeout_s,
            slot=self.slot,
            known=self._known | {"attempts": self._attempts},
            clock=self._clock,
        )

    def stop(self, why: str) -> dict | None:
        """End it, and return the record of what was under way; None if nothing was.

        Args:
            why: what the record says.
        """
        record = self._run.stop(why) if self._run else None
        self._place.leave()
        return record

    def to_its_end(
        self,
        stopped: Callable[[], bool] = lambda: False,
        waits: Callable[[], None] = lambda: None,
    ) -> dict:
        """Return the record when there is one; what stops this ends the run.

        Args:
            stopped: asked now and then; where it returns True, the run is ended.
            waits: called if its place is not free at once.

        Raises:
            KeyboardInterrupt: a signal, or `stopped`.
        """
        told = False
        try:
            while (record := self.step(LOOK_S)) is None:
                if not (told or self._run):
                    waits()
                told = True
                if stopped():
                    raise KeyboardInterrupt("the end of the sweep")
        except BaseException as stop:
            self.stop(str(stop) or type(stop).__name__)
            raise
        return record


def run_one(
    notebook: Path,
    params: dict,
    out: Path,
    *,
    timeout_s: float | None = None,
    waits: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
) -> dict:
    """Run one notebook now, in a process of its own, and return its record.

    A run that fails is a record with status "error", "timeout" or "killed" (its process), not an
    exception. One that a signal or Ctrl-C stops leaves a record with status "interrupted", and the
    exception goes on. Each run has a folder of its own, `out/NAME-HASH-TIME`, with record.json,
    samples.jsonl and the executed notebook; the hash is of the parameters. None of them names a
    folder of this machine: the record's "folder" is a name in `out`.

    Args:
        notebook: the benchmark notebook.
        params: values for its parameters.
        out: where the run's folder goes.
        timeout_s: seconds after which the run and all it started is ended.
        waits: called if other runs on the machine have to end first.
        clock: seconds, increasing; by it a run takes too long.

    Raises:
        ValueError: a parameter does not exist or cannot be measured with.
    """
    check_params(notebook, params)
    now = time.time()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now)) + f".{now % 1:.6f}"[2:]
    with stopping():
        job = Job(str(notebook), params, timeout_s=timeout_s)
        return Turn(job, out, stamp=stamp, clock=clock).to_its_end(waits=waits)


def run_job(
    job: Job,
    out: Path,
    *,
    slot: Slot | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> dict:
    """Run a job of a sweep on this machine, unless its result is there, and return its record.

    Whoever runs the same job at the same time, here or on another machine that has the folder, is
    waited for. A run whose process is killed is tried once more.

    Args:
        job: the run.
        out: the sweep's folder.
        slot: what the run may use; None is everything.
        stopped: asked now and then; where it returns True, the run is ended.

    Raises:
        KeyboardInterrupt: a signal, or `stopped`; the record says "interrupted".
        RuntimeError: this machine has other sources of the library than the sweep was asked with.
    """
    if job.library and job.library != (there := library_now()):
        raise RuntimeError(
            f"gqa_lib on this machine ({there}) is not the one that the sweep was "
            f"started with ({job.library}): results would not belong together. Install the same "
            "version here, with the same torch and numpy."
        )
    with stopping():
        return Turn(job, out, slot).to_its_end(stopped)
