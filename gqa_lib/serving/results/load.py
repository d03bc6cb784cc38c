"""Results from files, each recognised by what is in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from gqa_lib.arguments import check_some, several, shown

from ..traffic.text_file import TextFile
from .aiperf import read_aiperf, read_aiperf_totals
from .guidellm import read_guidellm
from .result import Result
from .vllm_bench import read_vllm_bench

Reader = Callable[[TextFile, dict[str, Any]], list[Result]]

# By format: what writes it, the keys of the file (of its first line, of JSON lines) and its reader.
_KNOWN: dict[str, tuple[str, tuple[str, ...], Reader]] = {
    "vllm-bench": (
        "vllm bench serve --save-result",
        ("duration", "completed", "request_throughput", "output_throughput"),
        read_vllm_bench,
    ),
    "aiperf": ("AIPerf, profile_export.jsonl", ("metadata", "metrics"), read_aiperf),
    "aiperf-totals": (
        "AIPerf, profile_export_aiperf.json",
        ("request_latency", "request_throughput"),
        read_aiperf_totals,
    ),
    "guidellm": ("GuideLLM, benchmarks.json", ("benchmarks",), read_guidellm),
}
FORMATS = {name: about for name, (about, _, _) in _KNOWN.items()}


def load_results(paths: Iterable[str | Path]) -> list[Result]:
    """Return the results of benchmark runs, one for each run.

    Read are the JSON of `vllm bench serve --save-result` (with --save-detailed, its requests too),
    AIPerf's profile_export.jsonl and profile_export_aiperf.json, and GuideLLM's JSON, which has a
    result for each of its benchmarks. All figures get vLLM's names, units and definitions:
    AIPerf's inter_token_latency is a mean over a request and becomes tpot; GuideLLM's
    time_per_output_token counts the first token, so tpot is computed without it.

    Args:
        paths: files, each may be compressed with gzip.

    Returns:
        The results, in the order of the files.

    Raises:
        ValueError: a file is none of these, or has values that cannot be.
    """
    files = [TextFile(path) for path in several(paths, "paths", "paths of result files")]
    check_some(paths=files)
    check_different([file.path for file in files])
    return [result for file in files for result in _read(file)]


def check_different(paths: Iterable[str | Path]) -> None:
    """Refuse a run that is given twice, as the same file or as a copy of it.

    Args:
        paths: of results.

    Raises:
        ValueError: two have the same content; each would count as a run of its own.
    """
    seen: dict[str, Path] = {}
    for path in map(Path, paths):
        content = sha256(_content(TextFile(path))).hexdigest()
        if content in seen:
            copy = path.name if seen[content].resolve() == path.resolve() else f"{path} too"
            raise ValueError(
                f"{seen[content].name} is given twice ({copy}): one run would count as two, and "
                "would agree with itself. Give each run once."
            )
        seen[content] = path


def _content(file: TextFile) -> bytes:
    """What is in a file, uncompressed where that is possible; who reads it refuses it if not."""
    try:
        with file.open() as text:
            return text.read().encode()
    except (ValueError, OSError, EOFError):
        return file.path.read_bytes()


def _read(file: TextFile) -> list[Result]:
    first = _first_object(file)
    if first.get("modelled") or "mean_kv_usage" in first:
        raise ValueError(
            f"{file.path.name} is of a simulation: nothing in it was measured. Give the file that "
            "a benchmark of a server wrote."
        )
    for _, keys, reader in _KNOWN.values():
        if first.keys() >= set(keys):
            return reader(file, first)
    known = "; ".join(f"{about} ({', '.join(keys)})" for about, keys, _ in _KNOWN.values())
    raise ValueError(
        f"{file.path.name} has {shown(', '.join(first)) if first else 'no names'}: it is none of "
        f"the results that are known. Known, with what each has: {known}. "
        f"Nearest is {_nearest(first)}."
    )


def _nearest(first: dict[str, Any]) -> str:
    """The format that shares most keys with a file, and what the file lacks of it."""

    def lacking(name: str) -> list[str]:
        return [key for key in _KNOWN[name][1] if key not in first]

    name = min(_KNOWN, key=lambda one: len(lacking(one)) / len(_KNOWN[one][1]))
    return f"{_KNOWN[name][0]}, of which it lacks {', '.join(lacking(name))}"


def _first_object(file: TextFile) -> dict[str, Any]:
    """The JSON object of a file, or of its first line."""
    try:
        with file.open() as text:
            content = text.read()
    except (UnicodeDecodeError, OSError, EOFError) as error:
        raise ValueError(
            f"{file.path.name} cannot be read to its end ({error}): results would be missing. "
            "Give a JSON file in UTF-8; it may be compressed with gzip."
        ) from error
    for part in (content, content.strip().partition("\n")[0]):
        try:
            first = json.loads(part)
        except (ValueError, RecursionError):
            continue
        if isinstance(first, dict):
            return first
    raise ValueError(
        f"{file.path.name} begins with {shown(content.strip()[:40])}: results are JSON objects. "
        "Give the file that the benchmark wrote, not what it printed."
    )
