"""Traffic drawn from what a trace looks like: as many requests as needed, at any rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gqa_lib.arguments import check_choice, check_kind, check_number, check_whole

from .statistics import arrival_cv, correlation, ranks
from .trace import Trace

Joint = Literal["grid", "gaussian"]
Margins = Literal["empirical", "lognormal"]
_MOST_BINS, _PER_BIN = 64, 4  # bins of each length; at least this many requests a cell on average
_TABLE = np.linspace(-8.0, 8.0, 16001)  # of the normal distribution, to 1e-7


@dataclass(frozen=True, eq=False)
class SyntheticTraffic:
    """A distribution of requests, as `fit` makes it.

    Args:
        prompt_tokens, output_tokens: (N,) the lengths of the trace, ascending.
        joint: "grid" or "gaussian".
        margins: "empirical" or "lognormal".
        cells: (K, K) share of requests whose prompt is in the i-th of K parts by rank and whose
            output is in the j-th.
        normal_correlation: of the Gaussian copula: the one with the trace's rank correlation.
        arrival_cv: sd over mean of the times between arrivals; None if it is not known.
        rate: requests a second of the trace; None if it is not known.
        source: of the trace.
    """

    prompt_tokens: np.ndarray
    output_tokens: np.ndarray
    joint: Joint
    margins: Margins
    cells: np.ndarray
    normal_correlation: float
    arrival_cv: float | None
    rate: float | None
    source: str

    def draw(
        self,
        n: int,
        rate: float | None = None,
        *,
        seed: int = 0,
        arrival_cv: float | None = None,
    ) -> Trace:
        """Return n requests, drawn independently of each other.

        The times between arrivals are gamma distributed and then scaled, so that the requests come
        in (n - 1) / rate seconds, as `vllm bench serve` does: the load offered does not depend on
        the draw. Its --burstiness is 1 / arrival_cv^2. Lengths depend on the seed, not on rate
        and arrival_cv: loads can be compared with the same requests.

        Args:
            n: how many.
            rate: requests a second; None for the trace's.
            seed: the same one draws the same.
            arrival_cv: sd over mean of the times between arrivals: 1 is a Poisson process, 0 a
                fixed beat; None for the trace's.

        Returns:
            A trace whose format is "synthetic".

        Raises:
            ValueError: an argument is out of its range, or not known from the trace.
        """
        check_whole(n=n)
        check_whole(0, seed=seed)
        rate = self._known("rate", rate, self.rate)
        arrival_cv = self._known("arrival_cv", arrival_cv, self.arrival_cv)
        check_number(above=0, rate=rate)
        check_number(0, arrival_cv=arrival_cv)
        for_lengths, for_arrivals = np.random.default_rng(seed).spawn(2)
        in_prompts, in_outputs = self._uniforms(n, for_lengths)
        return Trace(
            _arrivals(n, rate, arrival_cv, for_arrivals),
            self._quantile(self.prompt_tokens, in_prompts),
            self._quantile(self.output_tokens, in_outputs),
            format="synthetic",
            source=self.source,
            notes=(
                f"drawn with seed {seed}: {self.margins} lengths, joint by {self.joint}, "
                f"{rate:g} requests/s, gamma arrivals with CV {arrival_cv:g}",
            ),
        )

    def _known(self, name: str, given: float | None, fitted: float | None) -> float:
        value = fitted if given is None else given
        if value is None:
            raise ValueError(
                f"{name} is not known: the trace has no arrivals, or too few. Give {name}=..., "
                "such as 1."
            )
        return value

    def _uniforms(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Two numbers from 0 to 1 for each request, uniform each, joint as the trace's ranks."""
        if self.joint == "gaussian":
            first, other = rng.standard_normal((2, n))
            r = self.normal_correlation
            return _normal_cdf(first), _normal_cdf(r * first + math.sqrt(1 - r * r) * other)
        bins = len(self.cells)
        cell = rng.choice(bins * bins, n, p=self.cells.ravel())
        inside = rng.random((2, n))
        return (cell // bins + inside[0]) / bins, (cell % bins + inside[1]) / bins

    def _quantile(self, ordered: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        if self.margins == "empirical":
            return ordered[np.minimum((uniform * len(ordered)).astype(np.int64), len(ordered) - 1)]
        spread = math.log1p(ordered.var() / ordered.mean() ** 2)
        normal = np.interp(uniform, _normal_cdf(_TABLE), _TABLE)
        drawn = np.exp(math.log(ordered.mean()) - spread / 2 + math.sqrt(spread) * normal)
        return np.maximum(1, np.rint(drawn)).astype(np.int64)


def fit(trace: Trace, joint: Joint = "grid", margins: Margins = "empirical") -> SyntheticTraffic:
    """Return traffic with a trace's lengths and burstiness, from which any number can be drawn.

    Prompt and output are drawn together, because what a request holds in the cache depends on
    both. "grid" (a checkerboard copula) keeps how often each part of the prompts, by rank, goes
    with each part of the outputs. "gaussian" keeps the correlation of the ranks alone, and of a
    service with several kinds of requests that is too little: of the Azure conversation trace KV
    tokens held are 1,227 +- 713, of draws by "grid" 1,230 +- 712 and by "gaussian" 1,374 +- 1,153.

    "empirical" lengths are those of the trace. "lognormal" ones have its means and standard
    deviations before they are rounded to whole numbers from 1, and no upper end.

    Requests are drawn independently: kinds of requests do not come in phases, and no prompt shares
    a prefix with another.

    Args:
        trace: 2 requests or more.
        joint: "grid" or "gaussian".
        margins: "empirical" or "lognormal".

    Raises:
        ValueError: the trace has one request only, or an argument is not known.
    """
    check_kind(Trace, "Give one from load_trace(path) or sample(name).", trace=trace)
    check_choice(("grid", "gaussian"), joint=joint)
    check_choice(("empirical", "lognormal"), margins=margins)
    if len(trace) < 2:
        raise ValueError("a trace of 1 request has no spread to draw from. Give 2 or more.")
    p, o = trace.prompt_tokens, trace.output_tokens
    spearman = correlation(ranks(p), ranks(o))
    span_s = 0.0 if trace.arrival_s is None else float(np.ptp(trace.arrival_s))
    return SyntheticTraffic(
        np.sort(p),
        np.sort(o),
        joint,
        margins,
        _cells(p, o),
        2 * math.sin(math.pi * spearman / 6),
        arrival_cv(trace),
        (len(trace) - 1) / span_s if span_s else None,
        trace.source,
    )


def _cells(p: np.ndarray, o: np.ndarray) -> np.ndarray:
    """Shares of requests by rank of prompt and rank of output; equal lengths are split at random.

    Each row and column has the same share, so that both margins stay as they are.
    """
    n = len(p)
    bins = max(1, min(_MOST_BINS, math.isqrt(n // _PER_BIN)))
    tied = np.random.default_rng(0).random((2, n))
    cells = np.zeros((bins, bins))
    parts = []
    for values, tie in zip((p, o), tied, strict=True):
        rank = np.empty(n, np.int64)
        rank[np.lexsort((tie, values))] = np.arange(n)
        parts.append(rank)
    # A request covers [rank, rank + 1) / n of both; where that lies in two bins it counts in both.
    for row, row_share in _overlaps(parts[0], n, bins):
        for column, column_share in _overlaps(parts[1], n, bins):
            np.add.at(cells, (row, column), row_share * column_share)
    return cells / cells.sum()


def _overlaps(rank: np.ndarray, n: int, bins: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The one or two bins that each rank lies in, with the part of it that does."""
    first = rank * bins // n
    second = np.minimum(first + 1, bins - 1)
    beyond = np.clip((rank + 1) - second * n / bins, 0, 1) * (second > first)
    return [(first, 1 - beyond), (second, beyond)]


def gamma_arrivals(n: int, rate: float, arrival_cv: float, seed: int = 0) -> np.ndarray:
    """Return when n requests come, in seconds from the first one.

    The times between arrivals are gamma distributed and then scaled, so that the last request comes
    after (n - 1) / rate seconds, as in `vllm bench serve`, whose clock begins one request earlier:
    the load offered does not depend on the draw.

    Args:
        n: how many.
        rate: requests a second; infinity for all at once.
        arrival_cv: sd over mean of the times between arrivals: 1 is a Poisson process, 0 a fixed
            beat. vLLM's --burstiness is 1 / arrival_cv^2.
        seed: the same one draws the same.

    Returns:
        (n,) seconds, ascending.

    Raises:
        ValueError: an argument is out of its range.

    Source: vLLM 0.19, vllm/benchmarks/serve.py, `get_request`.
    """
    check_whole(n=n)
    check_whole(0, seed=seed)
    check_number(above=0, endless=True, rate=rate)
    check_number(0, arrival_cv=arrival_cv)
    return np.zeros(n) if rate == math.inf else _arrivals(n, rate, arrival_cv, seed)


def _arrivals(n: int, rate: float, cv: float, seed: int | np.random.Generator) -> np.ndarray:
    """Arrivals from 0 to (n - 1) / rate."""
    if n == 1:
        return np.zeros(1)
    between = np.ones(n - 1)
    if cv > 0:
        drawn = np.random.default_rng(seed).gamma(1 / cv**2, 1.0, n - 1)
        between = drawn if drawn.any() else between  # with a CV of hundreds all may round to 0
    arrivals = np.concatenate([[0.0], np.cumsum(between)])
    return arrivals / arrivals[-1] * ((n - 1) / rate)


def _normal_cdf(values: np.ndarray) -> np.ndarray:
    return np.interp(values, _TABLE, _TABLE_CDF)


_TABLE_CDF = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in _TABLE.tolist()])
