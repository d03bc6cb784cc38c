"""Decoding: its time, measured next to predicted, and what a step reads and computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gqa_lib.arguments import check_some

from .style import (
    COLOURS,
    GUESS,
    GUESSED,
    LEFT_OF,
    MARKERS,
    PREDICTION,
    RIGHT_OF,
    attention_arm,
    finish,
    finish_above,
    made,
    three_digits,
)

_INTERVAL = ("low", "median", "high")
_PARTS = ("#BBBBBB", "#E69F00", "#56B4E9", "#F0E442")  # of a sum; no arm has these


def decode_time_plot(
    measured: Mapping[int, Mapping],
    predicted_s: Mapping[int, float],
    *,
    title: str,
    num_heads: int | None = None,
    guesses_s: Mapping[int, float | None] | None = None,
    note: str = "",
) -> Figure:
    """A figure of decode time against the number of KV heads, measured next to predicted.

    Args:
        measured: num_kv_heads to its summary: median, low and high in seconds, as `summarise`
            returns them.
        predicted_s: num_kv_heads to the predicted seconds.
        title: the finding.
        num_heads: query heads, which tells MHA from GQA; the most KV heads measured if not given.
        guesses_s: num_kv_heads to the seconds that were guessed, drawn as stars; None is no guess.
        note: small print, such as device and number of samples.

    Returns:
        The figure.
    """
    check_some(measured=measured)
    fig, ax = plt.subplots()
    heads = sorted(measured)
    num_heads = num_heads or heads[-1]
    scale, unit = _time_unit(max(row["high"] for row in measured.values()))
    for place, num_kv_heads in enumerate(heads):
        low, median, high = (measured[num_kv_heads][key] * scale for key in _INTERVAL)
        arm = attention_arm(num_heads, num_kv_heads)
        look: dict[str, Any] = {"color": COLOURS[arm], "marker": MARKERS[arm]}
        error = [[median - low], [high - median]]
        ax.errorbar(place - 0.12, median, yerr=error, capsize=4, markersize=9, **look)
        ax.annotate(
            three_digits(median), (place - 0.12, median), (-10, 0), **LEFT_OF, weight="bold"
        )
        predicted = predicted_s[num_kv_heads] * scale
        ax.plot(place + 0.12, predicted, clip_on=False, **PREDICTION)
        ax.annotate(three_digits(predicted), (place + 0.12, predicted), (9, 0), **RIGHT_OF)
    for num_kv_heads, guess in made(guesses_s).items():
        ax.plot(heads.index(num_kv_heads) + 0.12, guess * scale, **GUESS)
    labels = [f"{n}\n{attention_arm(num_heads, n)}" for n in heads]
    ax.set_xticks(range(len(heads)), labels)
    ax.set(xlim=(-0.6, len(heads) - 0.4), xlabel="KV heads")
    ax.set_ylabel(f"time per call ({unit})")
    flat = min(row["median"] for row in measured.values()) > 0.5 * ax.get_ylim()[1] / scale
    ax.set_ylim(0, ax.get_ylim()[1] * (1.3 if flat else 1.05))  # space for the legend
    ax.grid(axis="x", visible=False)
    _explain_times(ax, guessed=bool(made(guesses_s)))
    return finish(fig, ax, title, note)


def _explain_times(ax: Axes, *, guessed: bool) -> None:
    """Puts a legend of the marks into a figure of decode time."""
    ax.plot([], [], color="#444444", marker="o", label="measured, median and 95 % interval")
    ax.plot([], [], **PREDICTION, label="predicted")
    if guessed:
        ax.plot([], [], **GUESS, label=GUESSED)
    ax.legend(loc="best" if guessed else "upper left")


def step_time_lines(
    times_ms: Mapping[str, Mapping[int, float]],
    *,
    title: str,
    xlabel: str = "tokens in the cache",
    log: bool = False,
    guesses: Mapping[str, tuple[int, float | None]] | None = None,
) -> Figure:
    """Lines of the time for one new token against what came before it.

    Args:
        times_ms: line to {tokens: milliseconds}; one called "predicted" is drawn dashed and open.
        title: the finding.
        xlabel: what the tokens are.
        log: whether to double along x and to take powers of ten along y; the y axis else begins
            at 0.
        guesses: line to the (tokens, milliseconds) that were guessed, a star in its colour; no
            milliseconds are no guess.

    Returns:
        The figure; each line has its name at its right end.
    """
    check_some(times_ms=times_ms)
    fig, ax = plt.subplots(figsize=(7.6, 3.6))
    colours = iter((COLOURS["MHA"], COLOURS["GQA"], COLOURS["MQA"]))
    ends = sorted(times_ms, key=lambda name: list(times_ms[name].values())[-1])
    for name, times in times_ms.items():
        is_guess = name == "predicted"
        colour = COLOURS["prediction"] if is_guess else next(colours)
        face: dict[str, Any] = {"markerfacecolor": "white"} if is_guess else {}
        tokens, ms = list(times), list(times.values())
        ax.plot(tokens, ms, "o--" if is_guess else "o-", color=colour, clip_on=False, **face)
        height = 12 * (ends.index(name) - (len(ends) - 1) / 2)
        text = f"{name}  {three_digits(ms[-1])} ms"
        ax.annotate(text, (tokens[-1], ms[-1]), (9, height), **RIGHT_OF, color=colour)
        at, guess = (guesses or {}).get(name, (0, None))
        if guess is not None:
            stars = ax.plot(at, guess, **GUESS | {"color": colour})
            ax.legend(stars, [GUESSED], loc="upper left")
    if log:
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")
    else:
        ax.set_ylim(0)
    ax.set_xticks(tokens, [f"{n:,}" for n in tokens], minor=False)
    ax.set(xlabel=xlabel, ylabel="time for one new token (ms)")
    return finish(fig, ax, title, "")


def step_time_dots(
    measured_s: Mapping[str, float],
    predicted_s: Mapping[str, float],
    *,
    title: str,
    guesses_s: Mapping[str, float | None] | None = None,
) -> Figure:
    """The time of a step of several arms on one axis, each with its prediction.

    Args:
        measured_s: arm to its seconds, drawn from the top down in this order; a name begins with
            MHA, GQA or MQA, which gives the colour.
        predicted_s: the least seconds for the same arms.
        title: the finding.
        guesses_s: arm to the seconds that were guessed, drawn as stars; None is no guess.

    Returns:
        The figure.
    """
    check_some(measured_s=measured_s)
    fig, ax = plt.subplots(figsize=(7.2, 3))
    centred: dict[str, Any] = {"textcoords": "offset points", "ha": "center"}
    explained = "time per step (ms), measured; open: predicted, at least"
    for row, (arm, seconds) in enumerate(measured_s.items()):
        ms, least = seconds * 1e3, predicted_s[arm] * 1e3
        look: dict[str, Any] = {"color": COLOURS[arm[:3]], "marker": MARKERS[arm[:3]]}
        ax.plot(ms, row, markersize=10, **look)
        ax.annotate(three_digits(ms), (ms, row), (0, 9), **centred, weight="bold")
        ax.plot(least, row, **PREDICTION)
        ax.annotate(three_digits(least), (least, row), (0, -17), **centred)
        if (guess := (guesses_s or {}).get(arm)) is not None:
            ax.plot(guess * 1e3, row, **GUESS)
            explained = "time per step (ms); open: predicted, at least; star: your guess"
    ax.set(xscale="log", xlabel=explained, xmargin=0.1)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_yticks(range(len(measured_s)), list(measured_s))
    ax.set_ylim(len(measured_s) - 0.4, -0.6)
    return finish(fig, ax, title, "")


def predicted_over_measured(
    ratios: Mapping[str, Mapping[tuple[int, int], float]],
    *,
    num_heads: int,
    title: str,
    within: float = 0.15,
) -> Figure:
    """How near predictions came: predicted over measured time, by KV heads and context.

    Args:
        ratios: kind of prediction to {(num_kv_heads, tokens): predicted / measured}; the first kind
            is drawn open, the others filled. It has every point; others may leave some out.
        num_heads: query heads, which tells MHA from GQA.
        title: the finding.
        within: the grey band: a share of the measured time, either way.

    Returns:
        The figure.
    """
    check_some(ratios=ratios)
    fig, ax = plt.subplots(figsize=(7.2, 3.8))
    ax.axhspan(1 - within, 1 / (1 - within), color="#EEEEEE")
    ax.axhline(1, color=COLOURS["ceiling"], linestyle="--")
    points = next(iter(ratios.values()))
    heads, contexts = (list(dict.fromkeys(values)) for values in zip(*points, strict=True))
    for number, (kind, values) in enumerate(ratios.items()):
        for (num_kv_heads, context), ratio in values.items():
            colour = COLOURS[attention_arm(num_heads, num_kv_heads)]
            shift = 0.2 * (contexts.index(context) - (len(contexts) - 1) / 2)
            face = colour if number else "white"
            x = heads.index(num_kv_heads) + shift
            ax.plot(x, ratio, "o", color=colour, markerfacecolor=face)
        face = "#444444" if number else "white"
        ax.plot([], [], "o", color="#444444", markerfacecolor=face, label=kind)
    every = [ratio for values in ratios.values() for ratio in values.values()]
    ax.set_ylim(min(0, *every), max(1.6, 1.25 * max(every)))
    told = ", ".join(f"{context // 1024}k" for context in contexts)
    ax.set_xlabel(
        f"KV heads; in each, from left to right, {told} tokens. Grey: within {within:.0%}"
    )
    ax.set_ylabel("predicted / measured time")
    ax.set_xticks(range(len(heads)), heads)
    ax.legend(loc="upper center", ncols=2)
    return finish(fig, ax, title, "")


def stacked_bars(
    panels: Mapping[str, Mapping[str, Sequence[float]]], parts: Sequence[str], *, title: str
) -> Figure:
    """Bars cut into parts, one panel for each unit, with the sum and the last part in figures.

    Args:
        panels: label of the x axis to {bar: its parts}; all have the same bars.
        parts: what the parts are.
        title: the finding.

    Returns:
        The figure.
    """
    check_some(panels=panels)
    width = 9.4 if len(panels) > 1 else 7.2
    fig, axes = plt.subplots(1, len(panels), figsize=(width, 3), sharey=True, squeeze=False)
    axes = axes[0]
    for ax, (label, bars) in zip(axes, panels.items(), strict=True):
        ends = [0.0] * len(bars)
        in_parts = zip(parts, zip(*bars.values(), strict=True), strict=True)
        for colour, (part, widths) in zip(_PARTS, in_parts, strict=False):
            ax.barh(list(bars), widths, left=ends, color=colour, label=part)
            ends = [end + width for end, width in zip(ends, widths, strict=True)]
        for row, (end, values) in enumerate(zip(ends, bars.values(), strict=True)):
            last = f"{parts[-1].partition(':')[0]} {three_digits(values[-1])}"
            text = f"{three_digits(end)} ({last})"
            ax.annotate(text, (end, row), (4, 0), **RIGHT_OF)
        ax.set(xlabel=label, xlim=(0, 1.5 * max(ends)))
        ax.grid(axis="y", visible=False)
    axes[0].invert_yaxis()
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(parts))
    return finish_above(fig, title)


def _time_unit(largest_s: float) -> tuple[float, str]:
    """(factor from seconds, unit) that keeps the largest time at 1 or more."""
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if largest_s * factor >= 1:
            return factor, unit
    return 1e6, "µs"
