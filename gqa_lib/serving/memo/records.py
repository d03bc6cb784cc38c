"""Records of kernels and of quality, read for a memo: each row checked, each figure named."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from gqa_lib.arguments import is_number, shown

from .values import Figure, Record

RunRow = dict[str, Any]
Better = Literal["better", "worse", "same within the margin", "not distinguishable"]
_DIFFERENCE = ("of", "difference", "low", "high", "margin", "num_pairs", "verdict")
_LESS = re.compile(r"nats|bits|loss|perplexity")  # units of which less is better
_POINT = ("batch_size", "context", "head_dim", "dtype", "num_heads")


@dataclass(frozen=True)
class Decoding:
    """Attention of one decode step in a kernel record.

    Args:
        record: the file's name.
        setting: batch, context, head size and dtype, in words.
        batch_size, context, num_heads, num_kv_heads, head_dim: of the point.
        seconds: median time of the arm that the library chooses, with its interval.
        speedup: the time with the most KV heads of that setting over this one's.
        noisy: whether its samples spread.
    """

    record: str
    setting: str
    batch_size: int
    context: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    seconds: Figure
    speedup: Figure
    noisy: bool


@dataclass(frozen=True)
class Quality:
    """One comparison of models that were trained, or evaluated.

    Args:
        record: the file's name.
        what: which models, on which task, by which metric.
        num_kv_heads: of the model compared with the one with the most KV heads, where the record
            is of the memo's own model; None for another, small model.
        difference: its result minus the other's, with the interval.
        margin: the difference that would matter.
        verdict: of the one with fewer KV heads.
    """

    record: str
    what: str
    num_kv_heads: int | None
    difference: Figure
    margin: Figure
    verdict: Better


def read_record(path: Path | str) -> tuple[str, list[RunRow]]:
    """Return a record's name and rows, or those of a folder that `gqa bench` reported.

    Args:
        path: a file of JSON lines, as `gqa_lib.records` keeps them, or a run's folder.

    Raises:
        ValueError: a row is not of a record, or of another run than those before; it is named with
            its line.
    """
    path = Path(path)
    if path.is_dir():
        from gqa_lib.records.keep import keep

        with TemporaryDirectory() as folder:
            return path.name, _checked(keep([path], Path(folder)), path.name)
    return path.name, _checked(path, path.name)


@contextmanager
def _complete(name: str) -> Iterator[None]:
    """Refuse the record, by its name, whose rows lack what is looked for inside."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as lacks:
        raise ValueError(
            f"{name} has a row without {lacks}: it is not a record that can be read. Give a file "
            "that gqa_lib.records.keep wrote, or run the benchmark again."
        ) from None


def decodings(name: str, rows: Sequence[RunRow]) -> list[Decoding]:
    """Return the points of a kernel record; those that were not timed are left out.

    Args:
        name: of the record.
        rows: as from `read_record`.

    Raises:
        ValueError: a row lacks what rows of its kind have.
    """
    with _complete(name):
        return _decodings(name, rows)


def _decodings(name: str, rows: Sequence[RunRow]) -> list[Decoding]:
    from gqa_lib.compare import table
    from gqa_lib.records import expanded

    kept = expanded(_own(rows))  # neither peers nor ceilings are looked at here
    points = [point for point in table.points(kept, bandwidth=1.0) if point["own"]]
    most: dict[tuple[Any, ...], dict[str, Any]] = {}
    for point in points:
        key = tuple(point[one] for one in _POINT)
        if key not in most or point["num_kv_heads"] > most[key]["num_kv_heads"]:
            most[key] = point
    where = place(rows[0])
    return [_decoding(name, where, one, most[tuple(one[k] for k in _POINT)]) for one in points]


def qualities(name: str, rows: Sequence[RunRow]) -> list[Quality]:
    """Return the comparisons of a record of trained models.

    Args:
        name: of the record.
        rows: as from `read_record`.

    Raises:
        ValueError: a row lacks what rows of its kind have.
    """
    with _complete(name):
        return _qualities(name, rows)


def _qualities(name: str, rows: Sequence[RunRow]) -> list[Quality]:
    where = place(rows[0])
    setting: RunRow = next((row for row in rows if row["kind"] == "setting"), {"params": {}})
    params, trained = setting["params"], [row for row in rows if row["kind"] == "trained"]
    unit = trained[0]["unit"] if trained else ""
    size = f", {trained[0]['params']:,} parameters" if trained and "params" in trained[0] else ""
    found = []
    for row in rows:
        if row["kind"] != "difference":
            continue
        way = "less is better" if _LESS.search(unit) else "more is better"
        of = f"{params.get('task', 'task')}: {row['of']}{size}, in {unit or 'its unit'}, {way}"
        pairs = f"{row['num_pairs']} pairs of seeds, in {unit or 'its unit'}"
        record = Record(name, f"difference of the row's model, {pairs}", where)
        found.append(
            Quality(
                record=name,
                what=of,
                num_kv_heads=None,
                difference=Figure(
                    row["difference"], "", "measured", record, low=row["low"], high=row["high"]
                ),
                margin=Figure(
                    row["margin"], "", "given", f"{name}: margin, stated before training"
                ),
                verdict=row["verdict"],
            )
        )
    return found


def place(environment: RunRow) -> str:
    """Return on which machine and when a record was made, as a memo says it.

    Args:
        environment: the record's first row.
    """
    gpu = environment.get("gpu") or {}
    machine = gpu.get("name") or (
        f"{environment.get('cpu_model', 'an unnamed CPU')}, "
        f"{environment.get('num_threads', 'some')} threads"
    )
    return f"as recorded on {machine}, {str(environment.get('utc', 'without a date'))[:10]}"


def _own(rows: Sequence[RunRow]) -> list[RunRow]:
    """The rows of the arms that the library chooses, and those of no arm."""
    chosen = {_key(row) for row in rows if row["kind"] == "arm" and row["own"]}
    kinds = ("arm", "sample")
    return [row for row in rows if row["kind"] not in kinds or _key(row) in chosen]


def _key(row: RunRow) -> tuple[Any, ...]:
    """The arm and the point of a row."""
    return (row["arm"], *(row[name] for name in sorted(row) if name.startswith("p_")))


def _decoding(name: str, where: str, point: dict[str, Any], most: dict[str, Any]) -> Decoding:
    setting = "batch {batch_size}, {context:,} tokens, head_dim {head_dim}, {dtype}".format(**point)
    timing = point["timing"]
    record = Record(name, f"median of {point['own']} at the row's point, with its interval", where)
    ratio = Record(name, "median with the most KV heads over the row's", where)
    return Decoding(
        record=name,
        setting=setting,
        batch_size=point["batch_size"],
        context=point["context"],
        num_heads=point["num_heads"],
        num_kv_heads=point["num_kv_heads"],
        head_dim=point["head_dim"],
        seconds=Figure(
            1e3 * timing["median"],
            "ms",
            "measured",
            record,
            low=1e3 * timing["low"],
            high=1e3 * timing["high"],
        ),
        speedup=Figure(most["timing"]["median"] / timing["median"], "x", "measured", ratio),
        noisy=bool(point["noisy"] or most["noisy"]),
    )


def _checked(path: Path, name: str) -> list[RunRow]:
    """A record's rows, none of which is malformed or of another run."""
    rows: list[RunRow] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{name} cannot be read ({error}): give a record of JSON lines.") from None
    for number, line in enumerate(lines, start=1):
        where = f"{name}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{where} is not JSON ({error.msg}): what is missing may be what was slow. Restore "
                "the record, or run the benchmark again."
            ) from None
        _check_row(row, where, first=number == 1)
        rows.append(row)
    if not rows or rows[-1]["kind"] != "end":
        raise ValueError(
            f"{name} has {len(rows)} rows and no end: the run was stopped. Run it again, or make "
            "a record of a complete run (python -m gqa_lib.records.keep RUN)."
        )
    return rows


def _check_row(row: Any, where: str, *, first: bool) -> None:
    kind = row.get("kind") if isinstance(row, dict) else None
    if kind is None or first != (kind == "environment"):
        expected = "environment" if first else "arm, sample, read, trained or difference"
        raise ValueError(
            f"{where} is {shown(row)}, where a row of kind {expected} is needed: this is not a "
            "record, or two of them in one file. Give a file that gqa_lib.records.keep wrote, "
            "each run in its own."
        )
    if first and row.get("dry_run"):
        raise ValueError(f"{where}: it is of a dry run, whose times mean nothing. Run it on a GPU.")
    if kind in ("sample", "read", "trained"):
        times = row.get("value")
        values = times if isinstance(times, list) else [times]
        least = 0.0 if kind == "trained" else math.ulp(0.0)
        _check_values(values, f"{where}: value", least)
    if kind == "difference":
        missing = [one for one in _DIFFERENCE if one not in row]
        if missing:
            raise ValueError(f"{where} has no {missing[0]}: run the benchmark again.")
        _check_values([row[one] for one in _DIFFERENCE[1:5]], f"{where}: difference", -math.inf)


def _check_values(values: Iterable[Any], where: str, least: float) -> None:
    for value in values:
        if not is_number(value) or not math.isfinite(value) or value < least:
            raise ValueError(
                f"{where} {shown(value)} is not a finite number"
                f"{' above 0' if least > 0 else ''}: nothing was measured there. Run it again."
            )
