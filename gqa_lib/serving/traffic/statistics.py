"""What a trace looks like in numbers, with the uncertainty of its percentiles.

Intervals are of a service whose requests come independently of each other. Real ones come in bursts
of the same kind, so repeat a measurement instead of trusting one trace's interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from gqa_lib.arguments import check_number, check_whole, several, shown

from .trace import Trace

PERCENTILES = (50.0, 90.0, 99.0)


@dataclass(frozen=True)
class Distribution:
    """One quantity over the requests of a trace.

    Args:
        n: how many values.
        mean: (value, low, high): the mean with the ends of its interval, from its standard error.
        sd: standard deviation.
        cv: sd over mean; 0 / 0 is 0.
        smallest, largest: of the values.
        percentiles: of each percentile (value, low, high), from a bootstrap.
        confidence: of the intervals.
    """

    n: int
    mean: tuple[float, float, float]
    sd: float
    cv: float
    smallest: float
    largest: float
    percentiles: dict[float, tuple[float, float, float]]
    confidence: float


@dataclass(frozen=True)
class Residency:
    """Tokens of KV cache that a request holds while it decodes.

    Args:
        mean: over the decode steps of all requests.
        sd: over the same.
    """

    mean: float
    sd: float


@dataclass(frozen=True)
class Summary:
    """What `summarise` returns; as text, a table.

    Args:
        n: requests.
        format: of the trace.
        span_s: seconds from the first arrival to the last, None if arrivals are not known.
        rate: requests a second within it, None if it has no length.
        arrival_cv: standard deviation over mean of the times between arrivals: 1 for a Poisson
            process, more for bursts, 0 for a fixed beat. None for fewer than 3 requests.
        prompt_tokens, output_tokens, total_tokens: the quantities.
        kv_token_steps: tokens of KV cache summed over a request's decode steps.
        correlation: Pearson's, between prompt and output; 0 where one of them is constant.
        rank_correlation: Spearman's, the same.
        residency: KV tokens held by a decoding request.
        notes: of the trace.
    """

    n: int
    format: str
    span_s: float | None
    rate: float | None
    arrival_cv: float | None
    prompt_tokens: Distribution
    output_tokens: Distribution
    total_tokens: Distribution
    kv_token_steps: Distribution
    correlation: float
    rank_correlation: float
    residency: Residency
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.n:,} requests, read as {self.format}"]
        if self.span_s is not None and self.rate is not None:
            cv = "" if self.arrival_cv is None else f", CV between arrivals {self.arrival_cv:.2f}"
            lines[0] += f"; {self.span_s:,.0f} s, {self.rate:.3g} requests/s{cv}"
        names = [f"p{q:g}" for q in self.prompt_tokens.percentiles]
        lines.append("".join(f"{t:>24}" for t in ("tokens", "mean", "sd", "CV", *names)))
        for name in ("prompt_tokens", "output_tokens", "total_tokens", "kv_token_steps"):
            one: Distribution = getattr(self, name)
            cells = [name, _with_ends(one.mean), f"{one.sd:,.0f}", f"{one.cv:.2f}"]
            cells += map(_with_ends, one.percentiles.values())
            lines.append("".join(f"{cell:>24}" for cell in cells))
        held = f"{self.residency.mean:,.0f} +- {self.residency.sd:,.0f} (sd)"
        lines.append(f"KV tokens held by a decoding request: {held}")
        lines.append(
            f"correlation of prompt and output {self.correlation:+.2f}, of their ranks "
            f"{self.rank_correlation:+.2f}; in [] intervals of "
            f"{100 * self.prompt_tokens.confidence:g} %"
        )
        return "\n".join([*lines, *(f"note: {one}" for one in self.notes)])


def _with_ends(three: tuple[float, float, float]) -> str:
    value, low, high = three
    return f"{value:,.0f} [{low:,.0f}, {high:,.0f}]"


def describe(
    values: Iterable[float],
    percentiles: Sequence[float] = PERCENTILES,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Distribution:
    """Return mean, spread and percentiles of some values, with intervals.

    A percentile is the one between the two nearest values, in proportion, as numpy and vLLM compute
    it. Its interval is a percentile bootstrap. Resampling is not carried out: of n values drawn
    from n, the k-th smallest has the rank of the k-th smallest of n uniform numbers, which is beta
    distributed, so a million values cost one sort.

    Source: Efron 1979; David and Nagaraja, Order Statistics (2003), 2.2.

    Args:
        values: numbers, one for each request.
        percentiles: from 0 to 100.
        confidence: of the intervals, between 0 and 1.
        draws: resamples of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: there are no values, one is not finite, or an argument is out of its range.
    """
    check_number(above=0, confidence=confidence)
    check_whole(0, seed=seed)
    check_whole(100, draws=draws)
    if confidence >= 1:
        raise ValueError(f"confidence={confidence} is not below 1: no interval is certain.")
    given: Any = values
    if not isinstance(given, np.ndarray):
        given = several(given, "values", "numbers")
    ordered = np.sort(np.asarray(given, np.float64), axis=None)
    if not ordered.size or not np.isfinite(ordered).all():
        raise ValueError(
            f"values={shown(values)} has nothing in it, or numbers that are not finite: they have "
            "no mean. Leave them out and say how many they are."
        )
    rng = np.random.default_rng(seed)
    n, mean, sd = len(ordered), float(ordered.mean()), float(ordered.std())
    half = NormalDist().inv_cdf(0.5 + confidence / 2) * sd / math.sqrt(n)
    return Distribution(
        n,
        (mean, mean - half, mean + half),
        sd,
        sd / mean if mean else 0.0,
        float(ordered[0]),
        float(ordered[-1]),
        {q: _percentile(ordered, q, confidence, draws, rng) for q in percentiles},
        float(confidence),
    )


def _percentile(
    ordered: np.ndarray, q: float, confidence: float, draws: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """A percentile with the ends of its interval."""
    check_number(0, percentile=q)
    if q > 100:
        raise ValueError(f"percentile={q} is above 100: no value is larger than all. Give 0..100.")
    n = len(ordered)
    place = (n - 1) * q / 100
    below = min(int(place), n - 1)
    above = min(below + 1, n - 1)
    share = place - below
    lower = rng.beta(below + 1, n - below, draws)  # the uniform order statistic of rank below + 1
    upper = lower
    if above > below:  # and the next one, given that one
        upper = lower + (1 - lower) * rng.beta(1, n - below - 1, draws)
    low_value, high_value = (
        ordered[np.minimum((n * u).astype(np.int64), n - 1)] for u in (lower, upper)
    )
    drawn = (1 - share) * low_value + share * high_value
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    value = (1 - share) * ordered[below] + share * ordered[above]
    return float(value), float(low), float(high)


def residency_weighted(trace: Trace) -> Residency:
    """Return the KV tokens that a request holds while it decodes, seen at a random decode step.

    A long answer holds its cache for longer, so it counts for more than its share of requests:
    with p prompt and o output tokens, E[o (p + (o + 1) / 2)] / E[o], which is neither E[p + o] nor
    half of it. Steps count alike, and the time of the prefill does not count.

    Args:
        trace: the requests.

    Returns:
        Mean and standard deviation in tokens. A model's bytes per token times the mean are what one
        running request needs; the sd says how much n of them vary, sd * sqrt(n).
    """
    p, o = trace.prompt_tokens.astype(np.float64), trace.output_tokens.astype(np.float64)
    steps = o.sum()
    mean = float((o * (p + (o + 1) / 2)).sum() / steps)
    square = o * p * p + p * o * (o + 1) + o * (o + 1) * (2 * o + 1) / 6  # sum of (p + k)^2
    return Residency(mean, math.sqrt(max(0.0, float(square.sum() / steps) - mean * mean)))


def summarise(
    trace: Trace,
    percentiles: Sequence[float] = PERCENTILES,
    confidence: float = 0.95,
    seed: int = 0,
) -> Summary:
    """Return the statistics of a trace.

    Args:
        trace: the requests.
        percentiles, confidence, seed: as in `describe`.
    """

    def of(values: np.ndarray) -> Distribution:
        return describe(values, percentiles, confidence, seed=seed)

    p, o = trace.prompt_tokens, trace.output_tokens
    span_s = None if trace.arrival_s is None else float(trace.arrival_s[-1] - trace.arrival_s[0])
    return Summary(
        len(trace),
        trace.format,
        span_s,
        (len(trace) - 1) / span_s if span_s else None,
        arrival_cv(trace),
        of(p),
        of(o),
        of(p + o),
        of(trace.kv_token_steps),
        correlation(p, o),
        correlation(ranks(p), ranks(o)),
        residency_weighted(trace),
        trace.notes,
    )


def arrival_cv(trace: Trace) -> float | None:
    """Return sd over mean of the times between arrivals; None where they are not known."""
    if trace.arrival_s is None or len(trace) < 3:
        return None
    between = np.diff(trace.arrival_s)
    return float(between.std() / between.mean()) if between.any() else None


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation, 0 where one of them is constant.

    Args:
        a, b: (N,) numbers.
    """
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value from 1, equal ones with the mean of theirs."""
    _, back, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[back]
