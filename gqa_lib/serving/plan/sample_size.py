"""How many requests a benchmark needs, and what may be quoted of so many."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist

import numpy as np

from gqa_lib.arguments import check_number, check_whole

from ..traffic import Trace

ABOVE = 100  # requests above a percentile that is quoted
PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
PILOT = 200  # requests: fewer do not say how much requests vary
_DRAWS = 400  # of the bootstrap


@dataclass(frozen=True)
class SampleSize:
    """How many requests are measured, and why.

    Args:
        pilot: requests of the trace, from which the variation is known.
        cv: of token-steps: the tokens of KV cache that a request holds, summed over its decode
            steps, sd over mean.
        cv_low, cv_high: ends of its bootstrap interval of 95 %.
        relative_error: of a mean over requests, half of its interval.
        confidence: of that interval.
        for_mean: requests for it, (z CV / relative_error)^2.
        for_mean_low, for_mean_high: the same at the ends of the CV's interval.
        percentile: highest that is to be quoted.
        for_percentile: requests for it, so that 100 are above.
        requests: to be measured, all runs together, warm-up not counted.
        quotable: percentiles that may be quoted of so many.
    """

    pilot: int
    cv: float
    cv_low: float
    cv_high: float
    relative_error: float
    confidence: float
    for_mean: int
    for_mean_low: int
    for_mean_high: int
    percentile: float
    for_percentile: int
    requests: int
    quotable: tuple[float, ...]


def required_requests(cv: float, relative_error: float = 0.05, confidence: float = 0.95) -> int:
    """Return how many independent requests bring a mean within an error of its own.

    Args:
        cv: sd over mean of the quantity, 0 or more.
        relative_error: half of the interval, as a share of the mean.
        confidence: of the interval, between 0 and 1.

    Raises:
        ValueError: an argument is out of its range.

    Source: derived: (z CV / relative_error)^2, z of the normal distribution, rounded up.
    """
    check_number(0, cv=cv)
    check_number(above=0, relative_error=relative_error)
    check_number(above=0, confidence=confidence)
    if confidence >= 1:
        raise ValueError(f"confidence={confidence} is not below 1: no interval is certain.")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    return max(1, math.ceil((z * cv / relative_error) ** 2))


def requests_for_percentile(percentile: float) -> int:
    """Return how many requests put 100 above a percentile.

    Args:
        percentile: from 0 to below 100.

    Raises:
        ValueError: it is not in that range.
    """
    check_number(0, percentile=percentile)
    if percentile >= 100:
        raise ValueError(
            f"percentile={percentile:g}: no request is above the largest, which rests on one. Give "
            "less than 100, such as 95."
        )
    return math.ceil(ABOVE / (1 - Fraction(str(percentile)) / 100))


def quotable_percentiles(num_requests: int) -> tuple[float, ...]:
    """Return which of p50, p90, p95, p99 and p99.9 have 100 requests or more above them.

    Args:
        num_requests: that were measured.
    """
    check_whole(0, num_requests=num_requests)
    return tuple(q for q in PERCENTILES if requests_for_percentile(q) <= num_requests)


def highest(quotable: Iterable[float]) -> float:
    """Return the highest of the percentiles that results are summed up by, p99 at most.

    Args:
        quotable: those that may be quoted; of none, it is the median.
    """
    return max((q for q in quotable if q <= 99), default=50.0)


def sample_size(
    trace: Trace,
    *,
    relative_error: float = 0.05,
    confidence: float = 0.95,
    percentile: float = 95.0,
    seed: int = 0,
) -> SampleSize:
    """Return how many requests like those of a trace a benchmark has to measure.

    Args:
        trace: the pilot.
        relative_error, confidence: as in `required_requests`.
        percentile: highest that is to be quoted.
        seed: of the bootstrap.
    """
    steps = trace.kv_token_steps.astype(np.float64)
    cv = float(steps.std() / steps.mean())
    rng = np.random.default_rng(seed)
    drawn = [_cv(rng.choice(steps, len(steps))) for _ in range(_DRAWS)]
    low, high = (float(end) for end in np.quantile(drawn, [0.025, 0.975]))
    mean, least, most = (
        required_requests(one, relative_error, confidence) for one in (cv, low, high)
    )
    needed = requests_for_percentile(percentile)
    requests = max(mean, needed)
    return SampleSize(
        pilot=len(trace),
        cv=cv,
        cv_low=low,
        cv_high=high,
        relative_error=relative_error,
        confidence=confidence,
        for_mean=mean,
        for_mean_low=least,
        for_mean_high=most,
        percentile=percentile,
        for_percentile=needed,
        requests=requests,
        quotable=quotable_percentiles(requests),
    )


def _cv(values: np.ndarray) -> float:
    return float(values.std() / values.mean())
