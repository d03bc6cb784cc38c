"""Results of `vllm bench serve --save-result`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gqa_lib.arguments import shown

from ..traffic import Trace, load_trace
from ..traffic.text_file import TextFile
from .checked import check_entries, check_latencies, reported
from .result import Result

_FIGURE = re.compile(r"(mean|median|std|p\d+(\.\d+)?)_(ttft|tpot|itl|e2el)_ms")
_TOTALS = (
    *("duration", "completed", "failed", "request_throughput", "request_goodput"),
    *("output_throughput", "total_token_throughput", "total_input_tokens", "total_output_tokens"),
)
_CONDITIONS = (
    *("date", "backend", "endpoint_type", "label", "model_id", "tokenizer_id", "num_prompts"),
    *("request_rate", "burstiness", "max_concurrency", "seed"),
    *("num_kv_heads", "hardware"),  # as --metadata adds them
)


def read_vllm_bench(file: TextFile, first: dict[str, Any]) -> list[Result]:
    """Return the result that a JSON file of `vllm bench serve` holds.

    Args:
        file: the file.
        first: its object.

    Raises:
        ValueError: a figure is not one, or the lists of requests do not go together.
    """
    known = {name for name in first if name in _TOTALS or _FIGURE.fullmatch(name)}
    stated = reported(file.path.name, {name: first[name] for name in known})
    result = Result(
        file.path.name,
        "vllm-bench",
        stated,
        failed=int(stated.get("failed", 0)),
        conditions={name: first[name] for name in _CONDITIONS if first.get(name) is not None},
    )
    if not first.get("input_lens") or not first.get("ttfts"):
        note = "totals only, saved without --save-detailed: not computed again, not paired"
        return [replace(result, notes=(note,))]
    return [_with_requests(file, first, result)]


def _with_requests(file: TextFile, first: Mapping[str, Any], result: Result) -> Result:
    for name in ("input_lens", "output_lens", "start_times"):
        if isinstance(values := first.get(name), list):
            check_entries(file.path.name, name, values)
    trace, notes = load_trace(file.path, "vllm-bench"), []
    rows = _rows(first)
    itls = _itls(file, first, rows)
    if itls is not None and (note := _chunks(file, trace, itls)):
        notes.append(note)
    measured = dict(trace.measured)
    if itls is not None and "e2e_s" not in measured and "ttft_s" in measured:
        measured["e2e_s"] = measured["ttft_s"] + np.array([one.sum() for one in itls])
        notes.append("latencies are not in the file: e2el is ttft and all itls together")
    trace = replace(trace, measured=measured)
    if trace.arrival_s is None:
        notes.append("start_times are not in the file: requests are in the order of the file")
    check_latencies(file.path.name, trace)
    failed = max(result.failed, len(first["output_lens"]) - len(trace))
    return replace(result, trace=trace, itls_s=itls, failed=failed, notes=(*trace.notes, *notes))


def _rows(first: Mapping[str, Any]) -> np.ndarray:
    """Rows of the file that `load_trace` keeps, in its order."""
    inputs, outputs = (np.array(first[name]) for name in ("input_lens", "output_lens"))
    rows = np.flatnonzero((inputs > 0) & (outputs > 0))
    starts = first.get("start_times")
    return rows[np.argsort(np.array(starts)[rows], kind="stable")] if starts else rows


def _itls(file: TextFile, first: Mapping[str, Any], rows: np.ndarray) -> list[np.ndarray] | None:
    given = first.get("itls")
    if not given:
        return None
    num = len(first["output_lens"])
    if not isinstance(given, list) or len(given) != num:
        raise ValueError(
            f"{file.path.name}, itls: {shown(given)} is not a list with an entry for each of "
            f"{num:,} requests. Give the file as vLLM wrote it."
        )
    found = []
    for row in rows:
        if not isinstance(given[row], list):
            raise ValueError(
                f"{file.path.name}, itls, entry {row}: {shown(given[row])} is not a list of "
                "seconds. Give the file as vLLM wrote it."
            )
        check_entries(f"{file.path.name}, itls", f"request {row}", given[row])
        found.append(np.array(given[row], np.float64))
    return found


def _chunks(file: TextFile, trace: Trace, itls: list[np.ndarray]) -> str:
    """What is to know of times between tokens where several came together; else ""."""
    num = np.array([len(one) for one in itls])
    gaps = trace.output_tokens - 1
    for row in np.flatnonzero((num > gaps) | ((num == 0) & (gaps > 0))).tolist():
        raise ValueError(
            f"{file.path.name}, itls, request {row} of those answered: {num[row]} times between "
            f"{trace.output_tokens[row]} tokens. They are of another request, or it was not "
            "streamed. Give the file as vLLM wrote it."
        )
    fewer = int((num < gaps).sum())
    if not fewer:
        return ""
    return f"itls are between chunks of several tokens, not between tokens, in requests: {fewer:,}"
