"""Runs as they lie in a folder, read with whatever they left: `gqa bench` wrote them.

What counts as a run is a folder with a `record.json`; one that has other files of a run and no
record never ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gqa_lib.measure import read_jsonl

from ..notebooks import benchmarks, described

OUTDATED = "outdated"
_RESULTS = ("ok", "error", "timeout")
PLACES = ("out_dir", "keep_dir")  # parameters that say where, not what
_LEFT = ("log.txt", "samples.jsonl", "environment.jsonl", "executed.ipynb")


@dataclass(frozen=True)
class KeptRun:
    """One run, read.

    Attributes:
        folder: where it lies.
        record: its record.json.
        params: what it ran with, by name: what was asked, and the notebook's defaults.
        environment: where it ran, as `gqa_lib.measure.environment` tells it, flat; the ceilings
            that it measured, too.
        samples: rows of its samples.jsonl; of a run that failed, none. "own" is whether the library
            chose the row's arm, or measured nothing else; of parts, and of passes that find
            ceilings, it is None.
        tried: whether several arms were, of which the library chose one.
        outdated: whether the same was run again on this device with other sources.
    """

    folder: Path
    record: dict[str, Any]
    params: dict[str, Any]
    environment: dict[str, Any]
    samples: list[dict[str, Any]]
    tried: bool = False
    outdated: bool = False

    @property
    def name(self) -> str:
        """The run's name: that of its folder."""
        return self.folder.name

    @property
    def benchmark(self) -> str:
        """The notebook that ran."""
        return str(self.record.get("benchmark"))

    @property
    def status(self) -> str:
        """How it ended: ok, error, timeout, killed, interrupted; or unreadable, or outdated."""
        return OUTDATED if self.outdated else str(self.record.get("status"))

    @property
    def failed(self) -> bool:
        """Whether it is neither a result nor outdated."""
        return self.status not in ("ok", OUTDATED)

    @property
    def key(self) -> dict[str, Any]:
        """The digests of the library and the notebook that it ran, and its device, if known."""
        found = self.record.get("key")
        return found if isinstance(found, dict) else {}

    @property
    def result(self) -> dict[str, Any]:
        """Its result.json, empty for a run that failed."""
        found = self.record.get("result")
        return found if isinstance(found, dict) else {}


def read_runs(folder: Path) -> tuple[list[KeptRun], list[str]]:
    """Return the runs of a folder in the order in which they began, and those that never ended.

    Args:
        folder: holds a folder for each run, or is one.

    Returns:
        The runs with a record, and the names of the folders that lack one.

    Raises:
        ValueError: there is no run in it.
    """
    places = [folder] if (folder / "record.json").is_file() else _folders(folder)
    ended = [place for place in places if (place / "record.json").is_file()]
    unfinished = [
        place.name
        for place in places
        if place not in ended and any((place / name).exists() for name in _LEFT)
    ]
    if not ended and not unfinished:
        raise ValueError(
            f"{folder} holds no runs: a run is a folder in it with a record.json. Give the folder "
            "that `gqa bench --out` wrote to."
        )
    runs = sorted(map(_read, ended), key=_began)
    last = {_asked(run): _sources(run) for run in runs if run.status in _RESULTS}

    def outdated(run: KeptRun) -> bool:
        return run.status in _RESULTS and _sources(run) != last[_asked(run)]

    return [replace(run, outdated=outdated(run)) for run in runs], unfinished


def _asked(run: KeptRun) -> tuple[Any, Any]:
    """What was run, and on what."""
    return run.record.get("point"), run.key.get("device")


def _sources(run: KeptRun) -> tuple[Any, Any]:
    return run.key.get("library"), run.key.get("notebook")


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ValueError(f"{folder} is not there: give the folder that `gqa bench --out` wrote to.")
    return sorted(place for place in folder.iterdir() if place.is_dir())


def _began(run: KeptRun) -> tuple[float, str]:
    at = run.record.get("started_at")
    return (float(at) if isinstance(at, int | float) else 0.0, run.name)


def _read(folder: Path) -> KeptRun:
    try:
        record = _dictionary((folder / "record.json").read_text(encoding="utf-8"))
        samples = []
        if record.get("status") == "ok" and (folder / "samples.jsonl").exists():
            samples = _sample_rows(folder)
    except (ValueError, OSError) as trouble:
        record = {"benchmark": folder.name, "status": "unreadable", "error": str(trouble)}
        samples = []
    asked = record.get("params")
    params = _defaults(folder, record) | (asked if isinstance(asked, dict) else {})
    return KeptRun(
        folder,
        record,
        {name: value for name, value in params.items() if name not in PLACES},
        _environment(folder, record),
        samples,
        (folder / "arms.jsonl").exists(),
    )


def _dictionary(text: str) -> dict[str, Any]:
    read = json.loads(text)
    if not isinstance(read, dict):
        raise ValueError("record.json is not the record of a run")
    for name, fits in _FIELDS.items():
        if not (read.get(name) is None or fits(read[name])):
            raise ValueError(f"record.json is damaged: its {name} is {str(read[name])[:80]!r}")
    return read


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value == value.encode("utf-8", "replace").decode()


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value < _CENTURIES


_CENTURIES = 1e11  # seconds; no run began then, or took so long
_FIELDS = {
    **dict.fromkeys(("benchmark", "status", "point", "folder"), _is_text),
    **dict.fromkeys(("started_at", "wall_s"), _is_time),
    "repeat": lambda value: isinstance(value, int) and 0 <= value < 2**31,
    "key": lambda value: (
        isinstance(value, dict) and all(one is None or _is_text(one) for one in value.values())
    ),
}


def _sample_rows(folder: Path) -> list[dict[str, Any]]:
    """The run's samples, each with whether its arm is the one that the library chose.

    That is in arms.jsonl; where no arms were tried, all are its own.
    """
    rows = read_jsonl(folder / "samples.jsonl")
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("samples.jsonl has a line that is not a sample")
    path = folder / "arms.jsonl"
    tried = {_place(row): row.get("own") for row in (read_jsonl(path) if path.exists() else [])}
    for row in rows:
        own = None if row.get("kind") in ("read", "ceiling") else True
        if own and tried and row.get("arm") is not None:
            own = tried.get(_place(row))
        row.setdefault("own", own)
    return rows


def _place(row: dict[str, Any]) -> str:
    """What an arm and its samples have in common."""
    params = {key: value for key, value in row.items() if key.startswith("p_")}
    return json.dumps([row.get("arm"), params], sort_keys=True)


def _defaults(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """The parameters' defaults, from the notebook that ran, or else from the one of that name."""
    for path in _notebooks(folder, record):
        try:
            return {name: one.default for name, one in described(path).items()}
        except (ValueError, KeyError, TypeError, SyntaxError, OSError):
            continue  # cut off in the midst of writing, or not there
    return {}


def _notebooks(folder: Path, record: dict[str, Any]) -> Iterator[Path]:
    yield folder / "executed.ipynb"
    if known := benchmarks().get(str(record.get("benchmark"))):
        yield known


def _environment(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    result = record.get("result")
    result = result if isinstance(result, dict) else {}
    try:
        first = read_jsonl(folder / "environment.jsonl")[:1]
    except (ValueError, OSError):
        first = []
    about = first[0] if first and isinstance(first[0], dict) else result.get("environment")
    flat: dict[str, Any] = {}
    for name, value in (about if isinstance(about, dict) else {}).items():
        if isinstance(value, dict):
            flat |= {f"{name}_{part}": one for part, one in value.items()}
        elif name != "gpu":
            flat[name] = value
    names = ("bandwidth_bytes_per_s", "flops_per_s")
    return flat | {name: result[name] for name in names if name in result}
