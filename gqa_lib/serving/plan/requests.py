"""The requests of each run, the same for every variant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..fits import too_long
from ..scenario import Scenario
from ..traffic import Trace, fit, gamma_arrivals

_FEWEST = 0.5  # of a trace's requests that must fit


@dataclass(frozen=True)
class Fitting:
    """Which requests of a trace every variant can serve.

    Args:
        trace: those.
        left_out: for each limit that requests exceed, how many do; of all variants together.
        num_left_out: requests that exceed one or more.
    """

    trace: Trace
    left_out: dict[str, int]
    num_left_out: int


def fitting(trace: Trace, variants: Sequence[Scenario]) -> Fitting:
    """Return the requests that every variant can serve, and how many exceed which limit.

    Args:
        trace: the requests.
        variants: the engines.

    Raises:
        ValueError: fewer than half of the requests fit.
    """
    out = np.zeros(len(trace), bool)
    limits: dict[str, int] = {}
    for scenario in variants:
        for limit, mask in scenario.too_long(trace).items():
            limits[f"{limit} ({scenario.config.num_kv_heads} KV heads)"] = int(mask.sum())
            out |= mask
    if out.mean() > 1 - _FEWEST:
        which = "; ".join(f"{count:,} exceed {limit}" for limit, count in limits.items())
        raise ValueError(
            f"{int(out.sum()):,} of {len(trace):,} requests cannot be served by every variant: "
            f"{which}. What is left is another workload. Compare variants with more memory for "
            "keys and values, such as fewer KV heads, a larger device or more ranks."
        )
    return Fitting(trace.select(~out) if out.any() else trace, limits, int(out.sum()))


def draws_own(trace: Trace, num_requests: int, num_seeds: int) -> bool:
    """Return whether a trace has enough requests for all runs, each other ones.

    Args:
        trace: the requests that fit.
        num_requests: of a run.
        num_seeds: runs.
    """
    return len(trace) >= num_requests * num_seeds


def requests_of_run(
    trace: Trace,
    variants: Sequence[Scenario],
    num_requests: int,
    num_seeds: int,
    seed: int,
    arrival_cv: float,
) -> Trace:
    """Return the requests of one run, one a second on average.

    If the trace has enough requests for all runs, each has other ones of it, consecutive as they
    came; otherwise they are drawn from its joint distribution. Arrivals are gamma distributed.

    Args:
        trace: the requests that fit.
        variants: the engines; what one of them could not serve is drawn again.
        num_requests: of a run.
        num_seeds: runs.
        seed: the run's number, 0 to num_seeds - 1; the same one returns the same requests.
        arrival_cv: sd over mean of the times between arrivals.
    """
    if draws_own(trace, num_requests, num_seeds):
        own = trace.select(slice(seed * num_requests, (seed + 1) * num_requests))
        arrivals = gamma_arrivals(num_requests, 1.0, arrival_cv, seed)
        return replace(own, arrival_s=arrivals, measured={})
    traffic = fit(trace)
    drawn = traffic.draw(num_requests, rate=1.0, seed=seed, arrival_cv=arrival_cv)
    prompts, outputs = drawn.prompt_tokens.copy(), drawn.output_tokens.copy()
    again = seed
    while (out := too_long(drawn, *variants)).any():  # a long prompt met a long answer
        again += num_seeds
        more = traffic.draw(num_requests, rate=1.0, seed=again, arrival_cv=1.0)
        prompts[out], outputs[out] = more.prompt_tokens[out], more.output_tokens[out]
        drawn = replace(drawn, prompt_tokens=prompts, output_tokens=outputs)
        prompts, outputs = prompts.copy(), outputs.copy()
    return drawn
