"""Records of benchmarks that train: their results, seed by seed, and what was told apart."""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

from gqa_lib.bench import benchmarks, parameters
from gqa_lib.measure.samples import read_jsonl
from gqa_lib.train import Comparison

_PLACES = ("keep_dir", "out_dir", "text", "workers", "device")  # of one machine


def rows_of_run(run: Path) -> list[dict[str, Any]]:
    """Return the rows of a record of a run, without its first and its last.

    Args:
        run: folder of a run that reached its end.

    Returns:
        A row of kind "setting"; one of kind "trained" for each result; one of kind "difference" for
        each comparison.
    """
    result = json.loads((run / "result.json").read_text())
    setting = {name: result[name] for name in ("benchmark", "finding", "text")}
    rows: list[dict[str, Any]] = [{"kind": "setting", "params": params(run)} | setting]
    rows += [{"kind": "trained"} | row for row in read_jsonl(run / "samples.jsonl")]
    differences = result["differences"].items()
    return rows + [{"kind": "difference", "of": name} | one for name, one in differences]


def params(run: Path) -> dict[str, Any]:
    """Return all parameters of a run, defaults included, without those of its machine.

    Args:
        run: its folder.

    Raises:
        ValueError: its result does not say them, as those of earlier versions.
    """
    given = json.loads((run / "result.json").read_text()).get("params")
    if given is None:
        raise ValueError(f"{run / 'result.json'} has no params: run the benchmark again.")
    return {name: one for name, one in given.items() if name not in _PLACES}


def digest(params: dict[str, Any], text: dict[str, str] | None) -> str:
    """Return eight hexadecimal digits that tell what was run from what else could be.

    Args:
        params: of a run, as `params` gives them.
        text: its origin and digest, or None.
    """
    known = json.dumps([params, text and text["digest"]], sort_keys=True)
    return hashlib.sha256(known.encode()).hexdigest()[:8]


def command(setting: dict[str, Any]) -> str:
    """Return the command that runs a benchmark as it was recorded, for a shell.

    Args:
        setting: the record's row of that kind.
    """
    benchmark, params = setting["benchmark"], setting["params"]
    there = parameters(benchmarks()[benchmark])
    changed = {name: one for name, one in params.items() if there.get(name) != one}
    text = setting.get("text")
    if text and not text["origin"].startswith("Python "):  # of whoever recorded it
        changed["text"] = "TEXT"
    given = (f"-p {shlex.quote(f'{name}={_value(one)}')}" for name, one in changed.items())
    return " ".join(["gqa bench", benchmark, *given])


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def report(rows: list[dict[str, Any]]) -> str:
    """Return a record as text: the command, what came out, its means, its comparisons.

    Args:
        rows: of kinds environment, setting, trained and difference.
    """
    kinds: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        kinds.setdefault(row["kind"], []).append(dict(row))
    setting, trained = kinds["setting"][0], kinds["trained"]
    lines = [command(setting), setting["finding"]]
    if text := setting.get("text"):
        lines.append(f"text: {text['origin']} (SHA-256 {text['digest'][:12]}...)")
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
