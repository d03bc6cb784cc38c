"""Serving: tokens per second by what runs at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from .style import COLOURS, MARKERS, PREDICTION, RIGHT_OF, attention_arm, finish


def throughput_lines(
    measured: Mapping[int, Mapping[int, float]],
    predicted: Mapping[int, Mapping[int, float]],
    *,
    num_heads: int,
    title: str,
    served: Mapping[int, tuple[float, float]] | None = None,
    note: str = "",
) -> Figure:
    """Tokens per second against the batch, one line for each number of KV heads.

    Args:
        measured: num_kv_heads to {batch: tokens/s}, up to the largest batch that the memory holds,
            which a bar at the end of the line marks.
        predicted: the most tokens/s for the same batches.
        num_heads: query heads, which tells MHA from GQA.
        title: the finding.
        served: num_kv_heads to (mean batch, tokens/s) of an engine's run, drawn as a star.
        note: small print.

    Returns:
        The figure.
    """
    fig, ax = plt.subplots(figsize=(7.6, 4.4))
    for num_kv_heads, line in measured.items():
        arm = attention_arm(num_heads, num_kv_heads)
        colour = COLOURS[arm]
        batches, guess = sorted(line), predicted[num_kv_heads]
        ax.plot(batches, [guess[b] for b in batches], ":", color=colour, linewidth=1)
        ax.plot(batches, [guess[b] for b in batches], **PREDICTION | {"markersize": 5})
        ax.plot(batches, [line[b] for b in batches], color=colour, marker=MARKERS[arm])
        end = batches[-1], line[batches[-1]]
        ax.plot(*end, "|", color=colour, markersize=26, markeredgewidth=2)
        text = f"{arm}: {num_kv_heads} KV head{'s' * (num_kv_heads > 1)}\nfull at {end[0]}"
        ax.annotate(text, end, (9, 0), **RIGHT_OF, color=colour)
        if served and num_kv_heads in served:
            star: dict[str, Any] = {"color": colour, "markeredgecolor": "white"}
            ax.plot(*served[num_kv_heads], "*", markersize=15, zorder=5, **star)
    every = sorted({batch for line in measured.values() for batch in line})
    ax.set_xscale("log", base=2)
    ax.set_xlim(every[0] / 1.15, every[-1] * (every[-1] / every[0]) ** 0.25)
    ticks = [2**n for n in range(20) if every[0] <= 2**n <= every[-1]]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set(xlabel="sequences decoded together", ylabel="tokens per second")
    ax.set_ylim(0)
    ax.plot([], [], color="#444444", marker="o", label="measured")
    ax.plot([], [], **PREDICTION | {"markersize": 5}, label="predicted, at most")
    ax.plot([], [], "|", color="#444444", markersize=12, markeredgewidth=2, label="memory is full")
    if served:
        ax.plot([], [], "*", color="#444444", markersize=12, label="engine, with its prompts")
    ax.legend(loc="upper left")
    return finish(fig, ax, title, note)
