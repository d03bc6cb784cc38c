"""Lesson 08: how many requests a mean takes, how many are there at a time, and what they cost."""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist, mean, median
from typing import Any

import torch

from .exercise import Complaint, Exercise, Mistake
from .lesson06 import integers
from .lesson08 import LESSON
from .numbers import as_number, nearly

# How many requests


def _accuracy(generator: torch.Generator, cv=1.0, relative_error=0.05, confidence=0.95, draw=0):
    for _ in range(draw):
        tenths, per_mille, few = integers(generator, 400, 90, 900)
        cv, relative_error, confidence = tenths / 100, per_mille / 1000, 0.05 + few / 1000
    return cv, relative_error, confidence


def required(
    cv: float,
    relative_error: float,
    confidence: float,
    *,
    quantile: Callable = lambda confidence: NormalDist().inv_cdf((1 + confidence) / 2),
    of: Callable = lambda z, cv, error: (z * cv / error) ** 2,
    whole: Callable = math.ceil,
    least: int = 1,
) -> int:
    """Return how many requests a mean takes, or with a step replaced what that makes of it.

    Args:
        cv: standard deviation over mean of one request.
        relative_error: half of the interval, as a share of the mean.
        confidence: of the interval, between 0 and 1.
        quantile: the z of a confidence.
        of: the number before it is rounded, of z, cv and relative_error.
        whole: rounds it.
        least: requests at least.

    Raises:
        ValueError: an argument is out of its range.
    """
    if not (cv >= 0 and relative_error > 0 and 0 < confidence < 1):
        raise ValueError(f"cv={cv}, relative_error={relative_error}, confidence={confidence}")
    return max(least, whole(of(quantile(confidence), cv, relative_error)))


def _required_with(**steps: Any) -> Callable:
    return lambda cv, relative_error, confidence: required(cv, relative_error, confidence, **steps)


REQUIRED_REQUESTS = Exercise(
    name="required_requests",
    lesson=LESSON,
    make=_accuracy,
    oracle=lambda cv, relative_error, confidence: required(cv, relative_error, confidence),
    cases=(
        {"cv": 1.0},
        {"cv": 0.94},
        {"cv": 2.88, "relative_error": 0.02, "confidence": 0.9},
        {"cv": 12.75, "relative_error": 0.003, "confidence": 0.95},
        {"cv": 0.52, "relative_error": 0.1, "confidence": 0.5},
        {"cv": 0.01, "relative_error": 0.5},
        {"cv": 0.0},
        {"cv": -0.1},
        {"relative_error": 0.0},
        {"relative_error": -0.05},
        {"confidence": 1.0},
        {"confidence": 0.0},
        {"confidence": 95.0},
    ),
    mistakes=(
        Mistake(
            "a quantile of one side is used. At 95 % there are 2.5 % beyond each end: take the "
            "quantile at (1 + confidence) / 2.",
            _required_with(quantile=NormalDist().inv_cdf),
        ),
        Mistake(
            "the square is missing: half the error takes four times the requests.",
            _required_with(of=lambda z, cv, error: z * cv / error),
        ),
        Mistake(
            "only z is squared: square cv and relative_error with it.",
            _required_with(of=lambda z, cv, error: z**2 * cv / error),
        ),
        Mistake(
            "the confidence is not used: z is 1.96 at 95 % only.",
            _required_with(quantile=lambda confidence: 1.96),
        ),
        Mistake(
            "z is left out, which makes an interval of one standard error.",
            _required_with(quantile=lambda confidence: 1.0),
        ),
        Mistake(
            "the confidence itself stands for z. z is a quantile of the normal distribution.",
            _required_with(quantile=lambda confidence: confidence),
        ),
        Mistake(
            "the number is rounded down: then the error is too large. Round up.",
            _required_with(whole=int),
        ),
        Mistake("the number is rounded to the nearest. Round up.", _required_with(whole=round)),
        Mistake(
            "the number may be 0 where nothing varies. One request has to be measured.",
            _required_with(least=0),
        ),
        Mistake(
            "relative_error is taken for the whole width of the interval. It is half of it: the "
            "mean is known to plus or minus that.",
            _required_with(of=lambda z, cv, error: (2 * z * cv / error) ** 2),
        ),
        Mistake(
            "relative_error is taken for percent: 0.05 is 5 % already.",
            _required_with(of=lambda z, cv, error: (z * cv / (error / 100)) ** 2),
        ),
        Mistake(
            "cv is not squared, as if it were a variance. It is a standard deviation over a mean: "
            "square it.",
            _required_with(of=lambda z, cv, error: z**2 * cv / error**2),
        ),
        Mistake(
            "the scatter is left out: multiply by cv.",
            _required_with(of=lambda z, cv, error: (z / error) ** 2),
        ),
    ),
)


# How many at a time

_NOT_A_COUNT = (
    "It returned {type} {value}. Give one number: the mean number of requests in the server."
)


def _latencies(generator: torch.Generator, rate=1.0, ttft=(), tpot=(), outputs=(), draw=0, count=0):
    """The requests given, or drawn; every fourth of these has an answer of one token."""
    for _ in range(draw):
        few, hundredths = integers(generator, 20, 900)
        count = count or 1 + few
        rate = hundredths / 100
        ttft = [one / 1000 for one in integers(generator, *[4000] * count)]
        tpot = [one / 10_000 for one in integers(generator, *[900] * count)]
        outputs = integers(generator, *[700] * count)
        for place in range(draw % 4, count, 4):
            outputs[place], tpot[place] = 1, math.nan
    return rate, list(ttft), list(tpot), list(outputs)


def in_flight(
    rate: float,
    ttft: Sequence[float],
    tpot: Sequence[float],
    outputs: Sequence[int],
    *,
    stays: Callable = lambda first, gap, o: first + (gap * (o - 1) if o > 1 else 0.0),
    middle: Callable = mean,
) -> float:
    """Return the mean number of requests in a server, by Little's law.

    Args:
        rate: requests a second.
        ttft, tpot: seconds of each; tpot is NaN for an answer of one token.
        outputs: tokens of each answer.
        stays: how long a request is there, of its ttft, tpot and output.
        middle: of all these times.
    """
    return rate * float(middle([stays(*one) for one in zip(ttft, tpot, outputs, strict=True)]))


def _call(yours: Callable, *arguments: Any) -> Any:
    got = as_number(yours(*arguments), _NOT_A_COUNT)
    if math.isnan(got):
        raise Complaint(
            "It returned NaN. An answer of one token has no time between tokens, and NaN times 0 "
            "is NaN: such a request stays for its ttft."
        )
    return nearly(got, in_flight(*arguments))


def _concurrency_with(**steps: Any) -> Callable:
    return lambda *arguments: in_flight(*arguments, **steps)


def _of_means(rate, ttft, tpot, outputs):
    """Means first, product then: long answers with slow tokens are lost."""
    known = [gap for gap in tpot if gap == gap]
    gap = mean(known) if known else 0.0
    return rate * (mean(ttft) + gap * (mean(outputs) - 1))


CONCURRENCY = Exercise(
    name="concurrency",
    lesson=LESSON,
    make=_latencies,
    oracle=lambda requests_per_s, ttft_s, tpot_s, output_lengths: in_flight(
        requests_per_s, ttft_s, tpot_s, output_lengths
    ),
    call=_call,
    cases=(
        {"rate": 2.0, "ttft": (0.5, 1.5), "tpot": (0.02, 0.05), "outputs": (101, 201)},
        {"rate": 0.3, "ttft": (0.1, 4.0, 0.7), "tpot": (0.03, 0.02, 0.09), "outputs": (9, 640, 77)},
        {
            "rate": 5.0,
            "ttft": (0.2, 0.3, 1.0),
            "tpot": (math.nan, 0.04, 0.01),
            "outputs": (1, 30, 2),
        },
        {"rate": 7.5, "ttft": (0.25,), "tpot": (math.nan,), "outputs": (1,)},
        {"rate": 0.0, "ttft": (0.2, 0.3), "tpot": (0.01, 0.04), "outputs": (8, 30)},
        {"draw": 1},
    ),
    mistakes=(
        Mistake(
            "the time per output token is multiplied by all tokens. The first one came with the "
            "ttft: o - 1 are left.",
            _concurrency_with(stays=lambda first, gap, o: first + (gap * o if o > 1 else 0.0)),
        ),
        Mistake(
            "means are multiplied: mean tpot times mean length. Long answers may have the slow "
            "tokens; take each request's own time and average these.",
            _of_means,
        ),
        Mistake(
            "the ttft is left out. A request is in the server from its arrival, waiting or not.",
            _concurrency_with(stays=lambda first, gap, o: gap * (o - 1) if o > 1 else 0.0),
        ),
        Mistake(
            "only the time to the first token counts. The request stays until its last one.",
            _concurrency_with(stays=lambda first, gap, o: first),
        ),
        Mistake(
            "one token's time is added. There are o - 1 more tokens after the first.",
            _concurrency_with(stays=lambda first, gap, o: first + (gap if o > 1 else 0.0)),
        ),
        Mistake(
            "times are added up over all requests: Little's law has the mean time of a request.",
            _concurrency_with(middle=sum),
        ),
        Mistake(
            "the median is taken. Little's law holds for the mean, which the long ones raise.",
            _concurrency_with(middle=median),
        ),
        Mistake(
            "the rate is left out: this is a time in seconds. Multiply by requests_per_s.",
            lambda rate, *rest: in_flight(1.0, *rest),
        ),
        Mistake(
            "milliseconds are taken for seconds, or the other way round.",
            lambda rate, *rest: in_flight(rate / 1000, *rest),
        ),
        Mistake(
            "answers of one token are left out of the mean. They are requests as well, and stay "
            "for their ttft.",
            lambda rate, *rest: (
                rate
                * mean([f + g * (o - 1) for f, g, o in zip(*rest, strict=True) if o > 1] or [0.0])
            ),
        ),
    ),
)

EXERCISES = [REQUIRED_REQUESTS, CONCURRENCY]
