"""How small a difference a number of pairs can show, and how many pairs a difference takes."""

from __future__ import annotations

import math
from functools import lru_cache

from gqa_lib.arguments import check_number, check_whole, shown
from gqa_lib.course.extras import require

POWER = 0.8
_MOST_PAIRS = 10**12
_FARTHEST = 1e5  # standard errors; beyond, the noncentral t distribution loses its digits
_LEAST_DOUBT = 1e-6  # of 1 - confidence; beyond, the noncentral t distribution takes minutes


def minimum_detectable(
    sd: float, num_pairs: int, confidence: float = 0.95, power: float = POWER
) -> float:
    """Return the smallest difference that so many pairs would show, in the unit of sd.

    A difference is shown when Student's interval leaves out 0. Its power, the share of experiments
    in which it is shown, is that of the two-sided paired t test, by the noncentral t distribution.

    Args:
        sd: standard deviation of the differences between pairs, 0 or more.
        num_pairs: number of pairs, 2 or more.
        confidence: of the interval, between 0 and 1.
        power: share of experiments in which the difference is to be shown, above 1 - confidence
            (which is shown where there is none) and below 1.

    Raises:
        ValueError: an argument is out of its range.
        ModuleNotFoundError: scipy is not installed.
    """
    check_number(0, sd=sd)
    check_whole(2, num_pairs=num_pairs)
    check_confidence(confidence)
    _check_power(power, confidence)
    noncentrality = _noncentrality(int(num_pairs), float(confidence), float(power))
    return float(sd) * (noncentrality / math.sqrt(num_pairs))


def pairs_needed(
    sd: float, difference: float, confidence: float = 0.95, power: float = POWER
) -> int:
    """Return how many pairs it takes to show a difference, as `minimum_detectable` has it.

    Args:
        sd: standard deviation of the differences between pairs, 0 or more.
        difference: to be shown, above 0, in the unit of sd.
        confidence: of the interval, between 0 and 1.
        power: share of experiments in which it is to be shown, above 1 - confidence and below 1.

    Raises:
        ValueError: an argument is out of its range, or it takes more than 10^12 pairs.
        ModuleNotFoundError: scipy is not installed.
    """
    check_number(0, sd=sd)
    check_number(above=0, difference=difference)

    def enough(num_pairs: int) -> bool:
        return minimum_detectable(sd, num_pairs, confidence, power) <= difference

    too_few, num_pairs = 1, 2
    while not enough(num_pairs):
        too_few, num_pairs = num_pairs, 2 * num_pairs
        if num_pairs > _MOST_PAIRS:
            raise ValueError(
                f"difference={difference:g} takes more than 10^12 pairs at sd={sd:g}: no "
                "experiment shows it. Look for a larger difference, or make the sd smaller."
            )
    while num_pairs - too_few > 1:
        middle = (too_few + num_pairs) // 2
        too_few, num_pairs = (too_few, middle) if enough(middle) else (middle, num_pairs)
    return num_pairs


@lru_cache(maxsize=1024)  # many comparisons have as many pairs
def _noncentrality(num_pairs: int, confidence: float, power: float) -> float:
    """The difference over the standard error of its mean at which the t test has a power."""
    require("scipy")
    from scipy import optimize, stats

    df = num_pairs - 1
    threshold = stats.t.isf((1 - confidence) / 2, df)

    if threshold > _FARTHEST:
        raise ValueError(
            f"confidence={confidence} of num_pairs={num_pairs} takes {threshold:.4g} standard "
            "errors: what that can show is not computed. Give more pairs, or less confidence."
        )

    def too_much(noncentrality: float) -> float:
        # The tail on the other side by sf as well: nct.cdf is NaN far from the middle.
        ways = [stats.nct.sf(threshold, df, sign * noncentrality) for sign in (1, -1)]
        return sum(ways) - power

    most = threshold + 1
    while too_much(most) < 0:
        most *= 2
    return float(optimize.brentq(too_much, 0, most))


def check_confidence(confidence: float) -> None:
    """Refuse what is not a share above 0 and below 1.

    Raises:
        ValueError: confidence is something else.
    """
    check_number(above=0, confidence=confidence)
    if confidence >= 1:
        raise ValueError(
            f"confidence={shown(confidence)} is not below 1: it is a share, and of 1 the interval "
            "has no ends. Give such as 0.95."
        )
    if 1 - confidence >= POWER or 1 - confidence < _LEAST_DOUBT:
        raise ValueError(
            f"confidence={shown(confidence)} is not between {1 - POWER:g} and 1 - {_LEAST_DOUBT:g}:"
            " below, more is shown by chance than is there; above, its interval is not computed "
            "to any digit. Give such as 0.95."
        )


def _check_power(power: float, confidence: float) -> None:
    check_number(power=power)
    if not 1 - confidence < power < 1:
        raise ValueError(
            f"power={shown(power)} is not between {1 - confidence:g} and 1: so often a difference "
            "is shown where there is none. Give such as 0.8."
        )
