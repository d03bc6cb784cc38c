"""What a cache that is cut costs: a line of results for each policy or probe, by rows kept."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from gqa_lib.arguments import check_some

from .style import COLOURS, finish, name_ends


def budget_lines(
    curves: Mapping[str, Mapping[int, float]],
    *,
    metric: str,
    title: str,
    known: Mapping[str, float] | None = None,
    guesses: Mapping[str, tuple[int, float]] | None = None,
    xlabel: str = "rows kept of each KV head",
    note: str = "",
) -> Figure:
    """Lines of a result by the rows that a cache keeps, on a logarithmic axis.

    Args:
        curves: name of a policy or a probe to its curve, rows kept to result; named at the right.
        metric: what the results are, with their unit.
        title: the finding.
        known: what they are held against, by name, such as the whole cache: dashed lines across.
        guesses: name of a curve to the (rows, result) that was guessed, drawn open in its colour.
        xlabel: what the rows are.
        note: the small print.

    Returns:
        The figure.
    """
    check_some(curves=curves)
    fig, ax = plt.subplots(figsize=(7.6, 4.4))
    colours = [COLOURS[name] for name in ("MHA", "GQA", "MQA", "MLA")] + ["#E69F00", "#56B4E9"]
    ends, look = {}, {}
    for (name, curve), colour, marker in zip(curves.items(), colours, "osD^vP", strict=False):
        rows = sorted(curve)
        ax.plot(rows, [curve[n] for n in rows], color=colour, marker=marker)
        ends[name] = (rows[-1], curve[rows[-1]], colour)
        look[name] = {"color": colour, "marker": marker}
    kept = sorted({n for curve in curves.values() for n in curve})
    for name, value in (known or {}).items():
        ax.axhline(value, color=COLOURS["prediction"], linestyle="--", linewidth=1.2)
        ax.annotate(name, (kept[0], value), (2, 3), textcoords="offset points", fontsize=9)
    for name, (rows_guessed, value) in (guesses or {}).items():
        open_mark = look[name] | {"markerfacecolor": "white", "markersize": 9, "linestyle": "none"}
        ax.plot(rows_guessed, value, **open_mark, zorder=3)
    if guesses:
        style = {"marker": "o", "linestyle": "none", "markerfacecolor": "white"}
        ax.plot([], [], color=COLOURS["prediction"], **style, label="open: your guess")
        ax.legend(loc="best")
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_locator(FixedLocator(kept))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.set(xlabel=xlabel, ylabel=metric)
    ax.margins(x=0.03, y=0.1)
    fig.draw_without_rendering()
    name_ends(ax, ends)
    return finish(fig, ax, title, note)
