"""Measured points with their intervals: lines over a parameter, or dots under each other."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

from gqa_lib.arguments import check_some

from .style import COLOURS, RIGHT_OF, finish, three_digits

_LINES = (  # any two differ in colour and in marker
    *zip(("#0072B2", "#D55E00", "#009E73", "#CC79A7"), "osD^", strict=True),
    *zip(("#000000", "#56B4E9", "#E69F00", "#6B6B6B"), "vP<X", strict=True),
)
MOST_LINES = len(_LINES)
_LABEL = 36  # letters in a line of a label
_WIDE = 10  # largest over smallest from which an axis is logarithmic


def interval_lines(
    lines: Mapping[str, Sequence[tuple[float, float, float, float]]],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    note: str = "",
) -> Figure:
    """Lines of medians over a parameter, each with its interval; powers of two at equal distances.

    Args:
        lines: label to its points: x, and there low, median and high. At most MOST_LINES.
        title: the finding.
        xlabel, ylabel: what is on the axes, with units.
        note: the small print.

    Returns:
        The figure.
    """
    check_some(lines=lines)
    fig, ax = plt.subplots(figsize=(7.2, 4.2))
    for (colour, marker), (label, points) in zip(_LINES, lines.items(), strict=False):
        x, low, median, high = zip(*sorted(points), strict=True)
        below = [max(0.0, m - end) for m, end in zip(median, low, strict=True)]
        above = [max(0.0, end - m) for m, end in zip(median, high, strict=True)]
        look: dict[str, Any] = {"color": colour, "marker": marker, "label": label}
        ax.errorbar(x, median, yerr=[below, above], capsize=4, elinewidth=1.3, **look)
    every = [point for points in lines.values() for point in points]
    ticks = sorted({point[0] for point in every})
    powers = all(x > 0 and math.log2(x).is_integer() for x in ticks) and len(ticks) > 1
    if powers or (min(ticks) > 0 and max(ticks) > _WIDE * min(ticks)):
        ax.set_xscale("log", base=2)
    if len(ticks) <= 8:
        ax.set_xticks(ticks, [f"{x:,g}" for x in ticks])
        ax.xaxis.set_minor_locator(NullLocator())
    _value_axis(ax, "y", [point[1:] for point in every])
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if len(lines) > 1 or next(iter(lines)):
        fig.legend(loc="outside lower left", ncols=2 if len(lines) > 2 else 1, fontsize=9.5)
    return finish(fig, ax, title, note)


def interval_dots(
    points: Mapping[str, tuple[float, float, float]], *, title: str, xlabel: str, note: str = ""
) -> Figure:
    """Dots of medians with their intervals, from the top down.

    Args:
        points: label to low, median and high.
        title: the finding.
        xlabel: what the axis is, with its unit.
        note: the small print.

    Returns:
        The figure.
    """
    check_some(points=points)
    labels = [textwrap.fill(label, _LABEL) for label in points]
    lines = sum(label.count("\n") + 1 for label in labels)
    fig, ax = plt.subplots(figsize=(7.2, 1.6 + 0.3 * lines + 0.06 * len(points)))
    for row, (low, median, high) in enumerate(points.values()):
        ends = [[max(0.0, median - low)], [max(0.0, high - median)]]
        ax.errorbar(median, row, xerr=ends, fmt="o", color=COLOURS["MHA"], capsize=4)
        ax.annotate(three_digits(median), (max(high, median), row), (9, 0), **RIGHT_OF)
    ax.set_yticks(range(len(points)), labels)
    ax.set_ylim(len(points) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    _value_axis(ax, "x", list(points.values()))
    ax.set_xlabel(xlabel)
    return finish(fig, ax, title, note)


def _value_axis(ax, which: str, values: Sequence[tuple[float, float, float]]) -> None:
    """Logarithmic where the values need it, else from 0 with space at its end."""
    lows, medians, highs = zip(*values, strict=True)
    axis, scale = getattr(ax, f"{which}axis"), getattr(ax, f"set_{which}scale")
    limits = getattr(ax, f"set_{which}lim")
    if min(lows) > 0 and max(medians) > _WIDE * min(medians):
        scale("log")
        limits(min(lows) / 1.4, max(highs) * (2.5 if which == "x" else 1.4))
        axis.set_major_formatter("{x:,g}")
        axis.set_minor_formatter("{x:,g}" if max(highs) < 100 * min(lows) else NullFormatter())
        axis.set_minor_locator(LogLocator(subs=(2, 5)))
    elif min(lows) >= 0:
        limits(0, (1.2 if which == "x" else 1.1) * max(max(highs), 1e-12))
