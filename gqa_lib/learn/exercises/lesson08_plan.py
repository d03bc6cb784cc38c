"""Lesson 08: a benchmark plan that follows from a pilot."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import NormalDist
from typing import Any

from .exercise import Exercise, Mistake
from .lesson06 import integers
from .lesson08 import LESSON
from .lesson08_rates import required
from .lesson09_pairs import student_t
from .numbers import as_number, nearly

QUOTABLE = (50, 90, 95, 99)  # percent
_NUMBERS = ("cv", "burstiness", "inconclusive_below")
_WHOLE = ("requests", "warmup")
_KEYS = ("cv", "requests", "percentiles", "warmup", "burstiness", "runs", "inconclusive_below")
_OTHERWISE = (
    "{type} {value} stands where a number belongs, in cv, burstiness or inconclusive_below."
)
Pilot = dict[str, Any]


def _pilot(
    generator,
    prompts=(),
    outputs=(),
    arrivals=(),
    in_flight=8.0,
    pair_sd=0.02,
    variants=("MHA", "GQA"),
    seeds=(0, 1, 2),
    error=0.05,
    confidence=0.95,
    draw=0,
):
    """The pilot given, or drawn; each fourth draw needs so many requests that p99 may be quoted."""
    for _ in range(draw):
        few, tenths, per_mille, runs, extra = integers(generator, 30, 400, 90, 6, 90)
        count = 3 + few
        prompts = integers(generator, *[1200] * count)
        outputs = [one * one // 40 + 1 for one in integers(generator, *[200] * count)]
        gaps = [one * one / 1000 for one in integers(generator, *[200] * count)]
        arrivals = [round(sum(gaps[:place]), 6) for place in range(count)]
        in_flight, pair_sd = tenths / 10, per_mille / 1000
        seeds = [extra + 7 * place * (-1) ** place for place in range(runs + 1)]
        variants = (("MHA", "GQA"), ("GQA-8", "GQA-4", "MQA"), ("A", "B"))[draw % 3]
        error, confidence = (0.05, 0.01, 0.02, 0.1)[draw % 4], (0.95, 0.9, 0.99)[draw % 3]
    pilot = {"prompt_lengths": list(prompts), "output_lengths": list(outputs)}
    pilot |= {"arrival_s": list(arrivals), "in_flight": in_flight, "pair_sd": pair_sd}
    return pilot, list(variants), list(seeds), error, confidence


def _spread(values: Sequence[float], less: int = 0) -> float:
    """Standard deviation over mean."""
    middle = math.fsum(values) / len(values)
    squares = math.fsum((one - middle) ** 2 for one in values)
    return math.sqrt(squares / (len(values) - less)) / middle


def _token_steps(p: int, o: int) -> float:
    return o * (p + (o + 1) / 2)


def _alternate(variants: list[str], place: int) -> list[str]:
    return variants[::-1] if place % 2 else variants


def _gaps(arrivals: Sequence[float]) -> list[float]:
    return [after - before for before, after in pairwise(arrivals)]


def plan(
    pilot: Pilot,
    variants: list[str],
    seeds: list[int],
    error: float,
    confidence: float,
    *,
    size: Callable = _token_steps,
    less: int = 0,
    above: float = 100,
    quotable: Sequence[int] = QUOTABLE,
    total: Callable = lambda needed, pilot: needed,
    warm: Callable = lambda in_flight: math.ceil(2 * in_flight),
    times: Callable = _gaps,
    burst: Callable = lambda cv: 1 / cv**2 if cv else math.inf,
    order: Callable = _alternate,
    half: Callable = lambda confidence, n: student_t((1 + confidence) / 2, n - 1) / math.sqrt(n),
) -> dict[str, Any]:
    """Return the plan, or with a step replaced what that makes of it.

    Args:
        pilot: what was measured before.
        variants, seeds, error, confidence: as the lesson says.
        size: of a request, of its prompt and output.
        less: degrees of freedom that the spread of the sizes loses.
        above: requests that must lie above a percentile.
        quotable: percentiles that may be.
        total: the requests that count for a percentile.
        warm: requests of the warm-up.
        times: whose spread is that of the arrivals.
        burst: the burstiness of that spread.
        order: of the variants, by the place of the seed.
        half: half the interval over the pairs' standard deviation.
    """
    pairs = zip(pilot["prompt_lengths"], pilot["output_lengths"], strict=True)
    cv = _spread([size(p, o) for p, o in pairs], less)
    needed = required(cv, error, confidence)
    enough = total(needed, pilot)
    return {
        "cv": cv,
        "requests": needed,
        "percentiles": [q for q in quotable if enough * (100 - q) >= 100 * above],
        "warmup": warm(pilot["in_flight"]),
        "burstiness": burst(_spread(times(pilot["arrival_s"]))),
        "runs": [[s, name] for i, s in enumerate(seeds) for name in order(variants, i)],
        "inconclusive_below": pilot["pair_sd"] * half(confidence, len(seeds)),
    }


def _call(yours: Callable, *arguments: Any) -> Any:
    """Call a learner's function: numbers of any library, and lists or tuples, will do."""
    got = yours(*arguments)
    if not isinstance(got, dict) or set(got) != set(_KEYS):
        return got
    right = plan(*arguments)
    seen = {key: got[key] for key in _KEYS}
    for key in _NUMBERS:
        seen[key] = nearly(as_number(got[key], _OTHERWISE), right[key])
    for key in _WHOLE:
        if not isinstance(got[key], bool | float) and got[key] == right[key]:
            seen[key] = right[key]  # whole, and perhaps of another library
    for key in ("percentiles", "runs"):
        seen[key] = _listed(got[key])
    return seen


def _listed(value: Any) -> Any:
    return list(map(_listed, value)) if isinstance(value, list | tuple) else value


def _with(**steps: Any) -> Callable:
    return lambda *arguments: plan(*arguments, **steps)


def _without_pairs(pilot, variants, seeds, error, confidence):
    right = plan(pilot, variants, seeds, error, confidence)
    return right | {"runs": [[seed, name] for name in variants for seed in seeds]}


BENCHMARK_PLAN = Exercise(
    name="benchmark_plan",
    lesson=LESSON,
    make=_pilot,
    oracle=lambda pilot, variants, seeds, relative_error, confidence: plan(
        pilot, variants, seeds, relative_error, confidence
    ),
    call=_call,
    cases=(
        {
            "prompts": (100, 700, 30, 400),
            "outputs": (20, 200, 90, 8),
            "arrivals": (0, 0.5, 0.75, 4),
        },
        {
            "prompts": (900, 20, 60, 300, 5),
            "outputs": (3, 400, 12, 55, 31),
            "error": 0.01,
            "arrivals": (2.0, 2.5, 6.0, 6.25, 9.5),
            "in_flight": 12.5,
            "variants": ("A", "B", "C"),
            "seeds": (5, 3, 4, 11),
            "pair_sd": 0.1,
            "confidence": 0.9,
        },
        {
            "prompts": (50, 60, 55),
            "outputs": (10, 11, 9),
            "arrivals": (1, 3, 5),
            "error": 0.05,
            "in_flight": 0.4,
            "seeds": (8, 9),
        },
        {
            "prompts": (100, 700, 30, 400),
            "outputs": (20, 200, 90, 8),
            "error": 0.06875,
            "arrivals": (0, 0.5, 0.75, 4),
        },  # 2,000 requests: 100 above p95
        {"draw": 3},
        {"draw": 1},
    ),
    mistakes=(
        Mistake(
            "the CV is that of p + o. What loads the memory are token-steps, o (p + (o + 1) / 2), "
            "and they vary more.",
            _with(size=lambda p, o: p + o),
        ),
        Mistake("the CV is that of the answers. Take token-steps.", _with(size=lambda p, o: o)),
        Mistake("the CV is that of the prompts. Take token-steps.", _with(size=lambda p, o: p)),
        Mistake(
            "the CV is that of o (p + o): in step k only p + k tokens are held.",
            _with(size=lambda p, o: o * (p + o)),
        ),
        Mistake(
            "the CV divides by n - 1. The exercise asks for the one that divides by n.",
            _with(less=1),
        ),
        Mistake(
            "10 requests above a percentile are taken for enough. Ask for 100.", _with(above=10)
        ),
        Mistake("1 request above a percentile is taken for enough. Ask for 100.", _with(above=1)),
        Mistake(
            "more than 100 requests are asked for above a percentile. 100 are enough.",
            lambda *arguments: (
                plan(*arguments)
                | {
                    "percentiles": [
                        q for q in QUOTABLE if plan(*arguments)["requests"] * (100 - q) > 10_000
                    ]
                }
            ),
        ),
        Mistake(
            "percentiles are chosen by the pilot's requests. Those of the plan count.",
            _with(total=lambda needed, pilot: len(pilot["prompt_lengths"])),
        ),
        Mistake(
            "percentiles are quoted whatever the number of requests.",
            _with(above=0),
        ),
        Mistake(
            "the warm-up is as many requests as are in flight. Take twice as many.",
            _with(warm=math.ceil),
        ),
        Mistake("the warm-up is rounded down. Round it up.", _with(warm=lambda n: int(2 * n))),
        Mistake(
            "the number in flight is rounded before it is doubled.",
            _with(warm=lambda n: 2 * math.ceil(n)),
        ),
        Mistake(
            "the CV squared is given. Burstiness is the shape of a gamma distribution, 1 / cv^2.",
            _with(burst=lambda cv: cv**2),
        ),
        Mistake(
            "burstiness is 1 / cv. It is 1 / cv^2.",
            _with(burst=lambda cv: 1 / cv if cv else math.inf),
        ),
        Mistake("the CV of the gaps is given. Burstiness is 1 / cv^2.", _with(burst=lambda cv: cv)),
        Mistake(
            "the CV is that of the times of arrival. Take the gaps between them.",
            _with(times=lambda arrivals: arrivals),
        ),
        Mistake(
            "the variants run in the same order for every seed, so that whatever drifts favours "
            "one of them. Turn the order round for every second seed.",
            _with(order=lambda variants, place: variants),
        ),
        Mistake(
            "the order is turned round for the first seed and not for the second.",
            _with(order=lambda variants, place: _alternate(variants, place + 1)),
        ),
        Mistake(
            "one variant is finished before the next begins. Run all variants with a seed, then "
            "take the next seed.",
            _without_pairs,
        ),
        Mistake(
            "the normal distribution is used. With few seeds take Student's t with len(seeds) - 1 "
            "degrees of freedom.",
            _with(
                half=lambda confidence, n: NormalDist().inv_cdf((1 + confidence) / 2) / math.sqrt(n)
            ),
        ),
        Mistake(
            "a quantile of one side is used: take that at (1 + confidence) / 2.",
            _with(half=lambda confidence, n: student_t(confidence, n - 1) / math.sqrt(n)),
        ),
        Mistake(
            "the square root of the number of seeds is missing.",
            _with(half=lambda confidence, n: student_t((1 + confidence) / 2, n - 1)),
        ),
        Mistake(
            "t has as many degrees of freedom as there are seeds: one less.",
            _with(half=lambda confidence, n: student_t((1 + confidence) / 2, n) / math.sqrt(n)),
        ),
    ),
)

EXERCISES = [BENCHMARK_PLAN]
