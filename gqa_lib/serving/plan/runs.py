"""The runs of a plan, in their order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .benchmark import BenchmarkPlan
from .durations import capacity_seeds, sweep_requests

Kind = Literal["compare", "burst", "sweep", "capacity"]


@dataclass(frozen=True)
class Run:
    """One run of a benchmark.

    Args:
        kind: "compare" decides, "burst" is the same with the trace's bursts, "sweep" locates knees,
            "capacity" sends all at once: the tokens/s that a price is divided by.
        num_kv_heads: of the variant.
        seed: of requests and arrivals.
        rate: requests a second; infinite if all come at once.
        arrival_cv: sd over mean of the times between arrivals.
        num_requests: that are sent.
    """

    kind: Kind
    num_kv_heads: int
    seed: int
    rate: float
    arrival_cv: float
    num_requests: int

    @property
    def file(self) -> str:
        """Name of its result."""
        rate = "" if self.kind == "capacity" else f"-rate{self.rate:g}"
        return f"kv{self.num_kv_heads}-{self.kind}{rate}-seed{self.seed}.json"


def runs_of(plan: BenchmarkPlan) -> Iterator[Run]:
    """Yield the runs of a plan in their order: what decides first, the variants in turn.

    Args:
        plan: which.
    """
    heads = [one.num_kv_heads for one in plan.variants]
    rate = float(f"{plan.rate:.6g}")
    kinds: tuple[Kind, ...] = ("compare", "burst")
    for kind, cv in zip(kinds, plan.arrival_cvs, strict=False):
        for seed, place in plan.order():
            yield Run(kind, heads[place], seed, rate, cv, plan.num_requests)
    for seed in range(capacity_seeds(plan)):
        for one in heads if seed % 2 == 0 else heads[::-1]:
            yield Run("capacity", one, seed, math.inf, plan.arrival_cvs[0], plan.num_requests)
    requests = sweep_requests(plan)
    for turn, rate in enumerate(plan.rates):
        for one in heads if turn % 2 == 0 else heads[::-1]:
            yield Run("sweep", one, 0, rate, plan.arrival_cvs[0], requests)
