"""What a simulation says of an engine, by the names of vLLM's benchmark."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gqa_lib.arguments import check_choice, check_some

from .result import Floats, Simulation

Load = Literal["STABLE", "BACKLOGGED", "OVERLOADED"]
QUANTILES = {"median": 0.5, "p90": 0.9, "p99": 0.99}
DEFINITIONS = {
    "ttft": "time to first token: from arrival to the end of the step that gives the first token",
    "tpot": "time per output token, without the first: (last - first token) / (output - 1)",
    "itl": "inter-token latency: between two tokens of a request, of all but first tokens; up to "
    "64 steps in a row that decode the same sequences count as equally long",
    "e2el": "end-to-end latency: from arrival to the last token",
}
OBJECTIVE = re.compile(r"(ttft|tpot|e2el):((?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)")


def latencies_ms(simulation: Simulation) -> dict[str, Floats]:
    """Return each request's latencies in milliseconds, by vLLM's names.

    Args:
        simulation: whose.

    Returns:
        `ttft`, `tpot` and `e2el`, (N,) each; see `DEFINITIONS`. A request of one token has no
        tpot: NaN.
    """
    first, last = simulation.first_token_s, simulation.last_token_s
    more = simulation.output_tokens - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        tpot = np.where(more > 0, (last - first) / more, np.nan)
    arrival = simulation.arrival_s
    return {"ttft": 1e3 * (first - arrival), "tpot": 1e3 * tpot, "e2el": 1e3 * (last - arrival)}


def parse_goodput(text: str) -> dict[str, float]:
    """Return the latencies that a request must not exceed, in milliseconds.

    Args:
        text: as for `vllm bench serve --goodput`: "ttft:500 tpot:50".

    Raises:
        ValueError: a part is not one of ttft, tpot and e2el with milliseconds.
    """
    objectives: dict[str, float] = {}
    if not text.split():
        raise ValueError(
            "goodput '' names no latency: every request would be good. "
            "Give for example 'ttft:500 tpot:50'."
        )
    for part in text.split():
        match = OBJECTIVE.fullmatch(part)
        if match is None or match[1] in objectives:
            raise ValueError(
                f"goodput {text!r}: {part!r} is not a latency with milliseconds, or given twice. "
                "Give for example 'ttft:500 tpot:50'; there are ttft, tpot and e2el."
            )
        objectives[match[1]] = float(match[2])
    return objectives


def load(simulation: Simulation) -> Load:
    """Return whether an engine keeps up with its requests.

    Args:
        simulation: what it did.

    Returns:
        "STABLE" if nobody waits for 95 % of the time from the first arrival to the last;
        "OVERLOADED" if the requests that wait are more in each third of that time than in the one
        before, and in the last by more than one, and by more than 1.5 standard deviations of what
        n requests add and take away by chance at capacity, sqrt(5/9 n (CV^2 of the times between
        arrivals + CV^2 of the times that requests run)); "BACKLOGGED" otherwise: the queue has not
        grown beyond chance. Requests that all come at once are a backlog if one waits.

    Source: derived; 5/9 n is the variance of the difference between the means of the first and the
    last third of a random walk of n steps.
    """
    arrivals, waiting = simulation.arrival_s, simulation.steps["waiting"]
    if not len(arrivals) or not waiting.any():
        return "STABLE"
    first, last = float(arrivals[0]), float(arrivals[-1])
    thirds = np.linspace(first, last, 4)
    if last == first:
        return "BACKLOGGED"
    if np.diff(_integral(simulation, waiting > 0, thirds[[0, 3]]))[0] < 0.05 * (last - first):
        return "STABLE"
    means = np.diff(_integral(simulation, waiting, thirds)) / np.diff(thirds)
    ran = simulation.last_token_s - simulation.scheduled_s
    uneven = sum((times.std() / times.mean()) ** 2 for times in (np.diff(arrivals), ran))
    chance = 1.5 * np.sqrt(5 / 9 * len(arrivals) * uneven)
    grows = all(a < b for a, b in pairwise(means)) and means[2] - means[0] > max(1, chance)
    return "OVERLOADED" if grows else "BACKLOGGED"


def _integral(simulation: Simulation, values: NDArray[Any], times: Floats) -> Floats:
    """The integral of what each run of steps had, from the beginning to some times."""
    start, seconds = simulation.steps["start_s"], simulation.steps["seconds"]
    knots = np.stack([start, start + seconds], 1).ravel()  # nothing is there between two runs
    added = np.stack([np.zeros(len(start)), values * seconds], 1).ravel()
    return np.interp(times, knots, np.cumsum(added))


def summary(simulation: Simulation, goodput: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Return a simulation's figures, times in milliseconds, under the names of vLLM's JSON.

    Args:
        simulation: what an engine did.
        goodput: latencies that a request must not exceed, in milliseconds, as `parse_goodput`
            returns them; None leaves `request_goodput` out.

    Returns:
        `{mean,median,std,p90,p99}_{ttft,tpot,itl,e2el}_ms` (see `DEFINITIONS`); `duration` in
        seconds, from the first arrival to the last token; `completed`, `request_throughput`,
        `output_throughput`, `total_token_throughput` (per second), `request_goodput`;
        `preemptions`, `recomputed_tokens`, `reused_tokens`, `swapped_tokens`; `mean_kv_usage` and
        `max_kv_usage`, shares of the blocks; `mean_running` over time; and `load`.
    """
    result: dict[str, Any] = {}
    each = latencies_ms(simulation)
    for name, values in each.items():
        known = values[~np.isnan(values)]
        result |= _statistics(name, known)
    result |= _statistics("itl", *_between_tokens_ms(simulation))
    steps, completed = simulation.steps, len(simulation.arrival_s)
    first = simulation.arrival_s.min(initial=np.inf)
    duration = float(max(0.0, simulation.last_token_s.max(initial=0.0) - first))
    per_s = 1 / duration if duration else 0.0
    outputs, prompts = simulation.output_tokens.sum(), simulation.prompt_tokens.sum()
    usage = steps["blocks_used"] / simulation.rules.num_blocks
    result |= {
        "duration": duration,
        "completed": completed,
        "request_throughput": completed * per_s,
        "output_throughput": float(outputs) * per_s,
        "total_token_throughput": float(outputs + prompts) * per_s,
        "preemptions": int(simulation.preemptions.sum()),
        "recomputed_tokens": simulation.recomputed_tokens,
        "reused_tokens": simulation.reused_tokens,
        "swapped_tokens": simulation.swapped_tokens,
        "mean_kv_usage": _mean(usage, steps["seconds"]),
        "max_kv_usage": float(usage.max(initial=0.0)),
        "mean_running": _mean(steps["running"], steps["seconds"]),
        "load": load(simulation),
    }
    if goodput is not None:
        result["request_goodput"] = float(good_requests(each, goodput).sum()) * per_s
    return result


def good_requests(
    latencies: Mapping[str, Floats], goodput: Mapping[str, float]
) -> NDArray[np.bool_]:
    """Return which requests exceed none of some latencies, (N,).

    Args:
        latencies: of each request in milliseconds, as `latencies_ms` returns them.
        goodput: to the most that is good, in milliseconds, as `parse_goodput` returns it.

    Raises:
        ValueError: no latency is limited, or one that is not there.
    """
    check_some(goodput=goodput)
    for name in goodput:
        check_choice(tuple(latencies), goodput=name)
    good = np.ones(len(latencies["ttft"]), dtype=bool)
    for name, most in goodput.items():
        good &= ~(latencies[name] > most)  # a request of one token has no tpot to exceed
    return good


def _between_tokens_ms(simulation: Simulation) -> tuple[Floats, Floats]:
    """Times between tokens, and how many tokens had each."""
    steps = simulation.steps
    some = steps["num_decodes"] > 0
    times = steps["seconds"][some] / steps["num_steps"][some]
    tokens = (steps["num_decodes"] * steps["num_steps"])[some]
    gaps = simulation.gaps_s
    return 1e3 * np.concatenate([times, gaps]), np.concatenate([tokens, np.ones(len(gaps))])


def _statistics(name: str, values: Floats, weights: Floats | None = None) -> dict[str, float]:
    """Mean, standard deviation and quantiles; 0 without values, as in vLLM.

    Quantiles are linear between two values, with weights those of one of the values.
    """
    if not len(values):
        return {f"{what}_{name}_ms": 0.0 for what in ("mean", "std", *QUANTILES)}
    mean = float(np.average(values, weights=weights))
    spread = float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))
    if weights is None:
        at = {what: float(np.quantile(values, share)) for what, share in QUANTILES.items()}
    else:
        order = np.argsort(values)
        below = np.cumsum(weights[order])
        at = {
            what: float(values[order][np.searchsorted(below, share * below[-1])])
            for what, share in QUANTILES.items()
        }
    named = {"mean": mean, "std": spread, **at}
    return {f"{what}_{name}_ms": value for what, value in named.items()}


def _mean(values: NDArray[Any], seconds: Floats) -> float:
    """The mean over time, 0 without any time."""
    return float(np.average(values, weights=seconds)) if seconds.sum() else 0.0
