"""What a cache that is cut costs: a line of results for each policy or probe, by rows kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from gqa_lib.arguments import check_some

from .style import COLOURS, GUESS, GUESSED, finish, made, name_ends

_BELOW: dict[str, Any] = {"textcoords": "offset points", "va": "top", "fontsize": 9}
_COLOURS = [COLOURS[name] for name in ("MHA", "GQA", "MQA", "MLA")] + ["#E69F00", "#56B4E9"]


def budget_lines(
    curves: Mapping[str, Mapping[int, float]],
    *,
    metric: str,
    title: str,
    known: Mapping[str, float] | None = None,
    guesses: Mapping[str, tuple[int, float | None]] | None = None,
    note: str = "",
) -> Figure:
    """Lines of a result by the rows that a cache keeps, fewer to the right.

    Args:
        curves: name of a policy or a probe to its curve, rows kept to result; named at the right;
            six at most.
        metric: what the results are, with their unit.
        title: the finding.
        known: what they are held against, by name, such as the whole cache: dashed lines across.
        guesses: name of a curve to the (rows, result) that was guessed, a star in its
            colour; no result is no guess.
        note: the small print.

    Returns:
        The figure.
    """
    check_some(curves=curves)
    fig, ax = plt.subplots(figsize=(7.6, 4.4))
    looks: dict[str, dict[str, Any]] = {
        name: {"color": colour, "marker": marker}
        for name, colour, marker in zip(curves, _COLOURS, "osD^vP", strict=False)
    }
    for name, look in looks.items():
        rows = sorted(curves[name])
        ax.plot(rows, [curves[name][n] for n in rows], **look)
    kept = sorted({n for curve in curves.values() for n in curve})
    for name, value in (known or {}).items():
        ax.axhline(value, color=COLOURS["prediction"], linestyle="--", linewidth=1.2)
        ax.annotate(name, (kept[-1], value), (0, -3), **_BELOW)
    guesses = guesses or {}
    results = made({name: result for name, (_, result) in guesses.items()})
    for name, result in results.items():
        ax.plot(guesses[name][0], result, **GUESS | {"color": looks[name]["color"]})
    if results:
        ax.plot([], [], **GUESS, label=GUESSED)
        ax.legend(loc="best")
    _count_rows(ax, kept)
    ax.set_ylabel(metric)
    ax.margins(x=0.03, y=0.1)
    fig.draw_without_rendering()
    ends = {
        name: (min(curve), curve[min(curve)], _COLOURS[place])
        for place, (name, curve) in enumerate(curves.items())
    }
    name_ends(ax, ends)
    return finish(fig, ax, title, note)


def _count_rows(ax: Axes, kept: list[int]) -> None:
    """Makes each halving of the rows as wide as the next, from left to right."""
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_locator(FixedLocator(kept))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.set_xlabel("rows kept of each KV head")
    ax.invert_xaxis()
