"""Results of serving benchmarks, under vLLM's names, each with what it is of."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gqa_lib.arguments import is_number, shown

from .values import Figure, Record

COUNTS = ("completed", "total_input_tokens", "total_output_tokens")
RATES = ("duration", "output_throughput")
LATENCIES = ("mean_ttft_ms", "p99_ttft_ms", "mean_tpot_ms", "p99_tpot_ms")
_OF_A_SIMULATION = ("mean_kv_usage", "recomputed_tokens")
_ROUNDING = 0.02  # of a total over its seconds


@dataclass(frozen=True)
class Served:
    """One run of a serving benchmark.

    Args:
        file: its name.
        num_kv_heads: of the model that was served.
        machine: as the file names it, or as the memo takes it to be.
        says_machine: whether the file names it.
        at_capacity: whether all requests came at once (`--request-rate inf`), so that tokens/s are
            what the server can do, not what it was asked for.
        numbers: `COUNTS`, `RATES` and those of `LATENCIES` that are there.
        recorded: on which machine and when.
    """

    file: str
    num_kv_heads: int
    machine: str
    says_machine: bool
    at_capacity: bool
    numbers: Mapping[str, float]
    recorded: str

    def figure(self, key: str, unit: str) -> Figure:
        """Return one of its numbers.

        Args:
            key: of `numbers`.
            unit: of it.
        """
        return Figure(self.numbers[key], unit, "measured", Record(self.file, key, self.recorded))

    @property
    def mean_prompt(self) -> float:
        """Tokens of a prompt on average."""
        return self.numbers["total_input_tokens"] / self.numbers["completed"]

    @property
    def mean_output(self) -> float:
        """Tokens of an answer on average."""
        return self.numbers["total_output_tokens"] / self.numbers["completed"]


def read_served(spec: str, model: str, own_kv_heads: int, machine: str) -> list[Served]:
    """Return the runs in a file of `vllm bench serve --save-result`.

    How many KV heads the served model had is said, in this order, by the argument (`8=FILE`), by
    the file (`--metadata num_kv_heads=8`), or by the model's name, if it is the memo's own model.

    Args:
        spec: the file, or `NUM_KV_HEADS=FILE`; a JSON object, or one a line.
        model: the name of the memo's model.
        own_kv_heads: of that model as it is.
        machine: what the memo is about, for files that name no hardware.

    Raises:
        ValueError: it is not such a result, a number cannot be, or it is of another model.
    """
    heads, path = split_spec(spec)
    return [
        _served(row, where, path.name, heads, model, own_kv_heads, machine)
        for where, row in _objects(path)
    ]


def same_machine(one: str, other: str) -> bool:
    """Return whether two names are of one device, however it is spelled.

    Args:
        one, other: such as "RTX 4090" and "NVIDIA GeForce RTX 4090".
    """
    a, b = (re.sub(r"[^a-z0-9]", "", name.lower()) for name in (one, other))
    return bool(a and b) and (a in b or b in a)


def split_spec(spec: str) -> tuple[int | None, Path]:
    """Return the KV heads that `NUM_KV_HEADS=FILE` says, None where it is only a file, and the file.

    Args:
        spec: what somebody wrote.
    """
    said = re.fullmatch(r"0*([1-9]\d*)=(.+)", spec)
    return (int(said[1]), Path(said[2])) if said else (None, Path(spec))


def kv_heads_of(row: Mapping[str, Any], where: str, name: object, model: str, own: int) -> int:
    """Return how many KV heads the model of a result had.

    Args:
        row: the result, which may have `num_kv_heads`.
        where: what the error begins with.
        name: of its model, as far as it says so.
        model: the memo's model.
        own: KV heads of that model as it is.

    Raises:
        ValueError: nothing says it.
    """
    said = row.get("num_kv_heads")
    if said is not None:
        text = str(said)
        if not text.isdecimal() or int(text) < 1:
            raise ValueError(f"{where}: num_kv_heads={shown(said)} is not a whole number from 1.")
        return int(text)
    if isinstance(name, str) and same_machine(name.rsplit("/", 1)[-1], model):
        return own
    raise ValueError(
        f"{where} is of the model {shown(name)} and does not say num_kv_heads: it could be of any "
        f"variant of {model}. Give it as NUM_KV_HEADS=FILE."
    )


def _objects(path: Path) -> list[tuple[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise ValueError(
            f"{path.name} cannot be read ({error}): give what vllm bench serve --save-result wrote."
        ) from None
    try:
        return [(path.name, json.loads(text))]
    except json.JSONDecodeError:
        pass
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path.name}, line {number}"
        try:
            found.append((where, json.loads(line)))
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{where} is not JSON ({error.msg}): a part of the result is missing. Run "
                "vllm bench serve --save-result again."
            ) from None
    if not found:
        raise ValueError(f"{path.name} is empty: run vllm bench serve --save-result again.")
    return found


def _served(
    row: Any,
    where: str,
    file: str,
    heads: int | None,
    model: str,
    own_kv_heads: int,
    machine: str,
) -> Served:
    if not isinstance(row, dict):
        raise ValueError(f"{where} is {shown(row)}, not the result of a benchmark.")
    if any(name in row for name in _OF_A_SIMULATION):
        raise ValueError(
            f"{where} has {_OF_A_SIMULATION[0]}, which only a simulation knows: it was computed, "
            "not measured. Give the result of vllm bench serve."
        )
    numbers = {name: _number(row, name, where) for name in (*COUNTS, *RATES)}
    numbers |= {name: _number(row, name, where, 0) for name in LATENCIES if name in row}
    rate = numbers["total_output_tokens"] / numbers["duration"]
    if abs(rate / numbers["output_throughput"] - 1) > _ROUNDING:
        raise ValueError(
            f"{where}: output_throughput={numbers['output_throughput']:g}, but "
            f"total_output_tokens over duration is {rate:g}: numbers of two runs are mixed. Give "
            "the file as vLLM wrote it."
        )
    says = row.get("hardware")
    if says is not None and (not isinstance(says, str) or not says.strip()):
        raise ValueError(f"{where}: hardware={shown(says)} is not the name of a device.")
    return Served(
        file=file,
        num_kv_heads=heads or kv_heads_of(row, where, row.get("model_id"), model, own_kv_heads),
        machine=says or machine,
        says_machine=says is not None,
        at_capacity=str(row.get("request_rate", "inf")).lower() in ("inf", "infinity", "none"),
        numbers=numbers,
        recorded=_recorded(row, says, machine),
    )


def _number(
    row: dict[str, Any], name: str, where: str, least: float = math.ulp(0.0)
) -> float:
    value: Any = row.get(name)
    if not is_number(value) or not least <= value < math.inf:
        raise ValueError(
            f"{where}: {name}={shown(value)} is not a number above 0: no tokens were measured, or "
            "this is not a result of vllm bench serve. Run it again with --save-result."
        )
    return float(value)


def _recorded(row: dict[str, Any], says: str | None, machine: str) -> str:
    place = says or f"{machine}, as --hardware says, which the file does not"
    return f"as recorded on {place}, {_date(row.get('date'))}"


def _date(value: Any) -> str:
    """A day: vLLM writes 20261129-173040."""
    found = re.fullmatch(r"(\d{4})-?(\d{2})-?(\d{2})\b.*", str(value or ""))
    return "-".join(found.groups()) if found else "without a date"
