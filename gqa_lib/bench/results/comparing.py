"""`gqa bench compare`: two folders of runs, point by point; before and after, or two machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..jobs import last_line
from .kept import KeptRun, read_runs
from .machines import KNOWN, state
from .points import number, ratio, scale, shown, varying
from .series import CHOSEN, Series, all_series, key_of
from .verdicts import UNKNOWN, compare, direction

SAME, SLOWER, NOT_COMPARED = 0, 1, 2
_SHOWN = 3  # points of a benchmark that are missing


@dataclass
class Comparison:
    """Two folders of runs against each other.

    Attributes:
        rows: of the points that both have: "benchmark", "metric", "unit", "point", "own", whether
            it decides, "before", "after", "ratio" and "verdict", as text.
        differs: what differs between the machines, the libraries and the notebooks, in lines.
        missing: why something could not be compared, in lines.
        notes: what else there is to say, in lines.
        code: the exit code.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    code: int = SAME


def compare_folders(before: Path, after: Path, *, margin: float = 0.05) -> Comparison:
    """Compare two folders of runs.

    Points are the same if benchmark, parameters, arm and metric are. Of those the library's own
    decide whose metric has a better direction; the others are shown.

    Args:
        before, after: the folders.
        margin: difference that would matter; 0.05 is 5 %.

    Raises:
        ValueError: a folder has no runs.
    """
    read = [read_runs(folder) for folder in (before, after)]
    runs = [ended for ended, _ in read]
    found = Comparison(differs=_differs(*runs))
    unknown = _unknown(*runs)
    sides = [_by_point(all_series(one), unknown) for one in runs]
    found.missing += _failures(runs[1], after.name)
    found.missing += [f"{name} of {after.name} never ended" for name in read[1][1]]
    shared = [key for key in sides[0] if key in sides[1]]
    names = _names([sides[0][key] for key in shared])
    for key in shared:
        found.rows.append(_row(sides[0][key], sides[1][key], names, margin))
    found.missing += _missing(sides[0], sides[1], before.name)
    new = sum(one.own is True for key, one in sides[1].items() if key not in sides[0])
    if new:
        found.notes.append(f"{new} points are in {after.name} alone")
    if not any(row["own"] for row in found.rows):
        found.missing.append("the two have no point in common")
    found.rows.sort(key=lambda row: not row["worse"])
    failed = len(_failures(runs[0], before.name))
    found.notes += [f"{failed} runs of {before.name} failed"] if failed else []
    found.notes += _remarks(found.rows)
    slower = any(row["worse"] for row in found.rows)
    found.code = SLOWER if slower else NOT_COMPARED if found.missing else SAME
    return found


def _by_point(series: Sequence[Series], unknown: dict[str, set[str]]) -> dict[str, Series]:
    """The series by what both sides know of their points."""
    found: dict[str, Series] = {}
    for one in series:
        without = unknown[one.benchmark]
        params = {name: value for name, value in one.params.items() if name not in without}
        found.setdefault(key_of(one.benchmark, params, one.arm, one.metric), one)
    return found


def _unknown(before: Sequence[KeptRun], after: Sequence[KeptRun]) -> dict[str, set[str]]:
    """By benchmark the parameters that only one side's notebook has.

    They cannot tell its points from the other's.
    """
    sides: list[dict[str, set[str]]] = [{}, {}]
    for side, runs in zip(sides, (before, after), strict=True):
        for run in runs:
            side.setdefault(run.benchmark, set()).update(run.params)
    return {
        name: sides[0][name] ^ sides[1][name] if name in sides[0] and name in sides[1] else set()
        for name in {**sides[0], **sides[1]}
    }


def _names(series: Sequence[Series]) -> dict[str, list[str]]:
    """By benchmark and metric, the parameters that tell its points from each other."""
    groups: dict[str, list[Series]] = {}
    for one in series:
        groups.setdefault(f"{one.benchmark} {one.metric}", []).append(one)
    return {name: varying(group) for name, group in groups.items()}


def _row(
    before: Series, after: Series, names: dict[str, list[str]], margin: float
) -> dict[str, Any]:
    found = compare(before, after, margin)
    point = _point(after, names[f"{after.benchmark} {after.metric}"])
    if after.arm == CHOSEN:
        chosen = [", ".join(sorted(one.names)) for one in (before, after)]
        point += f": {' -> '.join(dict.fromkeys(chosen))}"
    factor, unit = scale([before])
    medians = [one.summary()["median"] * factor for one in (before, after)]
    own = after.own is True and direction(after.metric, after.unit) != "none"
    return {
        "benchmark": after.benchmark,
        "metric": after.metric,
        "unit": unit,
        "point": point,
        "own": own,
        "before": number(medians[0]),
        "after": number(medians[1]),
        "ratio": ratio(found),
        "verdict": found.verdict,
        "over": found.over,
        "worse": own and found.worse,
    }


def _missing(before: dict[str, Series], after: dict[str, Series], where: str) -> list[str]:
    """The library's own points that are missing afterwards, a line for each metric."""
    groups: dict[tuple[str, str], list[Series]] = {}
    for key, one in before.items():
        if one.own and key not in after:
            groups.setdefault((one.benchmark, one.metric), []).append(one)
    lines = []
    for (benchmark, metric), lost in groups.items():
        alike = [one for one in before.values() if one.benchmark == benchmark]
        points = "; ".join(_point(one, varying(alike)) or "its point" for one in lost[:_SHOWN])
        more = f"; and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
        lines.append(f"only {where} has {benchmark}, {metric}: {points}{more}")
    return lines


def _point(one: Series, names: Sequence[str]) -> str:
    known = [name for name in names if one.params.get(name) not in (None, "")]
    told = [f"{name}={shown(one.params[name])}" for name in known]
    return ", ".join([*told, *([one.arm] if one.arm else [])])


def _failures(runs: Sequence[KeptRun], where: str) -> list[str]:
    """The runs that failed and were not repeated with success."""
    lines = []
    for number_, run in enumerate(runs):
        again = any(_asked(one) == _asked(run) and one.status == "ok" for one in runs[number_:])
        if run.failed and not again:
            error = last_line(run.record.get("error"))
            lines.append(f"{run.name} of {where}: {run.status}: {error}")
    return lines


def _asked(run: KeptRun) -> str:
    asked = [run.benchmark, run.record.get("params"), run.record.get("repeat")]
    return json.dumps(asked, sort_keys=True)


def _differs(before: Sequence[KeptRun], after: Sequence[KeptRun]) -> list[str]:
    """What is not the same on both sides: machines, versions, commits; then what was run."""
    lines = []
    for label, key in KNOWN.items():
        values = [_all(state(run, key) for run in runs) for runs in (before, after)]
        if values[0] != values[1]:
            lines.append(f"{label}: {values[0] or 'none'} -> {values[1] or 'none'}")
    libraries = [_all(_key(run, "library") for run in runs) for runs in (before, after)]
    if libraries[0] != libraries[1]:
        lines.append(f"sources of the library: {libraries[0]} -> {libraries[1]}")
    for name in dict.fromkeys(run.benchmark for run in before):
        hashes = [
            _all(_key(run, "notebook") for run in runs if run.benchmark == name)
            for runs in (before, after)
        ]
        if all(hashes) and hashes[0] != hashes[1]:
            lines.append(f"notebook {name}: {hashes[0]} -> {hashes[1]}")
    return lines


def _all(values: Any) -> str:
    return ", ".join(sorted({value for value in values if value}))


def _key(run: KeptRun, name: str) -> str:
    return str(run.key.get(name) or "")[:12]


def _remarks(rows: Sequence[dict[str, Any]]) -> list[str]:
    notes = []
    if any(row["over"] == "rounds" for row in rows):
        notes.append("one run on a side: how much runs differ is not known")
    uncertain = sum(row["verdict"] == UNKNOWN for row in rows if row["own"])
    if uncertain:
        notes.append(f"{uncertain} of the library's points are too uncertain to tell: repeat them")
    return notes
