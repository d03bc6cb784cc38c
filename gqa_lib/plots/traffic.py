"""Traffic that is served: requests in time by how many come, and how full the cache is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from gqa_lib.arguments import check_some

from .style import COLOURS, MARKERS, RIGHT_OF, attention_arm, finish, name_ends

_DASHES = ("-", "--", "-.", ":")


def goodput_lines(
    curves: Mapping[int, Mapping[float, float]],
    *,
    num_heads: int,
    title: str,
    note: str = "",
) -> Figure:
    """Requests a second that keep their objectives, against how many come.

    Args:
        curves: num_kv_heads to {requests that come a second: those of them that are in time}.
        num_heads: query heads, which tells MHA from GQA.
        title: the finding.
        note: small print.

    Returns:
        The figure; on the dashed line every request is in time.
    """
    check_some(curves=curves)
    fig, ax = plt.subplots(figsize=(7.6, 4.2))
    rates = sorted({rate for curve in curves.values() for rate in curve})
    ax.plot([0, rates[-1]], [0, rates[-1]], "--", color=COLOURS["ceiling"], linewidth=1.2)
    ax.annotate("every request", (rates[-1] / 2, rates[-1] / 2), (8, -8), **RIGHT_OF, fontsize=9)
    for place, (num_kv_heads, curve) in enumerate(curves.items()):
        ax.plot(list(curve), list(curve.values()), **_look(num_heads, num_kv_heads, place))
    ax.set(xlabel="requests that come per second", ylabel="requests per second in time")
    ax.set_xlim(0, 1.05 * rates[-1])
    ax.set_ylim(0, 1.05 * rates[-1])
    ax.legend(loc="upper left")
    return finish(fig, ax, title, note)


def occupancy_lines(
    runs: Mapping[int, tuple[Sequence[float], Sequence[float]]],
    *,
    num_heads: int,
    title: str,
    until_s: float | None = None,
    note: str = "",
) -> Figure:
    """How much of a cache's blocks is used over time, a line for each number of KV heads.

    Args:
        runs: num_kv_heads to (seconds, shares of the blocks that are used from then on), 0 to 1.
        num_heads: query heads, which tells MHA from GQA.
        title: the finding.
        until_s: end of the time axis; None is the last of all seconds.
        note: small print.

    Returns:
        The figure.
    """
    check_some(runs=runs)
    fig, ax = plt.subplots(figsize=(7.6, 4.2))
    until_s = until_s or max(float(times[-1]) for times, _ in runs.values())
    ends = {}
    for place, (num_kv_heads, (times, shares)) in enumerate(runs.items()):
        look = _look(num_heads, num_kv_heads, place) | {"marker": "", "linewidth": 1.5}
        used = [100 * share for share in shares]
        ax.plot(times, used, drawstyle="steps-post", **look)
        at_end = [share for time, share in zip(times, used, strict=True) if time <= until_s]
        ends[look["label"]] = (until_s, at_end[-1] if at_end else 0.0, look["color"])
    ax.set(xlabel="time (s)", ylabel="blocks in use (%)", xlim=(0, until_s), ylim=(0, 103))
    fig.draw_without_rendering()
    name_ends(ax, ends)
    return finish(fig, ax, title, note)


def _look(num_heads: int, num_kv_heads: int, place: int) -> dict[str, Any]:
    """How the line of a number of KV heads looks, the place-th of the figure's."""
    arm = attention_arm(num_heads, num_kv_heads)
    return {
        "color": COLOURS[arm],
        "marker": MARKERS[arm],
        "linestyle": _DASHES[place % len(_DASHES)],
        "label": f"{arm}: {num_kv_heads} KV head{'s' * (num_kv_heads > 1)}",
    }
