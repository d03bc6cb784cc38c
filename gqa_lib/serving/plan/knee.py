"""Up to which rate of requests a simulated engine keeps its promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..scenario import Scenario
from ..simulator import Simulation, latencies_ms, load, summary
from ..traffic import Trace

GOOD_SHARE = 0.9  # of requests that must meet the objectives
_WIDEST, _STEPS = 64.0, 7  # of the search: from the capacity down to 1/64 of it, in halves


@dataclass(frozen=True)
class Knee:
    """The highest rate at which a simulated engine keeps up; modelled.

    Args:
        rate: requests a second, at most `capacity`; None if even `lowest` is too much.
        lowest: rate that was tried last.
        capacity: requests a second when all are there from the beginning.
        requests: that were simulated at each rate.
    """

    rate: float | None
    lowest: float
    capacity: float
    requests: int


def at_rate(trace: Trace, rate: float) -> Trace:
    """Return the same requests, their arrivals stretched to a rate.

    Args:
        trace: with arrivals.
        rate: requests a second.
    """
    assert trace.arrival_s is not None
    times = trace.arrival_s - trace.arrival_s[0]
    span = float(times[-1])
    scale = (len(trace) - 1) / rate / span if span else 0.0
    return replace(trace, arrival_s=times * scale, measured={}, notes=())


def keeps_up(simulation: Simulation, goodput: Mapping[str, float] | None) -> bool:
    """Return whether an engine is not overloaded, and enough requests meet the objectives.

    Args:
        simulation: what it did.
        goodput: latencies in ms that a good request does not exceed, or None.
    """
    if load(simulation) == "OVERLOADED":
        return False
    latencies = latencies_ms(simulation)
    good = np.ones(len(simulation.arrival_s), bool)
    for name, most in (goodput or {}).items():
        good &= ~(latencies[name] > most)
    return bool(good.mean() >= GOOD_SHARE)


def find_knee(scenario: Scenario, trace: Trace, goodput: Mapping[str, float] | None) -> Knee:
    """Return up to which rate a scenario keeps up with a trace's requests, by simulation.

    The same requests are simulated at each rate, their arrivals stretched. The rate is searched in
    halves, to 3 % of itself.

    Args:
        scenario: the engine.
        trace: requests with arrivals.
        goodput: latencies in ms that 90 % of the requests must not exceed; None asks only that the
            engine is not overloaded.
    """
    together = replace(trace, arrival_s=np.zeros(len(trace)), measured={}, notes=())
    capacity = float(summary(scenario.run(together))["request_throughput"])
    high, low = capacity, capacity / _WIDEST  # above it, what waits grows as long as they come

    def good(rate: float) -> bool:
        return keeps_up(scenario.run(at_rate(trace, rate)), goodput)

    if not good(low):
        return Knee(None, low, capacity, len(trace))
    for _ in range(_STEPS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if good(middle) else (low, middle)
    return Knee(low, low, capacity, len(trace))


def modelled(
    scenario: Scenario, trace: Trace, goodput: Mapping[str, float] | None
) -> dict[str, Any]:
    """Return a simulation's figures by vLLM's names, and the share of good requests.

    Args:
        scenario: the engine.
        trace: requests with arrivals.
        goodput: latencies in ms that a good request does not exceed, or None.
    """
    simulation = scenario.run(trace)
    figures = summary(simulation, goodput)
    if goodput is not None:
        per_s = figures["request_throughput"]
        figures["good_share"] = figures["request_goodput"] / per_s if per_s else 0.0
    return figures
