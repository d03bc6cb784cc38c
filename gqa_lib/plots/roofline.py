"""The roofline: two ceilings, their ridge, and what stands below them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from gqa_lib.arguments import check_kind, is_number, shown
from gqa_lib.cost import ridge_point
from gqa_lib.cost.positive import require_hardware
from gqa_lib.hardware import Hardware

from .style import CLEARED, COLOURS, LEFT_OF, MARKERS, RIGHT_OF, finish


def roofline(
    hardware: Hardware,
    points: Mapping[str, tuple[float, float]],
    *,
    title: str,
    datasheet: Hardware | None = None,
    note: str = "",
    ax: Axes | None = None,
) -> Figure:
    """A log-log roofline: this hardware's two ceilings, their ridge, and kernels placed under it.

    Args:
        hardware: the ceilings, drawn solid.
        points: label to (FLOP per byte, FLOP/s reached); a label that begins with MHA, GQA, MQA or
            MLA gets that arm's colour.
        title: the finding.
        datasheet: further ceilings, drawn dashed.
        note: small print.
        ax: where to draw; a new figure unless given.

    Returns:
        The figure.

    Raises:
        ValueError: a point is not two numbers above 0, which is all that its axes have.
    """
    _check(hardware, datasheet, points)
    if ax is None:
        _, ax = plt.subplots()
    ridge = ridge_point(hardware)
    intensities = [*(intensity for intensity, _ in points.values()), ridge]
    left, right = min(intensities) / 4, max(intensities) * 6
    for roof, line in ((hardware, "-"), (datasheet, "--")):
        if roof is not None:
            peak, bandwidth = roof.flops_per_s, roof.bandwidth_bytes_per_s
            x = (left, ridge_point(roof), max(right, 2 * ridge_point(roof)))
            name = f"{roof.name}: {_with_prefix(bandwidth)}B/s, {_with_prefix(peak)}FLOP/s"
            y = [min(peak, at * bandwidth) for at in x]
            ax.plot(x, y, line, color=COLOURS["ceiling"], label=name)
    foot = left * hardware.bandwidth_bytes_per_s
    ax.plot([ridge] * 2, [foot, hardware.flops_per_s], ":", color=COLOURS["ceiling"])
    offset, aside = (6, RIGHT_OF) if ridge**2 < left * right else (-6, LEFT_OF)
    text = f"ridge {ridge:.3g} FLOP/byte"
    ax.annotate(text, (ridge, foot), (offset, 0), **aside, color=COLOURS["ceiling"])
    for label, (intensity, flops_per_s) in points.items():
        colour = COLOURS.get(label[:3], COLOURS["prediction"])
        marker = MARKERS.get(label[:3], "o")
        ax.plot(intensity, flops_per_s, color=colour, marker=marker, markersize=9)
    lowest = min([foot, *(flops_per_s for _, flops_per_s in points.values())])
    highest = max(roof.flops_per_s for roof in (hardware, datasheet) if roof is not None)
    ax.set(xscale="log", yscale="log", xlim=(left, right), ylim=(lowest / 2, highest * 6))
    _label_points(ax, points)
    ax.set(xlabel="arithmetic intensity (FLOP per byte)", ylabel="FLOP/s")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _with_prefix(value)))
    ax.legend(loc="upper left")
    return finish(cast(Figure, ax.get_figure()), ax, title, note)


def _check(hardware: Any, datasheet: Any, points: Any) -> None:
    require_hardware(hardware)
    if datasheet is not None:
        require_hardware(datasheet)
    check_kind(Mapping, "Give a label for each point: {'GQA': (1.0, 1e9)}.", points=points)
    for label, point in points.items():
        pair = tuple(point) if isinstance(point, Sequence) and not isinstance(point, str) else ()
        if len(pair) != 2 or not all(is_number(one) and 0 < one < math.inf for one in pair):
            raise ValueError(
                f"points[{label!r}]={shown(point)} is not on a roofline: its axes are logarithmic. "
                "Give (FLOP per byte, FLOP/s), two numbers above 0."
            )


def _label_points(ax, points: Mapping[str, tuple[float, float]]) -> None:
    """Writes each label right of its point, else left, else lower, where nothing is in the way."""
    width, height = 6.5, 15.0  # of a letter and of a line, in points
    places = {
        label: ax.transData.transform(p) * 72 / ax.get_figure().dpi for label, p in points.items()
    }
    edge = ax.transAxes.transform((0, 0))[0] * 72 / ax.get_figure().dpi
    taken = [(x - 6, x + 6, y - 3) for x, y in places.values()]  # the markers themselves
    for label, point in sorted(points.items(), key=lambda item: -item[1][1]):
        x, y = places[label]
        long, drop, aside = width * len(label), -3.0, 10.0

        def is_free(start: float, level: float, long: float = long) -> bool:
            return start > edge and not any(
                abs(level - other) < height and start < end and begin < start + long
                for begin, end, other in taken
            )

        while not is_free(x + aside, y + drop):
            if aside > 0 and drop == -3.0 and is_free(x - 10 - long, y + drop):
                aside = -10 - long
            else:
                aside, drop = 10.0, drop - 3.0
        taken.append((x + aside, x + aside + long, y + drop))
        side = RIGHT_OF if aside > 0 else LEFT_OF
        ax.annotate(label, point, (10 if aside > 0 else -10, drop), **side, bbox=CLEARED)


def _with_prefix(value: float) -> str:
    """A number in P, T, G, M or k, as in '3.35 T', for a unit to follow."""
    for size, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.3g} "
