"""A variant's runs against a baseline's, pair by pair, with a verdict against a margin.

The margin is stated before the runs. An interval that contains it says nothing either way, and the
verdict is then "inconclusive".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from gqa_lib.arguments import check_number, check_some, check_whole

from .result import Result, higher_is_better

Verdict = Literal["better", "worse", "within the margin", "inconclusive"]
METRICS = (
    *("mean_ttft_ms", "p95_ttft_ms", "mean_tpot_ms", "p95_tpot_ms", "mean_e2el_ms"),
    *("output_throughput", "request_goodput"),
)
MOST_FAILED = 0.01  # of the requests: above, those that were answered are a selection
ABOVE = 100  # requests that a percentile needs above it
BATCHES = 10  # of one run that stands alone


@dataclass(frozen=True)
class Difference:
    """What paired runs say of one metric.

    Args:
        metric: by vLLM's name.
        baseline, variant: means over the runs.
        change: mean of variant / baseline - 1 over the pairs; None without two pairs.
        low, high: ends of the interval of that mean.
        num_pairs: pairs of runs, or of batches of one run.
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
        paired_by: "runs" or "batches of one run".
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
        return (one.metric, f"{one.baseline:.5g}", f"{one.variant:.5g}", change, ends, verdict)


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
) -> Comparison:
    """Return how a variant differs from a baseline, with a verdict for each metric.

    The k-th run of one is paired with the k-th of the other: give them in the order of their
    seeds. Of each pair the relative change counts, and Student's interval is that of its mean over
    the pairs: requests of one run wait for each other, so they are not independent results. If
    there is one pair with requests, it is cut into 10 batches in the order of arrival (batch
    means), which leaves out what differs between runs.

    Args:
        baseline, variant: runs, as `load_results` returns them.
        margin: relative difference that would matter, stated beforehand, such as 0.05.
        confidence: of the intervals.
        metrics: by vLLM's names; those that a file lacks are left out.
        goodput: latencies in ms that a good request does not exceed.
        warmup, drain: requests of each run to leave out at its beginning and end.

    Returns:
        The Comparison.

    Raises:
        ValueError: there are not as many runs of both, or they have no metric in common.
        ModuleNotFoundError: scipy is not installed.

    Source: Law, Simulation Modeling and Analysis, 5th ed., 9.5 (batch means), 11.2 (common random
    numbers); Schuirmann 1987 (equivalence).
    """
    check_number(above=0, margin=margin)
    check_whole(0, warmup=warmup, drain=drain)
    check_some(baseline=baseline, variant=variant)
    if len(baseline) != len(variant):
        raise ValueError(
            f"{len(baseline)} runs of the baseline and {len(variant)} of the variant: each is "
            "paired with the one of the same seed. Give as many of both, in the same order."
        )
    sides = [_measured(runs, warmup, drain) for runs in (baseline, variant)]
    same = [_same_requests(a, b) for a, b in zip(*sides, strict=True)]
    notes = _notes(baseline, variant, same, warmup + drain)
    batched = len(baseline) == 1 and same[0] is not None
    if batched:
        sides = [_batches(side[0]) for side in sides]
        notes.append("one run of each: what differs from run to run is not in the interval")
    figures = [[one.summary(_asked(one, goodput)) for one in side] for side in sides]
    known = set.intersection(*(set(one) for side in figures for one in side))
    chosen = [name for name in metrics if name in known]
    if not chosen:
        raise ValueError(
            f"none of {', '.join(metrics)} is in all files: there is nothing to compare. They "
            f"share {', '.join(sorted(known)) or 'nothing'}."
        )
    least = min(sum(len(one.trace) for one in side if one.trace) for side in sides)
    failed = _too_many_failed([*baseline, *variant])

    def difference(name: str) -> Difference:
        a, b = ([one[name] for one in side] for side in figures)
        doubt = failed or _too_few(name, least)
        return _difference(name, a, b, margin, confidence, doubt)

    return Comparison(
        margin,
        confidence,
        tuple(map(difference, chosen)),
        f"{BATCHES} batches of one run" if batched else f"{len(baseline)} runs",
        None if None in same else all(same),
        tuple(notes),
    )


def _difference(
    name: str, a: list[float], b: list[float], margin: float, confidence: float, doubt: str
) -> Difference:
    first, second = float(np.mean(a)), float(np.mean(b))
    if len(a) < 2:
        return Difference(
            name, first, second, None, None, None, len(a), "inconclusive", "one pair has no spread"
        )
    if not all(a):
        why = "the baseline has 0, of which nothing is a share"
        return Difference(name, first, second, None, None, None, len(a), "inconclusive", why)
    from gqa_lib.train.statistics import mean_interval  # which imports torch

    changes = [other / one - 1 for one, other in zip(a, b, strict=True)]
    change, low, high = mean_interval(changes, confidence)
    verdict: Verdict = "inconclusive"
    why = doubt
    if not doubt:
        if -margin < low and high < margin:
            verdict = "within the margin"
        elif low > margin or high < -margin:
            verdict = "better" if (low > 0) == higher_is_better(name) else "worse"
        else:
            why = "the interval contains the margin"
            if low > 0 or high < 0:
                why += f", though it is {'higher' if low > 0 else 'lower'}"
    return Difference(name, first, second, change, low, high, len(a), verdict, why)


def _measured(runs: Sequence[Result], warmup: int, drain: int) -> list[Result]:
    return [
        one.without_ends(warmup, drain) if one.measures_requests and warmup + drain else one
        for one in runs
    ]


def _asked(one: Result, goodput: Mapping[str, float] | None) -> Mapping[str, float] | None:
    return goodput if one.measures_requests else None


def _same_requests(a: Result, b: Result) -> bool | None:
    """Whether two runs served the same lengths in the same order; None if one does not say."""
    if not (a.measures_requests and b.measures_requests and a.trace and b.trace):
        return None
    return all(
        np.array_equal(getattr(a.trace, name), getattr(b.trace, name))
        for name in ("prompt_tokens", "output_tokens")
    )


def _batches(run: Result) -> list[Result]:
    assert run.trace is not None
    ends = np.linspace(0, len(run.trace), BATCHES + 1).astype(int).tolist()
    if len(run.trace) < BATCHES:
        return [run]
    return [run.part(start, stop) for start, stop in pairwise(ends)]


def _notes(
    baseline: Sequence[Result], variant: Sequence[Result], same: list[bool | None], cut: int
) -> list[str]:
    notes = []
    for a, b, alike in zip(baseline, variant, same, strict=True):
        pair = f"{a.source} and {b.source}"
        if alike is False:
            notes.append(f"{pair} did not serve the same requests: they differ for that, too")
        if alike is None and cut:
            notes.append(f"{pair}: warm-up is in the totals, as there are no requests to leave out")
        for name in ("request_rate", "burstiness", "max_concurrency", "seed", "num_prompts"):
            first, second = a.conditions.get(name), b.conditions.get(name)
            if first != second:
                notes.append(f"{pair} differ in {name}: {first} and {second}")
    return notes


def _too_many_failed(runs: Sequence[Result]) -> str:
    for one in runs:
        answered = len(one.trace) if one.trace else one.reported.get("completed", 0)
        if one.failed > MOST_FAILED * (answered + one.failed):
            return f"{one.failed:,} requests of {one.source} failed, more than 1 %"
    return ""


def _too_few(name: str, least: int) -> str:
    """Why a percentile cannot be judged: fewer than 100 requests of all runs are above it."""
    what = name.partition("_")[0]
    if not least or not what.startswith("p") or not what[1:].replace(".", "").isdigit():
        return ""
    above = least * (1 - float(what[1:]) / 100)
    return f"{what} of {least:,} requests rests on {above:.0f}" if above < ABOVE - 0.5 else ""
