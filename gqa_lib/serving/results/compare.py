"""A variant's runs against a baseline's, pair by pair, with a verdict against a margin.

The margin is stated before the runs. An interval that contains it says nothing either way, and the
verdict is then "inconclusive".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from gqa_lib.arguments import check_some, check_whole

from .checked import check_margin
from .doubts import doubts, notes, same_requests
from .levels import level, too_few
from .result import RATES, Result, higher_is_better

Verdict = Literal["better", "worse", "within the margin", "inconclusive"]
METRICS = (
    *("mean_ttft_ms", "p95_ttft_ms", "mean_tpot_ms", "p95_tpot_ms", "mean_e2el_ms"),
    *("output_throughput", "request_goodput"),
)
BATCHES = 10  # of one run that stands alone
_ALONE = "one run of each: what differs from run to run is not known"


@dataclass(frozen=True)
class Difference:
    """What paired runs say of one metric.

    Args:
        metric: by vLLM's name.
        baseline, variant: means over the runs; a percentile, of the requests of all runs.
        change: mean of variant / baseline - 1 over the pairs; of the batches of a single pair.
        low, high: ends of the interval of that mean; None where nothing shows how far it varies.
        num_pairs: pairs of runs.
        verdict: of the variant: "better" or "worse" if the whole interval is beyond the margin on
            one side, "within the margin" if all of it is inside, else "inconclusive".
        why: what makes it inconclusive; empty otherwise.
    """

    metric: str
    baseline: float
    variant: float
    change: float | None
    low: float | None
    high: float | None
    num_pairs: int
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True)
class Comparison:
    """What `compare_results` returns; as text, a table.

    Args:
        margin: relative difference that would matter.
        confidence: of the intervals.
        differences: of each metric that both sides have.
        paired_by: how many runs of each there are.
        same_requests: whether both sides of each pair served the same requests, in the same order;
            None where a file does not say.
        notes: what to know of the pairs, a sentence each.
    """

    margin: float
    confidence: float
    differences: tuple[Difference, ...]
    paired_by: str
    same_requests: bool | None
    notes: tuple[str, ...]

    def __str__(self) -> str:
        head = ("metric", "baseline", "variant", "change", "interval", "verdict")
        rows = [head, *(self._row(one) for one in self.differences)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        same = {True: "the same requests", False: "different requests", None: "requests not known"}
        lines.append(
            f"pairs: {self.paired_by}, {same[self.same_requests]}; intervals of "
            f"{100 * self.confidence:g} %; margin {100 * self.margin:g} %"
        )
        return "\n".join([*lines, *(f"note: {one}" for one in self.notes)])

    def _row(self, one: Difference) -> tuple[str, ...]:
        verdict = one.verdict + (f": {one.why}" if one.why else "")
        ends = "" if one.low is None else f"[{100 * one.low:+.1f}, {100 * (one.high or 0):+.1f}] %"
        change = "" if one.change is None else f"{100 * one.change:+.1f} %"
        figures = (
            f"{value:,.0f}" if value >= 1e5 else f"{value:.5g}"
            for value in (one.baseline, one.variant)
        )
        return (one.metric, *figures, change, ends, verdict)


def compare_results(
    baseline: Sequence[Result],
    variant: Sequence[Result],
    *,
    margin: float,
    confidence: float = 0.95,
    metrics: Sequence[str] = METRICS,
    goodput: Mapping[str, float] | None = None,
    warmup: int = 0,
    drain: int = 0,
    doubt: str = "",
) -> Comparison:
    """Return how a variant differs from a baseline, with a verdict for each metric.

    The k-th run of one is paired with the k-th of the other: give them in the order of their
    seeds. Of each pair the relative change counts, and Student's interval is that of its mean over
    the pairs: requests of one run wait for each other, so they are not independent results. One
    pair is inconclusive. If it has requests, its latencies get an interval from 10 batches in the
    order of arrival (batch means), which leaves out what differs between runs; its rates get none,
    as a batch has no rate of its own. Pairs of different requests or loads, or with failures, are
    inconclusive too.

    Args:
        baseline, variant: runs, as `load_results` returns them.
        margin: relative difference that would matter, stated beforehand, such as 0.05.
        confidence: of the intervals.
        metrics: by vLLM's names; those that a file lacks are left out.
        goodput: latencies in ms that a good request does not exceed.
        warmup, drain: requests of each run to leave out at its beginning and end.
        doubt: what makes the runs no answer, if the caller knows of something; "" if not.

    Returns:
        The Comparison.

    Raises:
        ValueError: there are not as many runs of both, or they have no metric in common.
        ModuleNotFoundError: scipy is not installed.

    Source: Law, Simulation Modeling and Analysis, 5th ed., 9.5 (batch means), 11.2 (common random
    numbers); Schuirmann 1987 (equivalence).
    """
    _check(baseline, variant, margin, warmup=warmup, drain=drain)
    sides = [_measured(runs, warmup, drain) for runs in (baseline, variant)]
    same = [same_requests(a, b) for a, b in zip(*sides, strict=True)]
    figures = [_figures(side, goodput) for side in sides]
    chosen = _in_all(metrics, [one for side in figures for one in side])
    doubt = doubt or next(doubts(baseline, variant, same), "")
    batches = _of_batches(baseline, variant, warmup, drain, goodput) if None not in same else None

    def difference(name: str) -> Difference:
        first, second = (
            level(name, side, [one[name] for one in of])
            for side, of in zip(sides, figures, strict=True)
        )
        each = figures if name in RATES or batches is None else batches
        a, b = ([one[name] for one in side if name in one] for side in each)
        why = doubt or too_few(name, sides) or (_ALONE if len(baseline) == 1 else "")
        shown = Difference(name, first, second, None, None, None, len(baseline), "inconclusive")
        return _judged(shown, a, b, margin, confidence, why)

    return Comparison(
        margin,
        confidence,
        tuple(map(difference, chosen)),
        "one run of each" if len(baseline) == 1 else f"{len(baseline)} runs",
        None if None in same else all(same),
        tuple(notes(baseline, variant, same, warmup + drain)),
    )


def _check(
    baseline: Sequence[Result], variant: Sequence[Result], margin: float, **ends: int
) -> None:
    check_margin(margin)
    check_whole(0, where="", **ends)
    check_some(baseline=baseline, variant=variant)
    if len(baseline) != len(variant):
        raise ValueError(
            f"{len(baseline)} runs of the baseline and {len(variant)} of the variant: each is "
            "paired with the one of the same seed. Give as many of both, in the same order."
        )


def _in_all(metrics: Sequence[str], figures: Sequence[Mapping[str, float]]) -> list[str]:
    """The metrics that all runs have."""
    known = set.intersection(*(set(one) for one in figures))
    chosen = [name for name in metrics if name in known]
    if not chosen:
        raise ValueError(
            f"none of {', '.join(metrics)} is in all files: there is nothing to compare. They "
            f"share {', '.join(sorted(known)) or 'nothing'}."
        )
    return chosen


def _judged(
    shown: Difference,
    a: list[float],
    b: list[float],
    margin: float,
    confidence: float,
    doubt: str,
) -> Difference:
    """A difference with its change, its interval and its verdict, from figures pair by pair."""
    if not all(a):
        return replace(shown, why="the baseline has 0, of which nothing is a share")
    if len(a) < 2 or len(a) != len(b):
        changed = shown.variant / shown.baseline - 1 if shown.baseline else None
        return replace(shown, change=changed, why=doubt or _ALONE)
    from gqa_lib.train.statistics import mean_interval  # which imports torch

    changes = [other / one - 1 for one, other in zip(a, b, strict=True)]
    change, low, high = mean_interval(changes, confidence)
    shown = replace(shown, change=change, low=low, high=high, why=doubt)
    if doubt:
        return shown
    if -margin < low and high < margin:
        return replace(shown, verdict="within the margin")
    if low > margin or high < -margin:
        better = (low > 0) == higher_is_better(shown.metric)
        return replace(shown, verdict="better" if better else "worse")
    why = "the interval contains the margin"
    if low > 0 or high < 0:
        why += f", though it is {'higher' if low > 0 else 'lower'}"
    return replace(shown, why=why)


def _measured(runs: Sequence[Result], warmup: int, drain: int) -> list[Result]:
    return [
        one.without_ends(warmup, drain) if one.measures_requests and warmup + drain else one
        for one in runs
    ]


def _figures(runs: Sequence[Result], goodput: Mapping[str, float] | None) -> list[dict[str, float]]:
    return [one.summary(goodput if one.measures_requests else None) for one in runs]


def _of_batches(
    baseline: Sequence[Result],
    variant: Sequence[Result],
    warmup: int,
    drain: int,
    goodput: Mapping[str, float] | None,
) -> list[list[dict[str, float]]] | None:
    """Figures of the batches of one run of each; None of several runs."""
    if len(baseline) > 1:
        return None
    cut = (_batches(runs[0], warmup, drain) for runs in (baseline, variant))
    return [_figures(side, goodput) for side in cut]


def _batches(run: Result, warmup: int, drain: int) -> list[Result]:
    """A run without its ends in batches, each of consecutive requests."""
    assert run.trace is not None
    stop = len(run.trace) - drain
    if stop - warmup < BATCHES:
        return [run.without_ends(warmup, drain)]
    ends = np.linspace(warmup, stop, BATCHES + 1).astype(int).tolist()
    return [run.part(*between) for between in pairwise(ends)]
