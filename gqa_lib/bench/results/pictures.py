"""The plot of a benchmark's points: medians with their intervals over what varies."""

from __future__ import annotations

import re
from typing import Any

from .points import Block, finding, number, shown
from .tables import is_number

_PROLOGUE = re.compile(r"^.*?(?=<svg)|<metadata>.*?</metadata>", re.DOTALL)
_SPACES = re.compile(r'\sxmlns(:\w+)?="[^"]*"')
_DOTS = 16  # rows of a plot of dots

Points = list[tuple[dict[str, Any], tuple[float, float, float]]]


def picture(block: Block, salt: str) -> tuple[str, str, str]:
    """Return a plot as SVG, its text alternative, and what it leaves out.

    Args:
        block: of one metric.
        salt: what tells it from the page's other pictures.

    Returns:
        Three texts; all empty where there is a single point.
    """
    from gqa_lib import plots

    every = [point for group in block.groups.values() for point in group]
    if len(every) < 2:
        return "", "", ""
    plots.use_style()
    axis = _axis(block, every)
    title, unit = finding(block), "" if block.unit == "1" else f" ({block.unit})"
    ylabel = f"{block.metric.replace('_', ' ')}{unit}"
    words = {"title": _plain(title, 200)}
    if axis is None:
        dots = _dots(block, every[:_DOTS])
        fig = plots.interval_dots(dots, xlabel=_plain(ylabel), **words)
        said = f"The plot has {len(dots)} of {len(every)} points." if len(dots) < len(every) else ""
        values = [f"{name} {number(one[1])}" for name, one in dots.items()]
    else:
        lines = _lines(block, every, axis)
        shown_lines = dict(list(lines.items())[: plots.MOST_LINES])
        words |= {"xlabel": _plain(axis.replace("_", " ")), "ylabel": _plain(ylabel)}
        fig = plots.interval_lines(shown_lines, **words)
        more = len(lines) > len(shown_lines)
        said = f"The plot has {len(shown_lines)} of {len(lines)} lines." if more else ""
        values = [
            f"{label or block.metric}: "
            + ", ".join(f"{number(y)} at {x:,g}" for x, _, y, _ in sorted(line))
            for label, line in shown_lines.items()
        ]
    svg = _SPACES.sub("", _PROLOGUE.sub("", plots.as_svg(fig, salt))).strip()
    return svg, f"{title}. {ylabel}: {'; '.join(values)}.", said


def _axis(block: Block, every: Points) -> str | None:
    """The numeric parameter with the most values; of equals one that is not compared."""
    most, axis = 1, None
    for name in [one for one in block.names if one != block.base] + [block.base or ""]:
        numbers = {params[name] for params, _ in every if is_number(params.get(name))}
        if len(numbers) > most:
            most, axis = len(numbers), name
    return axis


def _lines(block: Block, every: Points, axis: str) -> dict[str, list]:
    names = [name for name in block.names if name != axis]
    lines: dict[str, list] = {}
    for params, (low, median, high) in every:
        if is_number(params.get(axis)):
            label = _label(params, names)
            lines.setdefault(label, []).append((params[axis], low, median, high))
    return lines


def _dots(block: Block, points: Points) -> dict[str, tuple[float, float, float]]:
    return {_label(params, block.names): values for params, values in points}


def _label(params: dict[str, Any], names: list[str]) -> str:
    given = {name: params.get(name) for name in names if params.get(name) not in (None, "")}
    parts = (
        f"{name.replace('_', ' ')} {shown(value)}" if is_number(value) else str(value)
        for name, value in given.items()
    )
    return _plain(", ".join(parts))


def _plain(text: str, most: int = 70) -> str:
    """Text that matplotlib takes as it is, cut where it would not fit."""
    line = " ".join(text.split())
    return (line if len(line) <= most else f"{line[: most - 1]}…").replace("$", r"\$")
