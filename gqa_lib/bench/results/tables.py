"""Every run of a folder in one tidy table: a row per sample, as CSV and as Parquet.

Columns of a run and of its sample have plain names; parameters begin with `p_`, the environment
with `env_`, and what else a notebook says of a sample with `s_`, so that a parameter called
`status` or `value` meets nothing of that name.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gqa_lib.course.extras import require

from .kept import KeptRun

if TYPE_CHECKING:
    import pyarrow

_OF_A_RUN = ("run", "benchmark", "repeat", "status", "error")
_OF_A_SAMPLE = (
    *("metric", "unit", "value", "arm", "own"),
    *("kind", "phase", "round", "sample", "quiet"),
)
_INT64, _LARGEST = 2**63, sys.float_info.max


def sample_rows(runs: Iterable[KeptRun]) -> list[dict[str, Any]]:
    """Return a row for each sample; a run without samples has one, with its status and error.

    A sample's own `p_` wins over the parameter of its run. A list of one value is that value. A
    longer one, which says what else the run measured, is JSON text in a column of its own, such as
    `p_context_list`, so that `p_context` stays a number. All rows have the same columns.

    Args:
        runs: as `read_runs` gives them.
    """
    rows = [row for run in runs for row in _rows(run)]
    found = dict.fromkeys(name for row in rows for name in row)
    groups = [[name for name in found if name.startswith(start)] for start in ("p_", "s_", "env_")]
    columns = [*_OF_A_RUN, *_OF_A_SAMPLE, *(name for group in groups for name in group)]
    return [{name: row.get(name) for name in columns} for row in rows]


def _rows(run: KeptRun) -> list[dict[str, Any]]:
    repeat, error = (run.record.get(name) for name in ("repeat", "error"))
    head = dict(zip(_OF_A_RUN, (run.name, run.benchmark, repeat, run.status, error), strict=True))
    params = {_column_of(name, value): flat(value) for name, value in run.params.items()}
    about = {f"env_{name}": flat(value) for name, value in run.environment.items()}
    return [head | params | _of_sample(sample) | about for sample in run.samples or [{}]]


def _column_of(name: str, value: Any) -> str:
    return f"p_{name}_list" if isinstance(value, list) and len(value) > 1 else f"p_{name}"


def _of_sample(sample: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in sample.items():
        if name.startswith("p_"):
            row[_column_of(name[2:], value)] = flat(value)
        elif name in _OF_A_SAMPLE and name != "value":
            row[name] = flat(value)
        elif name == "value" and (value is None or is_number(value)):
            row[name] = value if value is None else float(value)
        else:
            row[f"s_{name}"] = flat(value)
    return row


def is_number(value: Any) -> bool:
    """Return whether a value is a number that a float can hold; true and false are not."""
    if isinstance(value, bool):
        return False
    return isinstance(value, float) or (isinstance(value, int) and abs(value) <= _LARGEST)


def flat(value: Any) -> Any:
    """Return a value for one cell: of a list of one that one, of other collections JSON text."""
    if isinstance(value, list) and len(value) == 1:
        return flat(value[0])
    if isinstance(value, list | dict):
        return _encodable(json.dumps(value, ensure_ascii=False))
    return _encodable(value) if isinstance(value, str) else value


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def write_tables(rows: list[dict[str, Any]], folder: Path) -> list[Path]:
    """Write the table as samples.csv and samples.parquet, the same in both; return the two.

    A column has one type: numbers if all are, else text.

    Args:
        rows: as from `sample_rows`.
        folder: where the files go.

    Raises:
        ModuleNotFoundError: pyarrow is not installed; the message says how to install it.
    """
    require("pyarrow")
    from pyarrow import csv, parquet

    folder.mkdir(parents=True, exist_ok=True)
    table = typed(rows)
    paths = [folder / "samples.csv", folder / "samples.parquet"]
    for path, write in zip(paths, (csv.write_csv, parquet.write_table), strict=True):
        part = path.with_name(f"{path.name}.part")
        write(table, part)
        os.replace(part, path)
    return paths


def typed(rows: list[dict[str, Any]]) -> pyarrow.Table:
    """Return rows as an Arrow table, whose columns have one type each.

    Args:
        rows: as from `sample_rows`.
    """
    import pyarrow

    names = list(rows[0]) if rows else [*_OF_A_RUN, *_OF_A_SAMPLE]
    return pyarrow.table({name: _column(name, [row[name] for row in rows]) for name in names})


def _column(name: str, values: list[Any]) -> pyarrow.Array:
    import pyarrow

    kinds = {type(value) for value in values if value is not None}
    if name == "value":
        return pyarrow.array(values, pyarrow.float64())
    if kinds == {bool}:
        return pyarrow.array(values, pyarrow.bool_())
    if kinds == {int} and all(-_INT64 <= value < _INT64 for value in values if value is not None):
        return pyarrow.array(values, pyarrow.int64())
    if kinds and all(value is None or is_number(value) for value in values):
        as_floats = [None if value is None else float(value) for value in values]
        return pyarrow.array(as_floats, pyarrow.float64())
    return pyarrow.array([_as_text(value) for value in values], pyarrow.string())


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    return _encodable(value if isinstance(value, str) else json.dumps(value))
