"""A trace from a file: its format recognised, its rows checked, what was done to them noted."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gqa_lib.arguments import shown

from .cells import Columns, read_csv, read_jsonl, read_lists
from .formats import Format, Head
from .recognise import look_at, recognise
from .text_file import TextFile
from .trace import Trace


def load_trace(path: str | Path, format: str | None = None) -> Trace:
    """Return the requests of a file, in the order of their arrival.

    The format is recognised by the names of the columns: Azure 2023, 2024 and 2025, Mooncake,
    GuideLLM, BurstGPT, Vidur, LLMServingSim, vLLM's request log, the results of
    `vllm bench serve --save-detailed`, AIPerf's profile_export.jsonl, and plain CSV or JSON lines
    with prompt_tokens and output_tokens and, if known, arrival_s (or arrival_ms, timestamp ...).
    Each may be compressed with gzip. `gqa_lib.serving.traffic.FORMATS` has their columns and units.

    Rows without a number, without an output token or without a prompt are left out, arrivals are
    sorted and counted from the first one: `Trace.notes` says how many of which. Nothing else is
    corrected.

    Args:
        path: the file.
        format: its format, such as "mooncake", instead of the one that is recognised.

    Returns:
        The trace, with the name of its format.

    Raises:
        ValueError: the format is not known, or a cell is wrong: it is named with file, line and
            column.
    """
    file = TextFile(path)
    try:
        head = look_at(file)
        known = recognise(file, head, format)
        columns = _read(file, head, known)
    except (UnicodeDecodeError, csv.Error, OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"{file.path.name} cannot be read to its end ({error}): requests would be missing. "
            "Give CSV, JSON lines or a JSON result, in UTF-8; each may be compressed with gzip."
        ) from error
    for name in (known.prompt, known.output):
        _check_counts(file, name, columns.numbers[name])
    return _cleaned(file, known, columns)


def _read(file: TextFile, head: Head, known: Format) -> Columns:
    needed = [known.prompt, known.output, *([known.arrival] if known.arrival else [])]
    others = [*known.drop, *(name for names in known.measured.values() for name in names)]
    if known.flatten is None:  # then these are the file's own names
        others = [name for name in others if name in head.columns]
    wanted = list(dict.fromkeys([*needed, *others]))
    dates = known.arrival if known.unit_s is None else None
    if head.kind == "jsonl":
        return read_jsonl(file, wanted, dates, known.hash_ids, known.flatten)
    wanted = [name for name in wanted if name in head.columns]
    if head.kind == "csv":
        return read_csv(file, head.columns, head.delimiter, wanted, dates)
    for name in (known.prompt, known.output):
        if not isinstance(head.first.get(name), list):
            raise ValueError(
                f"{file.path.name}, {name}: {shown(head.first.get(name))} is not a list with an "
                "entry for each request. Save the result with its details."
            )
    lists = {name: head.first[name] for name in wanted if isinstance(head.first[name], list)}
    empty = [name for name in others if not lists.get(name)]  # not measured
    return read_lists(lists, [name for name in lists if name not in empty], file.path.name)


def _check_counts(file: TextFile, name: str, values: np.ndarray) -> None:
    """Refuse a count of tokens that cannot be one; NaN is dealt with later."""
    with np.errstate(invalid="ignore"):
        wrong = (values < 0) | (values != np.floor(values)) | (values > 2**53)
    wrong &= ~np.isnan(values)
    if wrong.any():
        row = int(wrong.argmax())
        raise file.refusal(
            row,
            name,
            int(values[row]) if float(values[row]).is_integer() else float(values[row]),
            "is not a count of tokens: a whole number from 0. Correct the cell or delete the row.",
        )


def _cleaned(file: TextFile, known: Format, columns: Columns) -> Trace:
    numbers, notes = columns.numbers, [known.assumed] if known.assumed else []
    arrival = None if known.arrival is None else numbers.get(known.arrival)
    if known.arrival is not None and arrival is None:
        notes.append(f"there is no column {known.arrival}: arrivals are not known")
    kept = _kept(file, known, numbers, notes)
    order, arrival_s = _in_order(file, known, arrival, kept, notes)
    hash_ids = _hash_ids(columns, order, known, notes)
    return Trace(
        arrival_s,
        numbers[known.prompt][order],
        numbers[known.output][order],
        hash_ids=hash_ids,
        hash_block_tokens=None if hash_ids is None else known.hash_block_tokens,
        measured=_measured(known, numbers, order),
        format=known.name,
        source=file.path.name,
        notes=tuple(notes),
    )


def _kept(
    file: TextFile, known: Format, numbers: Mapping[str, np.ndarray], notes: list[str]
) -> np.ndarray:
    """Which rows are requests; those that are not are counted, each for the first reason."""
    reasons = [(why, numbers[name] == 1) for name, why in known.drop.items()]
    for name in filter(None, (known.prompt, known.output, known.arrival)):
        if name in numbers:
            reasons.append((f"without {name}", np.isnan(numbers[name].astype(np.float64))))
    reasons.append((known.zero_output, numbers[known.output] == 0))
    reasons.append(("without a prompt token", numbers[known.prompt] == 0))
    kept = np.ones(len(numbers[known.prompt]), bool)
    for why, rows in reasons:
        count = int((kept & rows).sum())
        if count:
            notes.append(f"{count:,} of {len(kept):,} rows left out: {why}")
        kept &= ~rows
    if not kept.any():
        raise ValueError(
            f"{file.path.name} was read as {known.name} and has no request with a prompt and an "
            f"output: {'; '.join(notes) or 'it has no rows'}. Give another file, or its format."
        )
    return kept


def _in_order(
    file: TextFile, known: Format, arrival: np.ndarray | None, kept: np.ndarray, notes: list[str]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Row numbers by arrival, and the arrivals in seconds since the first."""
    rows = np.flatnonzero(kept)
    if arrival is None:
        return rows, None
    times = arrival[rows]
    if not np.isfinite(times).all():
        row = int(rows[(~np.isfinite(times)).argmax()])
        raise file.refusal(
            row, known.arrival or "", float(arrival[row]), "is no time. Correct or delete the row."
        )
    if (times < 0).any():
        notes.append(
            f"{int((times < 0).sum()):,} arrivals are before 0, the earliest at {times.min():g}: "
            "all are counted from it"
        )
    back = int((np.diff(times) < 0).sum())
    if back:
        notes.append(f"arrivals were not in order at {back:,} places: the rows are sorted by them")
        order = np.argsort(times, kind="stable")
        rows, times = rows[order], times[order]
    unit_s = 1e-9 if known.unit_s is None else known.unit_s
    return rows, (times - times[0]) * unit_s


def _hash_ids(
    columns: Columns, order: np.ndarray, known: Format, notes: list[str]
) -> np.ndarray | None:
    blocks = [columns.hash_ids[row] for row in order] if columns.hash_ids else []
    without = sum(one is None for one in blocks)
    if without == len(blocks):
        return None
    if without:
        notes.append(f"{without:,} rows without {known.hash_ids}: they share no prefix")
    kept = np.empty(len(blocks), object)
    nothing = np.empty(0, np.int64)
    kept[:] = [nothing if one is None else one for one in blocks]
    return kept


def _measured(
    known: Format, numbers: Mapping[str, np.ndarray], order: np.ndarray
) -> dict[str, np.ndarray]:
    measured = {}
    for name, columns in known.measured.items():
        if all(column in numbers for column in columns):
            first, *rest = (numbers[column][order] for column in columns)
            measured[name] = first - rest[0] if rest else first
    return measured
