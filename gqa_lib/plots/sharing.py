"""How work is shared out: query heads over KV heads, keys over programs, pieces over threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gqa_lib.arguments import check_some

from .style import COLOURS, MARKERS, attention_arm, finish


def head_map(ax: Axes, *, num_heads: int, num_kv_heads: int) -> None:
    """Draws query heads above, KV heads below and a line from each to the one it reads.

    Args:
        ax: where it is drawn.
        num_heads: Hq, query heads.
        num_kv_heads: Hkv, KV heads.
    """
    arm, q_per_kv = attention_arm(num_heads, num_kv_heads), num_heads // num_kv_heads
    below = [(kv_head + 0.5) * q_per_kv - 0.5 for kv_head in range(num_kv_heads)]
    for head in range(num_heads):
        ax.plot([head, below[head // q_per_kv]], [1, 0], color="#AAAAAA", linewidth=1.2, zorder=1)
    ax.scatter(range(num_heads), [1] * num_heads, s=110, color="#444444")
    ax.scatter(below, [0] * num_kv_heads, s=150, color=COLOURS[arm], marker=MARKERS[arm])
    ax.set_title(f"{arm}: {num_kv_heads} KV head{'s' if num_kv_heads > 1 else ''}")
    ax.set_yticks([0, 1], ["KV", "query"])
    ax.set(xlim=(-0.7, num_heads - 0.3), ylim=(-0.35, 1.3), xticks=[])
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)


def head_maps(num_heads: int, num_kv_heads: Sequence[int]) -> Figure:
    """Head maps side by side, one for each number of KV heads.

    Args:
        num_heads: Hq, query heads.
        num_kv_heads: the numbers of KV heads.

    Returns:
        The figure.
    """
    size = (0.6 + 3.1 * len(num_kv_heads), 2.4)
    fig, axes = plt.subplots(1, len(num_kv_heads), figsize=size, squeeze=False)
    for ax, count in zip(axes.flat, num_kv_heads, strict=True):
        head_map(ax, num_heads=num_heads, num_kv_heads=count)
    return fig


def thread_times(
    pieces: Mapping[str, Sequence[tuple[int, float, float]]], num_threads: int, *, note: str = ""
) -> Figure:
    """When each thread worked, in one panel for each way to cut the work.

    Args:
        pieces: title of a panel to its pieces of work: (thread, start, end), times in seconds from
            any origin.
        num_threads: threads there are, idle ones too.
        note: small print.

    Returns:
        The figure.
    """
    check_some(pieces=pieces)
    size = (7.2, 1.6 + 0.25 * num_threads * len(pieces))
    fig, axes = plt.subplots(len(pieces), 1, figsize=size, sharex=True, squeeze=False)
    for ax, (title, work) in zip(axes.flat, pieces.items(), strict=True):
        first = min(start for _, start, _ in work)
        lanes = {thread: lane for lane, thread in enumerate(dict.fromkeys(t for t, _, _ in work))}
        for thread, start, end in work:
            shown = {"left": 1e3 * (start - first), "height": 0.7, "edgecolor": "white"}
            ax.barh(lanes[thread], 1e3 * (end - start), color=COLOURS["MQA"], **shown)
        ax.set(ylim=(num_threads - 0.5, -0.5), ylabel="thread")
        finish(fig, ax, title, "")
        ax.set_yticks(range(num_threads), range(1, num_threads + 1))
    axes.flat[-1].set_xlabel("time since the first piece began (ms)")
    if note:
        fig.supxlabel(note, x=0.01, ha="left", fontsize=9, color="#555555")
    return fig


def tile_product(
    labels: Sequence[str], *, size: int, rows: int, keys: int, title: str, note: str
) -> Figure:
    """The product of two square tiles, q times K turned, with the padded cells hatched.

    Args:
        labels: what stands above q, K and the scores.
        size: rows and columns of each tile.
        rows: rows of q that are query heads; the others are padding.
        keys: columns of K that are keys; the others lie past the end.
        title: the finding.
        note: what stands below.

    Returns:
        The figure.
    """
    fig, ax = plt.subplots(figsize=(9.6, 5))
    real = ((rows, size), (size, keys), (rows, keys))
    for place, (label, kind) in enumerate(zip(labels, ("GQA", "MHA", "MQA"), strict=True)):
        left = 1.25 * size * place
        _tile(ax, left, size, *real[place], COLOURS[kind])
        ax.text(left + size / 2, 1.6, label, ha="center", va="bottom")
    for place, sign in enumerate("·="):
        x = size * (1.125 + 1.25 * place)
        ax.text(x, -(size - 2) / 2, sign, ha="center", va="center", fontsize=22)
    ax.text(0, -size - 0.5, note, va="top")
    ax.set(xlim=(-0.5, 3.5 * size + 0.5), ylim=(-size - 3.5, 5), aspect="equal")
    ax.axis("off")
    return finish(fig, ax, title, "")


def _tile(ax: Axes, left: float, size: int, rows: int, columns: int, colour: str) -> None:
    for row in range(size):
        for column in range(size):
            filled = row < rows and column < columns
            look: dict[str, Any] = (
                {"facecolor": colour, "edgecolor": colour}
                if filled
                else {"facecolor": "white", "edgecolor": "#999999", "hatch": "////"}
            )
            ax.add_patch(Rectangle((left + column, -row), 0.92, 0.92, linewidth=0.6, **look))


def kernel_grid(
    rows: Sequence[str], *, length: int, room: int, tile: int, num_splits: int, title: str
) -> Figure:
    """The programs of a decode kernel: a row of tiles for each head, cut into parts of whole tiles.

    Args:
        rows: the heads, one for each row.
        length: tokens in the cache.
        room: tokens it has room for.
        tile: tokens of a tile.
        num_splits: parts of a row; each is one program.
        title: the finding.

    Returns:
        The figure; (row, part) is written into each program's first tile.
    """
    fig, ax = plt.subplots(figsize=(8.2, 1.3 + 0.4 * len(rows)))
    palette = [COLOURS[kind] for kind in ("MHA", "GQA", "MQA", "MLA")]
    per_part = -(-length // num_splits // tile) * tile
    empty: dict[str, Any] = {"facecolor": "white", "edgecolor": "#999999", "hatch": "///"}
    for row in range(len(rows)):
        for start in range(0, room, tile):
            ax.add_patch(Rectangle((start, -row), tile - 0.6, 0.8, **empty))
            end = min(start + tile, length)
            if start < end:
                width = end - start - 0.6 * (end == start + tile)
                colour = palette[start // per_part % len(palette)]
                ax.add_patch(Rectangle((start, -row), width, 0.8, facecolor=colour))
        for part in range(num_splits):
            name: dict[str, Any] = {
                "ha": "center",
                "va": "center",
                "color": "white",
                "weight": "bold",
            }
            ax.text(part * per_part + 0.34 * tile, 0.4 - row, f"{row}, {part}", **name)
    ax.set(xlim=(0, room), ylim=(-len(rows) + 0.9, 1))
    ax.set_xlabel("token (hatched: room in the cache, not yet filled)")
    ax.set_yticks([0.4 - row for row in range(len(rows))], rows)
    ax.set_xticks(range(0, room + 1, tile))
    ax.grid(visible=False)
    return finish(fig, ax, title, "")


def times_read_bars(
    times_read: Mapping[str, Sequence[float]], q_per_kv: Sequence[int], *, title: str
) -> Figure:
    """Bars of how many times K and V are read, by query heads per KV head, for two ways to do it.

    Args:
        times_read: the way to its values, one for each of `q_per_kv`.
        q_per_kv: query heads per KV head.
        title: the finding.

    Returns:
        The figure.
    """
    fig, ax = plt.subplots(figsize=(7.2, 3))
    looks = zip((-0.2, 0.2), ("MQA", "ceiling"), strict=True)
    for (shift, kind), (way, values) in zip(looks, times_read.items(), strict=True):
        places = [place + shift for place in range(len(q_per_kv))]
        bars = ax.bar(places, values, 0.36, color=COLOURS[kind])
        ax.bar_label(bars, fmt="%.3g")
        ax.plot([], [], "s", color=COLOURS[kind], label=way)
    ax.set_xticks(range(len(q_per_kv)), [str(n) for n in q_per_kv])
    ax.set(xlabel="query heads per KV head", ylabel="times K and V are read", ymargin=0.12)
    ax.legend(loc="upper left")
    return finish(fig, ax, title, "")
