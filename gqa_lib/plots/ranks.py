"""What each of several ranks keeps of a cache that is spread over them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from gqa_lib.arguments import check_some

from .style import COLOURS, MARKERS, RIGHT_OF, finish, name_ends


def cache_per_rank(
    kept: Mapping[str, Mapping[int, float]], *, title: str, ylabel: str, note: str = ""
) -> Figure:
    """What one rank keeps against how many ranks there are, each halving as high as the next.

    Args:
        kept: name of a line to (ranks -> what each keeps, above 0); a name that begins with MHA,
            GQA or MQA gets that arm's colour, and one with "by tokens" in it is dashed.
        title: the finding.
        ylabel: what is kept, with its unit.
        note: small print.

    Returns:
        The figure.
    """
    check_some(kept=kept)
    fig, ax = plt.subplots()
    ends, drawn = {}, []
    for name, line in kept.items():
        check_some(kept=line)
        ranks, colour = sorted(line), COLOURS.get(name[:3], COLOURS["ceiling"])
        heights = [math.log2(line[n]) for n in ranks]
        dashes = "--" if "by tokens" in name else "-"
        marker = MARKERS.get(name[:3], "o")
        ax.plot(ranks, heights, linestyle=dashes, color=colour, marker=marker)
        ends[name] = (ranks[-1], heights[-1], colour)
        drawn.append((name, (ranks[0], heights[0]), colour, heights[0] > heights[-1]))
    every = sorted({n for line in kept.values() for n in line})
    values = [math.log2(value) for line in kept.values() for value in line.values()]
    low, high = math.floor(min(values)), math.ceil(max(values))
    ax.set(xscale="log", xlabel="ranks", ylabel=ylabel, ylim=(low - 0.6, high + 0.4))
    ax.set_xticks(every, [f"{n}" for n in every])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_yticks(range(low, high + 1), [f"{2.0**n:,.4g}" for n in range(low, high + 1)])
    if len({start for _, start, _, _ in drawn}) == len(drawn):  # their ends may well meet
        for name, start, colour, falls in drawn:
            ax.annotate(name, start, (12, 4) if falls else (0, -15), **RIGHT_OF, color=colour)
    else:
        name_ends(ax, ends)
    return finish(fig, ax, title, note)
