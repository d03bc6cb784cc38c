"""What one run of a sweep is, by what its result is known, and whether there is one already.

A run is done once for the notebook's content, the parameters, the library's sources, the device and
the number of the repeat: these make the name of its folder. What is known of it stands in its
record, and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from gqa_lib.course.places import package_root

from .notebooks import about, benchmarks, described

_SOURCES = (".py", ".cpp", ".h")
_ENDED = ("ok", "error")  # results, whichever; what was killed or interrupted is none


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        benchmark: the notebook's name, or the path of a notebook that is not the course's.
        params: values of its parameters; the others are the notebook's defaults.
        repeat: 0, 1, ... of runs with the same parameters.
        timeout_s: seconds that it may take; None is without a limit.
        library: digest of the sources that it is to run with; empty: whichever are there.
        again: whether to repeat a run that ended with an error.
    """

    benchmark: str
    params: dict[str, Any] = field(default_factory=dict)
    repeat: int = 0
    timeout_s: float | None = None
    library: str = ""
    again: bool = False

    @property
    def notebook(self) -> Path:
        """The notebook's path on this machine."""
        return benchmarks().get(self.benchmark) or Path(self.benchmark)

    @property
    def name(self) -> str:
        """What its benchmark is called."""
        return self.notebook.stem


def by_quiet(jobs: Iterable[Job]) -> tuple[list[Job], list[Job]]:
    """Return the jobs that do not time, and those that do and so run alone, each in their order."""
    found: tuple[list[Job], list[Job]] = ([], [])
    times: dict[Path, bool] = {}
    for job in jobs:
        notebook = job.notebook
        if notebook not in times:
            times[notebook] = about(notebook)["times"]
        found[times[notebook]].append(job)
    return found


def values(notebook: Path, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all parameters, alike for the same meaning, without the folder.

    Args:
        notebook: the benchmark's path.
        params: those that were given.
    """
    return {
        name: _alike(params.get(name, one.default), one.default)
        for name, one in described(notebook).items()
        if name != "out_dir"
    }


def _alike(value: Any, default: Any) -> Any:
    if isinstance(default, list):
        return value if isinstance(value, list) else [value]
    return float(value) if isinstance(default, float) and isinstance(value, int) else value


def point(notebook: Path, params: Mapping[str, Any]) -> str:
    """Return a digest of a benchmark's name and parameters: the same for all repeats, everywhere.

    Args:
        notebook: the benchmark's path.
        params: those that were given.
    """
    return _digest(notebook.stem, values(notebook, params))


def identity(job: Job, device: str) -> dict[str, Any]:
    """Return what a run's result is known by.

    Args:
        job: the run.
        device: what it runs on, in words, as from `machine.described`.

    Returns:
        "repeat"; "point"; "key", with the digests of notebook and library, and the device.
    """
    content = hashlib.sha256(job.notebook.read_bytes()).hexdigest()[:16]
    key = {"notebook": content, "library": library_digest(), "device": device}
    return {"repeat": job.repeat, "point": point(job.notebook, job.params), "key": key}


def folder_name(job: Job, device: str) -> str:
    """Return the name of the folder of a run.

    Args:
        job: the run.
        device: what it runs on, as for `identity`.
    """
    return folder_of(job, identity(job, device))


def folder_of(job: Job, known: Mapping[str, Any]) -> str:
    """Return the name of the folder of a run whose identity is known.

    Args:
        job: the run.
        known: as from `identity`.
    """
    return f"{job.name}-{_digest(known)}"


def result_of(folder: Path, job: Job) -> dict | None:
    """Return the record that an earlier run left, None where the job is still to be done.

    Results are what ended, with an error, too. What took too long is one if it had as long as it
    would have now.

    Args:
        folder: of the run.
        job: the run.
    """
    try:
        record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        status = record["status"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if status == "timeout" and record.get("timeout_s") is not None and not job.again:
        return record if job.timeout_s and job.timeout_s <= record["timeout_s"] else None
    return record if status in _ENDED and not (job.again and status == "error") else None


def last_line(error: Any) -> str:
    """Return the last line of a record's error, which says most, or that there is none."""
    lines = str(error or "").strip().splitlines()
    return lines[-1] if lines else "no reason given"


@lru_cache(maxsize=1)
def library_digest() -> str:
    """Return a digest of the library's sources, and of the versions of what computes."""
    known, root = hashlib.sha256(), package_root()
    for path in sorted(root.rglob("*")):
        if path.suffix in _SOURCES:
            known.update(f"{path.relative_to(root).as_posix()}\0".encode())
            known.update(path.read_bytes() + b"\0")
    for package in ("torch", "numpy"):
        known.update(f"{package} {metadata.version(package)}\0".encode())
    return known.hexdigest()[:16]


def library_now() -> str:
    """Return the digest anew: sources may be edited while a sweep goes on."""
    library_digest.cache_clear()
    return library_digest()


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
