"""Times of a few arms: lines over a size, bars with a bound."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from .style import COLOURS, GUESS, GUESSED, finish, made, three_digits


def time_line(
    times_ms: Mapping[int, float],
    *,
    title: str,
    xlabel: str,
    guesses_ms: Mapping[int, float | None] | None = None,
) -> Figure:
    """A line of milliseconds against a size, from 0 up.

    Args:
        times_ms: size to milliseconds.
        title: the finding.
        xlabel: what the size is.
        guesses_ms: size to the milliseconds that were guessed, drawn as stars; None is no guess.

    Returns:
        The figure.
    """
    fig, ax = plt.subplots(figsize=(7.2, 3))
    ax.plot(list(times_ms), list(times_ms.values()), "o-", color=COLOURS["MHA"])
    guesses = made(guesses_ms)
    if guesses:
        ax.plot(list(guesses), list(guesses.values()), **GUESS, label=GUESSED)
        ax.legend(loc="upper left")
    highest = max(*times_ms.values(), *guesses.values(), 0)
    ax.set(xlabel=xlabel, ylabel="time (ms)", ylim=(0, 1.15 * highest))
    return finish(fig, ax, title, "")


def time_bars(
    times_ms: Mapping[str, float], *, title: str, bound_ms: float, bound: str, xlabel: str
) -> Figure:
    """Bars of milliseconds, with a dashed line where they could be.

    Args:
        times_ms: arm to milliseconds, drawn from the top down in this order; a name begins with
            MHA, GQA or MQA, which gives the colour.
        title: the finding.
        bound_ms: where the dashed line is.
        bound: what the dashed line is.
        xlabel: what the times are of.

    Returns:
        The figure.
    """
    fig, ax = plt.subplots(figsize=(7.2, 1.2 + 0.4 * len(times_ms)))
    colours = [COLOURS[arm[:3]] for arm in times_ms]
    bars = ax.barh(list(times_ms), list(times_ms.values()), color=colours)
    ax.bar_label(bars, fmt=three_digits, padding=3)
    ax.axvline(bound_ms, color=COLOURS["prediction"], linestyle="--")
    ax.set(xlabel=f"{xlabel} (ms); dashed: {bound}", xmargin=0.15)
    ax.grid(axis="y", visible=False)
    ax.invert_yaxis()
    return finish(fig, ax, title, "")
