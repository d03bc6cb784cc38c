"""What results of a few seeds can tell: intervals, verdicts, and the difference they could show.

Two configurations that are trained with the same seeds share the order of the data and much of the
start, so their results are compared seed by seed. A margin is stated before training: a difference
that is certain but too small to matter is not a finding. That few results show no difference is
half an answer; the other half is which difference they could have shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from gqa_lib.arguments import (
    check_choice,
    check_kind,
    check_number,
    is_number,
    plain,
    several,
    shown,
)
from gqa_lib.course.extras import require

from .power import POWER, check_confidence, minimum_detectable

MIN_PAIRS = {"t": 2, "bootstrap": 10}  # with fewer a bootstrap covers less than 90 %, not 95 %
_LARGEST = 1e300  # a result; the largest float is 1.8e308
_ALIKE = "same within the margin"
_OPEN = "not distinguishable"


@dataclass(frozen=True)
class Comparison:
    """What paired results say of a difference; the unit is that of the results.

    Args:
        difference: mean of b - a over the pairs.
        low, high: ends of the interval of that mean.
        sd: standard deviation of the differences, with num_pairs - 1 in its denominator.
        num_pairs: number of pairs.
        margin: difference that would matter, stated beforehand.
        confidence: of the interval, such as 0.95.
        interval: "t" or "bootstrap".
        verdict: of b: "better", "worse", "same within the margin" or "not distinguishable".
        detectable: difference that so many pairs with this sd show in 80 % of experiments: that
            often Student's interval leaves out 0.
    """

    difference: float
    low: float
    high: float
    sd: float
    num_pairs: int
    margin: float
    confidence: float
    interval: str
    verdict: str
    detectable: float

    def sentence(self) -> str:
        """Return the comparison in words, with its numbers to three digits."""
        how = f"{100 * self.confidence:g} %, {self.interval}, {self.num_pairs} pairs"
        ends = f"[{_signed(self.low)}, {_signed(self.high)}]"
        who = "b is " * (self.verdict in ("better", "worse"))
        said = f"b - a = {_signed(self.difference)} {ends} ({how}): {who}{self.verdict}"
        margin = _signed(self.margin).lstrip("+")
        if self.verdict == _ALIKE:
            said += f" of {margin}"
            if self.low > 0 or self.high < 0:
                said += f"; b is {'higher' if self.low > 0 else 'lower'}, but by less than that"
        elif self.verdict == _OPEN:
            can = _signed(self.detectable).lstrip("+")
            said += f"; {self.num_pairs} pairs can show {can} with {100 * POWER:g} % power"
        elif min(abs(self.low), abs(self.high)) > self.margin:
            said += f", by more than the margin of {margin}"
        else:
            said += f"; whether by more than the margin of {margin} is open"
        if self.sd == 0:
            said += "; all differences are equal, which those of different seeds rarely are"
        return said

    def __str__(self) -> str:
        return self.sentence()


def compare_paired(
    a: Iterable[float],
    b: Iterable[float],
    *,
    margin: float,
    confidence: float = 0.95,
    interval: str = "t",
    lower_is_better: bool = True,
) -> Comparison:
    """Return how the results b differ from the results a of the same seeds, with a verdict.

    The verdict follows from the one interval that is shown. Wholly within -margin to +margin:
    "same within the margin", also if 0 is outside it; the sentence then says which is higher.
    Otherwise wholly on one side of 0: "better" or "worse". Otherwise: "not distinguishable".

    "Same" is two one-sided tests (TOST) by the whole interval: at 95 % each is at the level of
    2.5 %, not the 5 % of an interval of 90 %. That is stricter, and keeps one interval for both
    questions. Every comparison is judged alone: of 20 without any difference, one is expected to
    show one at 95 %, margins apart.

    Student's interval covers the true difference in 95 % of experiments if differences are
    normally distributed. A bootstrap of few pairs covers less. Of 4,000 simulated experiments, the
    interval of 95 % covered the true difference in

        pairs                     3       5       8      10      20      30
        normal, t              95 %    95 %    96 %    95 %    95 %    95 %
        normal, bootstrap      73 %    83 %    89 %    91 %    93 %    94 %
        lognormal, t           83 %    82 %    84 %    85 %    87 %    89 %
        lognormal, bootstrap   61 %    74 %    81 %    84 %    87 %    89 %

    Source: Student 1908; Schuirmann 1987 (TOST); Efron 1987 (the BCa bootstrap, by scipy with
    9,999 draws and a fixed seed).

    Args:
        a: results of one configuration, one for each seed.
        b: results of the other, of the same seeds in the same order.
        margin: smallest difference that would matter, in the unit of the results. Choose it
            before training.
        confidence: of the interval, between 0 and 1.
        interval: "t", or "bootstrap" (10 pairs or more).
        lower_is_better: whether a lower result is better, as of a loss; False as of an accuracy.

    Returns:
        The comparison; as text, a sentence.

    Raises:
        ValueError: a and b are not as many finite numbers in an order, there are too few, or
            another argument is out of its range.
        ModuleNotFoundError: scipy is not installed.
    """
    check_number(above=0, margin=margin)
    check_confidence(confidence)
    check_choice(tuple(MIN_PAIRS), interval=interval)
    lower_is_better = plain(lower_is_better)
    check_kind(bool, "Give True or False.", lower_is_better=lower_is_better)
    differences, scale = _differences(a, b, MIN_PAIRS[interval], interval)
    mean, low, high, sd = _student(differences, confidence)
    if interval == "bootstrap" and sd > 0:
        low, high = _bootstrap(differences, confidence)
    low, high, sd = low * scale, high * scale, sd * scale
    return Comparison(
        mean * scale,
        low,
        high,
        sd,
        num_pairs=len(differences),
        margin=float(margin),
        confidence=float(confidence),
        interval=interval,
        verdict=_verdict(low, high, margin, lower_is_better),
        detectable=minimum_detectable(sd, len(differences), confidence),
    )


def mean_interval(values: Iterable[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """Return the mean of one configuration's results with Student's interval of it.

    Two intervals that overlap do not say that two configurations are alike: ask `compare_paired`.

    Args:
        values: results, one for each seed; two or more.
        confidence: of the interval, between 0 and 1.

    Returns:
        (mean, low, high), in the unit of the results.

    Raises:
        ValueError: there are fewer than two results, one is not finite, or confidence is out of
            its range.
        ModuleNotFoundError: scipy is not installed.
    """
    check_confidence(confidence)
    results = _results("values", values)
    _check_enough(len(results), MIN_PAIRS["t"], "values", "results")
    scale = float(np.abs(results).max()) or 1.0
    mean, low, high, _ = _student(results / scale, confidence)
    return mean * scale, low * scale, high * scale


def _student(values: np.ndarray, confidence: float) -> tuple[float, float, float, float]:
    """Mean, ends of Student's interval, and standard deviation of two values or more."""
    require("scipy")
    from scipy import stats

    if np.ptp(values) == 0:  # the mean of equal numbers may be another number, in its last bit
        mean = float(values[0])
        return mean, mean, mean, 0.0
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    half = float(stats.t.isf((1 - confidence) / 2, len(values) - 1)) * sd / math.sqrt(len(values))
    return mean, mean - half, mean + half, sd


def _bootstrap(differences: np.ndarray, confidence: float) -> tuple[float, float]:
    from scipy import stats

    found = stats.bootstrap(
        (differences,), np.mean, confidence_level=confidence, method="BCa", random_state=0
    ).confidence_interval
    if not math.isfinite(found.low) or not math.isfinite(found.high):
        raise ValueError(
            f"the bootstrap has no interval for the differences {shown(differences.tolist())} of "
            "their largest: too many are equal. Compare them with interval='t'."
        )
    return float(found.low), float(found.high)


def _verdict(low: float, high: float, margin: float, lower_is_better: bool) -> str:
    if -margin <= low and high <= margin:
        return _ALIKE
    if low <= 0 <= high:
        return _OPEN
    return "better" if (high < 0) == lower_is_better else "worse"


def _differences(a: Any, b: Any, least: int, interval: str) -> tuple[np.ndarray, float]:
    """The differences b - a as shares of the largest, and the largest: squares may overflow."""
    first, second = _results("a", a), _results("b", b)
    if len(first) != len(second):
        raise ValueError(
            f"a has {len(first)} results and b has {len(second)}: each pair is of one seed. Give "
            "the results of the same seeds in the same order."
        )
    _check_enough(len(first), least, "a and b", "pairs", interval)
    differences = second - first
    rounding = 2 * np.finfo(float).eps * np.maximum(np.abs(first), np.abs(second))  # of each pair
    low, high = (differences - rounding).max(), (differences + rounding).min()
    if low <= high:  # one number is within the rounding of all: they are equal
        differences[:] = differences[rounding.argmin()]
    scale = float(np.abs(differences).max()) or 1.0
    return differences / scale, scale


def _results(name: str, values: Any) -> np.ndarray:
    if isinstance(values, Mapping | Set):
        raise ValueError(
            f"{name}={shown(values)} is of type {type(values).__name__}: results are paired by "
            "their order. Give a list, in the order of the seeds."
        )
    results = several(values, name, "results")
    for place, value in enumerate(results):
        if is_number(value) and not math.isfinite(value):
            raise ValueError(
                f"{name}[{place}]={shown(value)} is not finite: a run that diverged has no place "
                "in a mean, and a mean of the others hides it. Report it next to the comparison."
            )
        check_number(**{f"{name}[{place}]": value})
        if abs(value) > _LARGEST:
            raise ValueError(
                f"{name}[{place}]={shown(value)} is beyond {_LARGEST:g}: an interval around it "
                "would have no ends. Give the results in a larger unit."
            )
    return np.array([float(value) for value in results])


def _check_enough(number: int, least: int, name: str, what: str, interval: str = "t") -> None:
    if number < least:
        why = "one says nothing about the spread"
        do = "Train with more seeds"
        if interval == "bootstrap":
            why, do = "of so few it is far too narrow", f"{do}, or compare them with interval='t'"
        raise ValueError(
            f"{name}: {number} {what}, where interval={interval!r} needs {least} or more: {why}. "
            f"{do}."
        )


def _signed(value: float) -> str:
    """A number to three digits with its sign."""
    if value == 0:
        return "0"
    return f"{value:+,.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:+.3g}"
