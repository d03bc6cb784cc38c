"""What a sweep shows while it runs: a table that is drawn anew, or a line for each run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..jobs import Job, by_quiet, last_line

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_ROWS = 12  # runs that are shown at a time


class Progress:
    """Keeps the records of a sweep and shows how it goes on, in a terminal or without one.

    Attributes:
        records: of the runs that have ended, in the order in which they did.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        slots: int,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Make one for a sweep that has not begun.

        Args:
            jobs: its runs.
            slots: how many of them run at a time.
            quiet: show nothing.
            clock: seconds, increasing.
        """
        from rich.console import Console

        self.records: list[dict] = []
        self._left = Counter(job.name for job in jobs)
        together, alone = by_quiet(jobs)
        self._at_a_time = {job.name: slots for job in together} | {job.name: 1 for job in alone}
        self._quiet, self._console = quiet, Console(highlight=False)
        self._clock, self._begun = clock, clock()
        self._number, self._took = len(jobs), dict[str, list[float]]()
        self._runs: Sequence[tuple[Job, float | None]] = ()
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        """Begin to show."""
        if not self._quiet and self._console.is_terminal:
            from rich.live import Live

            self._live = Live(self._table(), console=self._console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End to show."""
        self._runs = ()
        if self._live:
            self._live.update(self._table(), refresh=True)
            self._live.stop()

    def ended(self, job: Job, record: dict) -> None:
        """Take note of a run's record.

        Args:
            job: the run.
            record: of it; "cached" in it is true where an earlier sweep left it.
        """
        self.records.append(record)
        self._left[job.name] -= 1
        if not record.get("cached"):
            self._took.setdefault(job.name, []).append(record["wall_s"])
        if self._quiet or (self._live and record["status"] == "ok"):
            return
        line = f"{len(self.records)}/{self._number}  {told(job)}: {how_it_ended(record)}"
        try:
            self._console.print(line, markup=False, soft_wrap=True)
        except (OSError, SystemExit):  # nobody reads on (of a broken pipe rich makes an exit)
            self._quiet = True

    def running(self, runs: Sequence[tuple[Job, float | None]]) -> None:
        """Show what runs, each with the seconds since it began; None where it waits."""
        self._runs = runs
        if self._live:
            self._live.update(self._table())

    def left_s(self) -> float | None:
        """Return the seconds until the end, by what runs took; None where too little is known."""
        total = 0.0
        for name, number in self._left.items():
            if number > 0:
                if name not in self._took:
                    return None
                mean = sum(self._took[name]) / len(self._took[name])
                here = [seconds or 0 for job, seconds in self._runs if job.name == name]
                work = number * mean - sum(min(seconds, mean) for seconds in here)
                total += work / min(number, self._at_a_time[name])
        return total

    def _table(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for job, seconds in self._runs[:_ROWS]:
            waits = "waits for its turn" if seconds is None else _duration(seconds)
            table.add_row(Text(told(job), overflow="ellipsis", no_wrap=True), waits)
        if len(self._runs) > _ROWS:
            table.add_row(f"and {len(self._runs) - _ROWS} more", "")
        return Group(table, Text(self.summary(), style="bold"))

    def summary(self) -> str:
        """Return the numbers of runs by how they stand, and the time, in a line."""
        found = Counter(record["status"] for record in self.records)
        before = sum(bool(record.get("cached")) for record in self.records)
        parts = [f"{found.pop('ok', 0)} of {self._number} done"]
        parts += [f"{before} before"] if before else []
        parts += [f"{number} {status}" for status, number in found.items()]
        if self._runs:
            parts.append(f"{len(self._runs)} running")
        parts.append(f"{_duration(self._clock() - self._begun)} so far" if self._runs else "")
        if self._runs and (left := self.left_s()) is not None:
            parts.append(f"about {_duration(left)} left")
        return ", ".join(filter(None, parts))


def told(job: Job) -> str:
    """Return a run in words: its benchmark, its parameters, and which repeat it is."""
    given = [f"{name}={value}" for name, value in job.params.items()]
    again = [f"(repeat {job.repeat + 1})"] if job.repeat else []
    return " ".join([job.name, *given, *again])


def how_it_ended(record: dict) -> str:
    """Return a run's end in words, with the last line of its error."""
    if record["status"] == "ok":
        return "was done before" if record.get("cached") else f"done in {record['wall_s']:.0f} s"
    return f"{record['status']}: {last_line(record['error'])} (see {record['folder']})"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
