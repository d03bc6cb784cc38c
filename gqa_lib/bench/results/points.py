"""The points of a benchmark, for a report: tables in which each is held against its first, plots.

The points that differ in one parameter alone stand together; that is the number of KV heads where
it varies, else the first that does. The first of them is what the others are compared with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .series import CHOSEN, Series
from .tables import is_number
from .verdicts import UNKNOWN, Compared, compare, direction

_BASE = "num_kv_heads"
_SCALES = {
    "s": ((1.0, "s"), (1e3, "ms"), (1e6, "µs")),
    "B": ((2.0**-30, "GiB"), (2.0**-20, "MiB"), (2.0**-10, "KiB"), (1.0, "B")),
}


@dataclass(frozen=True)
class Block:
    """What a report has of one metric of a benchmark.

    Attributes:
        metric, unit: what it is, in the unit in which it is shown.
        names: of the parameters that vary, as columns.
        base: what differs between the points that are compared; None where nothing does.
        against: what they are compared with, in words.
        rows: of the library's own points, as cells of text.
        others: of the other arms, each against the library's own at its point.
        more: how many of either are left out.
        speed: the header of the ratio's column.
        groups: by label the points that a plot joins: (parameters, low, median, high).
        counts: verdict to the number of points.
    """

    metric: str
    unit: str
    names: list[str]
    base: str | None
    against: str
    rows: list[dict[str, Any]]
    others: list[dict[str, Any]]
    more: int
    speed: str
    groups: dict[str, list[tuple[dict[str, Any], tuple[float, float, float]]]]
    counts: dict[str, int]


def blocks(series: Sequence[Series], margin: float, most: int = 200) -> list[Block]:
    """Return a block for each metric of a benchmark that has own points.

    Args:
        series: of one benchmark.
        margin: difference that would matter.
        most: rows of a table.
    """
    metrics = dict.fromkeys(one.metric for one in series if one.own)
    return [_block([one for one in series if one.metric == m], margin, most) for m in metrics]


def varying(series: Sequence[Series]) -> list[str]:
    """Return the parameters that differ between series; of two that are always equal, the first.

    Args:
        series: of one benchmark.
    """
    known = dict.fromkeys(name for one in series for name in one.params)
    columns: dict[str, list] = {}
    for name in known:
        values = [one.params.get(name) for one in series]
        if len(set(map(str, values))) > 1 and values not in columns.values():
            columns[name] = values
    return list(columns)


def _block(series: list[Series], margin: float, most: int) -> Block:
    own = [one for one in series if one.own]
    names = varying(own)
    arms = list(dict.fromkeys(one.arm for one in own))
    base = _BASE if _BASE in names else next(iter(names), None)
    factor, unit = scale(own)
    groups: dict[tuple, list[Series]] = defaultdict(list)
    for one in own:
        rest = tuple(str(one.params.get(name)) for name in names if name != base)
        groups[(one.arm, *rest)].append(one)
    rows = [_row(one, group[0], margin, factor) for group in groups.values() for one in group]
    chosen = {_place(one): one for one in own if one.arm == CHOSEN}
    others = [_row(one, chosen.get(_place(one)), margin, factor) for one in series if not one.own]
    firsts = {str(group[0].params.get(base or "")) for group in groups.values() if len(group) > 1}
    kind = direction(own[0].metric, own[0].unit)
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        counts[row["verdict"]] += row["verdict"] != "first"
    return Block(
        metric=own[0].metric,
        unit=unit,
        names=[*names, *(["arm"] if len(arms) > 1 else [])],
        base=base,
        against=f"{base} {firsts.pop()}" if len(firsts) == 1 else f"the first {base}",
        rows=rows[:most],
        others=others[:most],
        more=max(0, len(rows) - most) + max(0, len(others) - most),
        speed="times as fast" if kind == "time" else "ratio",
        groups={
            _label(group[0], names, base, arms): [
                (one.params | {"arm": one.arm}, _scaled(one, factor)) for one in group
            ]
            for group in groups.values()
        },
        counts={word: count for word, count in counts.items() if count},
    )


def _place(one: Series) -> str:
    return str(sorted(one.params.items()))


def scale(series: Sequence[Series]) -> tuple[float, str]:
    """Return the factor and the unit in which values are not below 1, where there is such a unit.

    Args:
        series: of one metric; the middle one of them counts.
    """
    unit = series[0].unit
    middle = sorted(one.summary()["median"] for one in series)[len(series) // 2]
    scales = _SCALES.get(unit, ((1.0, unit),))
    return next((one for one in scales if abs(middle) * one[0] >= 1), scales[-1])


def _scaled(one: Series, factor: float) -> tuple[float, float, float]:
    summary = one.summary()
    return tuple(summary[name] * factor for name in ("low", "median", "high"))  # type: ignore[return-value]


def _label(one: Series, names: list[str], base: str | None, arms: list[str]) -> str:
    parts = [f"{name} {shown(one.params.get(name))}" for name in names if name != base]
    return ", ".join([*([one.arm] if len(arms) > 1 else []), *parts])


def _row(one: Series, first: Series | None, margin: float, factor: float) -> dict[str, Any]:
    summary = one.summary()
    low, median, high = _scaled(one, factor)
    row = {
        "params": {name: shown(value) for name, value in one.params.items()} | {"arm": one.arm},
        "median": number(median),
        "interval": "" if one.over == "nothing" else f"{number(low)} – {number(high)}",
        "count": counted(one.over, summary),
        "noisy": summary["noisy"],
        "share": None if summary["share"] is None else f"{summary['share']:.0%}",
        "names": ", ".join(sorted(one.names)) if one.arm == CHOSEN else "",
        "ratio": "",
        "verdict": "first" if first is one else "",
    }
    if first is None or first is one or one.own is None:
        return row
    found = compare(first, one, margin)
    row["verdict"] = found.verdict
    if found.ratio is not None:
        speed = direction(one.metric, one.unit) == "time"
        row["ratio"] = ratio(found, inverse=speed)
    return row


def ratio(found: Compared, *, inverse: bool = False) -> str:
    """Return a ratio with its interval as text; what is beyond 100 times is not told exactly.

    Args:
        found: the comparison.
        inverse: the first over the other.
    """
    if found.ratio is None or found.low is None or found.high is None:
        return "–"
    values = [found.low, found.ratio, found.high]
    if inverse:
        values = [1 / value if value else float("inf") for value in reversed(values)]
    low, middle, high = values
    if found.over == "nothing":
        return number(middle)
    ends = (number(low) if low >= 0.01 else "<0.01", number(high) if high <= 100 else ">100")
    return f"{number(middle)} ({ends[0]} – {ends[1]})"


def counted(over: str, summary: dict[str, Any]) -> str:
    """Return what a median is of, in words.

    Args:
        over: what its interval is over.
        summary: the series'.
    """
    if over == "nothing":
        return "computed"
    many = {"runs": summary["runs"], "seeds": summary["n"], "rounds": 1}[over]
    word = "seeds" if over == "seeds" else "runs" if many > 1 else "run"
    return f"{many} {word}, {summary['samples']:,} samples"


def number(value: float) -> str:
    """Return a number for a table, with three digits or all before the point."""
    if value == 0 or not abs(value) < float("inf"):
        return "0" if value == 0 else "∞"
    if abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.3g}"
    return f"{value:.3g}"


def shown(value: Any) -> str:
    """Return a parameter's value as text."""
    if is_number(value):
        return f"{value:,}" if isinstance(value, int) else f"{value:g}"
    return "" if value is None else str(value)


def finding(block: Block) -> str:
    """Return the title of a block's plot: how many points are what.

    Args:
        block: with the verdicts.
    """
    if not block.counts:
        return block.metric.replace("_", " ")
    said = ", ".join(f"{count} {word}" for word, count in block.counts.items() if word != UNKNOWN)
    open_ = block.counts.get(UNKNOWN, 0)
    parts = [part for part in (said, f"{open_} too uncertain to tell" * bool(open_)) if part]
    return f"{block.metric.replace('_', ' ')} against {block.against}: {', '.join(parts)}"
