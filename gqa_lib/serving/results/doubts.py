"""What is to know of pairs of runs, and what makes them no answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .result import Result

MOST_FAILED = 0.01  # of the requests: above, those that were answered are a selection
_LOAD = ("request_rate", "burstiness", "max_concurrency")


def same_requests(a: Result, b: Result) -> bool | None:
    """Return whether two runs served the same lengths in the same order; None if one is silent.

    Args:
        a, b: the runs.
    """
    if not (a.measures_requests and b.measures_requests and a.trace and b.trace):
        return None
    return all(
        np.array_equal(getattr(a.trace, name), getattr(b.trace, name))
        for name in ("prompt_tokens", "output_tokens")
    )


def doubts(
    baseline: Sequence[Result], variant: Sequence[Result], same: Sequence[bool | None]
) -> Iterator[str]:
    """Yield what makes pairs of runs no answer, whatever their intervals are.

    Args:
        baseline, variant: the runs, pair by pair.
        same: whether the runs of each pair served the same requests.
    """
    for one in (*baseline, *variant):
        answered = len(one.trace) if one.trace else one.reported.get("completed", 0)
        if one.failed > MOST_FAILED * (answered + one.failed):
            yield f"{one.failed:,} requests of {one.source} failed, more than 1 %"
    for a, b, alike in zip(baseline, variant, same, strict=True):
        pair = f"{a.source} and {b.source}"
        if alike is False:
            yield f"{pair} did not serve the same requests"
        for name, first, second in _differing(a, b):
            if name in _LOAD:
                yield f"{pair} differ in {name}: {first} and {second}"


def notes(
    baseline: Sequence[Result], variant: Sequence[Result], same: Sequence[bool | None], cut: int
) -> list[str]:
    """Return what to know of pairs of runs, a sentence each.

    Args:
        baseline, variant, same: as in `doubts`.
        cut: requests that were to be left out of each run.
    """
    found = []
    for a, b, alike in zip(baseline, variant, same, strict=True):
        pair = f"{a.source} and {b.source}"
        if alike is False:
            found.append(f"{pair} did not serve the same requests: they differ for that, too")
        if alike is None and cut:
            found.append(f"{pair}: warm-up is in the totals, as there are no requests to leave out")
        found += [
            f"{pair} differ in {name}: {first} and {second}"
            for name, first, second in _differing(a, b)
        ]
    return found


def _differing(a: Result, b: Result) -> Iterator[tuple[str, object, object]]:
    for name in (*_LOAD, "seed", "num_prompts"):
        first, second = a.conditions.get(name), b.conditions.get(name)
        if first != second:
            yield name, first, second
