"""How a run was loaded: at a rate, or with as much as the server can do."""

from __future__ import annotations

import math

import numpy as np

from gqa_lib.arguments import is_number

from ..results import Result
from ..traffic import Trace

_CLOSED = ("synchronous", "concurrent")  # GuideLLM's: the next request waits for an answer
_AT_ONCE = 0.02  # of a run, in which all requests came
_FELL_BEHIND = 0.9  # of the requests that came in a time were answered in it, or fewer
_LONG = 8  # times what a request takes of a server that is not full: shorter runs only fill it
_EARLY = 0.1  # of a run's requests, which came before it could be full


def pace(trace: Trace | None) -> float | None:
    """Return how many requests a second came, None where that is not known or they came at once.

    Args:
        trace: the requests.
    """
    if trace is None or trace.arrival_s is None or len(trace) < 2:
        return None
    span = float(np.ptp(trace.arrival_s))
    return (len(trace) - 1) / span if span else None


def rate_of(result: Result) -> float | None:
    """Return the rate at which requests came, whatever the server did; None if that is not known.

    Args:
        result: of a run.
    """
    if result.conditions.get("strategy") in _CLOSED or at_once(result):
        return None
    rate = result.conditions.get("request_rate")
    return float(rate) if is_number(rate) and rate else pace(result.trace)


def at_capacity(result: Result) -> bool:
    """Return whether tokens/s are what the server can do, not what it was asked for.

    That is so if all requests came at once, or if it fell behind those that came: of the second
    half of the time in which they did, fewer than 0.9 were answered within it. A run that is short
    next to what a request takes does not tell, nor does a file without requests. How many may run
    at a time is another question.

    Args:
        result: of a run.
    """
    if result.conditions.get("strategy") in _CLOSED:
        return False
    return at_once(result) or _fell_behind(result.trace if result.measures_requests else None)


def at_once(result: Result) -> bool:
    """Return whether all requests came at once, as the file says or as they did.

    Args:
        result: of a run.
    """
    rate = result.conditions.get("request_rate")
    if rate is not None:
        return str(rate).lower() in ("inf", "infinity") or (is_number(rate) and math.isinf(rate))
    if result.conditions.get("strategy") is not None:
        return result.conditions["strategy"] == "throughput"
    trace = result.trace
    if trace is None or trace.arrival_s is None or not result.measures_requests or len(trace) < 2:
        return False
    last = float((trace.arrival_s + trace.measured["e2e_s"]).max() - trace.arrival_s.min())
    return float(np.ptp(trace.arrival_s)) <= _AT_ONCE * last


def _fell_behind(trace: Trace | None) -> bool:
    if trace is None or trace.arrival_s is None or pace(trace) is None:
        return False
    arrivals, took = trace.arrival_s, trace.measured["e2e_s"]
    start, end = float(arrivals[0]), float(arrivals[-1])
    early = took[: max(1, math.ceil(_EARLY * len(took)))]
    if end - start < _LONG * float(np.median(early)):
        return False
    middle, ends = (start + end) / 2, arrivals + took
    answered = int(((ends >= middle) & (ends < end)).sum())
    return answered < _FELL_BEHIND * int((arrivals >= middle).sum())
