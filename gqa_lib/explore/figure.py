"""The picture of an estimate: what a step reads, and where attention lies under the roofline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gqa_lib.arguments import check_some
from gqa_lib.hardware import Hardware

from .estimate import Estimate
from .units import seconds

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure(found: list[Estimate], hardware: Hardware) -> Figure:
    """What a step reads, and where attention is under the roofline.

    Args:
        found: as from `estimate`, one for each arm.
        hardware: the ceilings that they were estimated for.

    Returns:
        A figure of two axes: GB per step, and FLOP/s over FLOP per byte.
    """
    from matplotlib import pyplot as plt

    from gqa_lib import plots  # the estimates need no matplotlib

    check_some(found=found)
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.6, 2.75), width_ratios=(1, 1.1))
    names = [e.arm for e in found]
    weights, kv = [(e.read_bytes or 0) / 1e9 for e in found], [e.kv_bytes / 1e9 for e in found]
    times = [seconds(e.step_time_s) if e.step_time_s else "" for e in found]
    left.barh(names, weights, color=plots.COLOURS["ceiling"])
    bars = left.barh(names, kv, left=weights, color=[plots.COLOURS[name] for name in names])
    left.bar_label(bars, times, padding=4)
    known = any(times)
    left.set(
        xlabel="GB: weights grey, cache coloured" if known else "GB of cache",
        xmargin=0.25,
    )
    left.set_title(
        "Read in a step, and its least time" if known else "Read in a step; weights not known",
        fontsize=11,
    )
    left.invert_yaxis()
    left.grid(axis="y", visible=False)
    points = {}
    for e in found:
        roof = min(hardware.flops_per_s, e.intensity * hardware.bandwidth_bytes_per_s)
        points[e.arm] = (e.intensity, roof)
    plots.roofline(hardware, points, title="Attention under the roofline", ax=right)
    right.set_title(right.get_title(loc="left"), fontsize=11)
    right.legend(loc="upper left", fontsize=8)
    return fig
