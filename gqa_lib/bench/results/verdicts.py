"""Two series against each other: the ratio of their medians, its interval, and a verdict.

Where both were measured in the same run, rounds are compared one by one, as their conditions were
the same. Of two runs or more, what differs between runs carries the interval: below six of them it
is Student's interval of the logarithms (of two groups, with the scatter of both pooled), from six
on a bootstrap of the median.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gqa_lib.measure.samples import MIN_ROUNDS, bootstrap_median, ratios, speedup_by_round, verdict

from .series import Series

FEW = 6  # below, the least and the most of so many leave out more than 5 %
_SECONDS = ("s", "ms", "us", "µs", "ns")
_LESS = (*_SECONDS, "B", "KiB", "MiB", "GiB", "bytes")
_MORE_IS_BETTER = ("accuracy", "max_sequences", "throughput", "goodput")
_WORDS = {
    "time": ("faster", "slower"),
    "lower": ("better", "worse"),
    "higher": ("better", "worse"),
    "none": ("less", "more"),
}
UNKNOWN = "ambiguous"


@dataclass(frozen=True)
class Compared:
    """One series against another.

    Attributes:
        ratio, low, high: its median over the other's, with the 95 % interval; None where a value
            is not above 0.
        verdict: faster, slower, same, ambiguous; better or worse, or less or more, of what is not
            a time.
        over: what the interval is over: runs, rounds, seeds, or nothing.
    """

    ratio: float | None
    low: float | None
    high: float | None
    verdict: str
    over: str

    @property
    def worse(self) -> bool:
        """Whether it is worse beyond the margin."""
        return self.verdict in ("slower", "worse")


def direction(metric: str, unit: str) -> str:
    """Return "time", "lower" or "higher", whichever is better, or "none" where none is.

    Args:
        metric: what was measured.
        unit: of it.
    """
    if unit in _SECONDS:
        return "time"
    if unit.partition("/")[2] in ("s", "second") or metric.startswith(_MORE_IS_BETTER):
        return "higher"
    return "lower" if unit in _LESS or "loss" in metric else "none"


def compare(first: Series, other: Series, margin: float) -> Compared:
    """Return a series against the first.

    Args:
        first: what it is compared with.
        other: the series.
        margin: difference that would matter; 0.05 is 5 %.
    """
    over, before, after = _paired(first, other)
    kind = direction(other.metric, other.unit)
    words = dict(zip(("faster", "slower"), _WORDS[kind], strict=True))
    if min(before + after) <= 0:
        said = _without_ratio(over, before, after, kind)
        return Compared(None, None, None, words.get(said, said), over)
    middle, low, high = _ratio(first, other, over, before, after)
    enough = over != "rounds" or _rounds(first, other) >= MIN_ROUNDS
    gain = (low, high) if kind == "higher" else (1 / high, 1 / low if low else math.inf)
    said = verdict(*gain, margin) if enough else UNKNOWN
    return Compared(middle, low, high, words.get(said, said), over)


def _without_ratio(over: str, before: list[float], after: list[float], kind: str) -> str:
    """A verdict on values of which some are not above 0."""
    if sorted(before) == sorted(after):
        return "same"
    if over != "nothing":
        return UNKNOWN
    return "faster" if (after[0] > before[0]) == (kind == "higher") else "slower"


def _paired(first: Series, other: Series) -> tuple[str, list[float], list[float]]:
    """What the interval is over, and the values of both by that: in pairs where they have some."""
    if {first.over, other.over} == {"nothing"}:
        over = "nothing"
    elif "seeds" in (first.over, other.over):
        over = "seeds"
    else:
        apart = first.rows.keys().isdisjoint(other.rows)
        known = (
            len(first.rows) + len(other.rows) > 2 if apart else first.over == other.over == "runs"
        )
        over = "runs" if known else "rounds"  # how much runs differ is known from one side, too
    values = [one.repeated(over) for one in (first, other)]
    shared = sorted(values[0].keys() & values[1].keys())
    if over in ("runs", "seeds") and len(shared) > 1:
        return over, *([one[key] for key in shared] for one in values)  # type: ignore[return-value]
    return over, list(values[0].values()), list(values[1].values())


def _ratio(
    first: Series, other: Series, over: str, before: list[float], after: list[float]
) -> tuple[float, float, float]:
    middle = float(np.median(after) / np.median(before))
    if over == "nothing":
        return middle, middle, middle
    if over == "rounds":
        return _within_a_run(first, other)
    runs = [run for run in first.rows if run in other.rows]
    if over == "runs" and len(runs) > 1:
        return _of_pairs([_middle(first, other, run) for run in runs])
    if over == "seeds" and len(first.repeated().keys() & other.repeated().keys()) > 1:
        return _of_pairs([b / a for a, b in zip(before, after, strict=True)])
    return _apart(np.array(before), np.array(after))


def _within_a_run(first: Series, other: Series) -> tuple[float, float, float]:
    """The ratio over rounds: one by one in a run that has both, else of either's rounds."""
    same = next((one for one in first.rows if one in other.rows), None)
    if same and _share_rounds(first, other, same):
        found = ratios([*first.rows[same], *other.rows[same]], first.key)[other.key]
        return 1 / found["speedup"], 1 / found["high"], 1 / found["low"]
    over, under = (np.array([row["value"] for row in one.counted(same)]) for one in (other, first))
    low, high = bootstrap_median(over, under)
    return float(np.median(over) / np.median(under)), low, high


def _middle(first: Series, other: Series, run: str) -> float:
    """The ratio in a run that has both."""
    if _share_rounds(first, other, run):
        return float(1 / np.median(speedup_by_round(first.rows[run], other.rows[run])))
    return other.timing[run]["median"] / first.timing[run]["median"]


def _share_rounds(first: Series, other: Series, run: str) -> bool:
    rounds = [{row["round"] for row in one.rows[run]} for one in (first, other)]
    return first.key != other.key and len(rounds[0] & rounds[1]) >= MIN_ROUNDS


def _rounds(first: Series, other: Series) -> int:
    """Rounds of the series that has fewer; samples, where they are of no round."""
    return min(len({row["round"] for row in one.counted()}) for one in (first, other))


def _of_pairs(found: Iterable[float]) -> tuple[float, float, float]:
    logs = np.log(list(found))
    if len(logs) >= FEW:
        low, high = bootstrap_median(np.exp(logs))
        return float(np.exp(np.median(logs))), low, high
    return _student(logs.mean(), logs.var(ddof=1) / len(logs), len(logs) - 1)


def _apart(before: np.ndarray, after: np.ndarray) -> tuple[float, float, float]:
    """The ratio of values that have no pairs, such as runs before and after a change."""
    if min(len(before), len(after)) >= FEW:
        low, high = bootstrap_median(after, before)
        return float(np.median(after) / np.median(before)), low, high
    logs = np.log(after), np.log(before)
    freedom = len(after) + len(before) - 2
    if not freedom:  # one value of each says nothing of their spread
        return float(after[0] / before[0]), 0.0, math.inf
    scatter = sum(((one - one.mean()) ** 2).sum() for one in logs) / freedom
    middle = logs[0].mean() - logs[1].mean()
    return _student(middle, scatter * (1 / len(after) + 1 / len(before)), freedom)


def _student(mean: Any, variance: Any, freedom: float) -> tuple[float, float, float]:
    """The ratio whose logarithm has this mean, with its interval at 95 %.

    Source: Student 1908.
    """
    from scipy.special import stdtrit

    half = float(stdtrit(freedom, 0.975)) * math.sqrt(variance)
    low, middle, high = (math.exp(min(float(mean) + by, 700)) for by in (-half, 0, half))
    return middle, low, high
