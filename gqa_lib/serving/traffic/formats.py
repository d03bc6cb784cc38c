"""The formats of traces: by which columns each is known, and what its columns mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["csv", "jsonl", "json"]
SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


@dataclass(frozen=True)
class Head:
    """The beginning of a file.

    Args:
        kind: what the file is made of.
        columns: names of its columns, or of the first object's values.
        first: the first row, by column; of a "json" file the whole object.
        delimiter: between cells of a CSV file.
    """

    kind: Kind
    columns: tuple[str, ...]
    first: Mapping[str, Any]
    delimiter: str = ","


@dataclass(frozen=True)
class Format:
    """A format: how it is known, and where it has what.

    Args:
        name: under which `load_trace` takes it and `Trace.format` names it.
        about: what writes it.
        kinds: what its files are made of.
        prompt, output, arrival: its columns; arrival is None where it has none.
        unit_s: seconds in a unit of the arrivals; None for dates.
        needs: columns that a file of this format has.
        knows: whether a file that has these is of this format; all are if it is None.
        hash_ids, hash_block_tokens: the column of block names, and tokens in a block.
        flatten: makes a row with these columns of a nested object.
        drop: columns that are 1 where a row is not a request to count, and why it is not.
        measured: of each measured time the column with it, in seconds; of two columns, the second
            one's number is subtracted.
        zero_output: what a row with an output of 0 tokens is.
        assumed: what is noted whenever a file is read as this.
    """

    name: str
    about: str
    kinds: tuple[Kind, ...]
    prompt: str
    output: str
    arrival: str | None
    unit_s: float | None = 1.0
    needs: tuple[str, ...] = ()
    knows: Callable[[Head], bool] | None = None
    hash_ids: str | None = None
    hash_block_tokens: int | None = None
    flatten: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    drop: Mapping[str, str] = field(default_factory=dict)
    measured: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    zero_output: str = "without an output token"
    assumed: str = ""


def _has_zone(head: Head) -> bool:
    return str(head.first.get("TIMESTAMP"))[-6:-5] in ("+", "-")


def _has_sessions(head: Head) -> bool:
    return not {"hash_ids", "session_id", "delay"}.isdisjoint(head.columns)


def _flat_aiperf(row: dict[str, Any]) -> dict[str, Any]:
    """A row of AIPerf with its metrics in seconds; of a metric without a value, nothing."""
    about, metrics = (_object(row, name) for name in ("metadata", "metrics"))
    flat = {
        "request_start_ns": about.get("request_start_ns"),
        "warm-up": float((about.get("benchmark_phase") or "profiling") != "profiling"),
        "failed": float(bool(row.get("error")) or bool(about.get("was_cancelled"))),
    }
    for name in ("input_sequence_length", "output_sequence_length"):
        flat[name] = _object(metrics, name).get("value")
    for name in ("time_to_first_token", "request_latency"):
        metric = _object(metrics, name)
        value, unit = metric.get("value"), SECONDS.get(str(metric.get("unit")))
        flat[name] = value * unit if isinstance(value, int | float) and unit else None
    return flat


def _object(row: dict[str, Any], name: str) -> dict[str, Any]:
    """What a row has under a name if that is an object, else an empty one."""
    found = row.get(name)
    return found if isinstance(found, dict) else {}


_AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_MOONCAKE = ("timestamp", "input_length", "output_length")
_AIPERF = ("input_sequence_length", "output_sequence_length", "request_start_ns")

FORMATS = {
    one.name: one
    for one in (
        Format(
            "azure-2025",
            "Azure LMM inference trace 2025, with images",
            ("csv",),
            *("ContextTokens", "GeneratedTokens", "TIMESTAMP"),
            unit_s=None,
            needs=(*_AZURE, "NumImages"),
            assumed="NumImages is not read: what images add to the cache is not counted",
        ),
        Format(
            "azure-2024",
            "Azure LLM inference trace 2024, time zone written",
            ("csv",),
            *("ContextTokens", "GeneratedTokens", "TIMESTAMP"),
            unit_s=None,
            needs=_AZURE,
            knows=_has_zone,
        ),
        Format(
            "azure-2023",
            "Azure LLM inference trace 2023 (Splitwise)",
            ("csv",),
            *("ContextTokens", "GeneratedTokens", "TIMESTAMP"),
            unit_s=None,
            needs=_AZURE,
        ),
        Format(
            "mooncake",
            "Mooncake trace, timestamps in ms",
            ("jsonl", "csv"),
            *("input_length", "output_length", "timestamp"),
            unit_s=1e-3,
            needs=_MOONCAKE,
            knows=_has_sessions,
            hash_ids="hash_ids",
            hash_block_tokens=512,
        ),
        Format(
            "guidellm",
            "GuideLLM trace_synthetic, timestamps in s",
            ("csv", "jsonl"),
            *("input_length", "output_length", "timestamp"),
            needs=_MOONCAKE,
            assumed="timestamps are taken as seconds; if they are ms, give format='mooncake'",
        ),
        Format(
            "burstgpt",
            "BurstGPT, timestamps in s",
            ("csv",),
            *("Request tokens", "Response tokens", "Timestamp"),
            needs=("Timestamp", "Request tokens", "Response tokens"),
            zero_output="that failed (Response tokens 0)",
        ),
        Format(
            "vidur",
            "Vidur, arrived_at in s",
            ("csv",),
            *("num_prefill_tokens", "num_decode_tokens", "arrived_at"),
            needs=("num_prefill_tokens", "num_decode_tokens"),
        ),
        Format(
            "vllm-log",
            "vLLM's request log, as LLMServingSim keeps it",
            ("jsonl",),
            *("input_toks", "output_toks", "queued_ts"),
            needs=("input_toks", "output_toks", "queued_ts"),
            measured={
                "queue_s": ("scheduled_ts", "queued_ts"),
                "ttft_s": ("first_token_ts", "queued_ts"),
                "e2e_s": ("last_token_ts", "queued_ts"),
            },
            assumed="arrivals are queued_ts, of the engine's clock; arrival_time is of another",
        ),
        Format(
            "llmservingsim",
            "LLMServingSim workload, arrivals in ns",
            ("jsonl",),
            *("input_toks", "output_toks", "arrival_time_ns"),
            unit_s=1e-9,
            needs=("arrival_time_ns",),
            assumed="token ids and sub_requests are not read",
        ),
        Format(
            "aiperf",
            "AIPerf profile_export.jsonl",
            ("jsonl",),
            *_AIPERF,
            unit_s=1e-9,
            needs=("metadata", "metrics"),
            flatten=_flat_aiperf,
            drop={"warm-up": "outside the profiling phase", "failed": "that failed"},
            measured={"ttft_s": ("time_to_first_token",), "e2e_s": ("request_latency",)},
        ),
        Format(
            "vllm-bench",
            "result of vllm bench serve --save-result --save-detailed",
            ("json",),
            *("input_lens", "output_lens", "start_times"),
            needs=("input_lens", "output_lens"),
            measured={
                "ttft_s": ("ttfts",),
                "e2e_s": ("latencies",),
                "queue_s": ("queue_times",),
            },
            zero_output="that failed (output_lens 0)",
        ),
    )
}
