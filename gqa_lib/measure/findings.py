"""What two arms' samples say of each other, in words that carry no more than the samples do.

For the titles of figures: a number stands there only where it is beyond the noise, and as a range
where the samples leave one.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from .samples import ratios, summarise

_WIDE = 1.25  # high over low at which a range is given instead of its middle


def how_fast(rows: Iterable[dict], arm: Hashable, baseline: Hashable) -> str:
    """How many times as fast as another an arm is, in words for a title.

    Args:
        rows: times, as from `time_arms`.
        arm, baseline: two of the arms.

    Returns:
        Such as "3.9 times as fast", "2.5 to 4.2 times as fast", "about as fast", "2.1 times as
        long", or "from 0.8 to 1.4 times as fast, too noisy to tell".

    Raises:
        ValueError: one of the two was not measured, or not in the same rounds.
    """
    return _in_words(rows, arm, baseline, "fast")


def how_long(rows: Iterable[dict], arm: Hashable, baseline: Hashable) -> str:
    """How many times as long as another an arm takes, in words for a title; as `how_fast`.

    Args:
        rows: times, as from `time_arms`.
        arm, baseline: two of the arms.
    """
    return _in_words(rows, baseline, arm, "long")


def _in_words(rows: Iterable[dict], under: Hashable, over: Hashable, quality: str) -> str:
    """The time of `over` by that of `under`: with the arm under it is how fast the arm is."""
    rows = list(rows)
    compared = ratios(rows, over)  # type: ignore[arg-type]  # any hashable names an arm
    if under not in compared:
        raise ValueError(
            f"{under!r} is not among the arms {', '.join(map(repr, [over, *compared]))}: a ratio "
            "needs both times from the same rounds. Name one of them."
        )
    found = compared[under]  # type: ignore[index]
    if found["verdict"] == "slower":  # say it the way round that has a number above 1
        return _in_words(rows, over, under, "long" if quality == "fast" else "fast")
    low, middle, high = (_two_digits(found[key]) for key in ("low", "speedup", "high"))
    if found["verdict"] == "same":
        return f"about as {quality}"
    spread = f"from {low} to {high} times as {quality}" if low != high else f"{low} times"
    if found["verdict"] == "ambiguous":
        return f"{spread}, too noisy to tell"
    summary = summarise(rows)
    disturbed = any(summary[one]["noisy"] for one in (under, over))  # type: ignore[index]
    if disturbed or found["high"] > _WIDE * found["low"]:
        told = f"{low} to {high}" if low != high else f"about {middle}"
        return f"{told} times as {quality}{' (noisy)' if disturbed else ''}"
    return f"{middle} times as {quality}"


def _two_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
