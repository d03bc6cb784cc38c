"""What a trace looks like in numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .distribution import PERCENTILES, Distribution, describe


class Requests(Protocol):
    """What is needed of a `Trace`, which has these statistics as a method."""

    @property
    def arrival_s(self) -> np.ndarray | None:
        """Seconds since the first request, ascending."""

    @property
    def prompt_tokens(self) -> np.ndarray:
        """Tokens of each prompt."""

    @property
    def output_tokens(self) -> np.ndarray:
        """Tokens of each answer."""

    @property
    def kv_token_steps(self) -> np.ndarray:
        """Tokens of KV cache summed over each request's decode steps."""

    @property
    def format(self) -> str:
        """What it was read from."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done when it was read."""


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
        table = [["tokens", "mean", "sd", "CV", *names]]
        for name in ("prompt_tokens", "output_tokens", "total_tokens", "kv_token_steps"):
            one: Distribution = getattr(self, name)
            cells = [name, _with_ends(one.mean), f"{one.sd:,.0f}", f"{one.cv:.2f}"]
            table.append([*cells, *map(_with_ends, one.percentiles.values())])
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines += ["  ".join(map(str.rjust, row, widths)) for row in table]
        held = f"{self.residency.mean:,.0f} +- {self.residency.sd:,.0f} (sd)"
        lines.append(f"KV tokens held by a decoding request: {held}")
        lines.append(
            f"correlation of prompt and output {self.correlation:+.2f}, of their ranks "
            f"{self.rank_correlation:+.2f}; in () intervals of "
            f"{100 * self.prompt_tokens.confidence:g} %"
        )
        return "\n".join([*lines, *(f"note: {one}" for one in self.notes)])


def _with_ends(three: tuple[float, float, float]) -> str:
    value, low, high = three
    return f"{value:,.0f} ({low:,.0f}-{high:,.0f})"


def residency_weighted(trace: Requests) -> Residency:
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
    trace: Requests,
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
        len(trace.prompt_tokens),
        trace.format,
        span_s,
        (len(trace.prompt_tokens) - 1) / span_s if span_s else None,
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


def arrival_cv(trace: Requests) -> float | None:
    """Return sd over mean of the times between arrivals; None where they are not known."""
    if trace.arrival_s is None or len(trace.prompt_tokens) < 3:
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
