"""Lesson 15: the relative change of a metric between runs that are paired by seed."""

import math
from collections.abc import Callable, Mapping
from statistics import NormalDist, mean, median, pstdev, stdev
from typing import Any

import torch

from .exercise import Exercise, Mistake
from .lesson06 import integers
from .lesson09_pairs import student_t
from .lesson15 import LESSON
from .numbers import as_number

_SINGLE = 1e-5  # of an interval's width: how far results in float32 may be off
_OTHERWISE = (
    "One of its three results is a {type}: {value}. Give three numbers: the relative change and "
    "the two ends of its interval."
)
Runs = Mapping[int, float]
Change = tuple[float, float, float] | None


def _runs(generator: torch.Generator, baseline=None, variant=None, confidence=0.95, draw=0):
    """The runs given, or drawn: seeds that only one of them has, and in another order."""
    for place in range(draw):
        extra, lost, start = integers(generator, 9, 4, 400)
        seeds = [start + 3 * step for step in range(2 + extra)]
        noise = 0.15 * torch.randn(2, len(seeds), generator=generator).double()
        levels = torch.exp(3 + 2 * torch.rand(len(seeds), generator=generator).double())
        a, b = levels * noise[0].exp(), 1.4 * levels * noise[1].exp()
        baseline = {seed: _kept(one) for seed, one in zip(seeds, a.tolist(), strict=True)}
        variant = {
            seed: _kept(one) for seed, one in zip(seeds[::-1], b.tolist()[::-1], strict=True)
        }
        baseline |= {start - step: _kept(40.0 + step) for step in range(1, lost)}
        confidence = (0.95, 0.8, 0.9, 0.99, 0.5)[(place + extra) % 5]
    return dict(baseline or {}), dict(variant or {}), confidence


def _kept(value: float) -> float:
    """A value that float32 holds as it is."""
    return round(value * 64) / 64


def _pairs(baseline: Runs, variant: Runs) -> list[tuple[float, float]]:
    return [(baseline[seed], variant[seed]) for seed in sorted(baseline) if seed in variant]


def _t(confidence: float, n: int) -> float:
    return student_t((1 + confidence) / 2, n - 1)


def _turned_back(center: float, half: float) -> tuple[float, ...]:
    return tuple(math.expm1(one) for one in (center, center - half, center + half))


def changed(
    baseline: Runs,
    variant: Runs,
    confidence: float,
    *,
    pairs: Callable = _pairs,
    take: Callable = lambda one, other: math.log(other / one),
    middle: Callable = mean,
    spread: Callable = stdev,
    over: Callable = math.sqrt,
    quantile: Callable = _t,
    back: Callable = _turned_back,
) -> Change:
    """Return the relative change and its interval, or with a step replaced what that makes of it.

    Args:
        baseline, variant: seed to value.
        confidence: of the interval.
        pairs: of runs.
        take: what is averaged of a pair.
        middle, spread: of these.
        over: what the spread is divided by, of their number.
        quantile: of a confidence and their number.
        back: the three results, of the center and half of the interval.
    """
    both = pairs(baseline, variant)
    if len(both) < 2:
        return None
    taken = [take(one, other) for one, other in both]
    half = quantile(confidence, len(taken)) * spread(taken) / over(len(taken))
    return back(middle(taken), half)


def _call(yours: Callable, baseline: Runs, variant: Runs, confidence: float) -> Any:
    got = yours(baseline, variant, confidence)
    if not isinstance(got, tuple | list) or len(got) != 3:
        return got
    numbers = tuple(as_number(one, _OTHERWISE) for one in got)
    right = changed(baseline, variant, confidence)
    if right is None:
        return numbers
    near = _SINGLE * (right[2] - right[1])
    if all(abs(one - other) <= near for one, other in zip(numbers, right, strict=True)):
        return right
    return numbers


def _with(**steps: Any) -> Callable:
    return lambda *arguments: changed(*arguments, **steps)


def _straight(center: float, half: float) -> tuple[float, float, float]:
    return center, center - half, center + half


def _in_order(baseline: Runs, variant: Runs) -> list[tuple[float, float]]:
    return list(zip(baseline.values(), variant.values(), strict=False))


def _unpaired(baseline: Runs, variant: Runs, confidence: float) -> Change:
    """The interval of two independent samples of logarithms."""
    both = _pairs(baseline, variant)
    if (n := len(both)) < 2:
        return None
    a, b = ([math.log(one) for one in side] for side in zip(*both, strict=True))
    center = mean(b) - mean(a)
    half = student_t((1 + confidence) / 2, 2 * n - 2)
    half *= math.sqrt((stdev(a) ** 2 + stdev(b) ** 2) / n)
    return math.expm1(center), math.expm1(center - half), math.expm1(center + half)


def _of_levels(baseline: Runs, variant: Runs, confidence: float) -> Change:
    """The mean difference over the mean of the baseline."""
    both = _pairs(baseline, variant)
    if len(both) < 2:
        return None
    level = mean(one for one, _ in both)
    return changed(
        baseline,
        variant,
        confidence,
        take=lambda one, other: (other - one) / level,
        back=_straight,
    )


def _of_one_pair(baseline: Runs, variant: Runs, confidence: float) -> Change:
    both = _pairs(baseline, variant)
    if len(both) != 1:
        return changed(baseline, variant, confidence)
    return (both[0][1] / both[0][0] - 1,) * 3


PAIRED_CHANGE = Exercise(
    name="paired_change",
    lesson=LESSON,
    make=_runs,
    oracle=lambda baseline, variant, confidence: changed(baseline, variant, confidence),
    call=_call,
    cases=(
        {
            "baseline": {1: 100.0, 2: 50.0, 3: 200.0, 4: 80.0},
            "variant": {4: 120.0, 3: 330.0, 1: 140.0, 2: 90.0},
        },
        {"baseline": {5: 20.0, 7: 40.0, 9: 10.0}, "variant": {9: 14.0, 8: 3.0, 5: 26.0, 7: 44.0}},
        {
            "baseline": {1: 8.0, 2: 16.0, 3: 4.0, 4: 32.0, 5: 9.0},
            "variant": {1: 7.0, 2: 12.0, 3: 3.5, 4: 30.0, 6: 2.0},
            "confidence": 0.8,
        },
        {"baseline": {3: 10.0, 1: 20.0}, "variant": {1: 30.0, 3: 12.0}, "confidence": 0.9},
        {"baseline": {1: 10.0, 2: 20.0}, "variant": {2: 30.0, 3: 12.0}},
        {"baseline": {1: 10.0}, "variant": {1: 12.0, 2: 30.0}},
        {"baseline": {}, "variant": {2: 30.0, 3: 1.0}},
        {"draw": 1},
        {"draw": 2},
    ),
    mistakes=(
        Mistake(
            "runs are paired in the order in which they stand. Pair them by seed: the same key.",
            _with(pairs=_in_order),
        ),
        Mistake(
            "runs are sorted by their values before they are paired. Pair them by seed.",
            _with(
                pairs=lambda a, b: (
                    list(
                        zip(
                            *(sorted(side) for side in zip(*_pairs(a, b), strict=True)), strict=True
                        )
                    )
                    if _pairs(a, b)
                    else []
                )
            ),
        ),
        Mistake(
            "one pair has an interval of no width. It says nothing about how far runs are apart: "
            "return None.",
            _of_one_pair,
        ),
        Mistake(
            "the pairs are taken apart: the interval is that of two separate sets of runs. Seeds "
            "differ more than variants do; take a ratio for each seed first.",
            _unpaired,
        ),
        Mistake(
            "the baseline is divided by the variant. A change is what the variant makes of it: "
            "variant / baseline - 1.",
            _with(take=lambda one, other: math.log(one / other)),
        ),
        Mistake(
            "ratios are averaged, not their logarithms. 2 and 0.5 are no change on average, and "
            "their mean is 1.25.",
            _with(take=lambda one, other: other / one - 1, back=_straight),
        ),
        Mistake(
            "differences over the mean of the baseline are averaged: the seed with the largest "
            "value then decides. Take the logarithm of each seed's ratio.",
            _of_levels,
        ),
        Mistake(
            "these are logarithms still. Turn center and ends back: exp(x) - 1, math.expm1(x).",
            _with(back=_straight),
        ),
        Mistake(
            "these are ratios. The change is the ratio less 1.",
            _with(
                back=lambda center, half: tuple(
                    math.exp(one) for one in (center, center - half, center + half)
                )
            ),
        ),
        Mistake(
            "half of the interval is added after the logarithm is turned back. Add it to the "
            "logarithm, and turn all three back.",
            _with(
                back=lambda center, half: _straight(math.expm1(center), half),
            ),
        ),
        Mistake(
            "logarithms of base 10 are turned back with e. Use math.log and math.expm1.",
            _with(take=lambda one, other: math.log10(other / one)),
        ),
        Mistake(
            "the normal distribution is used. Of few pairs the scatter itself is uncertain: take "
            "Student's t with n - 1 degrees of freedom.",
            _with(quantile=lambda confidence, n: NormalDist().inv_cdf((1 + confidence) / 2)),
        ),
        Mistake(
            "a quantile of one side is used. At 95 % there are 2.5 % beyond each end: take the "
            "quantile at (1 + confidence) / 2.",
            _with(quantile=lambda confidence, n: student_t(confidence, n - 1)),
        ),
        Mistake(
            "t has n degrees of freedom instead of n - 1.",
            _with(quantile=lambda confidence, n: student_t((1 + confidence) / 2, n)),
        ),
        Mistake(
            "the confidence is not used: it is 95 % always.",
            _with(quantile=lambda confidence, n: _t(0.95, n)),
        ),
        Mistake(
            "the standard deviation divides by n. The mean is taken from the same few numbers, so "
            "divide by n - 1: ddof=1.",
            _with(spread=pstdev),
        ),
        Mistake(
            "the scatter of one ratio is given. That of a mean of n is smaller: divide by the "
            "square root of n.",
            _with(over=lambda n: 1),
        ),
        Mistake(
            "the scatter is divided by n. That of a mean falls with the square root of n.",
            _with(over=lambda n: n),
        ),
        Mistake(
            "the median is taken. Student's interval is one of the mean.", _with(middle=median)
        ),
        Mistake(
            "the ends are exchanged: low comes before high.",
            _with(
                back=lambda center, half: tuple(
                    math.expm1(one) for one in (center, center + half, center - half)
                )
            ),
        ),
        Mistake(
            "these are percent. A change of 40 % is 0.4.",
            _with(
                back=lambda center, half: tuple(
                    100 * math.expm1(one) for one in (center, center - half, center + half)
                )
            ),
        ),
    ),
)

EXERCISES = [PAIRED_CHANGE]
