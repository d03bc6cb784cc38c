"""The course's figures: one style, one colour per arm, a text alternative for each.

Titles are given by the caller, who knows the finding; axes carry units; a prediction is drawn
open and black, a measurement filled and in its arm's colour.
"""

from __future__ import annotations

import base64
import html
import io
import textwrap
from collections.abc import Iterable, Mapping

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from gqa_lib.configs import ModelConfig
from gqa_lib.cost import kv_bytes_per_token, kv_cache_bytes, ridge_point
from gqa_lib.hardware import Hardware

# Okabe and Ito's palette, distinct with any common colour blindness; markers repeat the message.
COLOURS = {
    "MHA": "#0072B2",
    "GQA": "#D55E00",
    "MQA": "#009E73",
    "MLA": "#CC79A7",
    "prediction": "#000000",
    "ceiling": "#6B6B6B",
}
MARKERS = {"MHA": "o", "GQA": "s", "MQA": "D", "MLA": "^"}
_BESIDE = {"textcoords": "offset points", "ha": "left", "va": "center"}
_CLEARED = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
_BEFORE = {"textcoords": "offset points", "ha": "right", "va": "center"}
_PIXELS_PER_INCH = 100  # as shown; the image itself holds twice as many
_STYLE = {
    "figure.figsize": (7.2, 4.2),
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "axes.facecolor": "white",
    "axes.edgecolor": "#444444",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlesize": 13,
    "axes.titlepad": 12,
    "axes.labelsize": 11.5,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "font.size": 10.5,
    "grid.color": "#E3E3E3",
    "lines.linewidth": 2,
    "lines.markersize": 7,
    "legend.frameon": False,
}


def use_style() -> None:
    """Sets the course's style for every figure that follows; returns nothing."""
    plt.rcParams.update(_STYLE)


def show(fig: Figure, alt: str) -> None:
    """Displays a figure in a notebook as a sharp image with a text alternative; returns nothing.

    JupyterLab drops the alt text of a plain image output, so the image goes inside an HTML img
    element that carries it; exporters that want a plain PNG find that too, with alt in its
    metadata. The figure is closed, so that it is not shown twice.

    Args:
        fig: the figure.
        alt: what it shows, in words, for a reader who cannot see it.

    Raises:
        ValueError: no alt text.
    """
    if not alt.strip():
        raise ValueError(
            "alt='' says nothing: a reader who cannot see the figure gets only this text. Say what "
            "is compared and what comes out."
        )
    from IPython.display import display

    stream = io.BytesIO()
    fig.savefig(stream, format="png", dpi=2 * _PIXELS_PER_INCH)
    plt.close(fig)
    png = base64.b64encode(stream.getvalue()).decode("ascii")
    width = round(fig.get_figwidth() * _PIXELS_PER_INCH)
    image = f'<img src="data:image/png;base64,{png}" alt="{html.escape(alt)}" width="{width}">'
    display(
        {"text/html": image, "image/png": png, "text/plain": alt},
        metadata={"image/png": {"alt": alt, "width": width}},
        raw=True,
    )


def attention_arm(num_heads: int, num_kv_heads: int) -> str:
    """'MHA', 'GQA' or 'MQA': the arm, and so the colour, of a number of KV heads."""
    if num_kv_heads == num_heads:
        return "MHA"
    return "MQA" if num_kv_heads == 1 else "GQA"


def head_map(ax: Axes, *, num_heads: int, num_kv_heads: int) -> None:
    """Draws query heads above, KV heads below and a line from each to the one it reads."""
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


def decode_time_plot(
    measured: Mapping[int, Mapping],
    predicted_s: Mapping[int, float],
    *,
    title: str,
    num_heads: int | None = None,
    note: str = "",
) -> Figure:
    """A figure of decode time against the number of KV heads, measured next to predicted.

    Args:
        measured: num_kv_heads to its summary: median, low and high in seconds, as `summarise`
            returns them.
        predicted_s: num_kv_heads to the predicted seconds.
        title: the finding.
        num_heads: query heads, which tells MHA from GQA; the most KV heads measured if not given.
        note: small print, such as device and number of samples.

    Returns:
        The figure.
    """
    fig, ax = plt.subplots()
    heads = sorted(measured)
    num_heads = num_heads or heads[-1]
    scale, unit = _time_unit(max(row["high"] for row in measured.values()))
    for place, num_kv_heads in enumerate(heads):
        low, median, high = (measured[num_kv_heads][key] * scale for key in _INTERVAL)
        arm = attention_arm(num_heads, num_kv_heads)
        look = {"color": COLOURS[arm], "marker": MARKERS[arm]}
        error = [[median - low], [high - median]]
        ax.errorbar(place - 0.12, median, yerr=error, capsize=4, markersize=9, **look)
        ax.annotate(f"{median:.3g}", (place - 0.12, median), (-10, 0), **_BEFORE, weight="bold")
        predicted = predicted_s[num_kv_heads] * scale
        ax.plot(place + 0.12, predicted, **_PREDICTION)
        ax.annotate(f"{predicted:.3g}", (place + 0.12, predicted), (9, 0), **_BESIDE)
    labels = [f"{n}\n{attention_arm(num_heads, n)}" for n in heads]
    ax.set_xticks(range(len(heads)), labels)
    ax.set(xlim=(-0.6, len(heads) - 0.4), xlabel="KV heads")
    ax.set_ylabel(f"time per call ({unit})")
    flat = min(row["median"] for row in measured.values()) > 0.5 * ax.get_ylim()[1] / scale
    ax.set_ylim(0, ax.get_ylim()[1] * (1.3 if flat else 1.05))  # space for the legend
    ax.grid(axis="x", visible=False)
    ax.plot([], [], color="#444444", marker="o", label="measured, median and 95 % interval")
    ax.plot([], [], **_PREDICTION, label="predicted")
    ax.legend(loc="upper left")
    return _finish(fig, ax, title, note)


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
    """
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
    offset, aside = (6, _BESIDE) if ridge**2 < left * right else (-6, _BEFORE)
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
    return _finish(ax.get_figure(), ax, title, note)


def kv_bytes_bar(
    configs: Iterable[ModelConfig], bytes_per_element: float = 2, *, title: str, note: str = ""
) -> Figure:
    """Bars of the KiB that one token adds to the cache, every layer keeping it, one per model.

    Args:
        configs: the models, drawn from the top down in this order.
        bytes_per_element: bytes of one cached number.
        title: the finding.
        note: small print.

    Returns:
        The figure.
    """
    configs = list(configs)
    fig, ax = plt.subplots(figsize=(7.2, 1.6 + 0.36 * len(configs)))
    kib = [kv_bytes_per_token(config, bytes_per_element) / 2**10 for config in configs]
    colours = [COLOURS[config.attention_type] for config in configs]
    bars = ax.barh(range(len(configs)), kib, color=colours, height=0.66)
    labels = [
        f"{value:,.4g}  {config.attention_type}" for value, config in zip(kib, configs, strict=True)
    ]
    ax.bar_label(bars, labels, padding=5)
    ax.set_yticks(range(len(configs)), [config.name for config in configs])
    ax.invert_yaxis()
    ax.set(xlim=(0, max(kib) * 1.22), xlabel="KiB of cache per token")
    ax.grid(axis="y", visible=False)
    return _finish(fig, ax, title, note)


def kv_cache_lines(
    configs: Iterable[ModelConfig],
    context_lengths: Iterable[int],
    bytes_per_element: float = 2,
    *,
    title: str,
    note: str = "",
) -> Figure:
    """Lines of one sequence's cache in GiB against its length, windows and sharing counted.

    Args:
        configs: the models; lines of one attention type differ by their dashes.
        context_lengths: tokens, at least two.
        bytes_per_element: bytes of one cached number.
        title: the finding.
        note: small print.

    Returns:
        The figure.
    """
    fig, ax = plt.subplots()
    lengths = sorted(context_lengths)
    ends = []
    for number, config in enumerate(configs):
        gib = [kv_cache_bytes(config, [n], bytes_per_element) / 2**30 for n in lengths]
        colour = COLOURS[config.attention_type]
        ax.plot(lengths, gib, color=colour, linestyle=_DASHES[number % len(_DASHES)])
        ends.append((gib[-1], f"{config.name} ({config.attention_type})", colour))
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(lengths, [_tokens(n) for n in lengths], minor=False)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set(xlabel="tokens in the sequence", ylabel="cache (GiB)")
    _label_ends(ax, lengths[-1], ends)
    return _finish(fig, ax, title, note)


_INTERVAL = ("low", "median", "high")
_PREDICTION = {
    "color": COLOURS["prediction"],
    "marker": "o",
    "markerfacecolor": "white",
    "markersize": 8,
    "linestyle": "none",
}
_DASHES = ("-", "--", "-.", ":")


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
        side = _BESIDE if aside > 0 else _BEFORE
        ax.annotate(label, point, (10 if aside > 0 else -10, drop), **side, bbox=_CLEARED)


def _label_ends(ax, x: float, ends: list[tuple[float, str, str]]) -> None:
    """Writes each line's name next to its right end, moved apart where names would collide."""
    ends = sorted(ends)
    low, high = ax.get_ylim()
    step = (high / low) ** 0.055
    up, down = [], []  # pushed up only and pushed down only: half-way between keeps the distance
    for y, _, _ in ends:
        up.append(max(y, up[-1] * step) if up else y)
    for y, _, _ in reversed(ends):
        down.append(min(y, down[-1] / step) if down else y)
    for (y, text, colour), above, below in zip(ends, up, reversed(down), strict=True):
        ax.annotate(
            text,
            (x, y),
            (1.04, (above * below) ** 0.5),
            textcoords=("axes fraction", "data"),
            va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "relpos": (0, 0.5)},
            annotation_clip=False,
        )


def _finish(fig: Figure, ax, title: str, note: str) -> Figure:
    ax.set_title(textwrap.fill(title, 64))
    if note:
        fig.supxlabel(note, x=0.01, ha="left", fontsize=9, color="#555555")
    return fig


def _time_unit(largest_s: float) -> tuple[float, str]:
    """(factor from seconds, unit) that keeps the largest time at 1 or more."""
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if largest_s * factor >= 1:
            return factor, unit
    return 1e6, "µs"


def _with_prefix(value: float) -> str:
    """A number in P, T, G, M or k, as in '3.35 T', for a unit to follow."""
    for size, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.3g} "


def _tokens(count: int) -> str:
    return f"{count // 1024}k" if count % 1024 == 0 else str(count)
