"""A comparison carried out in the simulator first: would the planned runs tell?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..results import Difference, Result, compare_results
from ..scenario import Scenario
from ..traffic import Trace

_LATENCIES = ("mean_ttft_ms", "mean_tpot_ms")


@dataclass(frozen=True)
class Rehearsal:
    """What a plan's comparison would find if the simulator were right.

    Args:
        arrival_cv: sd over mean of the times between arrivals.
        differences: of the metric that decides, and of the means of TTFT and TPOT.
    """

    arrival_cv: float
    differences: tuple[Difference, ...]


def rehearse(
    baseline: Scenario,
    variant: Scenario,
    runs: Sequence[Trace],
    *,
    metric: str,
    margin: float,
    goodput: Mapping[str, float] | None,
    ends: tuple[int, int],
    arrival_cv: float,
) -> Rehearsal:
    """Return what two engines' runs of the same requests would differ by, by simulation.

    Args:
        baseline, variant: the engines.
        runs: requests of each run.
        metric: that decides, by vLLM's name.
        margin: relative difference that would matter.
        goodput: latencies in ms that a good request does not exceed, or None.
        ends: requests of each run to leave out at its beginning and end.
        arrival_cv: of the runs.

    Raises:
        ModuleNotFoundError: scipy is not installed.
    """
    first, second = ([_simulated(one, run) for run in runs] for one in (baseline, variant))
    found = compare_results(
        first,
        second,
        margin=margin,
        metrics=(metric, *_LATENCIES),
        goodput=goodput,
        warmup=ends[0],
        drain=ends[1],
    )
    return Rehearsal(arrival_cv, found.differences)


def _simulated(scenario: Scenario, run: Trace) -> Result:
    """A simulation in the form of a result."""
    done = scenario.run(run)
    ttft, e2e = done.first_token_s - done.arrival_s, done.last_token_s - done.arrival_s
    trace = replace(run, measured={"ttft_s": ttft, "e2e_s": e2e})
    return Result("simulation", "simulation", {}, trace)
