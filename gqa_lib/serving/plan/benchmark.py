"""A benchmark plan in numbers: what is asked, of which requests, how many, at which rates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gqa_lib.arguments import check_number, check_whole

from ..results.checked import check_margin
from ..scenario import Scenario
from ..traffic import Summary, Trace, summarise
from .knee import Knee, at_rate
from .rehearsal import Rehearsal, rehearse
from .requests import Fitting, draws_own, fitting, requests_of_run
from .sample_size import SampleSize, quotable_percentiles, sample_size
from .sharing import Sharing, prefix_sharing
from .variants import Variant, scenarios_of, variants_at

PERCENTILES = (50.0, 95.0, 99.0)
SWEEP = (0.5, 0.7, 0.85, 1.0, 1.15, 1.4)  # of the baseline's knee, or between both knees
_SIMULATED = 1000  # requests at each rate of the search
LEAST_WARMUP = 20  # requests


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
        requests_given: whether so many requests were asked for; else the sample size says it.
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
    requests_given: bool = False
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
    num_requests: int | None = None,
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
        num_requests: measured of each variant, all runs together; None is as many as a mean within
            the relative error and the percentile need.
        request_rate: requests a second; None is the baseline's knee, as it is modelled.
        burstiness: of the arrivals, as vLLM's: their CV is 1 / sqrt(burstiness).
        max_concurrency: requests in flight at most; None is an open loop.
        rehearsed: whether the comparison is simulated with all seeds; needs scipy.

    Raises:
        ValueError: an argument is out of its range, a variant does not fit into the memory, or
            cannot serve most of the requests.
    """
    check_margin(margin)
    check_number(above=0, burstiness=burstiness)
    _check_runs(num_seeds, num_requests, request_rate, max_concurrency)
    scenarios = scenarios_of(scenario, num_kv_heads)
    fits = fitting(trace, scenarios)
    plan = _planned(
        summarise(trace, PERCENTILES),
        fits,
        _sample(fits.trace, relative_error, percentile, num_requests),
        scenarios,
        num_seeds,
        (request_rate, 1 / math.sqrt(burstiness), max_concurrency),
        goodput,
    )
    plan = replace(
        plan,
        sharing=prefix_sharing(trace),
        margin=margin,
        requests_given=num_requests is not None,
    )
    return replace(plan, rehearsals=_rehearsals(plan)) if rehearsed else plan


def _planned(
    given: Summary,
    fits: Fitting,
    sample: SampleSize,
    scenarios: Sequence[Scenario],
    num_seeds: int,
    arrivals: tuple[float | None, float, int | None],
    goodput: Mapping[str, float] | None,
) -> BenchmarkPlan:
    """The plan of so many requests at a rate, with a CV, and with so many in flight at most."""
    asked, cv, max_concurrency = arrivals
    per_run, cvs = math.ceil(sample.requests / num_seeds), _arrival_cvs(cv, given.arrival_cv)
    most = 1 if draws_own(fits.trace, per_run, num_seeds) else 10**6
    probes = [requests_of_run(fits.trace, scenarios, _SIMULATED, most, 0, one) for one in cvs]
    rate, variants = variants_at(asked, scenarios, probes, fits.trace, goodput, max_concurrency)
    drain = math.ceil(max(one.in_system for one in variants))
    warmup = max(LEAST_WARMUP, 2 * drain)
    return BenchmarkPlan(
        trace=fits.trace,
        given=given,
        fitting=fits,
        sharing=None,
        sample=sample,
        variants=variants,
        goodput=goodput,
        metric="request_goodput" if goodput else "mean_e2el_ms",
        rate=rate,
        rate_given=asked is not None,
        rates=_sweep([one.knee for one in variants], rate),
        arrival_cvs=cvs,
        num_seeds=num_seeds,
        per_run=per_run,
        warmup=warmup,
        drain=drain,
        max_concurrency=max_concurrency,
        draws_own=draws_own(fits.trace, warmup + per_run + drain, num_seeds),
    )


def _sample(
    trace: Trace, relative_error: float, percentile: float, asked: int | None
) -> SampleSize:
    found = sample_size(trace, relative_error=relative_error, percentile=percentile)
    if asked is None:
        return found
    return replace(found, requests=asked, quotable=quotable_percentiles(asked))


def _check_runs(
    num_seeds: int,
    num_requests: int | None,
    request_rate: float | None,
    max_concurrency: int | None,
) -> None:
    check_whole(2, num_seeds=num_seeds)
    if num_requests is not None:
        check_whole(num_seeds, num_requests=num_requests)
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
