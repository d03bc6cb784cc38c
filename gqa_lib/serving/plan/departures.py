"""What of a result is not as its plan says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gqa_lib.arguments import is_number, shown

from ..results import Result
from ..results.names import other_model, same_machine
from ..traffic import Trace

OTHER_LENGTHS = 0.02  # relative difference of mean tokens: another tokenizer or workload
_OTHER_RATE = 0.05  # of a rate that only the arrivals tell, or what chance makes of it


@dataclass(frozen=True)
class Measured:
    """A run of a plan with its result.

    Args:
        run: the row of plan.json.
        result: what was measured.
    """

    run: Mapping[str, Any]
    result: Result

    @property
    def num_kv_heads(self) -> int:
        """Of the variant."""
        return int(self.run["num_kv_heads"])


def check_measured(plan: Mapping[str, Any], measured: Sequence[Measured]) -> None:
    """Refuse results of another model or variant than their runs', or of several machines.

    Args:
        plan: its plan.json.
        measured: the runs.

    Raises:
        ValueError: there is one.
    """
    machines: dict[str, str] = {}
    for one in measured:
        said, source = one.result.conditions, one.result.source
        heads, model, machine = (said.get(n) for n in ("num_kv_heads", "model_id", "hardware"))
        if heads is not None and str(heads) != str(one.num_kv_heads):
            raise ValueError(
                f"{source} is of {shown(heads)} KV heads, as it says itself, and is given as a run "
                f"of {one.num_kv_heads}: the comparison would be of something else. Give it as "
                "what it is."
            )
        if isinstance(model, str) and other_model(model, plan["model"]):
            raise ValueError(
                f"{source} is of the model {shown(model)}, not of {plan['model']}: what one does "
                "says nothing of the other. Give results of the plan's model."
            )
        if isinstance(machine, str):
            machines.setdefault(machine, source)
    first, *others = machines or [""]
    for machine in others:
        if not same_machine(first, machine):
            raise ValueError(
                f"{machines[first]} was measured on {first} and {machines[machine]} on {machine}: "
                "they differ by their machines, too. Give results of one."
            )


def departures(plan: Mapping[str, Any], one: Measured) -> Iterator[str]:
    """Yield what of a result is not as planned, so that it answers another question.

    Args:
        plan: its plan.json.
        one: the run.
    """
    source, said, trace = one.result.source, one.result.conditions, one.result.trace
    if trace is not None:
        for name in ("prompt", "output"):
            mean = float(getattr(trace, f"{name}_tokens").mean())
            planned = one.run[f"mean_{name}_tokens"]
            if abs(mean / planned - 1) > OTHER_LENGTHS:
                yield (
                    f"{source}: {name}s have {mean:,.0f} tokens on average, {planned:,.0f} in the "
                    "plan: another tokenizer or another workload"
                )
    wanted = math.inf if one.run["rate"] is None else one.run["rate"]
    rate = _rate(said.get("request_rate"))
    if rate is not None and rate != wanted and not abs(rate - wanted) <= 1e-3 * wanted:
        yield f"{source}: request_rate was {rate:g}, {wanted:g} in the plan"
    if rate is None and trace is not None:
        yield from _paced(source, trace, wanted, one.run["arrival_cv"])
    limit, planned_limit = said.get("max_concurrency"), plan["max_concurrency"]
    if is_number(limit) and limit != planned_limit:
        yield f"{source}: max_concurrency was {limit:g}, {planned_limit or 'none'} in the plan"
    machine = said.get("hardware")
    if (
        isinstance(machine, str)
        and plan["hardware"]
        and not same_machine(machine, plan["hardware"])
    ):
        yield f"{source}: measured on {machine}, the plan is for {plan['hardware']}"


def _rate(said: Any) -> float | None:
    """A rate as a file states it: a number, or infinity in words."""
    if is_number(said):
        return float(said)
    return math.inf if str(said).lower() in ("inf", "infinity") else None


def _paced(source: str, trace: Trace, wanted: float, arrival_cv: float) -> Iterator[str]:
    """What arrivals themselves say of a rate that the file does not state."""
    arrivals = trace.arrival_s
    if arrivals is None or not math.isfinite(wanted) or arrivals[-1] <= arrivals[0]:
        return
    rate = (len(trace) - 1) / float(arrivals[-1] - arrivals[0])
    by_chance = 4 * arrival_cv / math.sqrt(len(trace))
    if abs(rate / wanted - 1) > max(_OTHER_RATE, by_chance):
        yield f"{source}: requests came at {rate:.3g} a second, {wanted:.3g} in the plan"
