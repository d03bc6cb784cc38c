"""Columns of a file as arrays: CSV, JSON lines, and one JSON object with lists.

What is missing is NaN. A cell that is something else than what its column counts is refused with
its line, its column and itself.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import IO, Any

import numpy as np

from gqa_lib.arguments import shown

from .dates import parse_dates
from .text_file import TextFile

_CHUNK = 2_000  # lines of JSON that are in memory together
_NO_NUMBER = "is not a number: nothing can be counted from it. Correct the cell or delete the row."
_NO_DATE = (
    "is not a point in time such as '2023-11-16 18:15:46.680': when the request came is not known. "
    "Correct the cell or delete the row."
)


@dataclass
class Columns:
    """What a reader returns.

    Args:
        numbers: (N,) of each column by its name, NaN where nothing is written.
        hash_ids: a sequence of block names for each row, None for one without.
    """

    numbers: dict[str, np.ndarray]
    hash_ids: list[np.ndarray | None] = field(default_factory=list)


def read_csv(
    file: TextFile, header: Sequence[str], delimiter: str, names: Sequence[str], dates: str | None
) -> Columns:
    """Return columns of a CSV file.

    Args:
        file: the file.
        header: names of all its columns.
        delimiter: between its cells.
        names: the columns that are wanted.
        dates: the one of them that has points in time, as nanoseconds since 1970; None for none.

    Raises:
        ValueError: a cell is not a number or a point in time, or a row is too short.
    """
    places = [header.index(name) for name in names]
    types = ["S40" if name == dates else "f8" for name in names]
    try:
        with file.open() as lines:
            _skip_header(lines)
            table = np.loadtxt(
                lines,
                dtype=list(zip((f"c{i}" for i in range(len(names))), types, strict=True)),
                delimiter=delimiter,
                usecols=places,
                comments=None,
                quotechar='"',
                ndmin=1,
            )
        found = {name: table[f"c{i}"] for i, name in enumerate(names)}
    except UnicodeDecodeError:
        raise
    except ValueError:  # an empty cell, a wrong one, or a row too short: read with care
        found = _read_csv_slowly(file, header, delimiter, names, dates)
    if dates is not None:
        found[dates] = _points_in_time(file, dates, found[dates], 0)
    return Columns(found)


def _points_in_time(file: TextFile, name: str, texts: np.ndarray, done: int) -> np.ndarray:
    """Nanoseconds since 1970, NaN where nothing is written."""
    when, bad = parse_dates(texts)
    missing = texts == b""
    if (bad & ~missing).any():
        row = int((bad & ~missing).argmax())
        raise file.refusal(done + row, name, texts[row].decode("utf-8", "replace"), _NO_DATE)
    return np.where(missing, np.nan, when) if missing.any() else when


def _skip_header(lines: IO[str]) -> None:
    while not lines.readline().strip():
        pass


def _read_csv_slowly(
    file: TextFile, header: Sequence[str], delimiter: str, names: Sequence[str], dates: str | None
) -> dict[str, np.ndarray]:
    places = [header.index(name) for name in names]
    cells: list[list[Any]] = [[] for _ in names]
    with file.open() as lines:
        _skip_header(lines)
        read = csv.reader(lines, delimiter=delimiter)
        rows = (one for one in read if one[1:] or "".join(one).strip())
        for row, one in enumerate(rows):
            for name, place, column in zip(names, places, cells, strict=True):
                if place >= len(one):
                    short = f"has no cell there: {len(one)} of {len(header)}. Complete the row."
                    raise file.refusal(row, name, delimiter.join(one), short)
                text = one[place].strip()
                if name == dates:
                    column.append(text.encode()[:40])
                    continue
                try:
                    column.append(float(text) if text else math.nan)
                except ValueError:
                    raise file.refusal(row, name, text, _NO_NUMBER) from None
    types = ["S40" if name == dates else "f8" for name in names]
    return {n: np.array(c, t) for n, c, t in zip(names, cells, types, strict=True)}


def read_jsonl(
    file: TextFile,
    names: Sequence[str],
    dates: str | None = None,
    hash_ids: str | None = None,
    flatten: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> Columns:
    """Return columns of a file with a JSON object on each line.

    Args:
        file: the file.
        names: of the columns that are wanted; each has numbers, or nothing.
        dates: the one of them that has points in time, as in `read_csv`.
        hash_ids: the column with lists of block names, if there is one.
        flatten: makes an object with these columns of what a line holds.

    Raises:
        ValueError: a line is not a JSON object, or a value is not a number.
    """
    parts: list[dict[str, np.ndarray]] = []
    out = Columns({})
    done = 0
    for rows in _objects(file):
        flat = list(map(flatten, rows)) if flatten else rows
        parts.append({n: _numbers(file, flat, n, done, is_date=n == dates) for n in names})
        if hash_ids is not None:
            out.hash_ids += _block_names(file, flat, hash_ids, done)
        done += len(rows)
    out.numbers = {name: np.concatenate([part[name] for part in parts]) for name in names}
    return out


def _objects(file: TextFile) -> Iterator[list[dict[str, Any]]]:
    """Yield the objects of some lines together: many are read faster than one by one."""
    done = 0
    with file.open() as text:
        lines = (line for line in text if line.strip())
        while chunk := list(islice(lines, _CHUNK)):
            try:
                rows = json.loads(f"[{','.join(chunk)}]")
            except ValueError:
                rows = []
            if len(rows) != len(chunk) or set(map(type, rows)) != {dict}:
                _refuse_line(file, chunk, done)
            yield rows
            done += len(chunk)


def _refuse_line(file: TextFile, chunk: list[str], done: int) -> None:
    for row, line in enumerate(chunk, done):
        try:
            found = type(json.loads(line))
        except ValueError:
            found = None
        if found is not dict:
            raise ValueError(
                f"{file.path.name}, line {file.line_of(row)}: {shown(line.strip())} is not a JSON "
                "object: a request is one object on a line of its own. Correct or delete the line."
            )


def _numbers(
    file: TextFile, rows: list[dict[str, Any]], name: str, done: int, is_date: bool
) -> np.ndarray:
    values = [row.get(name) for row in rows]
    if is_date:
        texts = ["" if value is None else str(value) for value in values]
        return _points_in_time(file, name, np.array([t.encode()[:40] for t in texts], "S40"), done)
    if not {int, float, type(None)}.issuperset(map(type, values)):
        row = next(i for i, v in enumerate(values) if type(v) not in (int, float, type(None)))
        raise file.refusal(done + row, name, values[row], _NO_NUMBER)
    try:
        return np.array(values, np.float64)
    except OverflowError:
        row = next(i for i, v in enumerate(values) if isinstance(v, int) and abs(v) > 2**1000)
        raise file.refusal(done + row, name, values[row], _NO_NUMBER) from None


def _block_names(
    file: TextFile, rows: list[dict[str, Any]], name: str, done: int
) -> list[np.ndarray | None]:
    """The names of each row's blocks, all made an array together: that is faster."""
    lists = [row.get(name) for row in rows]
    for row, one in enumerate(lists):
        if one is not None and not (type(one) is list and {int}.issuperset(map(type, one))):
            why = "is not a list of whole numbers, one for each block. Correct the row."
            raise file.refusal(done + row, name, one, why)
    ends = np.cumsum([len(one or ()) for one in lists]).tolist()
    try:
        together = np.array(list(chain.from_iterable(filter(None, lists))), np.int64)
    except OverflowError:
        row = next(i for i, one in enumerate(lists) if any(abs(x) >= 2**63 for x in one or ()))
        why = "has a name beyond 64 bits, which cannot be kept. Number the blocks."
        raise file.refusal(done + row, name, lists[row], why) from None
    starts = [0, *ends[:-1]]
    return [
        None if one is None else together[start:end]
        for one, start, end in zip(lists, starts, ends, strict=True)
    ]


def read_lists(document: dict[str, Any], names: Sequence[str], where: str) -> Columns:
    """Return columns that are lists of numbers in one JSON object.

    Args:
        document: the object.
        names: of the lists that are wanted; all must be there.
        where: the file's name.

    Raises:
        ValueError: one is not there, is shorter than another, or has what is not a number.
    """
    found = {}
    for name in names:
        values = document[name]
        for place, value in enumerate(values):
            if type(value) not in (int, float, type(None)):
                raise ValueError(
                    f"{where}, line 1, column {name}, entry {place}: {shown(value)}, which "
                    f"{_NO_NUMBER}"
                )
        try:
            found[name] = np.array(values, np.float64)
        except OverflowError:
            raise ValueError(
                f"{where}, line 1, column {name}: it has a number that is beyond any float, which "
                f"{_NO_NUMBER}"
            ) from None
    if len({len(values) for values in found.values()}) > 1:
        lengths = ", ".join(f"{name} {len(values)}" for name, values in found.items())
        raise ValueError(
            f"{where} has lists of different lengths ({lengths}): each request has an entry in "
            "each. Save the result again."
        )
    return Columns(found)
