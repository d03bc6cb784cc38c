"""Records of benchmarks that train: their results, seed by seed, and what was told apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gqa_lib.measure.samples import read_jsonl
from gqa_lib.train import Comparison

_PLACES = ("keep_dir", "out_dir", "text")  # parameters that name folders of one machine


def rows_of_run(run: Path) -> list[dict[str, Any]]:
    """Return the rows of a record of a run, without its first and its last.

    Args:
        run: folder of a run that reached its end.

    Returns:
        A row of kind "setting"; one of kind "trained" for each result; one of kind "difference" for
        each comparison.
    """
    result = json.loads((run / "result.json").read_text())
    setting = {name: result[name] for name in ("benchmark", "finding")}
    rows: list[dict[str, Any]] = [{"kind": "setting", "params": params(run)} | setting]
    rows += [{"kind": "trained"} | row for row in read_jsonl(run / "samples.jsonl")]
    differences = result["differences"].items()
    return rows + [{"kind": "difference", "of": name} | one for name, one in differences]


def params(run: Path) -> dict[str, Any]:
    """Return the parameters that a run was given, without those that name folders.

    Args:
        run: its folder.

    Raises:
        ValueError: it was not run by `gqa bench`, which alone writes them down.
    """
    record = run / "record.json"
    if not record.exists():
        raise ValueError(f"{run} has no record.json: run the benchmark with `gqa bench`.")
    given = json.loads(record.read_text())["params"].items()
    return {name: one for name, one in given if name not in _PLACES}


def report(rows: list[dict[str, Any]]) -> str:
    """Return a record as text: the command, what came out, its means, its comparisons.

    Args:
        rows: of kinds environment, setting, trained and difference.
    """
    kinds: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        kinds.setdefault(row["kind"], []).append(dict(row))
    setting, trained = kinds["setting"][0], kinds["trained"]
    given = (f"-p {name}={json.dumps(one)}" for name, one in setting["params"].items())
    lines = [" ".join(["gqa bench", setting["benchmark"], *given]), setting["finding"]]
    lines += _table(trained)
    for row in kinds.get("difference", ()):
        name, _ = row.pop("of"), row.pop("kind")
        lines.append(f"{name}: {Comparison(**row)}")
    return "\n".join(lines)


def _table(trained: list[dict[str, Any]]) -> list[str]:
    """A line for each model or method: means over seeds, after each number of steps."""
    steps = sorted({row["step"] for row in trained})
    cells: dict[str, dict[int, list[float]]] = {}
    for row in trained:
        cells.setdefault(_name(row), {}).setdefault(row["step"], []).append(row["value"])
    width = max(len(name) for name in cells)
    lines = [" ".join([" " * width, *(f"{step:8}" for step in steps), " steps"])]
    for name, found in cells.items():
        means = {step: sum(values) / len(values) for step, values in found.items()}
        line = [f"{means[step]:8.4f}" if step in means else " " * 8 for step in steps]
        lines.append(" ".join([name.ljust(width), *line]))
    seeds = len({row["seed"] for row in trained})
    return [*lines, f"{trained[0]['metric']} ({trained[0]['unit']}), means of {seeds} seeds"]


def _name(row: dict[str, Any]) -> str:
    if "method" in row:
        return f"{row['method']}, {row['num_kv_heads']} KV heads"
    return "{num_heads} query heads, {num_kv_heads} KV heads of {head_dim}".format(**row)
