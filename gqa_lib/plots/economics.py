"""Serving economics: what grows with load or memory, and tokens per second against their pace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from gqa_lib.arguments import check_some

from .style import (
    CLEARED,
    COLOURS,
    GUESS,
    GUESSED,
    MARKERS,
    RIGHT_OF,
    attention_arm,
    finish,
    name_ends,
)

_LOOKS = (("MHA", "o", "-"), ("GQA", "s", "--"), ("MQA", "D", "-."), ("MLA", "^", ":"))


def gain_lines(
    curves: Mapping[str, Mapping[float, float]],
    *,
    xlabel: str,
    ylabel: str,
    title: str,
    expected: Mapping[str, float] | None = None,
    log: bool = False,
    note: str = "",
) -> Figure:
    """Lines of a factor, or of a change, against what it depends on.

    Args:
        curves: name to {x: y}, four at most; named where they end, on the right.
        xlabel, ylabel: of the axes, with units.
        title: the finding.
        expected: name to a y that is drawn dashed across.
        log: whether x is logarithmic.
        note: small print.

    Returns:
        The figure.
    """
    check_some(curves=curves)
    fig, ax = plt.subplots(figsize=(7.6, 4.2))
    every = sorted({x for curve in curves.values() for x in curve})
    if log:
        ax.set_xscale("log")
        ax.set_xticks(every, [f"{x:g}" for x in every])
        ax.set_xticks([], minor=True)
    ends = {}
    for (name, curve), (arm, marker, dashes) in zip(curves.items(), _LOOKS, strict=False):
        xs = sorted(curve)
        look: dict[str, Any] = {"color": COLOURS[arm], "marker": marker, "linestyle": dashes}
        ax.plot(xs, [curve[x] for x in xs], **look)
        ends[name] = (xs[-1], curve[xs[-1]], COLOURS[arm])
    for name, value in (expected or {}).items():
        ax.axhline(value, color=COLOURS["ceiling"], linestyle="--", linewidth=1.2)
        ax.annotate(name, (every[0], value), (0, 5), **RIGHT_OF | {"va": "bottom"}, fontsize=9)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.margins(x=0.03, y=0.1)
    fig.draw_without_rendering()
    name_ends(ax, ends)
    return finish(fig, ax, title, note)


def throughput_latency(
    points: Mapping[int, tuple[float, float]],
    *,
    num_heads: int,
    title: str,
    guess: tuple[float | None, float | None] | None = None,
    note: str = "",
) -> Figure:
    """Time per token against tokens per second, a mark for each number of KV heads.

    Args:
        points: num_kv_heads to (tokens/s of the card, milliseconds per token of a request).
        num_heads: query heads, which tells MHA from GQA.
        title: the finding.
        guess: (tokens/s, milliseconds) that were guessed, drawn as a star; None is no guess.
        note: small print.

    Returns:
        The figure.
    """
    check_some(points=points)
    fig, ax = plt.subplots(figsize=(7.6, 4.2))
    ordered = sorted(points.items(), reverse=True)
    ax.plot(*zip(*(at for _, at in ordered), strict=True), color="#BBBBBB", linewidth=1.2, zorder=1)
    for place, (num_kv_heads, at) in enumerate(ordered):
        arm = attention_arm(num_heads, num_kv_heads)
        ax.plot(*at, marker=MARKERS[arm], color=COLOURS[arm], markersize=10, linestyle="none")
        heads = f"{arm}, {num_kv_heads} KV head{'s' * (num_kv_heads > 1)}"
        look: dict[str, Any] = {"color": COLOURS[arm], "bbox": CLEARED, "ha": "center"}
        above, side = (12, "bottom") if place % 2 == 0 else (-12, "top")
        ax.annotate(heads, at, (0, above), textcoords="offset points", va=side, **look)
    speed, pace = guess or (None, None)
    if speed is not None and pace is not None:
        ax.plot(speed, pace, **GUESS, label=f"{GUESSED}, 8 KV heads")
        ax.legend(loc="lower right")
    ax.set(xlabel="tokens per second, all requests together", ylabel="time per token (ms)")
    ax.margins(x=0.14, y=0.16)
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    return finish(fig, ax, title, note)
