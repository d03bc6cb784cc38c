"""What a plan says of its traffic, and of how many requests stand for it."""

from __future__ import annotations

from ..traffic import Distribution
from .benchmark import BenchmarkPlan
from .sample_size import ABOVE, PILOT, requests_for_percentile
from .tables import bullets, named, percent, table


def workload(plan: BenchmarkPlan) -> str:
    """Return what the trace asks for, with its variance, as Markdown.

    Args:
        plan: which.
    """
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


def requests_needed(plan: BenchmarkPlan) -> str:
    """Return how many requests are measured, and what may be quoted of so many, as Markdown.

    Args:
        plan: which.
    """
    one = plan.sample
    error, confidence = percent(one.relative_error), percent(one.confidence)
    few = f" It has fewer than {PILOT}: measure a longer one." if one.pilot < PILOT else ""
    pilot = f"Pilot: the trace, {one.pilot:,} requests.{few}"
    if one.cv == 0:
        pilot = "All requests are of one size: there is no variance of theirs to plan for."
    next_up = next((q for q in (95.0, 99.0, 99.9) if q not in one.quotable), None)
    quotable = ", ".join(f"p{q:g}" for q in one.quotable) or "none"
    beyond = (
        ""
        if next_up is None
        else f" p{next_up:g} is not: it takes {requests_for_percentile(next_up):,} requests."
    )
    asked = " (as given, --requests)" if plan.requests_given else ""
    return bullets(
        [
            pilot,
            f"CV of KV token-steps {one.cv:.3f} (bootstrap, 95 %: {one.cv_low:.2f} to "
            f"{one.cv_high:.2f}).",
            f"For a mean within {error} at {confidence}: n = (z CV / {one.relative_error:g})^2 = "
            f"**{one.for_mean:,}** ({one.for_mean_low:,} to {one.for_mean_high:,} at the ends of "
            "the CV's interval).",
            f"For p{one.percentile:g}: {one.for_percentile:,}, so that {ABOVE} requests are above "
            "it.",
            f"Measured: **{one.requests:,}**{asked} in {plan.num_seeds} runs of {plan.per_run:,} "
            f"for each variant. At that n may be quoted: {quotable}.{beyond}",
            "That n is for levels, of independent requests. The difference of paired runs varies "
            "less; its interval is taken over runs.",
        ]
    )
