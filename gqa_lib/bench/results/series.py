"""What was measured at one point, over all runs of it: medians, intervals, and of two their ratio.

A series is a benchmark, parameters, an arm and a metric. What is repeated in it, and so carries the
interval, is the run; where there is one run, its rounds; where models were trained, the seed; and
of what was computed there is nothing to repeat.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gqa_lib.measure.samples import summarise

from .kept import KeptRun
from .tables import flat, is_number

CHOSEN = "the library's choice"  # the arm that the library chose, whatever its name
# How hard a run tried, and where: not what was measured.
EFFORT = {"rounds", "quiet_samples", "budget_s", "workers", "device", "num_seeds"}
_NOT_COUNTED = ("warmup", "calibrate")
_SHARES = ("of_ceiling", "of_peak", "share")


@dataclass
class Series:
    """The samples of one point.

    Attributes:
        benchmark, params, arm, metric, unit: what it is.
        own: whether it is of this library, and so judged; None of parts and ceilings.
        computed: nothing was measured; the value is what it is.
        seeds: the samples are of models trained from different seeds.
        rows: by the run's folder, the samples that count, as `summarise` takes them.
        timing: by run, what `summarise` makes of them.
        shares: by run, the part of the ceiling that was reached.
        names: of the arms that were chosen.
    """

    benchmark: str
    params: dict[str, Any]
    arm: str
    metric: str
    unit: str
    own: bool | None
    computed: bool
    seeds: bool
    rows: dict[str, list[dict]] = field(default_factory=dict)
    timing: dict[str, dict] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    @property
    def key(self) -> str:
        """What tells it from the other series, in this folder and in others."""
        return key_of(self.benchmark, self.params, self.arm, self.metric)

    @property
    def over(self) -> str:
        """What the interval is over: runs, rounds, seeds; or nothing, as it was computed."""
        if self.computed:
            return "nothing"
        return "seeds" if self.seeds else "runs" if len(self.rows) > 1 else "rounds"

    def repeated(self, over: str = "") -> dict[Any, float]:
        """Return a value for each run, round or seed: the median of its samples.

        Args:
            over: runs, where one is to be a value, too; else as `over` of the series has it.
        """
        if "runs" in (over, self.over):
            return {run: timing["median"] for run, timing in self.timing.items()}
        each = summarise(
            row | {"arm": row["round"] if self.over != "nothing" else 0, "quiet": None}
            for row in self.counted()
        )
        return {one: timing["median"] for one, timing in each.items()}

    def counted(self, run: str | None = None) -> list[dict]:
        """Return the samples that count: of each run the quiet ones, if there are enough.

        Args:
            run: of this run alone.
        """
        return [
            row
            for one, rows in self.rows.items()
            if run in (None, one)
            for row in rows
            if self.timing[one]["used"] == "all" or row["quiet"]
        ]

    def summary(self) -> dict[str, Any]:
        """Return {median, low, high, n, samples, noisy, share} of all of it.

        `low` and `high` are the interval of the median over `over`: of fewer than six the least
        and the most; of samples within one run as `summarise` has it.
        """
        samples = sum(timing["n"] for timing in self.timing.values())
        if self.over == "rounds":
            made = next(iter(self.timing.values()))
        else:
            row = {"arm": "", "phase": "measure", "round": 0, "quiet": None, "unit": self.unit}
            made = summarise(row | {"value": value} for value in self.repeated().values())[""]
        shares = sorted(self.shares.values())
        return {name: made[name] for name in ("median", "low", "high", "n")} | {
            "samples": samples,
            "runs": len(self.rows),
            "noisy": self.over in ("runs", "rounds")
            and any(timing["noisy"] for timing in self.timing.values()),
            "share": shares[len(shares) // 2] if shares else None,
        }


def key_of(benchmark: str, params: dict[str, Any], arm: str, metric: str) -> str:
    """Return what tells a series from the others.

    Args:
        benchmark, params, arm, metric: what it is.
    """
    same = {name: float(value) if is_number(value) else value for name, value in params.items()}
    return json.dumps([benchmark, sorted(same.items()), arm, metric])


def all_series(runs: Iterable[KeptRun]) -> list[Series]:
    """Return the series of runs that ended well, in the order in which they were first measured.

    Args:
        runs: as `read_runs` gives them.
    """
    found: dict[str, Series] = {}
    for run in runs:
        if run.status == "ok":
            here: dict[str, list[dict]] = defaultdict(list)
            for sample in filter(_counts, run.samples):
                key = _series_of(run, sample, found)
                here[key].append(_row(sample, key))
            _enter(run, here, found)
    return list(found.values())


def _counts(sample: dict[str, Any]) -> bool:
    value = sample.get("value", math.nan)
    return (
        is_number(value)
        and math.isfinite(value)
        and sample.get("metric") is not None
        and sample.get("phase") not in _NOT_COUNTED
    )


def _series_of(run: KeptRun, sample: dict[str, Any], found: dict[str, Series]) -> str:
    """Find the sample's series, or begin it; return its key."""
    own, name = sample.get("own"), str(flat(sample.get("arm")) or "")
    series = Series(
        run.benchmark,
        _identity(run, sample),
        CHOSEN if own and run.tried and sample.get("kind") == "sample" else name,
        str(sample["metric"]),
        str(sample.get("unit") or ""),
        own,
        sample.get("kind") == "computed" or sample.get("phase") == "simulate",
        "seed" in sample,
    )
    series = found.setdefault(series.key, series)
    series.names |= {name} if name else set()
    return series.key


def _identity(run: KeptRun, sample: dict[str, Any]) -> dict[str, Any]:
    """The parameters that say what was measured.

    A list is what the run went through: its samples say by a parameter or by their arm which of it
    they are.
    """
    params = {
        name: value
        for name, value in run.params.items()
        if name not in EFFORT and not isinstance(value, list)
    }
    own = {name[2:]: flat(value) for name, value in sample.items() if name.startswith("p_")}
    lists = {name[2:] for name, value in sample.items() if isinstance(value, list)}
    return {k: flat(v) for k, v in (own | params | own).items() if k not in lists}


def _row(sample: dict[str, Any], key: str) -> dict[str, Any]:
    place = sample.get("seed", sample.get("round"))
    return {
        "arm": key,
        "phase": "measure",
        "round": place if isinstance(place, int) else 0,
        "quiet": sample.get("quiet"),
        "value": float(sample["value"]),
        "unit": sample.get("unit"),
    }


def _enter(run: KeptRun, here: dict[str, list[dict]], found: dict[str, Series]) -> None:
    if not here:
        return
    timing = summarise(row for rows in here.values() for row in rows)
    for key, rows in here.items():
        series = found[key]
        name = str(run.folder)
        series.rows[name], series.timing[name] = rows, timing[key]
        share = _share(run.result.get("rows"), series)
        if share is not None:
            series.shares[name] = share


def _share(rows: Any, series: Series) -> float | None:
    """The part of the ceiling that the run's table has for a series."""
    if not series.own or series.metric != "time":
        return None
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, dict) or row.get("arm", series.arm) != series.arm:
            continue
        if all(row[name] == value for name, value in series.params.items() if name in row):
            shares = [row[name] for name in _SHARES if is_number(row.get(name))]
            return float(shares[0]) if shares else None
    return None
