"""Results of several seeds: each as a dot, and their differences with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import (
    COLOURS,
    GUESS,
    GUESSED,
    MARKERS,
    finish,
    finish_above,
    made,
    name_ends,
    three_digits,
)

_BAND = "#E8E8E8"


def seed_results(
    values: Mapping[str, Sequence[float]],
    differences: Mapping[str, tuple[float, float, float]],
    *,
    margin: float,
    metric: str,
    title: str,
    note: str = "",
    known: Mapping[str, float] | None = None,
) -> Figure:
    """Dots of a result, one a seed, beside the differences to the first arm with their intervals.

    Args:
        values: arm to its results, drawn from the top down in this order; a name begins with MHA,
            GQA or MQA, which gives colour and marker.
        differences: arm to (mean, low, high) of its results less those of the first arm.
        margin: the difference that would matter, a grey band.
        metric: what the results are, with their unit.
        title: the finding.
        note: the small print.
        known: what the results are held against, by name, such as chance: dashed lines.

    Returns:
        The figure.
    """
    height = 2.1 + 0.5 * len(values)
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, height), sharey=True)
    for place, (arm, results) in enumerate(values.items()):
        marks = {"color": COLOURS[arm[:3]], "marker": MARKERS[arm[:3]]}
        left.plot(results, [place] * len(results), linestyle="none", alpha=0.7, **marks)
        if arm in differences:
            mean, low, high = differences[arm]
            ends = [[mean - low], [high - mean]]
            right.errorbar(mean, place, xerr=ends, capsize=4, elinewidth=2, **marks)
            right.annotate(
                f"{'+' * (mean > 0)}{three_digits(mean)}",
                (mean, place),
                xytext=(0, 8),
                textcoords="offset points",
                ha="center",
            )
    left.set_yticks(range(len(values)), list(values))
    left.set(ylim=(len(values) - 0.4, -0.6), xlabel=metric)
    _lines(left, known or {})
    right.axvspan(-margin, margin, color=_BAND, zorder=0, linewidth=0)
    right.axvline(0, color=COLOURS["ceiling"], linewidth=1)
    right.set_xlabel(f"difference to {next(iter(values))}; grey: {margin:g} would not matter")
    right.margins(x=0.15)
    for ax in (left, right):
        ax.grid(axis="y", visible=False)
        ax.xaxis.set_major_locator(MaxNLocator(5))
    if note:
        fig.supxlabel(note, x=0.01, ha="left", fontsize=9, color="#555555")
    return finish_above(fig, title)


def recovery_lines(
    curves: Mapping[str, Sequence[Mapping[int, float]]],
    known: Mapping[str, float],
    *,
    metric: str,
    title: str,
    guesses: Mapping[int, float | None] | None = None,
    note: str = "",
) -> Figure:
    """Lines of a result along the steps after a conversion: means of seeds, and each seed faintly.

    Args:
        curves: how it was converted to a curve for each seed, step to result; named at their ends.
        known: what they are held against, by name: dashed lines across.
        metric: what the results are, with their unit.
        title: the finding.
        guesses: step to the result that was guessed, drawn as a star; None is no guess.
        note: the small print.

    Returns:
        The figure.
    """
    fig, ax = plt.subplots(figsize=(7.6, 4.4))
    colours = [COLOURS[name] for name in ("MHA", "GQA", "MQA", "MLA")] + ["#E69F00", "#56B4E9"]
    ends = {}
    for (name, seeds), colour, marker in zip(curves.items(), colours, "osD^vP", strict=False):
        steps = list(seeds[0])
        for one in seeds:
            ax.plot(steps, [one[step] for step in steps], color=colour, alpha=0.25, linewidth=1)
        mean = [sum(one[step] for one in seeds) / len(seeds) for step in steps]
        ax.plot(steps, mean, color=colour, marker=marker)
        ends[name] = (steps[-1], mean[-1], colour)
    for name, value in known.items():
        ax.axhline(value, color=COLOURS["prediction"], linestyle="--", linewidth=1.2)
        ax.annotate(name, (0, value), xytext=(2, 3), textcoords="offset points", fontsize=9)
    for step, guess in made(guesses).items():
        ax.plot(step, guess, **GUESS)
    if made(guesses):
        ax.plot([], [], **GUESS, label=GUESSED)
        ax.legend(loc="best")
    ax.set(xlabel="steps after the conversion", ylabel=metric)
    ax.margins(x=0.02, y=0.08)
    fig.draw_without_rendering()
    name_ends(ax, ends)
    return finish(fig, ax, title, note)


def _lines(ax: Axes, known: Mapping[str, float]) -> None:
    """Dashed lines with their names, each beside its line."""
    for name, value in known.items():
        ax.axvline(value, color=COLOURS["prediction"], linestyle="--", linewidth=1.2)
        ax.annotate(
            name,
            (value, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, -3),
            textcoords="offset points",
            va="top",
            fontsize=9,
        )
