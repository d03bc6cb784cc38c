"""The level of a metric over several runs, and how many requests stand behind a percentile."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from .result import Floats, Result

ABOVE = 100  # requests that a percentile needs above it
_PERCENTILE = re.compile(r"(median|p(\d+(?:\.\d+)?))_(ttft|tpot|itl|e2el)_ms")


def level(name: str, runs: Sequence[Result], figures: Sequence[float]) -> float:
    """Return a metric of several runs together: a percentile of all their requests, else the mean.

    Args:
        name: of the metric, by vLLM's name.
        runs: whose it is.
        figures: of each run, in their order.
    """
    found = _PERCENTILE.fullmatch(name)
    pooled = _values(found[3], runs) if found else None
    if found is None or pooled is None:
        return float(np.mean(figures))
    return 1e3 * float(np.percentile(pooled, float(found[2] or 50)))


def too_few(name: str, sides: Sequence[Sequence[Result]]) -> str:
    """Return why a percentile cannot be judged, "" if it can or is none.

    Args:
        name: of the metric, by vLLM's name.
        sides: the runs of each variant; of each, 100 latencies must be above it. A request of one
            token has no TPOT, and does not count towards it.
    """
    found = _PERCENTILE.fullmatch(name)
    if found is None or found[2] is None:
        return ""
    known = [values for side in sides if (values := _values(found[3], side)) is not None]
    if not known:
        return ""
    least = min(map(len, known))
    above = least * (1 - float(found[2]) / 100)
    return f"p{found[2]} of {least:,} requests rests on {above:.0f}" if above < ABOVE - 0.5 else ""


def _values(latency: str, runs: Sequence[Result]) -> Floats | None:
    """A latency of all requests of some runs, in seconds; None where they are not known."""
    if not all(one.measures_requests for one in runs):
        return None
    if latency == "itl":
        if any(one.itls_s is None for one in runs):
            return None
        values = np.concatenate([np.empty(0), *(gaps for one in runs for gaps in one.itls_s or ())])
    else:
        values = np.concatenate([one.latencies_s()[latency] for one in runs])
    values = values[~np.isnan(values)]
    return values if len(values) else None
