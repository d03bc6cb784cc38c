"""A benchmark plan in numbers: what is asked, of which requests, how many, at which rates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gqa_lib.arguments import check_distinct, check_number, check_whole

from ..ledger import Concurrency, Ledger, concurrency
from ..scenario import Scenario
from ..traffic import Summary, Trace, summarise
from .knee import Knee, at_rate, find_knee, modelled
from .rehearsal import Rehearsal, rehearse
from .requests import Fitting, draws_own, fitting, requests_of_run
from .sample_size import SampleSize, sample_size
from .sharing import Sharing, prefix_sharing

PERCENTILES = (50.0, 95.0, 99.0)
SWEEP = (0.5, 0.7, 0.85, 1.0, 1.15, 1.4)  # of the baseline's knee, or between both knees
_SIMULATED = 1000  # requests at each rate of the search
LEAST_WARMUP = 20  # requests


@dataclass(frozen=True)
class Variant:
    """One of the engines that are compared.

    Args:
        scenario: the engine.
        ledger: where its memory goes; None if blocks are given and no hardware is.
        fits: how many requests of the trace's kind fit into its cache at a time.
        knee: the highest rate at which it keeps up; modelled.
        at_rate: figures at the plan's rate by vLLM's names; modelled.
    """

    scenario: Scenario
    ledger: Ledger | None
    fits: Concurrency
    knee: Knee
    at_rate: Mapping[str, Any]

    @property
    def num_kv_heads(self) -> int:
        """KV heads of each layer."""
        return self.scenario.config.num_kv_heads


@dataclass(frozen=True, kw_only=True)
class BenchmarkPlan:
    """What `benchmark_plan` returns; `plan_markdown` writes it.

    Args:
        trace: the requests that every variant can serve.
        given: statistics of the trace as it was given.
        fitting: which of its requests are left out, and why.
        sharing: what prompts have in common; None if it is not known.
        sample: how many requests, and which percentiles.
        variants: the baseline first.
        goodput: latencies in ms that a good request does not exceed, or None.
        metric: that decides, by vLLM's name.
        margin: relative difference that would matter.
        rate: requests a second at which the variants are compared.
        rate_given: whether that rate was given; else it is the baseline's knee.
        rates: of the sweep.
        arrival_cvs: sd over mean of the times between arrivals: the comparison's first.
        num_seeds: runs of each variant.
        per_run: requests measured in a run.
        warmup: requests before them that are left out.
        drain: requests after them that are left out.
        max_concurrency: requests in flight at most, or None for an open loop.
        draws_own: whether the runs have requests of the trace itself, else drawn like them.
        rehearsals: the comparison in the simulator, for each of arrival_cvs; modelled.
    """

    trace: Trace
    given: Summary
    fitting: Fitting
    sharing: Sharing | None
    sample: SampleSize
    variants: tuple[Variant, ...]
    goodput: Mapping[str, float] | None = None
    metric: str = "mean_e2el_ms"
    margin: float = 0.05
    rate: float
    rate_given: bool = False
    rates: tuple[float, ...]
    arrival_cvs: tuple[float, ...]
    num_seeds: int
    per_run: int
    warmup: int
    drain: int
    max_concurrency: int | None = None
    draws_own: bool
    rehearsals: tuple[Rehearsal, ...] = ()

    @property
    def num_requests(self) -> int:
        """Requests of a run, with those that are left out."""
        return self.warmup + self.per_run + self.drain

    def order(self) -> tuple[tuple[int, int], ...]:
        """Return (seed, place of the variant) of each run in turn: A B, B A, A B, ..."""
        places = range(len(self.variants))
        return tuple(
            (seed, place)
            for seed in range(self.num_seeds)
            for place in (places if seed % 2 == 0 else reversed(places))
        )

    def requests(self, seed: int, arrival_cv: float | None = None) -> Trace:
        """Return the requests of a run at the plan's rate, the same for every variant.

        Args:
            seed: the run's.
            arrival_cv: of the times between arrivals; None is the comparison's.
        """
        cv = self.arrival_cvs[0] if arrival_cv is None else arrival_cv
        scenarios = [one.scenario for one in self.variants]
        one = requests_of_run(self.trace, scenarios, self.num_requests, self.num_seeds, seed, cv)
        return at_rate(one, self.rate)


def benchmark_plan(
    trace: Trace,
    scenario: Scenario,
    *,
    num_kv_heads: Sequence[int] | None = None,
    goodput: Mapping[str, float] | None = None,
    margin: float = 0.05,
    relative_error: float = 0.05,
    percentile: float = 95.0,
    num_seeds: int = 5,
    request_rate: float | None = None,
    burstiness: float = 1.0,
    max_concurrency: int | None = None,
    rehearsed: bool = True,
) -> BenchmarkPlan:
    """Plan a benchmark of an engine with other numbers of KV heads, from a trace of its traffic.

    Args:
        trace: what is asked of the engine; the pilot from which its variance is known.
        scenario: the engine, its memory and its flags.
        num_kv_heads: of each variant, the baseline first; None compares the model with as many KV
            heads as query heads (MHA) to the model as it is.
        goodput: latencies in ms that a good request does not exceed, as `parse_goodput` returns.
        margin: relative difference that would matter.
        relative_error: of a mean over all requests.
        percentile: highest that is to be quoted.
        num_seeds: runs of each variant, 2 or more.
        request_rate: requests a second; None is the baseline's knee, as it is modelled.
        burstiness: of the arrivals, as vLLM's: their CV is 1 / sqrt(burstiness).
        max_concurrency: requests in flight at most; None is an open loop.
        rehearsed: whether the comparison is simulated with all seeds; needs scipy.

    Raises:
        ValueError: an argument is out of its range, a variant does not fit into the memory, or
            cannot serve most of the requests.
    """
    check_number(above=0, margin=margin, burstiness=burstiness)
    _check_runs(num_seeds, request_rate, max_concurrency)
    scenarios = _variants(scenario, num_kv_heads)
    fits = fitting(trace, scenarios)
    sample = sample_size(fits.trace, relative_error=relative_error, percentile=percentile)
    cv = 1 / math.sqrt(burstiness)
    runs = (math.ceil(sample.requests / num_seeds), num_seeds)
    most = 1 if draws_own(fits.trace, *runs) else 10**6
    probe = requests_of_run(fits.trace, scenarios, _SIMULATED, most, 0, cv)
    rate, variants = _variants_at(request_rate, scenarios, probe, fits.trace, goodput)
    plan = replace(
        _planned(trace, fits, sample, variants, rate, cv, runs),
        goodput=goodput,
        metric="request_goodput" if goodput else "mean_e2el_ms",
        margin=margin,
        rate_given=request_rate is not None,
        max_concurrency=max_concurrency,
    )
    return replace(plan, rehearsals=_rehearsals(plan)) if rehearsed else plan


def _planned(
    trace: Trace,
    fits: Fitting,
    sample: SampleSize,
    variants: tuple[Variant, ...],
    rate: float,
    cv: float,
    runs: tuple[int, int],
) -> BenchmarkPlan:
    """The plan of runs, each of so many requests, and so many of them, at a rate."""
    given = summarise(trace, PERCENTILES)
    drain = math.ceil(max(one.at_rate["mean_running"] for one in variants))
    warmup = max(LEAST_WARMUP, 2 * drain)
    per_run, num_seeds = runs
    return BenchmarkPlan(
        trace=fits.trace,
        given=given,
        fitting=fits,
        sharing=prefix_sharing(trace),
        sample=sample,
        variants=variants,
        rate=rate,
        rates=_sweep([one.knee for one in variants], rate),
        arrival_cvs=_arrival_cvs(cv, given.arrival_cv),
        num_seeds=num_seeds,
        per_run=per_run,
        warmup=warmup,
        drain=drain,
        draws_own=draws_own(fits.trace, warmup + per_run + drain, num_seeds),
    )


def _check_runs(num_seeds: int, request_rate: float | None, max_concurrency: int | None) -> None:
    check_whole(2, num_seeds=num_seeds)
    if max_concurrency is not None:
        check_whole(max_concurrency=max_concurrency)
    if request_rate is not None:
        check_number(above=0, request_rate=request_rate)


def _rehearsals(plan: BenchmarkPlan) -> tuple[Rehearsal, ...]:
    first, *_, last = (one.scenario for one in plan.variants)

    def of(cv: float) -> Rehearsal:
        runs = [plan.requests(seed, cv) for seed in range(plan.num_seeds)]
        return rehearse(
            first,
            last,
            runs,
            metric=plan.metric,
            margin=plan.margin,
            goodput=plan.goodput,
            ends=(plan.warmup, plan.drain),
            arrival_cv=cv,
        )

    return tuple(map(of, plan.arrival_cvs))


def _variants(scenario: Scenario, num_kv_heads: Sequence[int] | None) -> list[Scenario]:
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


def _variants_at(
    rate: float | None,
    scenarios: Sequence[Scenario],
    probe: Trace,
    trace: Trace,
    goodput: Mapping[str, float] | None,
) -> tuple[float, tuple[Variant, ...]]:
    """The rate of the comparison, the baseline's knee unless given, and the variants at it."""
    knees = [find_knee(one, probe, goodput) for one in scenarios]
    rate = rate or knees[0].rate or knees[0].lowest
    at = at_rate(probe, rate)
    return rate, tuple(
        _variant(trace, one, knee, modelled(one, at, goodput))
        for one, knee in zip(scenarios, knees, strict=True)
    )


def _variant(trace: Trace, scenario: Scenario, knee: Knee, figures: Mapping[str, Any]) -> Variant:
    rules = scenario.rules()
    tokens = rules.num_blocks * rules.block_size
    fits = concurrency(
        tokens, trace.prompt_tokens, trace.output_tokens, block_size=rules.block_size
    )
    held = None if scenario.machine is None else scenario.ledger()
    return Variant(scenario, held, fits, knee, figures)


def _sweep(knees: Sequence[Knee], rate: float) -> tuple[float, ...]:
    """Rates on both sides of every knee, with three digits."""
    found = [one.rate for one in knees if one.rate is not None] or [rate]
    low, high = SWEEP[0] * min(found), SWEEP[-1] * max(found)
    steps = [low * (high / low) ** (n / (len(SWEEP) - 1)) for n in range(len(SWEEP))]
    return tuple(float(f"{one:.3g}") for one in steps)


def _arrival_cvs(cv: float, of_trace: float | None) -> tuple[float, ...]:
    """The comparison's CV, and the trace's where that is another by more than a tenth."""
    if of_trace is None or abs(of_trace / cv - 1) <= 0.1 or of_trace == 0:
        return (cv,)
    return (cv, float(f"{of_trace:.3g}"))
