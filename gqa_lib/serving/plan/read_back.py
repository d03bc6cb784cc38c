"""Results joined with the plan that they were measured for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gqa_lib.arguments import shown

from ..results import Comparison, compare_results, load_results
from ..results.load import check_different
from .departures import Measured, check_measured, departures
from .files import FORMAT
from .sample_size import highest

_KINDS = ("compare", "burst", "capacity")


@dataclass(frozen=True)
class Joined:
    """A plan with what was measured for it.

    Args:
        plan: its plan.json.
        measured: runs that have results.
        missing: files of runs that decide and have none.
        comparisons: by kind of run and KV heads of the variant: what its runs say against the
            baseline's of the same seeds.
        notes: what to know of the results, a sentence each.
    """

    plan: Mapping[str, Any]
    measured: tuple[Measured, ...]
    missing: tuple[str, ...]
    comparisons: Mapping[tuple[str, int], Comparison]
    notes: tuple[str, ...]


def read_plan(folder: str | Path) -> dict[str, Any]:
    """Return the numbers of a plan from its folder.

    Args:
        folder: that `write_plan` wrote.

    Raises:
        ValueError: there is no plan.json in it, or it is something else.
    """
    path = Path(folder) / "plan.json"
    if not path.is_file():
        raise ValueError(
            f"{folder} has no plan.json: results are joined with the plan that they were measured "
            "for. Write one with `gqa plan TRACE ... --output FOLDER`."
        )
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        plan = None
    if not isinstance(plan, dict) or plan.get("format") != FORMAT:
        found = plan.get("format") if isinstance(plan, dict) else None
        raise ValueError(
            f"{path.name} has the format {shown(found)}, not {FORMAT!r}: what it says cannot be "
            "relied on. Write the plan again."
        )
    return plan


def shown_metrics(plan: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the metrics that a plan's results are shown by, with the highest percentile it may.

    Args:
        plan: its plan.json.
    """
    what = f"p{highest(plan['sample']['quotable']):g}"
    what = "median" if what == "p50" else what
    return (
        *("request_goodput", "mean_ttft_ms", f"{what}_ttft_ms", "mean_tpot_ms", f"{what}_tpot_ms"),
        *("mean_e2el_ms", "output_throughput", "request_throughput"),
    )


def join_results(folder: str | Path, files: Sequence[str | Path]) -> Joined:
    """Return a plan with the results of its runs, compared as it says.

    Args:
        folder: of the plan.
        files: results, known by the names that the plan gives them. Of a file with another name,
            write HEADS=FILE: the next run of that variant that decides.

    Raises:
        ValueError: a file is of no run of the plan, is there twice, is no result, or is of another
            model, variant or machine than its run's.
        ModuleNotFoundError: scipy is not installed.
    """
    plan = read_plan(folder)
    rows = {row["file"]: row for row in plan["runs"]}
    measured: list[Measured] = []
    taken: set[str] = set()
    found = []
    for given in files:
        found.append(_which(rows, taken, str(given)))
        taken.add(found[-1][0])
    check_different(path for _, path in found)
    for name, path in found:
        results = load_results([path])
        if len(results) > 1:
            raise ValueError(
                f"{path} has {len(results)} benchmarks: which of them is run {name} is not known. "
                "Give each benchmark a file of its own."
            )
        measured.append(Measured(rows[name], results[0]))
    check_measured(plan, measured)
    deciding = [row["file"] for row in plan["runs"] if row["kind"] == "compare"]
    return Joined(
        plan,
        tuple(measured),
        tuple(name for name in deciding if name not in taken),
        dict(_comparisons(plan, measured)),
        tuple(_notes(plan, measured)),
    )


def _which(rows: Mapping[str, Any], taken: set[str], given: str) -> tuple[str, str]:
    """The file of a plan's run that a result is of, and its path."""
    heads, equals, path = given.partition("=")
    if equals and heads.isdigit():
        own = rows.get(Path(path).name)
        if own is not None and own["num_kv_heads"] != int(heads):
            raise ValueError(
                f"{given}: the plan calls a run of {own['num_kv_heads']} KV heads so, not one of "
                f"{heads}. Give it as {path}, or by another name if it is none."
            )
        if own is not None and own["file"] not in taken:
            return own["file"], path
        free = (
            name
            for name, row in rows.items()
            if row["kind"] == "compare" and row["num_kv_heads"] == int(heads) and name not in taken
        )
        name = next(free, None)
        if name is None:
            raise ValueError(
                f"{given}: the plan has no run of {heads} KV heads left that decides. It has "
                f"{', '.join(sorted({str(row['num_kv_heads']) for row in rows.values()}))} heads."
            )
        return name, path
    name = Path(given).name
    if name not in rows:
        raise ValueError(
            f"{name} is not a run of this plan, such as {next(iter(rows), 'none')}: whose it is "
            "is not known. Give it as HEADS=FILE, such as 8=" + f"{name}."
        )
    if name in taken:
        raise ValueError(f"{name} is given twice: it would count as two runs. Give it once.")
    return name, given


def _comparisons(
    plan: Mapping[str, Any], measured: Sequence[Measured]
) -> Iterator[tuple[tuple[str, int], Comparison]]:
    baseline, *variants = plan["num_kv_heads"]
    for kind in _KINDS:
        metrics = ("output_throughput",) if kind == "capacity" else shown_metrics(plan)
        ends = (0, 0) if kind == "capacity" else (plan["warmup"], plan["drain"])
        by_run = {
            (one.num_kv_heads, one.run["seed"]): one.result
            for one in measured
            if one.run["kind"] == kind
        }
        for heads in variants:
            seeds = [n for n in range(plan["num_seeds"]) if (heads, n) in by_run]
            pairs = [n for n in seeds if (baseline, n) in by_run]
            if pairs:
                of = [
                    one
                    for one in measured
                    if one.run["kind"] == kind
                    and one.run["seed"] in pairs
                    and one.num_kv_heads in (baseline, heads)
                ]
                yield (
                    (kind, heads),
                    compare_results(
                        [by_run[baseline, n] for n in pairs],
                        [by_run[heads, n] for n in pairs],
                        margin=plan["margin"],
                        confidence=plan["confidence"],
                        metrics=metrics,
                        goodput=plan["goodput"],
                        warmup=ends[0],
                        drain=ends[1],
                        doubt=next((said for one in of for said in departures(plan, one)), ""),
                    ),
                )


def _notes(plan: Mapping[str, Any], measured: Sequence[Measured]) -> Iterator[str]:
    for one in measured:
        yield from departures(plan, one)
        found, wanted = one.result.conditions.get("seed"), one.run["seed"]
        if isinstance(found, int) and found != wanted:
            yield f"{one.result.source}: seed was {found}, {wanted} in the plan"
        yield from (f"{one.result.source}: {note}" for note in one.result.notes)
