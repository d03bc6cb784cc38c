"""How long the runs of a plan take, and what is to be known before they are started."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..results import Difference
from .benchmark import BenchmarkPlan
from .knee import GOOD_SHARE
from .tables import percent, table

CAPACITY_SEEDS = 2  # runs of each variant at most, with all requests at once
_FEWER = 0.25  # of the requests: where so many would tell, it is said
_FEWEST = 50  # requests of a run that are measured, for an advice
SWEEP_REQUESTS = 1000  # measured in a run of the sweep, at most


def runs(plan: BenchmarkPlan) -> str:
    """Return which runs there are and how long they take, as Markdown.

    Args:
        plan: which.
    """
    rows = list(_hours(plan))
    total = total_hours(plan)
    cells = [(name, f"{count:,}", f"{hours:.1f}") for name, count, hours in rows]
    return "\n\n".join(
        [
            "Derived, requests over rate, without the engine's starts:",
            table(("runs", "number", "hours"), [*cells, ("all", "", f"{total:.1f}")]),
            _shorter(plan),
        ]
    )


def _shorter(plan: BenchmarkPlan) -> str:
    """What would take less time."""
    sample = plan.sample
    only = (
        "A price needs the runs of capacity alone (`bash vllm_bench.sh capacity`), the question "
        "of section 1 those of the comparison (`bash vllm_bench.sh compare`)."
    )
    if plan.requests_given:
        return f"The number of requests was given (--requests). {only}"
    if sample.for_percentile >= sample.for_mean:
        return (
            f"p{sample.percentile:g} sets the number of requests, not the mean: a lower one "
            f"(--percentile) takes fewer. {only}"
        )
    least = max(sample.for_percentile, math.ceil(sample.for_mean / 4))
    return (
        f"A relative error twice as large (--relative-error) takes {least:,} requests instead of "
        f"{sample.requests:,}. {only}"
    )


def total_hours(plan: BenchmarkPlan) -> float:
    """Return how long all runs of a plan take, without the engine's starts.

    Args:
        plan: which.
    """
    return sum(hours for _, _, hours in _hours(plan))


def enough(plan: BenchmarkPlan, found: Difference) -> int | None:
    """Return how many requests of each variant would tell a difference, if they are far fewer.

    Half of an interval shrinks as 1 / sqrt(requests); twice as many are taken as would make it as
    wide as the change is far from the margin.

    Args:
        plan: which.
        found: the difference, as the plan's own requests show it in the simulator.
    """
    if found.change is None or found.low is None or found.high is None:
        return None
    if found.verdict == "inconclusive":
        return None
    half, apart = (found.high - found.low) / 2, abs(abs(found.change) - plan.margin)
    measured = plan.per_run * plan.num_seeds
    few = max(_FEWEST * plan.num_seeds, math.ceil(2 * (half / apart) ** 2 * measured))
    few = math.ceil(few / plan.num_seeds) * plan.num_seeds
    return few if few <= _FEWER * measured else None


def warnings(plan: BenchmarkPlan) -> list[str]:
    """Return what to know of a plan before anything else, a sentence or two each.

    Args:
        plan: which.
    """
    rows = list(_hours(plan))
    capacity = sum(hours for name, _, hours in rows if name.startswith("capacity"))
    found = [
        f"All runs take {total_hours(plan):,.1f} hours (section 11), {rows[0][2]:,.1f} of them "
        f"what decides and {capacity:,.1f} the capacity that a price needs."
    ]
    few = [enough(plan, one.differences[0]) for one in plan.rehearsals]
    if few and all(few):
        most = max(one or 0 for one in few)
        hours = rows[0][2] * (most / plan.num_seeds + plan.warmup + plan.drain) / plan.num_requests
        found.append(
            f"Far fewer requests would tell what decides (modelled, section 7): --requests {most}, "
            f"with which it takes {hours:,.1f} hours."
        )
    limits = " ".join(f"{name}:{most:g}" for name, most in (plan.goodput or {}).items())
    for one in plan.variants:
        if one.knee.rate is None:
            asked = f"{limits} for {percent(GOOD_SHARE)} of them" if limits else "a queue that ends"
            found.append(
                f"No rate was found at which {one.num_kv_heads} KV heads keep up with the requests "
                f"({asked}), down to {one.knee.lowest:.3g} requests/s (modelled). Change the "
                "limits (--ttft, --tpot), the device or its flags first: a benchmark at that rate "
                "compares engines that fail."
            )
    return found


def _hours(plan: BenchmarkPlan) -> Iterator[tuple[str, int, float]]:
    number = plan.num_seeds * len(plan.variants)
    each = plan.num_requests / plan.rate / 3600
    for cv in plan.arrival_cvs:
        yield f"comparison at {plan.rate:.3g}/s, CV {cv:.3g}", number, number * each
    variants = len(plan.variants)
    seconds = [plan.num_requests / one.knee.capacity for one in plan.variants]
    yield (
        "capacity, all requests at once (modelled)",
        capacity_seeds(plan) * variants,
        capacity_seeds(plan) * sum(seconds) / 3600,
    )
    hours = sum(sweep_requests(plan) / rate / 3600 for rate in plan.rates)
    yield "sweep", variants * len(plan.rates), variants * hours


def capacity_seeds(plan: BenchmarkPlan) -> int:
    """Return how many runs of each variant get all requests at once.

    Args:
        plan: which.
    """
    return min(CAPACITY_SEEDS, plan.num_seeds)


def sweep_requests(plan: BenchmarkPlan) -> int:
    """Return the requests of a run of the sweep, with those that are left out.

    Args:
        plan: which.
    """
    return min(plan.num_requests, SWEEP_REQUESTS + plan.warmup + plan.drain)
