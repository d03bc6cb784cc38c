"""A run that is under way: one child process, one folder, one record written last.

papermill executes the notebook; what it leaves to others is here: parameters are checked before
anything runs, a run can time out or be stopped with all its processes, and how it ended is read
from our own record, never from the notebook (after a kernel was killed papermill calls every cell
completed).
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gqa_lib.processes import end_marked, end_tree

from .inside import commit
from .machine import Slot
from .paths import clean, without_paths

_MARK = "BENCH_RUN_FOLDER"  # in the environment of all that a run starts


class Run:
    """A run that is under way, in a process of its own.

    One that fails is a record with status "error", "timeout" or "killed" (its process), not an
    exception.
    """

    def __init__(
        self,
        notebook: Path,
        params: dict,
        folder: Path,
        *,
        timeout_s: float | None = None,
        slot: Slot | None = None,
        known: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Start it.

        Args:
            notebook: the benchmark notebook.
            params: values for its parameters.
            folder: where its files go; what an earlier run left there is removed.
            timeout_s: seconds after which the run and all it started is ended.
            slot: what it may use; None is everything.
            known: what else its record tells.
            clock: seconds, increasing; by it a run takes too long.
        """
        self.folder, self._clock, self._limit = folder, clock, timeout_s
        self._slot = slot or Slot()
        self._record = {"benchmark": notebook.stem, "params": params, **(known or {})}
        self._record |= {"timeout_s": timeout_s, "started_at": time.time()}
        self._began = clock()
        end_marked(_MARK, str(folder))  # of an attempt that was killed with whoever watched it
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._child = self._start(notebook, params)

    def _start(self, notebook: Path, params: dict) -> subprocess.Popen:
        cores = list(self._slot.cores)
        request = json.dumps([str(notebook), params, str(self.folder), os.getpid(), cores])
        with (self.folder / "log.txt").open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "gqa_lib.bench", request],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | self._slot.environment() | {_MARK: str(self.folder)},
                start_new_session=True,  # Ctrl-C is for this process, which ends the others
            )

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return self._clock() - self._began

    def poll(self, wait_s: float = 0) -> dict | None:
        """Return its record once it has ended, and None before.

        Args:
            wait_s: seconds to wait for its end.
        """
        with suppress(subprocess.TimeoutExpired):
            return self._ended(*_how(self._child.wait(wait_s), self.folder))
        if self.seconds < (math.inf if self._limit is None else self._limit):
            return None
        self._end_all()
        return self._ended("timeout", f"not done after {self._limit:g} s")

    def stop(self, why: str) -> dict:
        """End it and all that it started, and return its record, whose status is "interrupted".

        Args:
            why: what its record says.
        """
        self._end_all()
        return self._ended("interrupted", f"stopped by {why}")

    def discard(self, why: str) -> dict:
        """Take back the result of a run that has ended, and return its record, "interrupted".

        Args:
            why: what its record says.
        """
        return self._ended("interrupted", why)

    def _end_all(self) -> None:
        end_tree(self._child.pid)
        self._child.wait()

    def _ended(self, status: str, error: str | None) -> dict:
        if status != "ok":  # else the process has ended all below it
            end_marked(_MARK, str(self.folder))
        self.folder.mkdir(parents=True, exist_ok=True)  # a notebook can remove it
        clean(self.folder)
        result = None
        if status == "ok":
            try:
                result = _result(self.folder)
            except ValueError as none:
                status, error = "error", str(none)
        self._record.update(status=status, error=error, wall_s=round(self.seconds, 3))
        self._record |= {"folder": self.folder.name, "result": result}
        kept = without_paths(self._record)
        commit(self.folder / "record.json", kept)
        return kept


def _how(code: int, folder: Path) -> tuple[str, str | None]:
    """The status of a run whose process has ended, and its error."""
    if code == 0:
        return "ok", None
    if code < 0:
        return "killed", f"ended by signal {-code}"
    return "error", _why(folder)


def _result(folder: Path) -> dict[str, Any]:
    """The result that a notebook wrote.

    Raises:
        ValueError: there is none, or not such a one.
    """
    path = folder / "result.json"
    if not path.is_file():
        raise ValueError("the notebook ended without writing its result")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as trouble:
        raise ValueError(f"the notebook's result.json cannot be read as JSON: {trouble}") from None
    if not isinstance(found, dict):
        raise ValueError('the notebook\'s result.json is not like {"finding": "...", "rows": []}')
    return found


def _why(folder: Path) -> str | None:
    """What a run that failed left to read: its error, or else the last that it printed."""
    for name in ("error.txt", "log.txt"):
        path = folder / name
        if path.exists() and (text := path.read_text(errors="replace").strip()):
            return text[-2000:]
    return None
