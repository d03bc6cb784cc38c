"""Results of GuideLLM: a report with a list of benchmarks, each with its requests.

Its time_per_output_token_ms divides the time from the request to the last token by all output
tokens, the first included; vLLM's tpot leaves the first one out. What both share is the time to the
last token, from which tpot is computed here.

Source: vllm-project/guidellm, src/guidellm/schemas/request_stats.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gqa_lib.arguments import is_number, shown

from ..traffic import Trace
from ..traffic.text_file import TextFile
from .checked import check_entries, check_latencies
from .result import Result

_NEEDED = ("prompt_tokens", "output_tokens", "time_to_first_token_ms")
_CONVERTED = (
    "GuideLLM's time_per_output_token counts the first token: tpot here is (last token - first) / "
    "(output - 1), and e2el ends with the last token"
)


def read_guidellm(file: TextFile, first: dict[str, Any]) -> list[Result]:
    """Return the results of a GuideLLM report, one for each benchmark in it.

    Args:
        file: the file.
        first: its object.

    Raises:
        ValueError: a benchmark has no answered requests, or a request lacks a value.
    """
    benchmarks = first["benchmarks"]
    if not isinstance(benchmarks, list) or not benchmarks:
        raise ValueError(
            f"{file.path.name}, benchmarks: {shown(benchmarks)} is not a list with a benchmark in "
            "it: nothing was measured. Run guidellm again."
        )
    return [_result(file, number, one) for number, one in enumerate(benchmarks)]


def _result(file: TextFile, number: int, benchmark: Any) -> Result:
    where = f"{file.path.name}, benchmarks[{number}]"
    requests = _inner(benchmark, "requests")
    rows = requests.get("successful")
    if not isinstance(rows, list) or not rows:
        raise ValueError(
            f"{where}: it has no answered requests (requests.successful). Save all requests: "
            "guidellm drops them where it samples (--sample-requests)."
        )
    columns = [_request(where, place, row) for place, row in enumerate(rows)]
    empty = sum(not one[2] for one in columns)
    columns = [one for one in columns if one[2]]
    if not columns:
        raise ValueError(f"{where}: no request was answered with a token. Run guidellm again.")
    start, prompt, output, ttft, e2e = map(np.array, zip(*columns, strict=True))
    order = np.argsort(start, kind="stable")
    trace = Trace(
        (start - start.min())[order],
        prompt[order].astype(np.int64),
        output[order].astype(np.int64),
        measured={"ttft_s": ttft[order], "e2e_s": e2e[order]},
        format="guidellm",
        source=file.path.name,
    )
    check_latencies(where, trace)
    errored = requests.get("errored")
    left_out = [f"without an output token, counted as failed: {empty:,}"] if empty else []
    return Result(
        file.path.name if number == 0 else f"{file.path.name} #{number}",
        "guidellm",
        {},
        trace,
        failed=empty + (len(errored) if isinstance(errored, list) else 0),
        conditions=_conditions(benchmark),
        notes=(_CONVERTED, "times between tokens are not in the file: there is no itl", *left_out),
    )


def _conditions(benchmark: Any) -> dict[str, Any]:
    strategy = _inner(_inner(benchmark, "config"), "strategy")
    names = {"strategy": "type_", "request_rate": "rate", "max_concurrency": "max_concurrency"}
    found = {ours: strategy.get(theirs) for ours, theirs in names.items()}
    return {name: value for name, value in found.items() if value is not None}


def _request(where: str, place: int, row: Any) -> tuple[float, float, float, float, float]:
    """Start, prompt and output tokens, time to first and to last token in seconds."""
    row = row if isinstance(row, Mapping) else {}
    start = row.get("request_start_time", row.get("start_time"))
    missing = [name for name in _NEEDED if not is_number(row.get(name))]
    missing += [] if is_number(start) else ["request_start_time"]
    if missing:
        raise ValueError(
            f"{where}, request {place}: without {', '.join(missing)} its latencies are not known. "
            "Give a report of streamed completions, with usage."
        )
    assert start is not None
    check_entries(where, f"request {place}, request_start_time", [start])
    for name, least in (("prompt_tokens", 1), ("output_tokens", 0)):
        if not least <= row[name] < 2**40 or row[name] != int(row[name]):
            raise ValueError(
                f"{where}, request {place}: {name}={shown(row[name])} is not a count of tokens, a "
                f"whole number from {least}. Give the report as GuideLLM wrote it."
            )
    ttft_s, outputs = row["time_to_first_token_ms"] / 1e3, row["output_tokens"]
    if is_number(each_ms := row.get("time_per_output_token_ms")):
        last_s = each_ms * outputs / 1e3
    elif is_number(row.get("request_latency")):
        last_s = row["request_latency"]
    else:
        raise ValueError(
            f"{where}, request {place}: without time_per_output_token_ms or request_latency the "
            "time of its last token is not known. Give the report as GuideLLM wrote it."
        )
    return start, row["prompt_tokens"], outputs, ttft_s, last_s


def _inner(value: Any, name: str) -> Mapping[str, Any]:
    """What an object has under a name if that is an object, else an empty one."""
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}
