"""What fewer cached numbers cost: accuracy by cache, and differences with their intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

from gqa_lib.arguments import check_some

from .style import CLEARED, COLOURS, GUESS, GUESSED, LEFT_OF, MARKERS, RIGHT_OF, finish, made


def accuracy_by_cache(
    accuracies: Mapping[str, tuple[int, Sequence[float]]],
    *,
    chance: float,
    title: str,
    guesses: Mapping[int, float | None] | None = None,
    note: str = "",
) -> Figure:
    """Shares of right answers by cached numbers per token: a mark for every trained model.

    Args:
        accuracies: name of a design to (cached numbers per token and layer, the share of right
            answers of each seed, 0 to 1); a name that begins with MHA, GQA or MQA gets that arm's
            colour. Names are written where a design's marks are, left and right in turn where
            several have as many numbers.
        chance: the share that is right without knowing anything, drawn dashed.
        title: the finding.
        guesses: cached numbers to the share that was guessed, drawn as a star; None is no guess.
        note: small print.

    Returns:
        The figure.
    """
    check_some(accuracies=accuracies)
    fig, ax = plt.subplots()
    ax.axhline(chance, linestyle="--", color=COLOURS["ceiling"])
    sizes = sorted({size for size, _ in accuracies.values()})
    for size, share in made(guesses).items():
        ax.plot(size, share, **GUESS)
    for name, (size, shares) in accuracies.items():
        look: dict[str, Any] = {
            "color": _colour(name),
            "marker": MARKERS.get(name[:3], "o"),
            "linestyle": "none",
        }
        ax.plot([size] * len(shares), shares, alpha=0.75, **look)
    ax.set(xscale="log", xlim=(sizes[0] / 2.6, sizes[-1] * 2.6), ylim=(0, 1.08))
    _name_designs(ax, accuracies)
    chance_at = (sizes[-1] * 2.5, chance)
    ax.annotate("chance", chance_at, (0, 6), **LEFT_OF, color=COLOURS["ceiling"])
    if made(guesses):
        ax.plot([], [], **GUESS, label=GUESSED)
        ax.legend(loc="upper left")
    ax.set_xticks(sizes)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set(xlabel="cached numbers per token and layer", ylabel="answers that are right")
    return finish(fig, ax, title, note)


def _name_designs(ax: Any, accuracies: Mapping[str, tuple[int, Sequence[float]]]) -> None:
    """Writes each name next to its marks; those that would overlap go apart."""
    height = 0.062  # of a line, as a share of the axis
    taken: dict[tuple[int, bool], list[float]] = {}
    for name, (size, shares) in accuracies.items():
        middle, least = sum(shares) / len(shares), float("inf")
        for right in (True, False):
            levels = taken.setdefault((size, right), [])
            level = min(middle, 1.0)
            while any(abs(level - other) < height for other in levels):
                level -= height / 4
            if abs(level - middle) < least:
                least, place, at = abs(level - middle), right, level
        taken[size, place].append(at)
        aside = RIGHT_OF if place else LEFT_OF
        ax.annotate(name, (size, at), (9 if place else -9, 0), **aside, color=_colour(name))


def _colour(name: str) -> str:
    return COLOURS.get(name[:3], COLOURS["ceiling"])


def difference_intervals(
    differences: Mapping[str, tuple[float, float, float]],
    *,
    title: str,
    xlabel: str,
    margin: float | None = None,
    reported: Mapping[str, float] | None = None,
    note: str = "",
) -> Figure:
    """Differences with their intervals, a row for each, and 0 as a line.

    Args:
        differences: what is compared to (difference, low, high).
        title: the finding.
        xlabel: what the difference is, with its unit.
        margin: differences up to this size, of either sign, are shaded as too small to matter.
        reported: name to a difference that others found, each a dotted line.
        note: small print.

    Returns:
        The figure.
    """
    check_some(differences=differences)
    explained = margin is not None or bool(reported)
    rows = len(differences) + 0.7 * explained  # and room for the legend
    fig, ax = plt.subplots(figsize=(7.2, 1.6 + 0.42 * rows))
    ax.axvline(0, color=COLOURS["prediction"], linewidth=1)
    if margin is not None:
        shade: dict[str, Any] = {"color": COLOURS["ceiling"], "alpha": 0.18, "linewidth": 0}
        ax.axvspan(-margin, margin, label=f"margin: {margin:g} either way", **shade)
    for colour, (name, value) in zip(("MLA", "GQA"), (reported or {}).items(), strict=False):
        ax.axvline(value, linestyle=":", color=COLOURS[colour], label=name)
    largest = max(abs(middle) for middle, _, _ in differences.values())
    decimals = max(0, 1 - math.floor(math.log10(largest or 1)))
    for row, (name, (middle, low, high)) in enumerate(differences.items()):
        look: dict[str, Any] = {"color": COLOURS.get(name[:3], COLOURS["MHA"]), "zorder": 3}
        ax.plot([low, high], [row, row], "-", **look, solid_capstyle="butt")
        ax.plot(middle, row, MARKERS.get(name[:3], "o"), **look)
        text = f"{middle:+z.{decimals}f}"
        ax.annotate(text, (middle, row), (0, 10), textcoords="offset points", bbox=CLEARED,
                    ha="center", va="bottom", fontsize=9.5, color=look["color"])  # fmt: skip
    ax.set(ylim=(rows - 0.4, -0.75), xlabel=xlabel)
    ax.set_yticks(range(len(differences)), list(differences))
    ax.grid(visible=False, axis="y")
    if explained:
        ax.legend(loc="lower right", ncols=3, fontsize=9.5, borderaxespad=0.2)
    return finish(fig, ax, title, note)
