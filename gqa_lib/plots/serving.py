"""Serving: what memory holds, which requests run, and tokens per second by how many do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gqa_lib.arguments import check_some

from .style import (
    CLEARED,
    COLOURS,
    GUESS,
    GUESSED,
    LEFT_OF,
    MARKERS,
    PREDICTION,
    RIGHT_OF,
    attention_arm,
    finish,
)

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
_KINDS = {  # of slots: colour and hatching
    "used": (COLOURS["MHA"], ""),
    "reserved": ("#D9D9D9", "///"),
    "internal": (COLOURS["GQA"], ""),
}
_RUNS = ((COLOURS["GQA"], "-"), (COLOURS["MHA"], "--"), (COLOURS["MQA"], "-."), ("#6B6B6B", ":"))


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


def memory_shares(
    shares: Mapping[str, Mapping[str, float]],
    *,
    title: str,
    guess: float | None = None,
) -> Figure:
    """Memory that holds tokens, is reserved, or is lost within blocks: a bar for each way.

    Args:
        shares: how memory was given out to the shares (0 to 1) that are "used", "reserved" and
            "internal"; the bars come from the top down in this order.
        title: the finding.
        guess: of the first bar's share that is used.

    Returns:
        The figure.
    """
    check_some(shares=shares)
    fig, ax = plt.subplots(figsize=(7.6, 1.6 + 0.42 * len(shares)))
    names, ends = list(shares), [0.0] * len(shares)
    for kind, (colour, hatch) in _KINDS.items():
        widths = [100 * shares[name][kind] for name in names]
        look: dict[str, Any] = {"color": colour, "hatch": hatch, "edgecolor": "white"}
        ax.barh(names, widths, left=ends, label=kind, **look)
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    for row, name in enumerate(names):
        used = 100 * shares[name]["used"]
        aside, shift = (LEFT_OF, -5) if used > 50 else (RIGHT_OF, 5)
        box = CLEARED | {"alpha": 0.95}
        ax.annotate(f"{used:.1f} % used", (used, row), (shift, 0), **aside, fontsize=9.5, bbox=box)
    if guess is not None:
        ax.plot(100 * guess, 0, **GUESS, label=GUESSED, clip_on=False)
    ax.set(xlim=(0, 100), xlabel="share of the slots (%)")
    ax.grid(axis="y", visible=False)
    ax.invert_yaxis()
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return finish(fig, ax, title, "")


def running_lines(
    runs: Mapping[str, Sequence[tuple[int, int]]], *, title: str, note: str = ""
) -> Figure:
    """How many sequences each step of an engine computed, and where some were preempted.

    Args:
        runs: name to (sequences, preempted ones) of each step, up to four runs.
        title: the finding.
        note: small print.

    Returns:
        The figure.
    """
    check_some(runs=runs)
    fig, ax = plt.subplots(figsize=(7.6, 3.8))
    for (name, steps), (colour, line) in zip(runs.items(), _RUNS, strict=False):
        sequences = [count for count, _ in steps]
        ax.plot(sequences, line, color=colour, drawstyle="steps-post", label=name)
        lost = [place for place, (_, preempted) in enumerate(steps) if preempted]
        ax.plot(lost, [sequences[place] for place in lost], "x", color=colour)
    ax.plot([], [], "x", color="#444444", label="step with preemptions")
    most = max(count for steps in runs.values() for count, _ in steps)
    ax.set(xlabel="step", ylabel="sequences computed", ylim=(0, 1.08 * most))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="upper right")
    return finish(fig, ax, title, note)
