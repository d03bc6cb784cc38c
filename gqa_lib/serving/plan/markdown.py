"""A benchmark plan in words: Markdown, every figure derived from the trace or named as modelled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..basis import basis
from ..scenario import Scenario
from ..simulator import DEFINITIONS
from ..traffic import Distribution
from .benchmark import BenchmarkPlan, Variant
from .conditions import inconclusive, memory, record, replications, runs
from .knee import GOOD_SHARE
from .sample_size import ABOVE, PILOT, requests_for_percentile
from .tables import bullets, named, percent, table


def plan_markdown(plan: BenchmarkPlan) -> str:
    """Return a plan as Markdown.

    Args:
        plan: as `benchmark_plan` returns it.
    """
    sections = (
        ("Question, metric and margin", _question(plan)),
        ("Workload", _workload(plan)),
        ("Requests needed", _requests(plan)),
        ("Arrivals", _arrivals(plan)),
        ("Warm-up and steady state", _steady(plan)),
        ("Replications and pairing", replications(plan)),
        ("Memory", memory(plan)),
        ("What to record", record(plan)),
        ("What makes the answer inconclusive", inconclusive(plan)),
        ("Runs, and how long they take", runs(plan)),
        ("What the modelled figures stand on", _basis(plan)),
    )
    lines = [f"# Benchmark plan: {title(plan)}", ""]
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
        f"`request_goodput`: answers per second that meet `{goodput}` (milliseconds, both limits "
        "for the same request)"
        if plan.goodput
        else "`output_throughput`: output tokens per second. No latency was promised "
        "(--ttft, --tpot), so a variant may win it and be too slow to use"
    )
    definitions = [f"{name}: {text}" for name, text in DEFINITIONS.items()]
    return "\n\n".join(
        [
            f"Does {named(scenario.own_config.name)} with {heads} KV heads serve this traffic "
            f"better than with {first.num_kv_heads} (the baseline) on {machine(scenario)}?",
            bullets(
                [
                    f"Metric that decides: {promised}, at {plan.rate:.3g} requests/s.",
                    f"Margin, stated before any run: {percent(plan.margin)}. A smaller difference "
                    "would change no decision.",
                    "Reported next to it, deciding nothing: mean and "
                    f"p{_highest(plan):g} of TTFT and TPOT, output tokens/s, preemptions, KV "
                    "occupancy.",
                    "Speed only: quality with fewer KV heads is another measurement.",
                ]
            ),
            "Definitions (vLLM's):\n\n" + bullets(definitions),
        ]
    )


def _highest(plan: BenchmarkPlan) -> float:
    return max(plan.sample.quotable, default=50.0)


def _workload(plan: BenchmarkPlan) -> str:
    given = plan.given
    head = ("tokens", "mean", "sd", "CV", "p50", "p95", "p99", "max")
    rows = [
        _row(name, one)
        for name, one in (
            ("prompt", given.prompt_tokens),
            ("output", given.output_tokens),
            ("prompt + output", given.total_tokens),
            ("KV token-steps", given.kv_token_steps),
        )
    ]
    source = f"`{named(plan.trace.source)}`, " if plan.trace.source else ""
    held = given.residency
    facts = [
        f"KV held by a decoding request, weighted by how long it is held: {held.mean:,.0f} tokens "
        f"on average, sd {held.sd:,.0f}. E[o (p + (o + 1) / 2)] / E[o]; the mean of prompt + "
        f"output, {given.total_tokens.mean[0]:,.0f}, is not what memory has to hold.",
        f"Correlation of prompt and output {given.correlation:+.2f}, of their ranks "
        f"{given.rank_correlation:+.2f}: a prompt keeps its own answer in every run.",
        _times(plan),
        _shared(plan),
        *(f"Note: {named(note)}." for note in given.notes),
    ]
    if plan.fitting.num_left_out:
        which = "; ".join(f"{n:,} exceed {limit}" for limit, n in plan.fitting.left_out.items())
        facts.append(
            f"**{plan.fitting.num_left_out:,} of {given.n:,} requests "
            f"({percent(plan.fitting.num_left_out / given.n)}) are left out of every run**, as one "
            f"variant can never serve them: {which}. That is a finding itself, and everything "
            "below is of the others."
        )
    return "\n\n".join(
        [
            f"{source}{given.n:,} requests, read as {named(given.format)}. Computed from it:",
            table(head, rows),
            bullets(facts),
        ]
    )


def _row(name: str, one: Distribution) -> tuple[str, ...]:
    middle = [f"{value:,.0f}" for value, _, _ in one.percentiles.values()]
    return (
        name,
        f"{one.mean[0]:,.0f}",
        f"{one.sd:,.0f}",
        f"{one.cv:.2f}",
        *middle,
        f"{one.largest:,.0f}",
    )


def _times(plan: BenchmarkPlan) -> str:
    given = plan.given
    if given.arrival_cv is None or given.rate is None or given.span_s is None:
        return "Arrivals are not known: rate and burstiness are chosen, not measured."
    return (
        f"{given.rate:.3g} requests/s over {given.span_s:,.0f} s; CV of the times between arrivals "
        f"{given.arrival_cv:.2f} (1 is a Poisson process)."
    )


def _shared(plan: BenchmarkPlan) -> str:
    sharing = plan.sharing
    if sharing is None:
        return (
            "Prefix sharing is not known: the trace does not name its blocks. Prompts of the "
            "benchmark share nothing, and prefix caching is off."
        )
    if not plan.draws_own:
        return (
            f"Prefix sharing of the trace: {percent(sharing.tokens)} of prompt tokens came before. "
            "It has fewer requests than the runs need, so theirs are drawn and share nothing; "
            "prefix caching is off. Give a longer trace to keep it."
        )
    return (
        f"Prefix sharing: {percent(sharing.requests)} of requests begin like an earlier one, "
        f"{percent(sharing.tokens)} of prompt tokens came before (blocks of "
        f"{sharing.block_tokens}, an endless cache). It is kept, and prefix caching is on."
    )


def _requests(plan: BenchmarkPlan) -> str:
    one = plan.sample
    error, confidence = percent(one.relative_error), percent(one.confidence)
    few = f" It has fewer than {PILOT}: measure a longer one." if one.pilot < PILOT else ""
    next_up = next((q for q in (95.0, 99.0, 99.9) if q not in one.quotable), None)
    quotable = ", ".join(f"p{q:g}" for q in one.quotable) or "none"
    beyond = (
        ""
        if next_up is None
        else f" p{next_up:g} is not: it takes {requests_for_percentile(next_up):,} requests."
    )
    return bullets(
        [
            f"Pilot: the trace, {one.pilot:,} requests.{few}",
            f"CV of KV token-steps {one.cv:.3f} (bootstrap, 95 %: {one.cv_low:.2f} to "
            f"{one.cv_high:.2f}).",
            f"For a mean within {error} at {confidence}: n = (z CV / {one.relative_error:g})^2 = "
            f"**{one.for_mean:,}** ({one.for_mean_low:,} to {one.for_mean_high:,} at the ends of "
            "the CV's interval).",
            f"For p{one.percentile:g}: {one.for_percentile:,}, so that {ABOVE} requests are above "
            "it.",
            f"Measured: **{one.requests:,}** in {plan.num_seeds} runs of {plan.per_run:,} for each "
            f"variant. At that n may be quoted: {quotable}.{beyond}",
            "That n is for levels, of independent requests. The difference of paired runs varies "
            "less; its interval is taken over runs.",
        ]
    )


def _arrivals(plan: BenchmarkPlan) -> str:
    cv = plan.arrival_cvs[0]
    head = ("KV heads", "predicted knee, requests/s", f"KV usage at {plan.rate:.3g}/s", "load")
    rows = [_predicted(one) for one in plan.variants]
    promise = f"{percent(GOOD_SHARE)} of requests meet the limits" if plan.goodput else "the load"
    facts = [
        f"Open loop: requests come when they come, gamma distributed, CV {cv:.3g} "
        f"(`--burstiness {1 / cv**2:.4g}`).",
        _rate(plan),
        f"Sweep to the knee: {', '.join(f'{one:g}' for one in plan.rates)} requests/s, one run "
        "each and variant. It locates the knees and decides nothing.",
        f"Knee: the highest rate at which {promise} and the engine is not overloaded.",
    ]
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
        [bullets(facts), "**Modelled by the simulator** (section 11), to be measured:"]
        + [table(head, rows)]
    )


def _rate(plan: BenchmarkPlan) -> str:
    if plan.rate_given:
        return f"The variants are compared at {plan.rate:.3g} requests/s, as given."
    return (
        f"The variants are compared at {plan.rate:.3g} requests/s, the baseline's predicted knee: "
        "far below it all meet the limits, far above it the baseline only queues."
    )


def _predicted(one: Variant) -> tuple[str, ...]:
    knee = f"{one.knee.rate:.3g}" if one.knee.rate else f"none down to {one.knee.lowest:.3g}"
    usage = one.at_rate["mean_kv_usage"], one.at_rate["max_kv_usage"]
    return (
        str(one.num_kv_heads),
        knee,
        f"mean {percent(usage[0])}, max {percent(usage[1])}",
        str(one.at_rate["load"]),
    )


def _steady(plan: BenchmarkPlan) -> str:
    running = max(one.at_rate["mean_running"] for one in plan.variants)
    return bullets(
        [
            f"Mean concurrency at {plan.rate:.3g} requests/s: {running:.1f} (modelled, the largest "
            "of the variants; by Little's law it is rate x time in the system, to be checked).",
            f"Warm-up, by count: the first {plan.warmup:,} requests of each run are left out, at "
            "least 2 x mean concurrency. If the first result shows another concurrency, use that.",
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
