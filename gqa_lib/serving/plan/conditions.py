"""What a plan says of its runs: replications, memory, records, and what settles nothing."""

from __future__ import annotations

import math

from ..ledger import FRACTION_NAMES
from ..results import Difference
from ..results.doubts import MOST_FAILED
from .benchmark import BenchmarkPlan
from .departures import OTHER_LENGTHS
from .durations import enough
from .sample_size import quotable_percentiles
from .tables import bullets, figure, percent, table
from .variants import Variant

_MOST = 100  # times as many requests: what would take more is not to be told


def replications(plan: BenchmarkPlan) -> str:
    """Return how runs are repeated and paired, as Markdown.

    Args:
        plan: which.
    """
    heads = [one.num_kv_heads for one in plan.variants]
    turns = ", ".join(f"{heads[place]} (seed {seed})" for seed, place in plan.order()[:6])
    own = (
        "each has different requests of the trace, consecutive as they came"
        if plan.draws_own
        else f"the trace has {len(plan.trace):,} requests, fewer than all runs need, so that each "
        "run's are drawn from its joint distribution of prompts and outputs"
    )
    return bullets(
        [
            f"{plan.num_seeds} runs of each variant, seeds 0 to {plan.num_seeds - 1}; {own}.",
            "Common random numbers: of each seed, every variant gets the same requests in the same "
            "order at the same times. Outputs are forced to their length (`--ignore-eos`).",
            f"The order alternates: {turns}, ... A drift of clocks or temperature then falls on "
            "both.",
            "The change of each pair counts, and Student's interval of its mean over the pairs: "
            "requests of one run wait for each other, so they are not independent results.",
            "One run of each decides nothing: batch means (10 batches in the order of arrival) "
            "then show how latencies vary within it, and what differs from run to run is not in "
            "that interval.",
            f"Verdict at {percent(plan.sample.confidence)}: better or worse if the whole interval "
            f"is beyond {percent(plan.margin)}, within the margin if all of it is inside, "
            "inconclusive otherwise.",
        ]
    )


def rehearsal(plan: BenchmarkPlan) -> str:
    """Return what the planned runs would find if the simulator were right, as Markdown.

    Args:
        plan: which.
    """
    if not plan.rehearsals:
        return "Not rehearsed: scipy is not installed (the extra `train`), or it was not asked for."
    last = plan.variants[-1].num_kv_heads
    rows = [
        (f"{found.metric}, CV {one.arrival_cv:.3g}", *_rehearsed(found))
        for one in plan.rehearsals
        for found in one.differences
    ]
    head = ("", f"{plan.variants[0].num_kv_heads} KV heads", f"{last} KV heads")
    advice = [
        f"At CV {one.arrival_cv:.3g}: {said}"
        for one in plan.rehearsals
        if (said := _advice(plan, one.differences[0]))
    ]
    return "\n\n".join(
        [
            "The comparison, carried out in the simulator with the plan's own requests and seeds "
            "(**modelled**). It predicts no result; it says whether such runs could tell one.",
            table((*head, "change", "interval", "would be"), rows),
            *([bullets(advice)] if advice else []),
        ]
    )


def _rehearsed(found: Difference) -> tuple[str, ...]:
    change = "" if found.change is None else percent(found.change)
    ends = ""
    if found.low is not None and found.high is not None:
        ends = f"{percent(found.low)} to {percent(found.high)}"
    return figure(found.baseline), figure(found.variant), change, ends, found.verdict


def _advice(plan: BenchmarkPlan, found: Difference) -> str:
    """What to change before any run: more requests, or fewer, so that the interval just tells."""
    if found.change is None or found.low is None or found.high is None:
        return f"{found.metric} cannot be compared, as {found.why}. Choose another rate."
    half, apart = (found.high - found.low) / 2, abs(abs(found.change) - plan.margin)
    measured = plan.per_run * plan.num_seeds
    times = (half / apart) ** 2 if apart else math.inf  # an interval shrinks as 1 / sqrt(requests)
    if found.verdict == "inconclusive":
        if times > _MOST:
            return (
                "the change is too near to the margin to be told from it. Choose another rate "
                "(--request-rate), or another margin, before any run."
            )
        wanted = f"{float(f'{times * measured:.2g}'):,.0f}"
        return (
            f"half of the interval, {percent(half)}, is wider than the {percent(apart)} between "
            f"the change and the margin. About {wanted} requests of each variant instead of "
            f"{measured:,} would bring it there (--requests; more runs of as many requests in all "
            "would not)."
        )
    few = enough(plan, found)
    if few is None:
        return ""
    quotable = ", ".join(f"p{q:g}" for q in quotable_percentiles(few)) or "no percentile"
    return (
        f"half of the interval, {percent(half)}, is far narrower than the {percent(apart)} between "
        f"the change and the margin. About {few:,} requests of each variant instead of "
        f"{measured:,} would tell as much (--requests {few}); of so many may be quoted: {quotable}."
    )


def memory(plan: BenchmarkPlan) -> str:
    """Return where each variant's memory goes, and how many requests fit, as Markdown.

    Args:
        plan: which.
    """
    head = ("GB of a device", *(f"{one.num_kv_heads} KV heads" for one in plan.variants))
    text = []
    if all(one.ledger for one in plan.variants):
        rows = [
            (part, *(_gb(one, f"{part}_bytes") for one in plan.variants))
            for part in ("memory", "weight", "activation", "reserve", "kv")
        ]
        first = plan.variants[0].ledger
        assert first is not None
        share = f"{FRACTION_NAMES[first.engine]} {first.memory_fraction:g}"
        text += [f"Derived from sizes ({first.engine}, {share}):", table(head, rows)]
    rows = [
        ("blocks for requests", *(f"{one.scenario.rules().num_blocks:,}" for one in plan.variants)),
        ("tokens in them", *(f"{one.fits.capacity:,}" for one in plan.variants)),
        ("requests, by mean KV", *(f"{one.fits.mean_rule:,}" for one in plan.variants)),
        ("requests, 1 % overflow", *(f"{one.fits.safe:,}" for one in plan.variants)),
        ("requests, at their longest", *(f"{one.fits.max_length:,}" for one in plan.variants)),
    ]
    held = plan.variants[0].fits
    text += [
        table(("cache", *head[1:]), rows),
        f"A running request holds {held.held_mean:,.0f} tokens in whole blocks on average, sd "
        f"{held.held_sd:,.0f}, of the requests that are left. 1 % overflow: so many at a time "
        "exceed the cache in at most 1 % of the time.",
    ]
    last = plan.variants[-1].fits
    if held.safe and last.safe:
        text.append(
            f"{last.capacity / held.capacity:.1f}x the tokens hold {last.safe:,} requests at 1 % "
            f"overflow instead of {held.safe:,}."
        )
    text.append(
        "Compare the first line that the engine logs (number of blocks) with these before any run: "
        "if they differ, the modelled figures are of another engine."
    )
    return "\n\n".join(text)


def _gb(one: Variant, name: str) -> str:
    return f"{getattr(one.ledger, name) / 1e9:,.2f}"


def record(plan: BenchmarkPlan) -> str:
    """Return what to record of each run, as Markdown.

    Args:
        plan: which.
    """
    return bullets(
        [
            "Device, driver, clocks (locked or not), power limit, temperature before and after.",
            "Versions of the engine, torch and CUDA; the attention backend it chose; number types "
            "of weights and cache; CUDA graphs on or off; number of KV blocks that it logged.",
            "All flags, the seed, and the commit or hash of the checkpoint (random weights of the "
            "right shape are enough for speed, and say nothing of quality).",
            "Each request's lengths, start, TTFT and times between tokens "
            "(`--save-result --save-detailed`), never means alone.",
            "Preemptions and KV usage: vllm_bench.sh keeps the server's /metrics after each run in "
            "results/RUN.metrics.txt (`vllm:num_preemptions`, counted since the server's start), "
            "and its log, results/kvN.server.log, has `GPU KV cache usage` every ten seconds. "
            "`gqa plan --results` reads neither. Requests that failed are in each result.",
            "Where the client ran: if it shares cores with the server, say so.",
        ]
    )


def inconclusive(plan: BenchmarkPlan) -> str:
    """Return what leaves the question open, as Markdown.

    Args:
        plan: which.
    """
    return bullets(
        [
            f"The interval of the change contains {percent(plan.margin)} or "
            f"{percent(-plan.margin)}.",
            "Only one run of each variant, or runs of different requests or at different rates.",
            f"More than {percent(MOST_FAILED)} of the requests of a run failed: the others are a "
            "selection.",
            "A percentile with fewer than 100 requests above it.",
            f"Prompts or outputs that the engine counted differ by more than "
            f"{percent(OTHER_LENGTHS)} on average from those of the run's own requests (plan.json "
            "has the mean of each; the trace's is another): another tokenizer, another workload.",
            "The rate, the requests in flight at most, or the hardware is not the plan's.",
            "Sorted by time, results drift by more than the margin: the machine changed.",
            "The number of blocks that the engine logged is not the one above, and memory is what "
            "the variants differ in.",
        ]
    )
