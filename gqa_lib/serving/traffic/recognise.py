"""Which format a file has, by its first lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from itertools import chain, islice, product
from typing import Any

from gqa_lib.arguments import check_choice, shown

from .formats import FORMATS, SECONDS, Format, Head
from .text_file import TextFile

# Names of plain columns, compared in lower case with "_" for what is not a letter or a digit.
_PROMPT = (
    *("prompt_tokens", "input_tokens", "prompt_len", "input_len", "prompt_length", "input_length"),
    *("num_prompt_tokens", "num_input_tokens", "prompt", "input", "isl"),
)
_OUTPUT = (
    *("output_tokens", "completion_tokens", "generated_tokens", "output_len", "output_length"),
    *("num_output_tokens", "num_completion_tokens", "output", "completion", "osl"),
)
_ARRIVAL = ("arrival", "arrival_time", "arrived_at", "arrived", "timestamp", "time", "start_time")
PLAIN = "plain"


def look_at(file: TextFile) -> Head:
    """Return the beginning of a file, and note in it whether it has a header.

    Raises:
        ValueError: it is neither CSV with a header nor JSON objects.
    """
    with file.open() as text:
        lines = list(islice((line for line in text if line.strip()), 20))
    if not lines:
        raise ValueError(f"{file.path.name} has only blank lines: it has no requests.")
    start = lines[0].lstrip()[0]
    if start == "[":
        raise ValueError(
            f"{file.path.name} is a JSON list. Of conversations, as ShareGPT's, lengths are known "
            "only after a tokenizer. Write one object on each line, with prompt_tokens and "
            "output_tokens."
        )
    return _look_at_json(file, lines) if start == "{" else _look_at_csv(file, lines)


def _look_at_json(file: TextFile, lines: list[str]) -> Head:
    several = len(lines) > 1
    try:
        first = json.loads(lines[0])
    except ValueError:
        with file.open() as text:
            first, several = _document(file, text.read()), False
    if any(isinstance(first.get(name), list) for name in ("input_lens", "output_lens", "ttfts")):
        if several:
            raise ValueError(
                f"{file.path.name} has several results, one on each line: they are of different "
                "runs, and no trace. Save each run, or write each line to a file of its own."
            )
        return Head("json", tuple(first), first)
    if {"total_input_tokens", "request_throughput"} <= set(first):
        raise ValueError(
            f"{file.path.name} is a result of vLLM's benchmark without its requests: it has means "
            "only. Run `vllm bench serve` with --save-result --save-detailed."
        )
    return Head("jsonl", tuple(dict.fromkeys(chain(first, *_objects(lines[1:])))), first)


def _objects(lines: list[str]) -> Iterator[dict[str, Any]]:
    """The objects of some more lines: what a first row lacks, others may have."""
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # refused with its line when it is read
        if isinstance(row, dict):
            yield row


def _document(file: TextFile, text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError):
        raise ValueError(
            f"{file.path.name}, line {file.line_of(0)}: {shown(text.strip())} begins like JSON and "
            "is none: no request can be read. Write one object on each line."
        ) from None


def _look_at_csv(file: TextFile, lines: list[str]) -> Head:
    file.has_header = True
    delimiter = max(",;\t", key=lines[0].count)
    rows = list(csv.reader(lines, delimiter=delimiter))
    header = tuple(name.strip() for name in rows[0])
    first = dict(zip(header, rows[1], strict=False)) if len(rows) > 1 else {}
    if not first:
        raise ValueError(f"{file.path.name} has a header and no rows: it has no requests.")
    return Head("csv", header, first, delimiter)


def recognise(file: TextFile, head: Head, name: str | None = None) -> Format:
    """Return the format of a file.

    Args:
        file: the file.
        head: its beginning.
        name: of the format, if the caller knows it.

    Raises:
        ValueError: it is of none that is known, or not of the one that was named.
    """
    there = set(head.columns)
    if name is not None:
        check_choice((*FORMATS, PLAIN), format=name)
    if name is not None and name != PLAIN:
        one = FORMATS[name]
        if head.kind in one.kinds and there.issuperset(one.needs):
            return one
        raise ValueError(
            f"{file.path.name} is not {name}: that is {' or '.join(one.kinds)} with "
            f"{', '.join(one.needs)}, and here is {head.kind} with {_some(head)}. Leave format "
            "out, and it is recognised."
        )
    for one in FORMATS.values() if name is None else ():
        fits = head.kind in one.kinds and there.issuperset(one.needs)
        if fits and (one.knows is None or one.knows(head)):
            return one
    return _plain(file, head)


def _plain(file: TextFile, head: Head) -> Format:
    named = {_simple(column): column for column in head.columns}
    prompt = next((named[one] for one in _PROMPT if one in named), None)
    output = next((named[one] for one in _OUTPUT if one in named), None)
    if prompt is None or output is None or head.kind == "json":
        known = "; ".join(f"{one.name} ({', '.join(one.needs)})" for one in FORMATS.values())
        raise ValueError(
            f"{file.path.name} has {_some(head)}: which of them counts prompt and output tokens is "
            f"not known. Name them prompt_tokens and output_tokens (and arrival_s). Known: {known}."
        )
    arrival, unit = None, 1.0
    for name, column in product(_ARRIVAL, named):
        end = column.removeprefix(name + "_")
        if column == name or (column == f"{name}_{end}" and end in SECONDS):
            arrival, unit = named[column], SECONDS.get(column.rpartition("_")[2], 1.0)
            break
    is_date = arrival is not None and str(head.first.get(arrival, "")).count("-") > 1
    how = f"arrivals are {arrival}, {'dates' if is_date else f'in units of {unit:g} s'}"
    return Format(
        PLAIN,
        "columns of lengths",
        (head.kind,),
        *(prompt, output, arrival),
        unit_s=None if is_date else unit,
        assumed=f"prompts are {prompt}, outputs are {output}, "
        + (how if arrival else "arrivals are not known"),
    )


def _simple(name: str) -> str:
    letters = (c if c.isalnum() else "_" for c in name.strip().lower())
    return "_".join(filter(None, "".join(letters).split("_")))


def _some(head: Head) -> str:
    return "the columns " + shown(", ".join(head.columns[:12]))
