"""What the course's figures share: style, colours, titles, and a text alternative for each."""

from __future__ import annotations

import base64
import html
import io
import textwrap
from collections.abc import Mapping
from typing import Any, TypeVar

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from gqa_lib.arguments import check_kind
from gqa_lib.heads import check_heads

_Key = TypeVar("_Key")
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
PREDICTION: dict[str, Any] = {
    "color": COLOURS["prediction"],
    "marker": "o",
    "markerfacecolor": "white",
    "markersize": 8,
    "linestyle": "none",
}
GUESS: dict[str, Any] = PREDICTION | {"marker": "*", "markersize": 15, "zorder": 4}  # a learner's
GUESSED = "your guess"  # its name in a legend
RIGHT_OF: dict[str, Any] = {"textcoords": "offset points", "ha": "left", "va": "center"}
CLEARED = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
LEFT_OF: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "va": "center"}
FIGURE = "gqa-figure"  # the class of an image that is a figure
# In JupyterLab's dark theme a figure is turned dark, hues kept; it follows a change of the theme.
DARK = (
    f'<style>[data-jp-theme-light="false"] img.{FIGURE} '
    "{filter: invert(0.93) hue-rotate(180deg);}</style>"
)
_MARGIN = 8  # pixels right of a title
_PIXELS_PER_INCH = 100  # as shown; the image itself holds twice as many
_STYLE: dict[str, Any] = {
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


def made(guesses: Mapping[_Key, float | None] | None) -> dict[_Key, float]:
    """The guesses that a learner made, of those that a lesson asks for."""
    return {key: guess for key, guess in (guesses or {}).items() if guess is not None}


def use_style() -> None:
    """Sets the course's style for every figure that follows; returns nothing."""
    plt.rcParams.update(_STYLE)  # type: ignore[arg-type]  # its stub lists every key


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
    check_kind(str, "Say what the figure shows.", alt=alt)
    if not alt.strip():
        raise ValueError(
            "alt='' says nothing: a reader who cannot see the figure gets only this text. Say what "
            "is compared and what comes out."
        )
    check_kind(Figure, "Give a matplotlib figure, as the plots return.", fig=fig)
    from IPython.display import display

    stream = io.BytesIO()
    fig.savefig(stream, format="png", dpi=2 * _PIXELS_PER_INCH)
    plt.close(fig)
    png = base64.b64encode(stream.getvalue()).decode("ascii")
    width = round(fig.get_figwidth() * _PIXELS_PER_INCH)
    image = (
        f'{DARK}<div style="overflow-x: auto"><img class="{FIGURE}" '
        f'src="data:image/png;base64,{png}" alt="{html.escape(alt)}" width="{width}" '
        f'style="max-width: 100%; min-width: {0.6 * width:.0f}px; height: auto"></div>'
    )
    display(
        {"text/html": image, "image/png": png, "text/plain": alt},
        metadata={"image/png": {"alt": alt, "width": width}},
        raw=True,
    )


def attention_arm(num_heads: int, num_kv_heads: int) -> str:
    """'MHA', 'GQA' or 'MQA': the arm, and so the colour, of a number of KV heads.

    Args:
        num_heads: Hq, query heads.
        num_kv_heads: Hkv, KV heads.
    """
    check_heads(num_heads, num_kv_heads)
    if num_kv_heads == num_heads:
        return "MHA"
    return "MQA" if num_kv_heads == 1 else "GQA"


def finish(fig: Figure, ax: Axes, title: str, note: str) -> Figure:
    """The figure, with its title broken into lines and its small print below.

    Args:
        fig, ax: the figure and its axes.
        title: the finding.
        note: the small print, or "".
    """
    if note:
        fig.supxlabel(note, x=0.01, ha="left", fontsize=9, color="#555555")
    text = ax.set_title(title)
    fig.draw_without_rendering()  # which places the axes, and so the title's left end
    break_to(fig, text, title, fig.bbox.x1 - ax.get_window_extent().x0)
    return fig


def finish_above(fig: Figure, title: str) -> Figure:
    """The figure, with a title over all of its axes, broken into lines.

    Args:
        fig: the figure.
        title: the finding.
    """
    text = fig.suptitle(title, fontsize=13, fontweight="bold", x=0.01, ha="left")
    return break_to(fig, text, title, 0.98 * fig.bbox.width)


def break_to(fig: Figure, text: Text, title: str, width: float) -> Figure:
    """The figure, with a text in it broken into lines that are no wider than that.

    Args:
        fig: the figure.
        text: the text in it.
        title: what it says.
        width: pixels of the figure.
    """
    for letters in range(90, 10, -2):
        text.set_text(textwrap.fill(title, letters))
        if text.get_window_extent().width <= width - _MARGIN:
            break
    return fig


def name_ends(ax: Axes, ends: Mapping[str, tuple[float, float, str]]) -> None:
    """Names right of where lines end, pushed apart where they would cover each other.

    Args:
        ax: the axes, with their final limits.
        ends: name to the (x, y) where its line ends, and its colour.
    """
    low, high = ax.get_ylim()
    least = (high - low) / 18
    below = low
    for name, (x, y, colour) in sorted(ends.items(), key=lambda one: one[1][1]):
        below = max(y, below)
        ax.annotate(
            name, (x, below), xytext=(8, 0), color=colour, annotation_clip=False, **RIGHT_OF
        )
        below += least


def three_digits(value: float) -> str:
    """A number for a label: three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
