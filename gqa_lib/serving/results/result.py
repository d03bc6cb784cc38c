"""One run of a benchmark: its requests where the file has them, and its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gqa_lib.arguments import check_whole

from ..simulator.metrics import good_requests
from ..traffic import Trace

Floats = np.ndarray
LATENCIES = ("ttft", "tpot", "itl", "e2el")  # defined in gqa_lib.serving.simulator.DEFINITIONS
PERCENTILES = (50.0, 90.0, 95.0, 99.0)
RATES = ("output_throughput", "request_throughput", "total_token_throughput", "request_goodput")
_MORE = (*RATES, "good_share", "completed")
_LESS = ("failed", "duration", "preemptions", "recomputed_tokens")


def higher_is_better(metric: str) -> bool:
    """Return whether a higher value of a metric is the better one.

    Args:
        metric: a name such as "output_throughput" or "mean_ttft_ms".

    Raises:
        ValueError: it is neither a latency nor one of those whose direction is known.
    """
    if metric in _MORE or metric in _LESS or metric.endswith("_ms"):
        return metric in _MORE
    raise ValueError(
        f"metric={metric!r}: whether more of it is better is not known, so that no verdict can be "
        f"given. Choose a latency such as mean_ttft_ms, or one of {', '.join(_MORE + _LESS)}."
    )


@dataclass(frozen=True, eq=False)
class Result:
    """What one run of a benchmark measured.

    Args:
        source: the file's name.
        format: what wrote it, one of `FORMATS`.
        reported: the figures that the file states itself, by vLLM's names; times in ms, rates per
            second, `duration` in seconds.
        trace: the requests that were answered, in the order of their arrival, with `ttft_s` and
            `e2e_s` of each; None if the file has totals only.
        itls_s: of each request, the seconds between its tokens; None where they were not kept.
        failed: requests that were not answered.
        window_rates: of a part of a run, rates counted between its first arrival and the first
            after it; empty where no time is between them. None of a whole run.
        conditions: how the run was set up, as far as the file says: "request_rate", "burstiness",
            "max_concurrency", "seed", "model", "date" ...
        notes: what was converted, left out or not known, a sentence each.
    """

    source: str
    format: str
    reported: Mapping[str, float]
    trace: Trace | None = None
    itls_s: Sequence[Floats] | None = None
    failed: int = 0
    window_rates: Mapping[str, float] | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def measures_requests(self) -> bool:
        """Whether each request's latencies are known, so that figures can be computed again."""
        return self.trace is not None and {"ttft_s", "e2e_s"} <= set(self.trace.measured)

    def latencies_s(self) -> dict[str, Floats]:
        """Return each request's latencies in seconds, by vLLM's names.

        Returns:
            `ttft`, `tpot` and `e2el`, (N,) each. A request of one token has no tpot: NaN.

        Raises:
            ValueError: the file has totals only.
        """
        trace = self._requests()
        ttft, e2el = trace.measured["ttft_s"], trace.measured["e2e_s"]
        more = trace.output_tokens - 1
        with np.errstate(invalid="ignore", divide="ignore"):
            tpot = np.where(more > 0, (e2el - ttft) / more, np.nan)
        return {"ttft": ttft, "tpot": tpot, "e2el": e2el}

    def part(self, start: int, stop: int) -> Result:
        """Return the result of some of its requests, counted in the order of their arrival.

        Rates of a part are counted over the time between the arrival of its first request and of
        the first one after it: tokens of whichever request, those that a request has between its
        first and last token taken as evenly spaced. A server that works on what came before does
        that in any part alike, so that a part's own tokens over its own time would be no rate.

        Args:
            start, stop: as of a slice.

        Raises:
            ValueError: the file has totals only, or no request is left.
        """
        check_whole(0, start=start, stop=stop)
        trace, arrivals = self._requests(), self._requests().arrival_s
        if start == 0 and stop >= len(trace):
            return self
        rates: dict[str, float] = {}
        if arrivals is not None:
            end = arrivals[stop] if stop < len(trace) else arrivals[-1]
            rates = _between(trace, float(arrivals[start]), float(end))
        itls = None if self.itls_s is None else list(self.itls_s)[start:stop]
        kept = trace.select(slice(start, stop))
        return replace(self, trace=kept, itls_s=itls, reported={}, window_rates=rates)

    def without_ends(self, warmup: int, drain: int) -> Result:
        """Return the result without its first and last requests, in the order of their arrival.

        Rates are those of `part`: over the time between the arrival of the first request that is
        left and of the first that is dropped at the end.

        Args:
            warmup: requests to leave out at the beginning, while the server fills.
            drain: requests to leave out at the end, while it empties.

        Raises:
            ValueError: the file has totals only, or no request is left.
        """
        check_whole(0, warmup=warmup, drain=drain)
        num = len(self._requests())
        if warmup + drain >= num:
            raise ValueError(
                f"{self.source} has {num:,} answered requests: without the first {warmup:,} and "
                f"the last {drain:,} none is left to measure. Run more requests."
            )
        return self.part(warmup, num - drain)

    def summary(
        self,
        goodput: Mapping[str, float] | None = None,
        percentiles: Sequence[float] = PERCENTILES,
    ) -> dict[str, float]:
        """Return the figures of the run, computed from its requests where it has them.

        Args:
            goodput: latencies in ms that a good request does not exceed, as
                `gqa_lib.serving.simulator.parse_goodput` returns them; None leaves it out.
            percentiles: from 0 to 100.

        Returns:
            By vLLM's names: `{mean,std,median,pQ}_{ttft,tpot,itl,e2el}_ms`, `completed`,
            `failed`, `duration` in seconds from the first arrival to the last token,
            `request_throughput`, `output_throughput`, `total_token_throughput` and
            `request_goodput` per second. What is not known is left out. Of a file with totals
            only, its own figures; of a part of requests that all came at once, no rates.

        Raises:
            ValueError: goodput is asked of a file with totals only.
        """
        if not self.measures_requests:
            if goodput is not None and "request_goodput" not in self.reported:
                self._requests()
            return dict(self.reported)
        trace, latencies = self._requests(), self.latencies_s()
        result: dict[str, float] = {}
        for name, values in latencies.items():
            result |= _statistics(name, values[~np.isnan(values)], percentiles)
        if self.itls_s is not None:
            gaps = np.concatenate([*self.itls_s, np.empty(0)])
            result |= _statistics("itl", gaps, percentiles)
        result |= {"completed": float(len(trace)), "failed": float(self.failed)}
        if trace.arrival_s is None:
            return result
        rates = _rates(trace, latencies, goodput)
        if self.window_rates is None:
            return result | rates
        share = rates.get("good_share")
        if share is not None:
            result["good_share"] = share
            if self.window_rates:
                result["request_goodput"] = share * self.window_rates["request_throughput"]
        return result | dict(self.window_rates)

    def _requests(self) -> Trace:
        if self.trace is None or not self.measures_requests:
            raise ValueError(
                f"{self.source} ({self.format}) has totals only: what single requests took is not "
                "in it. Save the requests: vllm bench serve --save-result --save-detailed, or "
                "AIPerf's profile_export.jsonl."
            )
        return self.trace


def _statistics(name: str, values: Floats, percentiles: Sequence[float]) -> dict[str, float]:
    """Statistics of some latencies in ms, as vLLM computes them; none of no values."""
    if not len(values):
        return {}
    ms = 1e3 * values
    named = {"mean": ms.mean(), "std": ms.std(), "median": np.median(ms)}
    named |= {f"p{q:g}": np.percentile(ms, q) for q in percentiles if q != 50}
    return {f"{what}_{name}_ms": float(value) for what, value in named.items()}


def _rates(
    trace: Trace, latencies: Mapping[str, Floats], goodput: Mapping[str, float] | None
) -> dict[str, float]:
    """Rates over the time from the first arrival to the last token."""
    assert trace.arrival_s is not None
    duration = float((trace.arrival_s + latencies["e2el"]).max() - trace.arrival_s[0])
    per_s = 1 / duration if duration else 0.0
    outputs = float(trace.output_tokens.sum())
    rates = {
        "duration": duration,
        "request_throughput": len(trace) * per_s,
        "output_throughput": outputs * per_s,
        "total_token_throughput": (outputs + float(trace.prompt_tokens.sum())) * per_s,
    }
    if goodput is not None:
        in_ms = {name: 1e3 * values for name, values in latencies.items()}
        good = good_requests(in_ms, goodput)
        rates["request_goodput"] = float(good.sum()) * per_s
        rates["good_share"] = float(good.mean())
    return rates


def _between(trace: Trace, start_s: float, end_s: float) -> dict[str, float]:
    """Rates of the tokens and the answers that end between two times; none without any time."""
    if end_s <= start_s or trace.arrival_s is None:
        return {}
    first = trace.arrival_s + trace.measured["ttft_s"]
    last = trace.arrival_s + trace.measured["e2e_s"]
    gaps = np.maximum(trace.output_tokens - 1, 1)
    each = np.maximum((last - first) / gaps, 1e-12)

    def until(time_s: float) -> Floats:
        """Tokens that each request has before a time."""
        passed = np.floor((time_s - first) / each) + 1
        return np.where(time_s < first, 0, np.clip(passed, 1, trace.output_tokens))

    ended = ((last >= start_s) & (last < end_s)).sum()
    tokens = float((until(end_s) - until(start_s)).sum())
    return {
        "duration": end_s - start_s,
        "request_throughput": float(ended) / (end_s - start_s),
        "output_throughput": tokens / (end_s - start_s),
    }
