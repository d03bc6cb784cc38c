"""A comparison carried out in the simulator first: would the planned runs tell?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..results import Difference, Result, compare_results
from ..scenario import Scenario
from ..traffic import Trace


@dataclass(frozen=True)
class Rehearsal:
    """What a plan's comparison would find if the simulator were right.

    Args:
        arrival_cv: sd over mean of the times between arrivals.
        margin: of the plan.
        difference: of the metric that decides.
    """

    arrival_cv: float
    margin: float
    difference: Difference


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
        metrics=(metric,),
        goodput=goodput,
        warmup=ends[0],
        drain=ends[1],
    )
    return Rehearsal(arrival_cv, margin, found.differences[0])


def _simulated(scenario: Scenario, run: Trace) -> Result:
    """A simulation in the form of a result."""
    done = scenario.run(run)
    ttft, e2e = done.first_token_s - done.arrival_s, done.last_token_s - done.arrival_s
    trace = replace(run, measured={"ttft_s": ttft, "e2e_s": e2e})
    return Result("simulation", "simulation", {}, trace)
