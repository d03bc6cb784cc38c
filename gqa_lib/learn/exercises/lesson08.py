"""Lesson 08: the KV cache that a request holds, over the steps that it is written in."""

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import torch

from .exercise import Exercise, Mistake
from .lesson06 import integers
from .numbers import as_number, nearly

LESSON = "08-serving-economics"
PERCENTILES = (50, 95, 99)
_KEYS = ("mean", "sd", *(f"p{q}" for q in PERCENTILES))
_OTHERWISE = "{type} {value} is not a number of bytes. Give a number for each of " + ", ".join(
    _KEYS
)
Held = Callable[[int, int], Iterable[float]]  # of a prompt and an output: what is held, by step


def _requests(generator: torch.Generator, prompts=(), outputs=(), each=16, draw=0, count=0):
    """The requests given, or drawn: long prompts with short answers and the other way round."""
    for _ in range(draw):
        few, each = integers(generator, 12, 200_000)
        count = count or 2 + few
        prompts = integers(generator, *[300] * count)
        outputs = [
            one // (1 + place % 4) for place, one in enumerate(integers(generator, *[90] * count))
        ]
        outputs[0] += 1
    return list(prompts), list(outputs), each


def _steps(p: int, o: int) -> Iterable[int]:
    """Tokens in the cache in each decode step: the prompt, and the answer as far as it is."""
    return (p + step for step in range(1, o + 1))


def demand(
    prompts: Sequence[int],
    outputs: Sequence[int],
    each: float,
    *,
    held: Held = _steps,
    less: int = 0,
    percentile: Callable | None = None,
) -> dict[str, float]:
    """Return mean, sd and percentiles of the bytes held, a decode step at a time.

    Args:
        prompts, outputs: tokens of each request.
        each: bytes of a token.
        held: what a request holds, one number for each time that it counts.
        less: degrees of freedom that the variance loses.
        percentile: of sorted values and a percentage; None is the right one.

    Raises:
        ValueError: there is no step.
    """
    values = sorted(x for p, o in zip(prompts, outputs, strict=True) for x in held(p, o))
    if not values:
        raise ValueError(f"output_lengths={outputs}: no step decodes a token.")
    exact = [Fraction(x) for x in values]
    mean = sum(exact) / len(exact)
    variance = sum((x - mean) ** 2 for x in exact) / max(1, len(exact) - less)
    numbers = [float(mean), math.sqrt(variance)]
    numbers += [float((percentile or _smallest)(values, q)) for q in PERCENTILES]
    return {key: float(Fraction(x) * Fraction(each)) for key, x in zip(_KEYS, numbers, strict=True)}


def _smallest(values: Sequence[float], q: int) -> float:
    """The smallest value that at least q % of all do not exceed."""
    return values[-(-q * len(values) // 100) - 1]


def _next(values: Sequence[float], q: int) -> float:
    return values[min(q * len(values) // 100, len(values) - 1)]


def _between(values: Sequence[float], q: int) -> float:
    """The percentile between the two nearest values, as numpy computes it."""
    place = Fraction((len(values) - 1) * q, 100)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + float(place - below) * (values[above] - values[below])


def _call(yours: Callable, prompts: list[int], outputs: list[int], each: float) -> Any:
    """Call a learner's function: numbers of any library will do, float32 is near enough."""
    got = yours(prompts, outputs, each)
    if not isinstance(got, dict) or set(got) != set(_KEYS):
        return got
    if not any(outputs):
        return got  # where an error is asked for
    right = demand(prompts, outputs, each)
    numbers = {key: as_number(got[key], _OTHERWISE) for key in _KEYS}
    if right["sd"] == 0 and abs(numbers["sd"]) < 1e-6 * right["mean"]:
        numbers["sd"] = 0.0  # what rounding leaves
    return {key: nearly(one, right[key]) for key, one in numbers.items()}


def _changed(**steps: Any) -> Callable:
    return lambda prompts, outputs, each: demand(prompts, outputs, each, **steps)


def _variance(prompts, outputs, each):
    right = demand(prompts, outputs, each)
    return right | {"sd": right["sd"] ** 2}


def _two_populations(prompts, outputs, each):
    """Percentiles of the requests next to a mean over the steps."""
    by_step = demand(prompts, outputs, each)
    whole = demand(prompts, outputs, each, held=lambda p, o: [p + o])
    return by_step | {key: whole[key] for key in _KEYS if key.startswith("p")}


KV_DEMAND = Exercise(
    name="kv_demand",
    lesson=LESSON,
    make=_requests,
    oracle=lambda prompt_lengths, output_lengths, kv_bytes_per_token: demand(
        prompt_lengths, output_lengths, kv_bytes_per_token
    ),
    call=_call,
    cases=(
        {"prompts": (10, 2), "outputs": (2, 6), "each": 16},
        {"prompts": (30, 4, 11), "outputs": (3, 12, 5), "each": 131_072},  # 20 steps
        {"prompts": (7, 50, 3, 21), "outputs": (60, 5, 25, 10), "each": 40},  # 100 steps
        {"prompts": (9, 40, 8), "outputs": (0, 4, 7), "each": 3},
        {"prompts": (25,), "outputs": (1,), "each": 8},
        {"prompts": (12, 5), "outputs": (0, 0), "each": 8},
        {"prompts": (), "outputs": (), "each": 8},
        {"prompts": (400, 12, 90), "outputs": (9, 31, 14), "each": 0.5},
        {"draw": 1},
    ),
    mistakes=(
        Mistake(
            "each request counts once, with all its tokens: E[p + o]. A long answer is in memory "
            "for longer, and only its last step holds all of it: count decode steps.",
            _changed(held=lambda p, o: [p + o]),
        ),
        Mistake(
            "each request counts once, with its mean over its steps. A request of 500 steps is "
            "there 500 times: count steps, not requests.",
            _changed(held=lambda p, o: [p + Fraction(o + 1, 2)]),
        ),
        Mistake(
            "every step is charged for the whole answer. In step k there are p + k tokens; what "
            "is not written yet holds nothing.",
            _changed(held=lambda p, o: [p + o] * o),
        ),
        Mistake(
            "the answer is left out. What has been written is in the cache as well: p + k tokens.",
            _changed(held=lambda p, o: [p] * o),
        ),
        Mistake(
            "the prompt is left out. It is in the cache from the first step to the last.",
            _changed(held=lambda p, o: range(1, o + 1)),
        ),
        Mistake(
            "the steps count from 0. Step k, counted from 1, holds p + k tokens.",
            _changed(held=lambda p, o: range(p, p + o)),
        ),
        Mistake(
            "one step too many is counted: a request has steps 1 to o.",
            _changed(held=lambda p, o: range(p, p + o + 1)),
        ),
        Mistake(
            "the prompt's tokens count as steps, one by one. They are computed together; only "
            "decode steps count here.",
            _changed(held=lambda p, o: range(1, p + o + 1)),
        ),
        Mistake(
            "a request is weighted by all its tokens. Its weight is its number of decode steps.",
            _changed(held=lambda p, o: [p + Fraction(o + 1, 2)] * (p + o)),
        ),
        Mistake(
            "steps are weighted rightly, but each holds the request's mean. That hides how a "
            "request grows: take p + 1, p + 2, ... p + o.",
            _changed(held=lambda p, o: [p + Fraction(o + 1, 2)] * o),
        ),
        Mistake(
            "the standard deviation divides by n - 1. These are all steps there are, not a sample "
            "of them: divide by n.",
            _changed(less=1),
        ),
        Mistake("the sd is a variance: take its square root.", _variance),
        Mistake(
            "percentiles lie between two values. Here p95 is the smallest amount that at least "
            "95 % of the steps do not exceed, one that is really held.",
            _changed(percentile=_between),
        ),
        Mistake(
            "percentiles are one value too high where q % of the steps is a whole number: of 20 "
            "steps p95 is the 19th.",
            _changed(percentile=_next),
        ),
        Mistake(
            "the percentiles are of requests, and mean and sd of steps. All are of steps.",
            _two_populations,
        ),
        Mistake(
            "tokens are given. Multiply by kv_bytes_per_token.",
            lambda prompts, outputs, each: demand(prompts, outputs, 1),
        ),
        Mistake(
            "bytes are doubled. kv_bytes_per_token has K and V already.",
            lambda prompts, outputs, each: demand(prompts, outputs, 2 * each),
        ),
    ),
)

EXERCISES = [KV_DEMAND]
