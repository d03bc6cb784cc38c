"""The engines that a plan compares, and what is modelled of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gqa_lib.arguments import check_distinct

from ..fits import fit_at_a_time
from ..ledger import Concurrency, Ledger
from ..scenario import Scenario
from ..traffic import Trace
from .knee import Knee, at_rate, find_knee, modelled


@dataclass(frozen=True)
class Variant:
    """One of the engines that are compared.

    Args:
        scenario: the engine.
        ledger: where its memory goes; None if blocks are given and no hardware is.
        fits: how many requests of the trace's kind fit into its cache at a time.
        knee: the highest rate at which it keeps up; modelled.
        at_rate: figures at the plan's rate by vLLM's names; modelled.
        in_system: requests that run or wait, on average, at the plan's rate: rate x mean time to
            the last token (Little's law), the most of the plan's arrivals; modelled.
    """

    scenario: Scenario
    ledger: Ledger | None
    fits: Concurrency
    knee: Knee
    at_rate: Mapping[str, Any]
    in_system: float

    @property
    def num_kv_heads(self) -> int:
        """KV heads of each layer."""
        return self.scenario.config.num_kv_heads


def scenarios_of(scenario: Scenario, num_kv_heads: Sequence[int] | None) -> list[Scenario]:
    """Return an engine with each number of KV heads.

    Args:
        scenario: the engine.
        num_kv_heads: of each variant, the baseline first; None is MHA and the model as it is.

    Raises:
        ValueError: there are fewer than two, or one is there twice.
    """
    own = scenario.own_config
    heads = [own.num_heads, scenario.config.num_kv_heads] if num_kv_heads is None else num_kv_heads
    heads = list(dict.fromkeys(heads)) if num_kv_heads is None else list(heads)
    if len(heads) < 2:
        raise ValueError(
            f"{own.name} with {heads} KV heads only: one variant is compared with nothing. Give "
            f"two or more divisors of {own.num_heads}, the baseline first."
        )
    check_distinct(heads, "num_kv_heads")
    return [replace(scenario, num_kv_heads=one) for one in heads]


def variants_at(
    rate: float | None,
    scenarios: Sequence[Scenario],
    probes: Sequence[Trace],
    trace: Trace,
    goodput: Mapping[str, float] | None,
    max_concurrency: int | None,
) -> tuple[float, tuple[Variant, ...]]:
    """Return the rate of the comparison, and the variants at it.

    Args:
        rate: that was given; None is the baseline's knee, or the lowest that was tried if it has
            none.
        scenarios: the engines, the baseline first.
        probes: requests with arrivals, of each kind of arrivals; the comparison's first.
        trace: the requests that fit.
        goodput: latencies in ms that a good request does not exceed, or None.
        max_concurrency: requests in flight at most, or None.
    """
    knees = [find_knee(one, probes[0], goodput) for one in scenarios]
    rate = rate or knees[0].rate or knees[0].lowest
    variants = []
    for scenario, knee in zip(scenarios, knees, strict=True):
        found = [modelled(scenario, at_rate(probe, rate), goodput) for probe in probes]
        there = max(rate * one["mean_e2el_ms"] / 1e3 for one in found)
        there = min(there, max_concurrency or math.inf)
        variants.append(_variant(trace, scenario, knee, found[0], there))
    return rate, tuple(variants)


def _variant(
    trace: Trace, scenario: Scenario, knee: Knee, figures: Mapping[str, Any], there: float
) -> Variant:
    fits = fit_at_a_time(trace, scenario)
    held = None if scenario.machine is None else scenario.ledger()
    return Variant(scenario, held, fits, knee, figures, there)
