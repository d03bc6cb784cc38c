"""What shrinks a cache besides fewer heads: fewer bits, and where a model's saving comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

from gqa_lib.arguments import check_some

from .style import COLOURS, LEFT_OF, MARKERS, PREDICTION, finish

_AXES = (COLOURS["GQA"], COLOURS["MQA"], COLOURS["MHA"], COLOURS["MLA"])


def accuracy_by_bits(
    accuracies: Mapping[str, Mapping[float, float]], *, chance: float, title: str, note: str = ""
) -> Figure:
    """Shares of right answers by the bits that a token's cache takes, a line for each model.

    Args:
        accuracies: name of a model to (bits per token and layer -> the share of right answers, 0 to
            1); a name that begins with MHA, GQA or MQA gets that arm's colour, and the second one
            that does is dashed.
        chance: the share that is right without knowing anything, drawn dashed.
        title: the finding.
        note: small print.

    Returns:
        The figure.
    """
    check_some(accuracies=accuracies)
    fig, ax = plt.subplots()
    ax.axhline(chance, linestyle="--", color=COLOURS["ceiling"])
    drawn: list[str] = []
    for name, line in accuracies.items():
        colour = COLOURS.get(name[:3], COLOURS["ceiling"])
        style = ("-", "--", ":")[min(drawn.count(colour), 2)]
        drawn.append(colour)
        shares = [line[bits] for bits in sorted(line)]
        ax.plot(sorted(line), shares, marker=MARKERS.get(name[:3], "o"), color=colour,
                linestyle=style, label=name)  # fmt: skip
    every = sorted({bits for line in accuracies.values() for bits in line})
    ax.set(xscale="log", xlim=(every[0] / 1.3, every[-1] * 1.3), ylim=(0, 1.08))
    ax.annotate("chance", (every[-1] * 1.25, chance), (0, 6), **LEFT_OF, color=COLOURS["ceiling"])
    ax.set_xticks([2**n for n in range(20) if every[0] / 1.3 <= 2**n <= every[-1] * 1.3])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set(xlabel="bits per token and layer, scales included", ylabel="answers that are right")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 0.12))
    return finish(fig, ax, title, note)


def saving_bars(
    kept: Mapping[str, Mapping[str, float]],
    real: Mapping[str, float],
    *,
    title: str,
    xlabel: str,
    note: str = "",
) -> Figure:
    """How often each of several savings halves a cache, stacked: a bar for each model.

    Args:
        kept: name of a model to (what is saved on -> the share that is left, above 0); a share
            above 1 is drawn as none saved. All name the same savings, four at most.
        real: name of a model to the share that is really left of all; drawn as a mark, with its
            factor next to it.
        title: the finding.
        xlabel: what the halvings are of.
        note: small print.

    Returns:
        The figure.
    """
    check_some(kept=kept, real=real)
    fig, ax = plt.subplots(figsize=(7.2, 1.7 + 0.42 * len(kept)))
    ends = dict.fromkeys(kept, 0.0)
    for colour, axis in zip(_AXES, next(iter(kept.values())), strict=False):
        halvings = [max(0.0, -math.log2(shares[axis])) for shares in kept.values()]
        ax.barh(list(kept), halvings, left=list(ends.values()), color=colour, label=axis)
        ends = {name: ends[name] + more for name, more in zip(kept, halvings, strict=True)}
    marks = [-math.log2(real[name]) for name in kept]
    ax.plot(marks, range(len(kept)), **PREDICTION, label="really")
    furthest = max(*ends.values(), *marks, 1.0)
    for row, (name, end, mark) in enumerate(zip(kept, ends.values(), marks, strict=True)):
        factor = f"{1 / real[name]:,.0f} x"
        ax.annotate(factor, (max(end, mark), row), (9, 0), textcoords="offset points", va="center")
    ax.set(xlim=(0, 1.15 * furthest), xlabel=xlabel)
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.legend(loc="upper center", bbox_to_anchor=(0.42, -0.6 / len(kept) - 0.1), ncols=5)
    return finish(fig, ax, title, note)
