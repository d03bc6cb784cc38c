"""Lesson 09: the mean difference of paired losses, with Student's interval."""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist, mean, median, pstdev, stdev
from typing import Any

import numpy as np
import torch

from .exercise import Complaint, Exercise, Mistake
from .lesson06 import integers
from .numbers import as_number

_LESSON = "09-quality"
_OTHERWISE = (
    "One of its three results is a {type}: {value}. Give three numbers: the mean difference and "
    "the two ends of its interval."
)
_SINGLE = 1e-5  # of an interval's width: how far results in float32 may be off


def _losses(
    generator: torch.Generator,
    a: Sequence[float] = (),
    b: Sequence[float] = (),
    confidence=0.95,
    draw=0,
    pairs=0,
):
    """The losses given, or drawn: few pairs and more of them in turn, or as many as `pairs`."""
    for place in range(draw):
        (extra,) = integers(generator, 14)
        number = pairs or 2 + extra % (3, 15)[place % 2]
        shared = 1.5 + torch.rand(number, generator=generator).double()
        noise = torch.randn(2, number, generator=generator).double()
        a, b = _in_steps(shared + 0.02 * noise[0]), _in_steps(shared + 0.05 + 0.03 * noise[1])
        confidence = (0.95, 0.8, 0.9, 0.99, 0.5)[(place + extra) % 5]
    return list(a), list(b), confidence


def _in_steps(losses: torch.Tensor) -> list[float]:
    """Losses that float32 holds as they are, so that it is near enough for their differences."""
    return ((losses * 2**14).round() / 2**14).tolist()


def student_t(probability: float, df: int) -> float:
    """Return the quantile of Student's t, by bisection of its distribution function.

    Args:
        probability: below it.
        df: degrees of freedom, 1 or more.
    """
    low, high = -1.0, 1.0
    while _below(low, df) > probability:
        low *= 2
    while _below(high, df) < probability:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _below(middle, df) < probability else (low, middle)
    return (low + high) / 2


def _below(t: float, df: int) -> float:
    """The share of Student's t below a value: the finite sums of Abramowitz and Stegun, 26.7.3."""
    angle = math.atan2(t, math.sqrt(df))
    cosine, sine = math.cos(angle), math.sin(angle)
    term, total = (1.0, 0.0) if df % 2 == 0 else (cosine, 0.0)
    for k in range(df % 2, df - 1, 2):
        total += term
        term *= cosine**2 * (k + 1) / (k + 2)
    inside = sine * total if df % 2 == 0 else 2 / math.pi * (angle + sine * total)
    return (1 + inside) / 2


def _interval(
    a: Sequence[float],
    b: Sequence[float],
    confidence: float,
    *,
    take: Callable = lambda one, other: other - one,
    middle: Callable = mean,
    spread: Callable = stdev,
    over: Callable = math.sqrt,
    quantile: Callable = lambda confidence, n: student_t((1 + confidence) / 2, n - 1),
) -> tuple[float, float, float]:
    """The mean difference and its interval, or with a step replaced what that makes of it."""
    differences = [take(one, other) for one, other in zip(a, b, strict=True)]
    n = len(differences)
    half = quantile(confidence, n) * spread(differences) / over(n)
    center = middle(differences)
    return center, center - half, center + half


def paired(a: Sequence[float], b: Sequence[float], confidence: float) -> tuple[float, ...]:
    """The right result: mean of b - a, and the ends of Student's interval."""
    return _interval(a, b, confidence)


def _call(yours: Callable, a: Sequence[float], b: Sequence[float], confidence: float) -> Any:
    """Call a learner's function: numbers of any library will do, float32 is near enough."""
    got = yours(a, b, confidence)
    if isinstance(got, torch.Tensor | np.ndarray):
        got = got.tolist()
    if not isinstance(got, tuple | list) or len(got) != 3:
        return got
    numbers = tuple(as_number(one, _OTHERWISE) for one in got)
    right = paired(a, b, confidence)
    near = _SINGLE * (right[2] - right[1])
    if all(abs(one - other) <= near for one, other in zip(numbers, right, strict=True)):
        return right
    if any(math.isnan(one) for one in numbers):
        raise Complaint(
            f"Its results are {numbers}. Of two pairs or more each is a number: is a spread taken "
            "of one value, or a quantile at 0 degrees of freedom?"
        )
    return numbers


def _unpaired(a, b, confidence):
    """The interval of two independent samples, n - 1 + n - 1 degrees of freedom."""
    n, center = len(a), mean(b) - mean(a)
    half = math.sqrt((stdev(a) ** 2 + stdev(b) ** 2) / n)
    half *= student_t((1 + confidence) / 2, 2 * n - 2)
    return center, center - half, center + half


def _changed(**steps):
    return lambda a, b, confidence: _interval(a, b, confidence, **steps)


def _normal(confidence, n):
    return NormalDist().inv_cdf((1 + confidence) / 2)


PAIRED_DIFFERENCE = Exercise(
    name="paired_difference",
    lesson=_LESSON,
    make=_losses,
    oracle=paired,
    call=_call,
    cases=(
        {"a": (1.62, 1.71, 1.66, 1.55), "b": (1.65, 1.70, 1.72, 1.63)},
        {"a": (2.1, 2.6, 2.3), "b": (2.2, 2.8, 2.3)},
        {"a": (2.40, 1.90, 2.10, 2.25, 1.80), "b": (2.31, 1.93, 2.04, 2.20, 1.78)},
        {"a": (0.9, 0.4), "b": (1.0, 0.7), "confidence": 0.9},
        {
            "a": (1.5, 1.9, 1.6, 1.75, 1.68, 1.8, 1.55),
            "b": (1.53, 1.88, 1.66, 1.74, 1.75, 1.85, 1.61),
            "confidence": 0.8,
        },
        {"a": (3.0, 1.0, 2.0, 4.0, 2.5, 3.5), "b": (3.2, 1.1, 1.9, 4.5, 2.4, 3.5)},
    ),
    mistakes=(
        Mistake(
            "the sign is turned round: the difference is b - a, above 0 where b's loss is higher.",
            _changed(take=lambda one, other: one - other),
        ),
        Mistake(
            "the pairs are taken apart. Seeds differ far more than models do: subtract first, "
            "seed by seed, and look at the scatter of the differences.",
            _unpaired,
        ),
        Mistake(
            "the lists are sorted first, which pairs other seeds with each other. Keep the order.",
            lambda a, b, confidence: paired(sorted(a), sorted(b), confidence),
        ),
        Mistake(
            "the standard deviation divides by n. The mean is taken from the same few numbers, so "
            "divide by n - 1: ddof=1.",
            _changed(spread=pstdev),
        ),
        Mistake(
            "the normal distribution is used. Of few pairs the scatter itself is uncertain: take "
            "Student's t with n - 1 degrees of freedom.",
            _changed(quantile=_normal),
        ),
        Mistake(
            "a quantile of one side is used. At 95 % there are 2.5 % beyond each end: take the "
            "quantile at (1 + confidence) / 2.",
            _changed(quantile=lambda confidence, n: student_t(confidence, n - 1)),
        ),
        Mistake(
            "t has n degrees of freedom instead of n - 1.",
            _changed(quantile=lambda confidence, n: student_t((1 + confidence) / 2, n)),
        ),
        Mistake(
            "the confidence is taken for what lies outside. The wider the interval, the surer.",
            _changed(quantile=lambda confidence, n: student_t(1 - confidence / 2, n - 1)),
        ),
        Mistake(
            "the confidence is not used: it is 95 % always.",
            lambda a, b, confidence: paired(a, b, 0.95),
        ),
        Mistake(
            "the scatter of one difference is given. That of a mean of n is smaller: divide by the "
            "square root of n.",
            _changed(over=lambda n: 1),
        ),
        Mistake(
            "the scatter is divided by n. That of a mean falls with the square root of n.",
            _changed(over=lambda n: n),
        ),
        Mistake(
            "absolute differences are averaged. A seed that favours a has to count against b.",
            _changed(take=lambda one, other: abs(other - one)),
        ),
        Mistake(
            "ratios are taken. The difference is b - a.",
            _changed(take=lambda one, other: other / one - 1),
        ),
        Mistake(
            "the median is taken. Student's interval is one of the mean.",
            _changed(middle=median),
        ),
        Mistake(
            "the variance stands where its square root, the standard deviation, belongs.",
            _changed(spread=lambda values: stdev(values) ** 2),
        ),
        Mistake(
            "the quantile is left out: one standard error to each side covers less than asked for.",
            _changed(quantile=lambda confidence, n: 1.0),
        ),
        Mistake(
            "the ends are exchanged: low comes before high.",
            lambda a, b, confidence: tuple(paired(a, b, confidence)[i] for i in (0, 2, 1)),
        ),
        Mistake(
            "the ends are distances from the mean. Give the ends themselves, mean - half and mean "
            "+ half.",
            lambda a, b, confidence: (
                (right := paired(a, b, confidence))[0],
                right[1] - right[0],
                right[2] - right[0],
            ),
        ),
    ),
)

EXERCISES = [PAIRED_DIFFERENCE]
