"""Serving: tokens per second by what runs at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from gqa_lib.arguments import check_some

from .style import COLOURS, MARKERS, PREDICTION, attention_arm, finish

_GUESS: dict[str, Any] = PREDICTION | {"markersize": 5}
_FULL: dict[str, Any] = {
    "marker": "|",
    "markersize": 18,
    "markeredgewidth": 2,
    "linestyle": "none",
}
_ENGINE: dict[str, Any] = {
    "marker": "*",
    "markersize": 14,
    "markeredgecolor": "white",
    "linestyle": "none",
    "zorder": 5,
}


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
    check_some(measured=measured)
    fig, ax = plt.subplots(figsize=(7.6, 4.4))
    for num_kv_heads, line in measured.items():
        arm = attention_arm(num_heads, num_kv_heads)
        colour, batches, guess = COLOURS[arm], sorted(line), predicted[num_kv_heads]
        ax.plot(batches, [guess[b] for b in batches], ":", color=colour, linewidth=1)
        ax.plot(batches, [guess[b] for b in batches], **_GUESS)
        heads = f"{arm}: {num_kv_heads} KV head{'s' * (num_kv_heads > 1)}, {batches[-1]} fit"
        look: dict[str, Any] = {"color": colour, "marker": MARKERS[arm], "label": heads}
        ax.plot(batches, [line[b] for b in batches], **look)
        ax.plot(batches[-1], line[batches[-1]], color=colour, **_FULL)
        if served and num_kv_heads in served:
            ax.plot(*served[num_kv_heads], color=colour, clip_on=False, **_ENGINE)
    every = sorted({batch for line in measured.values() for batch in line})
    ax.set_xscale("log", base=2)
    ticks = [2**n for n in range(every[-1].bit_length()) if 2**n >= every[0]] or every
    ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set(xlabel="sequences decoded together", ylabel="tokens per second")
    ax.set_ylim(0, 1.1 * ax.get_ylim()[1])
    ax.plot([], [], **_GUESS, label="predicted, at most")
    ax.plot([], [], color="#444444", **_FULL, label="memory is full")
    if served:
        ax.plot([], [], color="#444444", **_ENGINE, label="engine, with its prompts")
    ax.legend(loc="upper left")
    return finish(fig, ax, title, note)
