"""Results of AIPerf: its requests (profile_export.jsonl) and its totals.

Source: ai-dynamo/aiperf, docs/reference/json-export-schema.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gqa_lib.arguments import is_number, shown

from ..traffic import load_trace
from ..traffic.formats import SECONDS
from ..traffic.text_file import TextFile
from .checked import check_latencies, reported
from .result import Result

# AIPerf's names for what vLLM's benchmark calls so.
_LATENCIES = {
    "time_to_first_token": "ttft",
    "inter_token_latency": "tpot",  # (latency - first token) / (output - 1), one for each request
    "request_latency": "e2el",
}
_RATES = {
    "request_throughput": "request_throughput",
    "output_token_throughput": "output_throughput",
    "total_token_throughput": "total_token_throughput",
    "goodput": "request_goodput",
    "request_count": "completed",
    "error_request_count": "failed",
}
_STATISTICS = {"avg": "mean", "p50": "median", "p90": "p90", "p95": "p95", "p99": "p99"}
_RENAMED = "AIPerf's inter_token_latency, a mean over each request, is tpot here"


def read_aiperf(file: TextFile, first: dict[str, Any]) -> list[Result]:
    """Return the result that a profile_export.jsonl holds.

    Args:
        file: the file.
        first: the object of its first line.

    Raises:
        ValueError: a time cannot be.
    """
    trace = load_trace(file.path, "aiperf")
    check_latencies(file.path.name, trace)
    note = "times between tokens are not in the file: there is no itl"
    failed = sum(_left_out(one) for one in trace.notes if "that failed" in one)
    result = Result(file.path.name, "aiperf", {}, trace, failed=failed)
    model = first["metadata"].get("model_name") if isinstance(first["metadata"], dict) else None
    conditions = {} if model is None else {"model_id": model}
    return [replace(result, conditions=conditions, notes=(*trace.notes, note))]


def _left_out(note: str) -> int:
    """How many rows a note of `load_trace` counts."""
    return int(note.partition(" ")[0].replace(",", ""))


def read_aiperf_totals(file: TextFile, first: dict[str, Any]) -> list[Result]:
    """Return the result that a profile_export_aiperf.json holds, which has no requests.

    Args:
        file: the file.
        first: its object.

    Raises:
        ValueError: a figure has no unit that is known, or cannot be.
    """
    figures: dict[str, Any] = {}
    for theirs, ours in _LATENCIES.items():
        block = first.get(theirs)
        if block is None:
            continue
        scale = 1e3 * _seconds(file, theirs, block)
        for statistic, what in _STATISTICS.items():
            if is_number(value := block.get(statistic)):
                figures[f"{what}_{ours}_ms"] = _times(scale, value)
    for theirs, ours in _RATES.items():
        block = first.get(theirs)
        if isinstance(block, Mapping) and is_number(value := block.get("avg")):
            figures[ours] = value
    figures = reported(file.path.name, figures)
    info = first.get("run_info")
    info = info if isinstance(info, dict) else {}
    conditions = {
        "seed": info.get("random_seed"),
        "date": first.get("start_time"),
        "version": first.get("aiperf_version"),
    }
    return [
        Result(
            file.path.name,
            "aiperf-totals",
            figures,
            failed=int(figures.get("failed", 0)),
            conditions={name: value for name, value in conditions.items() if value is not None},
            notes=(_RENAMED, "totals only: not computed again; give profile_export.jsonl to pair"),
        )
    ]


def _times(scale: float, value: Any) -> float:
    try:
        return scale * float(value)
    except OverflowError:
        return math.inf


def _seconds(file: TextFile, name: str, block: Any) -> float:
    unit = block.get("unit") if isinstance(block, Mapping) else None
    if unit not in SECONDS:
        raise ValueError(
            f"{file.path.name}, {name}: its unit is {shown(unit)}, and times are known in "
            f"{', '.join(SECONDS)}. Give the file as AIPerf wrote it."
        )
    return SECONDS[unit]
