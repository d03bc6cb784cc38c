"""A plan's results in words: Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..results import Comparison
from .departures import Measured
from .read_back import Joined, shown_metrics
from .tables import bullets, figure, named, percent, table

_KINDS = {
    "compare": "what decides",
    "burst": "bursts as in the trace",
    "capacity": "capacity, all requests at once",
}


def joined_markdown(joined: Joined) -> str:
    """Return a plan with its results as Markdown.

    Args:
        joined: as `join_results` returns it.
    """
    plan = joined.plan
    lines = [f"# Results for the plan: {named(plan['title'])}", "", _answer(joined), ""]
    for (kind, heads), found in joined.comparisons.items():
        lines += [f"## {heads} KV heads against {plan['num_kv_heads'][0]}: {_KINDS[kind]}", ""]
        lines += [_differences(found), "", bullets(_about(found)), ""]
    lines += ["## Measured next to modelled", "", _errors(joined), ""]
    sweep = [one for one in joined.measured if one.run["kind"] == "sweep"]
    if sweep:
        lines += ["## Sweep (one run each: where the knees are)", "", _sweep(plan, sweep), ""]
    if joined.notes or joined.missing:
        missing = [f"No result yet: {name}" for name in joined.missing]
        lines += ["## Notes", "", bullets([*map(named, joined.notes), *missing]), ""]
    return "\n".join(lines)


def _answer(joined: Joined) -> str:
    plan, lines = joined.plan, []
    baseline, *variants = plan["num_kv_heads"]
    for heads in variants:
        found = joined.comparisons.get(("compare", heads))
        said = f"**{heads} KV heads against {baseline}, {plan['metric']} at {plan['rate']:.3g}/s: "
        known = {one.metric: one for one in found.differences} if found else {}
        one = known.get(plan["metric"])
        if one is None:
            lines.append(f"{said}inconclusive**: no pair of runs has it.")
            continue
        why = f" ({one.why})" if one.why else ""
        lines.append(
            f"{said}{one.verdict}**{why}, margin {percent(plan['margin'])}, measured in "
            f"{one.num_pairs} pair{'s' * (one.num_pairs > 1)}."
        )
    return "\n\n".join(lines)


def _differences(found: Comparison) -> str:
    head = ("metric", "baseline", "variant", "change", "interval", "verdict")
    rows = []
    for one in found.differences:
        change = "" if one.change is None else percent(one.change)
        ends = "" if one.low is None or one.high is None else _ends(one.low, one.high)
        verdict = one.verdict + (f": {one.why}" if one.why else "")
        figures = (figure(one.baseline), figure(one.variant))
        rows.append((f"`{one.metric}`", *figures, change, ends, verdict))
    return table(head, rows)


def _ends(low: float, high: float) -> str:
    return f"{percent(low)} to {percent(high)}"


def _about(found: Comparison) -> Iterator[str]:
    same = {True: "the same requests", False: "different requests", None: "requests not known"}
    yield (
        f"Pairs: {found.paired_by}, {same[found.same_requests]}; intervals of "
        f"{percent(found.confidence)} (Student); warm-up and end left out where requests are known."
    )
    yield from (f"{named(note)}." for note in found.notes)


def _errors(joined: Joined) -> str:
    rows = []
    for heads in joined.plan["num_kv_heads"]:
        modelled = joined.plan["modelled"][str(heads)]
        runs = [
            one.result.without_ends(joined.plan["warmup"], joined.plan["drain"])
            if one.result.measures_requests
            else one.result
            for one in joined.measured
            if one.num_kv_heads == heads and one.run["kind"] == "compare"
        ]
        figures = [one.summary() for one in runs]
        for name in ("mean_ttft_ms", "mean_tpot_ms", "output_throughput"):
            values = [one[name] for one in figures if name in one]
            if values and modelled.get(name):
                mean = float(np.mean(values))
                error = percent(modelled[name] / mean - 1) if mean else ""
                cells = (figure(mean), figure(modelled[name]), error)
                rows.append((f"{heads} KV heads, `{name}`", *cells))
    head = ("", "measured", "modelled (simulator)", "error of the model")
    return table(head, rows) if rows else "No run that decides has a result."


def _sweep(plan: Mapping[str, Any], sweep: Sequence[Measured]) -> str:
    rows, names = [], [one for one in shown_metrics(plan) if one != "request_throughput"]
    for one in sorted(sweep, key=lambda it: (it.run["rate"], it.num_kv_heads)):
        goodput = plan["goodput"] if one.result.measures_requests else None
        figures = one.result.summary(goodput)
        cells = [_cell(figures.get(name)) for name in names]
        rows.append((f"{one.run['rate']:g}", str(one.num_kv_heads), *cells))
    return table(("requests/s", "KV heads", *(f"`{name}`" for name in names)), rows)


def _cell(value: float | None) -> str:
    return "" if value is None else figure(value)
