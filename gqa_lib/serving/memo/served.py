"""Results of serving benchmarks, each with what it is of: variant, machine, traffic."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gqa_lib.arguments import is_number, shown

from ..results import Result, load_results
from ..results.names import other_model, same_model
from .loads import at_capacity, rate_of
from .values import Figure, Record

NEEDED = ("completed", "duration", "output_throughput")
_OF_A_PLAN = re.compile(r"kv([1-9]\d*)-")  # how `gqa plan` names results
_ROUNDING = 0.02  # of a total over its seconds


@dataclass(frozen=True)
class Served:
    """One run of a serving benchmark.

    Args:
        file: its name.
        num_kv_heads: of the model that was served.
        machine: as the file names it, or as the memo takes it to be.
        says_machine: whether the file names it.
        at_capacity: whether tokens/s are what the server can do, not what it was asked for: all
            requests came at once (`--request-rate inf`), or it fell behind the rate they came at.
        rate: requests a second that came, None where they came at once or it is not known.
        max_concurrency: requests in flight at most, None where that is not limited.
        numbers: by vLLM's names, with `NEEDED`.
        mean_prompt, mean_output: tokens on average; None where the file does not say.
        failed: share of the requests that were not answered.
        recorded: on which machine and when.
    """

    file: str
    num_kv_heads: int
    machine: str
    says_machine: bool
    at_capacity: bool
    rate: float | None
    max_concurrency: int | None
    numbers: Mapping[str, float]
    mean_prompt: float | None
    mean_output: float | None
    failed: float
    recorded: str

    def figure(self, key: str, unit: str) -> Figure:
        """Return one of its numbers.

        Args:
            key: of `numbers`.
            unit: of it.
        """
        return Figure(self.numbers[key], unit, "measured", Record(self.file, key, self.recorded))


def read_served(spec: str, model: str, own_kv_heads: int, machine: str) -> list[Served]:
    """Return the runs in a result of vLLM's benchmark, AIPerf or GuideLLM.

    How many KV heads the served model had is said by the argument (`8=FILE`), by the file
    (`--metadata num_kv_heads=8`), by its name (`kv8-...json`, as `gqa plan` has it), and if by none
    of them, by the model's name, if it is the memo's own model.

    Args:
        spec: the file, or `NUM_KV_HEADS=FILE`.
        model: the name of the memo's model.
        own_kv_heads: of that model as it is.
        machine: what the memo is about, for files that name no hardware.

    Raises:
        ValueError: it is not such a result, a number cannot be, it is of another model, or two of
            these say different things.
    """
    heads, path = split_spec(spec)
    _check_single(path)
    own = _metadata(path)
    return [
        _served(one, own, path.name, heads, (model, own_kv_heads, machine))
        for one in load_results([path])
    ]


def split_spec(spec: str) -> tuple[int | None, Path]:
    """Return the KV heads and the file of `NUM_KV_HEADS=FILE`; None and it where it is only a file.

    Args:
        spec: what somebody wrote.
    """
    said = re.fullmatch(r"0*([1-9]\d*)=(.+)", spec)
    return (int(said[1]), Path(said[2])) if said else (None, Path(spec))


def kv_heads_of(
    said: int | None, row: Mapping[str, Any], file: str, name: object, model: tuple[str, int]
) -> int:
    """Return how many KV heads the model of a result had.

    Args:
        said: by whoever gave the file, if anybody.
        row: the result, which may have `num_kv_heads`.
        file: its file's name.
        name: of its model, as far as it says so.
        model: the memo's model, and its KV heads as it is.

    Raises:
        ValueError: nothing says it, two say different things, or it is of another model.
    """
    if isinstance(name, str) and other_model(name, model[0]):
        raise ValueError(
            f"{file} is of the model {shown(name)}, not of {model[0]}: what one does says nothing "
            "of the other. Give results of that model, or write the memo of the other."
        )
    found: dict[str, int] = {} if said is None else {"what you say": said}
    if (inside := row.get("num_kv_heads")) is not None:
        text = str(inside)
        if not text.isdecimal() or int(text) < 1:
            raise ValueError(
                f"{file}: num_kv_heads={shown(inside)} is not a whole number from 1. Give the run "
                "as NUM_KV_HEADS=FILE."
            )
        found["num_kv_heads in it"] = int(text)
    if planned := _OF_A_PLAN.match(file):
        found["its name"] = int(planned[1])
    if len(set(found.values())) > 1:
        both = ", ".join(f"{who} says {heads}" for who, heads in found.items())
        raise ValueError(
            f"{file}: {both} KV heads. It can be of one variant only: give the file of the other, "
            "under its own number."
        )
    if found:
        return next(iter(found.values()))
    if isinstance(name, str) and same_model(name, model[0]):
        return model[1]
    raise ValueError(
        f"{file} is of the model {shown(name)} and does not say num_kv_heads: it could be of any "
        f"variant of {model[0]}. Give it as NUM_KV_HEADS=FILE."
    )


def _check_single(path: Path) -> None:
    """Refuse several results of vLLM in one file, of which only the first would be read."""
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (UnicodeDecodeError, OSError):
        return  # compressed, or not there: who reads it says so
    if len(lines) > 1 and all('"output_throughput"' in line for line in lines):
        raise ValueError(
            f"{path.name}, line 2: a second result in one file, of which variant is not known. "
            "Give each run in a file of its own, without --append-result."
        )


def _metadata(path: Path) -> Mapping[str, Any]:
    """What the file itself says of variant and machine, as --metadata adds it."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _served(
    result: Result,
    own: Mapping[str, Any],
    file: str,
    heads: int | None,
    asked: tuple[str, int, str],
) -> Served:
    model, own_kv_heads, machine = asked
    numbers = result.summary()
    for name in NEEDED:
        _check(numbers.get(name), name, result.source)
    said = result.conditions.get("model_id")
    says = own.get("hardware")
    if says is not None and (not isinstance(says, str) or not says.strip()):
        raise ValueError(
            f"{file}: hardware={shown(says)} is not the name of a device. Give one with "
            "--metadata hardware=NAME, or leave it out."
        )
    prompt, output = _means(result, numbers)
    return Served(
        file=result.source,
        num_kv_heads=kv_heads_of(heads, own, file, said, (model, own_kv_heads)),
        machine=says or machine,
        says_machine=says is not None,
        at_capacity=at_capacity(result),
        rate=rate_of(result),
        max_concurrency=_limit(result.conditions.get("max_concurrency")),
        numbers=numbers,
        mean_prompt=prompt,
        mean_output=output,
        failed=result.failed / (result.failed + numbers["completed"]),
        recorded=_recorded(result.conditions.get("date"), says, machine),
    )


def _limit(given: Any) -> int | None:
    return int(given) if is_number(given) and 0 < given < math.inf else None


def _check(value: Any, name: str, where: str) -> None:
    if not is_number(value) or not 0 < value < math.inf:
        raise ValueError(
            f"{where}: {name}={shown(value)} is not a number above 0: no tokens were measured. "
            "Run the benchmark again, with --save-result."
        )


def _means(result: Result, numbers: Mapping[str, float]) -> tuple[float | None, float | None]:
    """Mean tokens of prompts and outputs; of totals, they must agree with the rate."""
    if result.trace is not None:
        trace = result.trace
        return float(trace.prompt_tokens.mean()), float(trace.output_tokens.mean())
    totals = [numbers.get(f"total_{kind}_tokens") for kind in ("input", "output")]
    if totals[0] is None or totals[1] is None:
        return None, None
    for total, kind in zip(totals, ("input", "output"), strict=True):
        _check(total, f"total_{kind}_tokens", result.source)
    rate = totals[1] / numbers["duration"]
    if abs(rate / numbers["output_throughput"] - 1) > _ROUNDING:
        raise ValueError(
            f"{result.source}: output_throughput={numbers['output_throughput']:g}, but "
            f"total_output_tokens over duration is {rate:g}: numbers of two runs are mixed. Give "
            "the file as it was written."
        )
    return totals[0] / numbers["completed"], totals[1] / numbers["completed"]


def _recorded(date: Any, says: str | None, machine: str) -> str:
    place = says or f"{machine}, as --hardware says, which the file does not"
    return f"as recorded on {place}, {_day(date)}"


def _day(value: Any) -> str:
    """A day: vLLM writes 20261129-173040, AIPerf 2026-11-29T17:30:40."""
    found = re.match(r"(\d{4})-?(\d{2})-?(\d{2})(?!\d)", str(value or ""))
    return "-".join(found.groups()) if found else "without a date"
