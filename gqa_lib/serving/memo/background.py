"""The first sections of a memo: what is asked, the traffic, the memory."""

from __future__ import annotations

from dataclasses import replace

from ..traffic import Distribution
from .blocks import Block, Bullets, Cell, Heading, Table
from .drawing import concurrency_plot
from .modelled import HELD, counted, of_concurrency, of_ledger
from .question import Question
from .study import Study
from .values import Figure, Name, Prose, Words

_QUANTITIES = {
    "prompt_tokens": "prompt",
    "output_tokens": "output",
    "total_tokens": "prompt and output",
}


def asked(question: Question) -> list[Block]:
    """Return what is asked, and what was given for it.

    Args:
        question: the question.
    """
    scenario, own = question.scenario, question.scenario.own_config
    machine = scenario.machine
    items = [
        Prose(
            "Model: {model}, with {heads} and {own} as it is. Variants: {variants}; all are "
            "compared with the first.",
            model=Name(question.model),
            heads=_given(own.num_heads, "query heads", "the model's configuration"),
            own=_given(own.num_kv_heads, "KV heads", "the model's configuration"),
            variants=Name("; ".join(map(question.arm, question.variants))),
        )
    ]
    if machine is not None:
        memory = _given(machine.memory_bytes / 2**30, "GiB", machine.provenance)
        items.append(
            Prose("Hardware: {machine}, {memory}.", machine=Name(machine.name), memory=memory)
        )
    items.append(
        Prose(
            "Engine: vLLM's rules, {flags}.",
            flags=Name(
                f"--max-num-seqs {scenario.max_num_seqs} --max-num-batched-tokens "
                f"{scenario.max_num_batched_tokens} --block-size {scenario.block_size} "
                f"--gpu-memory-utilization {scenario.gpu_memory_utilization:g} "
                f"--kv-cache-dtype {scenario.kv_cache_dtype} "
                f"--tensor-parallel-size {scenario.tensor_parallel}"
            ),
        )
    )
    items.append(_price(question))
    for name, most in question.objectives.items():
        limit = _given(most, "ms", "--goodput")
        items.append(
            Prose("Latency asked for: {name} within {limit}.", name=Name(name), limit=limit)
        )
    margin = _given(100 * question.margin, "%", "--margin, stated before looking")
    items.append(Prose("A difference in tokens/s below {margin} does not matter.", margin=margin))
    return [Heading("What was asked"), Bullets(items)]


def traffic(study: Study) -> list[Block]:
    """Return what the trace asks of a server, with its spread.

    Args:
        study: what was computed.
    """
    trace = study.question.trace
    summary = trace.summary()
    rows = []
    for name, title in _QUANTITIES.items():
        one: Distribution = getattr(summary, name)
        middle, last = one.percentiles[50.0], one.percentiles[99.0]
        cells: list[Cell] = [
            counted(trace, value, "") for value in (one.mean[0], one.sd, middle[0])
        ]
        cells.append(replace(counted(trace, last[0], ""), low=last[1], high=last[2]))
        rows.append((Name(title), cells))
    held = summary.residency
    items = [
        Prose(
            "While it decodes, a request holds {mean} of KV cache on average, with a standard "
            "deviation of {sd}: long answers hold theirs for longer, so this is neither the mean "
            "prompt nor the mean total.",
            mean=counted(trace, held.mean, key=HELD),
            sd=counted(trace, held.sd, key=HELD),
        )
    ]
    if summary.rate is not None and summary.arrival_cv is not None:
        items.append(
            Prose(
                "{n} requests come at {rate}; times between them vary with a coefficient of {cv}, "
                "where a Poisson process has one.",
                n=counted(trace, summary.n, ""),
                rate=counted(trace, summary.rate, "requests/s"),
                cv=counted(trace, summary.arrival_cv, ""),
            )
        )
    else:
        items.append(Prose("The trace does not say when requests come: latencies are not stated."))
    items += [Prose("Note: {note}.", note=Name(note)) for note in trace.notes]
    columns: list[str | Name] = ["tokens", "mean", "standard deviation", "median", Name("p99")]
    return [Heading("The traffic"), Table(columns, rows), Bullets(items)]


def memory(study: Study) -> list[Block]:
    """Return where the memory goes, and how many requests run at a time.

    Args:
        study: what was computed.
    """
    question = study.question
    rows: list[tuple[Name, list[Cell]]] = []
    for one in study.variants:
        if one.ledger is None:
            rows.append((Name(question.arm(one.num_kv_heads)), [Words("does not fit")] * 5))
            continue
        sizes = [of_ledger(question, one, name) for name in ("weight_bytes", "kv_bytes")]
        counts = [of_concurrency(one, name) for name in ("max_length", "mean_rule", "safe")]
        rows.append((Name(question.arm(one.num_kv_heads)), [*sizes, *counts]))
    columns = ["variant", "weights", "KV cache", "if each reserved the longest", "on average"]
    blocks: list[Block] = [Heading("Memory"), *_left_out(study), Table([*columns, "safely"], rows)]
    blocks += [*_more_than_bytes(study), concurrency_plot(study)]
    blocks += [
        Prose(
            "{arm} does not fit: {why}", arm=Name(question.arm(v.num_kv_heads)), why=Name(v.why_not)
        )
        for v in study.variants
        if v.why_not
    ]
    return blocks


def _more_than_bytes(study: Study) -> list[Block]:
    """The surprise: safe concurrency grows by more than the cache shrinks."""
    question = study.question
    first = study.variants[0]
    other = study.at(question.shipped or study.variants[-1].num_kv_heads)
    if other is first or not (first.concurrency and other.concurrency and first.concurrency.safe):
        return []
    tokens = other.concurrency.capacity / first.concurrency.capacity
    fewer = first.num_kv_heads / other.num_kv_heads
    told = Prose(
        "{other} caches {fewer} fewer bytes a token than {first}, has {tokens} the tokens in its "
        "cache, since the projections of K and V shrink too, and runs {safe} requests safely "
        "instead of {base}: with more of them, what they need together varies less.",
        other=Name(question.arm(other.num_kv_heads)),
        first=Name(question.arm(first.num_kv_heads)),
        fewer=Figure(fewer, "x", "modelled", "ratio of KV heads"),
        tokens=Figure(tokens, "x", "modelled", "ratio of the caches of the two ledgers, in tokens"),
        safe=of_concurrency(other, "safe"),
        base=of_concurrency(first, "safe"),
    )
    return [told]


def _left_out(study: Study) -> list[Block]:
    question, blocks = study.question, list[Block]()
    for one in study.variants:
        if not one.too_long:
            continue
        formula = "requests whose tokens exceed the cache or the model's context"
        blocks.append(
            Prose(
                "{arm} can never serve {count} of the requests: one of them needs more than its "
                "whole cache. They are left out from here on, so that the variants serve the same.",
                arm=Name(question.arm(one.num_kv_heads)),
                count=Figure(one.too_long, "", "modelled", formula),
            )
        )
    return blocks


def _price(question: Question) -> Prose:
    if question.price_per_hour is None:
        return Prose("Price: none was given, so nothing is said of cost.")
    price = _given(question.price_per_hour, f"{question.currency}/hour", "--price-per-hour")
    return Prose("Price of the hardware: {price}.", price=price)


def _given(value: float, unit: str, who: str) -> Figure:
    return Figure(value, unit, "given", who)
