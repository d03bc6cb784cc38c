"""How this course times things: arms interleaved, buffers rotated, every sample kept.

A measurement is a list of tidy rows, one per sample: {metric, unit, arm, round, sample, value,
phase, quiet}. What to make of the rows is in `samples`, what to record with them in `environment`.

Two readings of one kernel ten minutes apart can differ twofold on a shared machine, while its
ratio to a neighbour timed in the same round hardly moves. So arms are timed round by round, in
alternating order, and compared by their ratio within each round.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from gqa_lib.arguments import check_callable, check_kind, check_number, check_whole

from .samples import MIN_ROUNDS

if TYPE_CHECKING:
    import torch

# Timing


def time_arms(
    arms: Mapping[str, Callable[[int], Any]],
    *,
    rounds: int = 20,
    warmup: int = 2,
    device: torch.device | str = "cpu",
    samples: int = 1,
    budget_s: float | None = None,
    min_rounds: int = MIN_ROUNDS,
    quiet_samples: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> list[dict]:
    """Time of every call of every arm, as tidy rows in seconds.

    Each round calls every arm `samples` times, in an order that turns round after every round.
    Every call gets the next number of one running count, for it to pick a buffer with. What no
    cache should hold comes from `buffers`.

    On CUDA a sample is the time between two events on the current stream, launch cost included:
    replay a CUDA graph to leave it out. Elsewhere it is wall time, and `quiet` says that the
    process was never made to give up a core during it.

    Args:
        arms: name to a function of the call's number.
        rounds: measured rounds at most.
        warmup: rounds before them, marked "warmup".
        device: where the work runs.
        samples: calls of an arm in a row, per round.
        budget_s: seconds after which no further round starts, once min_rounds are done.
        min_rounds: measured rounds that are done whatever the budget.
        quiet_samples: past `rounds`, go on until every arm has this many quiet samples or the
            budget is over. Where the system does not tell, every sample counts.
        clock: seconds, increasing.

    Returns:
        Rows with phase "warmup" or "measure"; `quiet` is None where it cannot be known.

    Raises:
        ValueError: no arms, fewer rounds than one, quiet samples waited for without a budget, or a
            number that is none or negative.
    """
    _check_arms(arms)
    check_whole(None, rounds=rounds)
    check_whole(0, warmup=warmup, min_rounds=min_rounds, quiet_samples=quiet_samples)
    check_whole(samples=samples)
    if budget_s is not None:
        check_number(0, endless=True, budget_s=budget_s)
    _refuse_no_work(len(arms), rounds, quiet_samples, budget_s)
    take_sample = _sampler(device, clock)
    rows: list[dict] = []
    call = 0
    start = clock()
    quiet_of = dict.fromkeys(arms, 0)
    with _no_garbage_collection():
        for index in count(-warmup):
            if budget_s is not None and index >= min_rounds and clock() - start > budget_s:
                break
            if index >= rounds and min(quiet_of.values()) >= quiet_samples:
                break
            names = list(arms)
            for name in names if index % 2 == 0 else reversed(names):
                for sample in range(samples):
                    value, quiet = take_sample(arms[name], call)
                    call += 1
                    quiet_of[name] += index >= 0 and quiet is not False
                    rows.append(_row(name, index, warmup, sample, value, quiet))
    return rows


def _check_arms(arms: Any) -> None:
    check_kind(Mapping, "Give a name for each function: {'mine': function}.", arms=arms)
    for name, arm in arms.items():
        check_callable(arm, f"arms[{name!r}]")


def _refuse_no_work(num_arms: int, rounds: int, quiet_samples: int, budget_s: float | None) -> None:
    if quiet_samples and budget_s is None:
        raise ValueError(
            f"quiet_samples={quiet_samples} without a budget: on a busy machine that would never "
            "end. Give budget_s."
        )
    if not num_arms or rounds < 1:
        raise ValueError(
            f"{num_arms} arms over {rounds} rounds: there is nothing to time. Give at least one "
            "arm and one round."
        )


def _row(arm: str, index: int, warmup: int, sample: int, value: float, quiet) -> dict:
    phase, number = ("warmup", index + warmup) if index < 0 else ("measure", index)
    return {
        "metric": "time",
        "unit": "s",
        "arm": arm,
        "round": number,
        "sample": sample,
        "value": value,
        "phase": phase,
        "quiet": quiet,
    }


def _sampler(device, clock) -> Callable[[Callable[[int], Any], int], tuple[float, bool | None]]:
    """A function that runs one call and returns (seconds, quiet)."""
    kind = str(device).partition(":")[0]
    if kind == "cuda":
        return _cuda_sample(device)
    synchronize = _mps_synchronize() if kind == "mps" else lambda: None

    def sample(function, call):
        synchronize()
        before = _involuntary_switches()
        start = clock()
        function(call)
        synchronize()
        elapsed = clock() - start
        return elapsed, None if before is None else _involuntary_switches() == before

    return sample


def _cuda_sample(device):
    import torch

    def sample(function, call):
        with torch.cuda.device(device):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            start.record()
            function(call)
            end.record()
            end.synchronize()
            return start.elapsed_time(end) / 1e3, None

    return sample


def _mps_synchronize():
    import torch

    return torch.mps.synchronize


def _involuntary_switches() -> int | None:
    """How often the system took a core from this process; None where it does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


@contextmanager
def _no_garbage_collection():
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
