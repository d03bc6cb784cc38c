"""One quantity over many requests: mean, spread and percentiles, with intervals.

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
