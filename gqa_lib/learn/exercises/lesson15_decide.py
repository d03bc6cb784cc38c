"""Lesson 15: what two intervals and two margins say about adopting a variant."""

from collections.abc import Callable
from typing import Any

import torch

from .exercise import Complaint, Exercise, Mistake
from .lesson06 import integers
from .lesson15 import LESSON

ANSWERS = ("adopt", "do not adopt", "cannot be said yet")
Interval = tuple[float, float] | None


def _intervals(
    generator: torch.Generator, benefit=None, margin=0.1, loss=None, loss_margin=0.01, draw=0
):
    """The intervals given, or drawn around the margins; some touch them, some are missing."""
    for place in range(draw):
        steps = integers(generator, 9, 9, 9, 9, 4, 4)
        margin, loss_margin = steps[4] / 16, steps[5] / 64
        low, width = steps[0] / 16 - 0.25, steps[1] / 16
        benefit = None if place % 5 == 4 and steps[0] > 4 else (low, low + width)
        low, width = steps[2] / 64 - 0.0625, steps[3] / 64
        loss = None if steps[2] % 4 == 0 else (low, low + width)
    return benefit, margin, loss, loss_margin


def _above(interval: Interval, margin: float) -> bool:
    return interval is not None and interval[0] > margin


def _below(interval: Interval, margin: float) -> bool:
    return interval is not None and interval[1] < margin


def decided(
    benefit: Interval,
    benefit_margin: float,
    loss: Interval,
    loss_margin: float,
    *,
    gains: Callable = _above,
    gains_not: Callable = _below,
    harms: Callable = _above,
    harms_not: Callable = _below,
) -> str:
    """Return the answer, or with a step replaced what that makes of it.

    Args:
        benefit: (low, high) of it, None where it was not measured.
        benefit_margin: the least that matters.
        loss: (low, high) of it, None where it was not measured.
        loss_margin: the least that matters.
        gains, gains_not: whether the benefit is sure, and whether it is surely too small.
        harms, harms_not: the same of the loss.
    """
    if gains_not(benefit, benefit_margin) or harms(loss, loss_margin):
        return "do not adopt"
    if gains(benefit, benefit_margin) and harms_not(loss, loss_margin):
        return "adopt"
    return "cannot be said yet"


def _call(yours: Callable, *arguments: Any) -> Any:
    got = yours(*arguments)
    if got not in ANSWERS:
        raise Complaint(
            f"It returned {got!r}. There are three answers: {', '.join(map(repr, ANSWERS))}."
        )
    return got


def _with(**steps: Any) -> Callable:
    return lambda *arguments: decided(*arguments, **steps)


def _middle(interval: Interval) -> Interval:
    return None if interval is None else ((interval[0] + interval[1]) / 2,) * 2


def _not_measured_is_none(interval: Interval, margin: float) -> bool:
    return interval is None or interval[1] < margin


DECIDE = Exercise(
    name="decide",
    lesson=LESSON,
    make=_intervals,
    oracle=lambda benefit, benefit_margin, loss, loss_margin: decided(
        benefit, benefit_margin, loss, loss_margin
    ),
    call=_call,
    cases=(
        {"benefit": (0.3, 0.5), "loss": (-0.004, 0.006)},
        {"benefit": (0.3, 0.5), "loss": (0.02, 0.03)},
        {"benefit": (0.3, 0.5), "loss": (0.004, 0.016)},
        {"benefit": (0.3, 0.5), "loss": None},
        {"benefit": (0.02, 0.06), "loss": (-0.004, 0.006)},
        {"benefit": (0.02, 0.06), "loss": None},
        {"benefit": (0.05, 0.3), "loss": (-0.004, 0.006)},
        {"benefit": (0.05, 0.3), "loss": (0.02, 0.03)},
        {"benefit": (-0.2, 0.05), "loss": (0.004, 0.016)},
        {"benefit": (0.1, 0.3), "loss": (-0.004, 0.006)},
        {"benefit": (0.02, 0.1), "loss": (-0.004, 0.006)},
        {"benefit": (0.3, 0.5), "loss": (0.004, 0.01)},
        {"benefit": (0.3, 0.5), "loss": (0.01, 0.02)},
        {"benefit": (0.05, 0.3), "loss": (0.01, 0.02)},
        {"benefit": None, "loss": (-0.004, 0.006)},
        {"benefit": None, "loss": (0.02, 0.03)},
        {"benefit": None, "loss": None},
        {"benefit": (0.3, 0.5), "loss": (-0.02, -0.015)},
        {"benefit": (0.5, 0.6), "loss": (0.2, 0.3), "margin": 0.4, "loss_margin": 0.5},
        {"benefit": (0.3, 0.35), "loss": (0.2, 0.3), "margin": 0.4, "loss_margin": 0.5},
    ),
    mistakes=(
        Mistake(
            "a loss that was not measured counts as no loss. Nobody knows it: that cannot be said.",
            _with(harms_not=_not_measured_is_none),
        ),
        Mistake(
            "the quality is left out: adopting takes a loss that is surely below its margin.",
            _with(harms=lambda *_: False, harms_not=lambda *_: True),
        ),
        Mistake(
            "a loss that may be above its margin is taken for one that is. Its interval reaches "
            "from below to above: that cannot be said.",
            _with(harms=lambda one, margin: one is not None and one[1] >= margin),
        ),
        Mistake(
            "a benefit that may be too small is refused. Its interval reaches from below to above "
            "the margin: that cannot be said.",
            _with(gains_not=lambda one, margin: one is not None and one[0] <= margin),
        ),
        Mistake(
            "the margins are not used: a benefit above 0 is not yet one that matters, nor is a "
            "loss above 0.",
            lambda benefit, _, loss, __: decided(benefit, 0.0, loss, 0.0),
        ),
        Mistake(
            "the margin of the benefit is not used. Above 0 is not yet enough.",
            lambda benefit, _, loss, margin: decided(benefit, 0.0, loss, margin),
        ),
        Mistake(
            "the margin of the loss is not used. A loss above 0 may be too small to matter.",
            lambda benefit, margin, loss, _: decided(benefit, margin, loss, 0.0),
        ),
        Mistake(
            "the middle of each interval decides. The ends do: that is what they are for.",
            lambda benefit, a, loss, b: decided(_middle(benefit), a, _middle(loss), b),
        ),
        Mistake(
            "an interval whose end is exactly the margin decides. It contains the margin: that "
            "cannot be said.",
            _with(
                gains=lambda one, margin: one is not None and one[0] >= margin,
                gains_not=lambda one, margin: one is not None and one[1] <= margin,
                harms=lambda one, margin: one is not None and one[0] >= margin,
                harms_not=lambda one, margin: one is not None and one[1] <= margin,
            ),
        ),
        Mistake(
            "one measurement that is missing or open leaves all open. A benefit that is surely too "
            "small, or a loss that is surely too large, is enough not to adopt.",
            lambda benefit, a, loss, b: (
                "cannot be said yet"
                if None in (benefit, loss)
                or not (_above(benefit, a) or _below(benefit, a))
                or not (_above(loss, b) or _below(loss, b))
                else decided(benefit, a, loss, b)
            ),
        ),
        Mistake(
            "what is not sure is refused. Not measured, or measured too coarsely, is an answer of "
            "its own: cannot be said yet.",
            lambda *arguments: "adopt" if decided(*arguments) == "adopt" else "do not adopt",
        ),
        Mistake(
            "the other end of the benefit decides: its best case. Take the low end.",
            _with(gains=lambda one, margin: one is not None and one[1] > margin),
        ),
    ),
)

EXERCISES = [DECIDE]
