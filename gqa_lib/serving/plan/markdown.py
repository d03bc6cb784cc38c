"""A benchmark plan in words: Markdown, every figure derived from the trace or named as modelled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ..basis import basis
from ..scenario import Scenario
from ..simulator import DEFINITIONS
from .benchmark import BenchmarkPlan
from .conditions import inconclusive, memory, record, rehearsal, replications
from .durations import runs, warnings
from .knee import GOOD_SHARE
from .sample_size import highest
from .tables import bullets, figure, named, percent, table
from .variants import Variant
from .workload import requests_needed, workload


def plan_markdown(plan: BenchmarkPlan) -> str:
    """Return a plan as Markdown.

    Args:
        plan: as `benchmark_plan` returns it.
    """
    sections = (
        ("Question, metric and margin", _question(plan)),
        ("Workload", workload(plan)),
        ("Requests needed", requests_needed(plan)),
        ("Arrivals", _arrivals(plan)),
        ("Warm-up and steady state", _steady(plan)),
        ("Replications and pairing", replications(plan)),
        ("Rehearsal", rehearsal(plan)),
        ("Memory", memory(plan)),
        ("What to record", record(plan)),
        ("What makes the answer inconclusive", inconclusive(plan)),
        ("Runs, and how long they take", runs(plan)),
        ("What the modelled figures stand on", _basis(plan)),
    )
    lines = [
        f"# Benchmark plan: {title(plan)}",
        "",
        bullets(f"**{said}**" for said in warnings(plan)),
    ]
    lines += [""]
    for number, (heading, text) in enumerate(sections, 1):
        lines += [f"## {number}. {heading}", "", text, ""]
    return "\n".join(lines)


def title(plan: BenchmarkPlan) -> str:
    """Return what is compared, in a line.

    Args:
        plan: which.
    """
    scenario = plan.variants[0].scenario
    heads = " against ".join(f"{one.num_kv_heads}" for one in reversed(plan.variants))
    return f"{named(scenario.own_config.name)} on {machine(scenario)}, {heads} KV heads"


def machine(scenario: Scenario) -> str:
    """Return what a scenario runs on, in a few words.

    Args:
        scenario: which.
    """
    name = "hardware not named" if scenario.machine is None else scenario.machine.name
    ranks = scenario.tensor_parallel
    return named(name) if ranks == 1 else f"{ranks} x {named(name)}"


def _question(plan: BenchmarkPlan) -> str:
    first, *others = plan.variants
    scenario = first.scenario
    heads = " or ".join(str(one.num_kv_heads) for one in others)
    goodput = " ".join(f"{name}:{most:g}" for name, most in (plan.goodput or {}).items())
    promised = (
        f"`request_goodput`: answers per second that meet `{goodput}` (milliseconds, all limits "
        "for the same request)."
        if plan.goodput
        else "`mean_e2el_ms`: mean time to the last token. No latency was promised (--ttft, "
        "--tpot). Tokens/s do not decide: below the knee they are what was asked for."
    )
    definitions = [f"{name}: {text}" for name, text in DEFINITIONS.items()]
    return "\n\n".join(
        [
            f"Does {named(scenario.own_config.name)} with {heads} KV heads serve this traffic "
            f"better than with {first.num_kv_heads} (the baseline) on {machine(scenario)}?",
            bullets(
                [
                    f"Metric that decides, at {plan.rate:.3g} requests/s: {promised}",
                    f"Margin, stated before any run: {percent(plan.margin)}. A smaller difference "
                    "would change no decision.",
                    "Reported next to it, deciding nothing: mean and "
                    f"p{highest(plan.sample.quotable):g} of TTFT and TPOT, output tokens/s. "
                    "Preemptions and KV usage are not in a benchmark's result: section 9 says "
                    "where they are.",
                    "Speed only: quality with fewer KV heads is another measurement.",
                ]
            ),
            "Definitions (vLLM's):\n\n" + bullets(definitions),
        ]
    )


def _arrivals(plan: BenchmarkPlan) -> str:
    cv = plan.arrival_cvs[0]
    head = ("", *(f"{one.num_kv_heads} KV heads" for one in plan.variants))
    rows = [(name, *map(of, plan.variants)) for name, of in _PREDICTED.items()]
    if plan.goodput is None:
        rows = [row for row in rows if row[0] != _GOOD]
    promise = f"{percent(GOOD_SHARE)} of requests meet the limits and " if plan.goodput else ""
    facts = [
        f"Open loop: requests come when they come, gamma distributed, CV {cv:.3g} "
        f"(`--burstiness {1 / cv**2:.4g}`).",
        _rate(plan),
        f"Sweep to the knee: {', '.join(f'{one:g}' for one in plan.rates)} requests/s, one run "
        "each and variant. It locates the knees and decides nothing.",
        f"Knee: the highest rate at which {promise}the engine is not overloaded.",
    ]
    facts.append(
        "Capacity, apart: all requests at once (`--request-rate inf`). Its tokens/s are what a "
        "price can be divided by (`gqa report`); its latencies are those of a queue."
    )
    if len(plan.arrival_cvs) > 1:
        burst = plan.arrival_cvs[1]
        facts.append(
            f"Bursts as in the trace: the comparison again with CV {burst:.3g} "
            f"(`--burstiness {1 / burst**2:.4g}`), judged apart."
        )
    if plan.max_concurrency is not None:
        facts.append(
            f"At most {plan.max_concurrency:,} requests are in flight (--max-concurrency): others "
            "wait in the client, which TTFT does not count. That is a test of capacity, not of "
            "latency."
        )
    return "\n\n".join(
        [
            bullets(facts),
            f"**Modelled by the simulator** (section 12), at {plan.rate:.3g} requests/s but for "
            "the knee; to be measured:",
            table(head, rows),
        ]
    )


def _rate(plan: BenchmarkPlan) -> str:
    if plan.rate_given:
        return f"The variants are compared at {plan.rate:.3g} requests/s, as given."
    if plan.variants[0].knee.rate is None:
        return (
            f"The variants are compared at {plan.rate:.3g} requests/s, the lowest that was tried: "
            "the baseline keeps up at none, so that there is no knee to compare them at."
        )
    return (
        f"The variants are compared at {plan.rate:.3g} requests/s, the baseline's predicted knee: "
        "far below it no variant is pressed, far above it the baseline only queues."
    )


def _knee(one: Variant) -> str:
    return f"{one.knee.rate:.3g}" if one.knee.rate else f"none down to {one.knee.lowest:.3g}"


_GOOD = "requests within the limits"
_PREDICTED: Mapping[str, Callable[[Variant], str]] = {
    "knee, requests/s": _knee,
    _GOOD: lambda one: percent(one.at_rate.get("good_share", 1.0)),
    "TTFT mean, ms": lambda one: figure(one.at_rate["mean_ttft_ms"]),
    "TPOT mean, ms": lambda one: figure(one.at_rate["mean_tpot_ms"]),
    "output tokens/s": lambda one: figure(one.at_rate["output_throughput"]),
    "KV usage, mean": lambda one: percent(one.at_rate["mean_kv_usage"]),
    "KV usage, max": lambda one: percent(one.at_rate["max_kv_usage"]),
    "preemptions": lambda one: f"{one.at_rate['preemptions']:,}",
    "load": lambda one: str(one.at_rate["load"]),
}


def _steady(plan: BenchmarkPlan) -> str:
    there = max(one.in_system for one in plan.variants)
    which = "" if len(plan.arrival_cvs) == 1 else " and kinds of arrivals"
    return bullets(
        [
            f"Requests that run or wait at {plan.rate:.3g} requests/s: {there:.1f} on average, by "
            "Little's law: rate x mean time to the last token (modelled; the most of the variants"
            f"{which}).",
            f"Warm-up, by count: the first {plan.warmup:,} requests of each run are left out, at "
            "least 2 x as many. If the first result shows another rate x mean time, use that.",
            f"The last {plan.drain:,} are left out too: they see an engine that empties.",
            f"A run has {plan.num_requests:,} requests: {plan.warmup:,} + {plan.per_run:,} + "
            f"{plan.drain:,}.",
            "Compilation and graph capture happen before the first request is sent.",
            "Above its knee an engine has no steady state: its queue grows as long as it is "
            "measured. There quote rates, not latencies.",
        ]
    )


def _basis(plan: BenchmarkPlan) -> str:
    parts: list[str] = []
    for one in plan.variants:
        parts += [f"{one.num_kv_heads} KV heads:", bullets(_sentences(basis(one.scenario)))]
    return "\n\n".join(parts)


def _sentences(lines: Iterable[str]) -> Sequence[str]:
    return [named(line) for line in lines]
