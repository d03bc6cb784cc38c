"""What a decision memo draws: requests that fit at a time, and tokens/s against latency."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from gqa_lib.arguments import check_some

from .style import COLOURS, MARKERS, RIGHT_OF, attention_arm, finish, name_ends, three_digits

_WIDTH = 5.6


def concurrency_bars(
    counts: Mapping[int, Mapping[str, int]], *, num_heads: int, title: str, note: str = ""
) -> Figure:
    """Requests that run at a time, by number of KV heads: safely, and on average.

    Args:
        counts: num_kv_heads to "safe" and "mean_rule", drawn from the top down in this order.
        num_heads: query heads, which tells MHA from GQA.
        title: the finding.
        note: small print.

    Returns:
        The figure; the x axis is logarithmic.
    """
    check_some(counts=counts)
    fig, ax = plt.subplots(figsize=(_WIDTH, 1.9 + 0.42 * len(counts)))
    least = min(one["safe"] or 1 for one in counts.values())
    for row, (heads, one) in enumerate(counts.items()):
        colour, least = COLOURS[attention_arm(num_heads, heads)], min(least, one["mean_rule"] or 1)
        ax.barh(row, one["safe"], height=0.55, facecolor="white", edgecolor=colour, linewidth=2)
        ax.plot(one["mean_rule"], row, "|", color="#444444", markersize=18, markeredgewidth=2)
        far = max(one["safe"], one["mean_rule"], least)
        ax.annotate(f"{one['safe']:,} safely", (far, row), (8, 0), **RIGHT_OF)
    ax.plot([], [], "|", color="#444444", markersize=12, markeredgewidth=2, label="on average")
    ax.set(xscale="log", xlabel="requests at a time (open: modelled)")
    most = max(max(one.values()) for one in counts.values())
    ax.set_xlim(0.5 * max(least, 1), 4 * max(most, 2))
    ax.xaxis.set_major_formatter("{x:,g}")
    ax.set_yticks(range(len(counts)), [_name(num_heads, heads) for heads in counts])
    ax.set_ylim(len(counts) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower right")
    return finish(fig, ax, title, note)


def speed_against_latency(
    points: Mapping[int, tuple[float, float]],
    *,
    num_heads: int,
    title: str,
    measured: Mapping[int, tuple[float, float]] | None = None,
    note: str = "",
) -> Figure:
    """Tokens per second against the time of a token, a point for each number of KV heads.

    Args:
        points: num_kv_heads to (milliseconds per token, tokens/s), modelled: drawn open.
        num_heads: query heads, which tells MHA from GQA.
        title: the finding.
        measured: the same as measured: drawn filled.
        note: small print.

    Returns:
        The figure; both axes begin at 0.
    """
    check_some(points=points)
    fig, ax = plt.subplots(figsize=(_WIDTH, 4.2))
    for face, group in ((None, measured or {}), ("white", points)):
        for heads, (ms, rate) in group.items():
            arm = attention_arm(num_heads, heads)
            look: dict[str, Any] = {"color": COLOURS[arm], "marker": MARKERS[arm]}
            ax.plot(ms, rate, markersize=10, markerfacecolor=face or COLOURS[arm], **look)
    every = [*points.values(), *(measured or {}).values()]
    ax.set_xlim(0, 1.45 * max(ms for ms, _ in every))
    ax.set_ylim(0, 1.2 * max(rate for _, rate in every))
    right = max(ms for ms, _ in points.values())
    name_ends(
        ax,
        {
            f"{_name(num_heads, heads)}: {three_digits(rate)}": (
                right if ms > 0.75 * right else ms,
                rate,
                COLOURS[attention_arm(num_heads, heads)],
            )
            for heads, (ms, rate) in points.items()
        },
    )
    ax.set(xlabel="time per output token (ms)", ylabel="output tokens/s")
    ax.plot([], [], "o", color="#444444", markerfacecolor="white", label="modelled")
    if measured:
        ax.plot([], [], "o", color="#444444", label="measured")
    ax.legend(loc="lower right")
    return finish(fig, ax, title, note)


def as_svg(fig: Figure, salt: str) -> str:
    """Return a figure as SVG, and close it; the same figure and salt give the same text.

    Args:
        fig: the figure.
        salt: makes the names in the picture differ from those of others on a page.
    """
    stream = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt, "svg.fonttype": "path"}):
        fig.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(fig)
    return re.sub(r' (width|height)="[\d.]+pt"', "", stream.getvalue(), count=2)


def _name(num_heads: int, num_kv_heads: int) -> str:
    return f"{attention_arm(num_heads, num_kv_heads)} {num_kv_heads}"
