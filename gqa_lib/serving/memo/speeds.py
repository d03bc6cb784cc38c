"""The middle sections of a memo: speed, modelled and measured, and cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .blocks import Block, Bullets, Cell, Heading, Table
from .drawing import speed_plot
from .modelled import at_once, over, simulated
from .question import Evidence, Question
from .records import Decoding
from .served import Served
from .study import Check, Study
from .values import Figure, Name, Prose, Record, Words, digits, places
from .verdict import counted, why_not_counted

_COUNTS = "this traffic, at capacity"
_FEW = 100  # requests above a percentile, below which it is said how many
LOADS = {
    "STABLE": "keeps up",
    "BACKLOGGED": "some wait, not more and more",
    "OVERLOADED": "falls behind for good",
}


def speed(study: Study, evidence: Evidence) -> list[Block]:
    """Return what is known of tokens/s and latency.

    Args:
        study: what was computed.
        evidence: what was measured.
    """
    blocks: list[Block] = [Heading("Speed, modelled"), *_simulation(study)]
    points = {
        heads: (runs[0].figure("mean_tpot_ms", "ms"), runs[0].figure("output_throughput", ""))
        for heads in study.question.variants
        if (runs := counted(study.question, evidence.served, heads))
        and "mean_tpot_ms" in runs[0].numbers
    }
    plot = speed_plot(study, points)
    blocks += [plot] if plot else []
    blocks += _check(study.check) if study.check else [_unchecked(study.question)]
    blocks += [Heading("Speed, measured"), *_served(study.question, evidence.served)]
    return blocks + _kernels(study.question, evidence.kernels)


def cost(study: Study, evidence: Evidence) -> list[Block]:
    """Return the cost per million tokens where tokens/s were measured, or why there is none.

    Args:
        study: what was computed.
        evidence: what was measured.
    """
    question, price = study.question, study.question.price_per_hour
    blocks: list[Block] = [Heading("Cost")]
    runs = [run for run in evidence.served if why_not_counted(question, run) != "of other hardware"]
    if price is None:
        return [*blocks, Prose("No price was given (--price-per-hour), so no cost is stated.")]
    if runs:
        rows: list[tuple[Name, list[Cell]]] = []
        for run in runs:
            arm = f"{question.arm(run.num_kv_heads)}: {run.file}"
            why = why_not_counted(question, run) or _COUNTS
            priced = why == _COUNTS and question.price_per_hour is not None
            cell: Cell = cost_of(question, [run]) if priced else Words("not priced")
            rows.append((Name(arm), [cell, Words(why)]))
        blocks.append(Table(["run", "per million output tokens", "measured"], rows))
    missing = [
        heads for heads in question.variants if not counted(question, evidence.served, heads)
    ]
    if missing:
        blocks.append(
            Prose(
                "No cost per token is stated for {arms}: no run measured the tokens/s of {model} "
                "with so many KV heads on {machine} with this traffic at capacity. A price over "
                "simulated tokens/s would look like a fact. The missing runs, and the commands "
                "that make them, are under “What is missing”.",
                arms=Name("; ".join(map(question.arm, missing))),
                model=Name(question.model),
                machine=Name(question.machine),
            )
        )
    return blocks


def cost_of(question: Question, runs: Sequence[Served]) -> Figure:
    """Return what a million output tokens cost in some runs of a variant.

    Args:
        question: with a price.
        runs: of a benchmark; of several, their mean tokens/s count, and the extremes are shown.
    """
    price, rates = question.price_per_hour, [run.numbers["output_throughput"] for run in runs]
    assert price is not None
    rate = sum(rates) / len(rates)
    of = f"output_throughput ({digits(rate)} tokens/s{' on average' * (len(runs) > 1)})"
    key = f"{of}, under {price:g} {question.currency}/hour as given: price / hour / tokens/s"
    record = Record(", ".join(dict.fromkeys(run.file for run in runs)), key, runs[0].recorded)
    each = [price / 3600 / one * 1e6 for one in (rate, max(rates), min(rates))]
    low, high = each[1:] if len(runs) > 1 else (None, None)
    return Figure(each[0], question.currency, "measured", record, low, high)


def _simulation(study: Study) -> list[Block]:
    question, baseline = study.question, study.variants[0]
    arriving = study.requests.arrival_s is not None
    rows: list[tuple[Name, list[Cell]]] = []
    for one in study.variants:
        if not one.cases:
            row: list[Cell] = [Words("does not fit")] * (5 if arriving else 3)
        else:
            row = [
                at_once(study, one, "output_throughput", ""),
                over(study, one, baseline) if baseline.cases else Words("no baseline"),
                at_once(study, one, "mean_tpot_ms", ""),
            ]
            served = one.cases["as asked"].arriving
            if served is not None:
                row += [simulated(study, one, "p99_ttft_ms", "s"), Words(LOADS[served["load"]])]
        rows.append((Name(question.arm(one.num_kv_heads)), row))
    columns: list[str | Name] = ["variant", "tokens/s", "over the first", "ms per token"]
    columns += [Name("p99 TTFT"), "as they arrive"] * arriving
    text = (
        "Computed for {n}, not measured. Tokens/s, their ratio and the time per output token are "
        "those with all requests at once, which is what the server can do"
    )
    text += "; the last two columns are with requests as they arrive." if arriving else "."
    few = _few(len(study.requests)) if arriving else []
    return [Prose(text, n=_how_many(study)), Table(columns, rows), *few]


def _how_many(study: Study) -> Figure:
    """How many requests are simulated, and why so many."""
    asked = study.question.requests()
    first = f"the first {len(asked):,} of the trace (--requests)"
    if not study.left_out:
        return Figure(len(study.requests), "requests", "given", first)
    less = f"{first}, less the {study.left_out:,} that some variant can never serve"
    return Figure(len(study.requests), "requests", "modelled", less)


def _few(num: int) -> list[Block]:
    """On how many requests the highest percentile rests, where they are few."""
    above = num / 100
    if above >= _FEW:
        return []
    return [
        Prose(
            "{high} of so many rests on {above}; a benchmark is planned so that {enough} are above "
            "a percentile that is quoted. Simulate more of the trace (--requests), if it has them.",
            high=Name("p99"),
            above=Figure(above, "requests", "modelled", "one in a hundred of those simulated"),
            enough=Figure(_FEW, "requests", "given", "as gqa plan asks"),
        )
    ]


def _check(check: Check) -> list[Block]:
    names = {"mean_tpot_ms": "time per output token, ms", "output_throughput": "output tokens/s"}
    rows: list[tuple[Name, list[Cell]]] = []
    for key, title in names.items():
        a, b = check.measured[key], check.modelled[key]
        where = "as recorded on RTX 4090 with vLLM 0.19 (LLMServingSim's log), without a date"
        record = Record(check.log.source, f"{key} of {len(check.log)} requests", where)
        formula = f"simulation of {check.log.source} with the same kernel tables"
        cells: list[Cell] = [
            Figure(a, "", "measured", record),
            Figure(b, "", "modelled", formula),
            Figure(
                100 * (b / a - 1), "%", "modelled", f"{key}: {formula}, over measured, less one"
            ),
        ]
        rows.append((Name(title), cells))
    return [
        Prose(
            "How far to trust it: the same simulation of the log of a real engine on this card, "
            "with the model as it is. The log is of other traffic, and near saturation an error in "
            "step time becomes several times that in time to first token."
        ),
        Table(["quantity", "measured", "modelled", "error"], rows),
    ]


def _unchecked(question: Question) -> Prose:
    return Prose(
        "No log of a real engine on {machine} with this model is at hand, so how far these figures "
        "are off is not known.",
        machine=Name(question.machine),
    )


def _served(question: Question, served: Sequence[Served]) -> list[Block]:
    if not served:
        return [
            Prose(
                "No result of a serving benchmark was given: no tokens/s of any variant on "
                "{machine} was measured.",
                machine=Name(question.machine),
            )
        ]
    rows: list[tuple[Name, list[Cell]]] = []
    for run in served:
        cells: list[Cell] = [run.figure("output_throughput", "")]
        for key in ("mean_tpot_ms", "p99_ttft_ms"):
            cells.append(run.figure(key, "") if key in run.numbers else Words("not in the file"))
        cells.append(Words(why_not_counted(question, run) or "yes"))
        rows.append((Name(f"{question.arm(run.num_kv_heads)}: {run.file}"), cells))
    columns: list[str | Name] = [
        "run",
        "tokens/s",
        "ms per token",
        Name("p99 TTFT, ms"),
        "counts for the answer",
    ]
    items = _about_runs(served)
    return [Table(columns, rows), *([Bullets(items)] if items else [])]


def _about_runs(served: Sequence[Served]) -> list[Prose]:
    """What is to know of runs: whose hardware is not named, and what percentiles rest on."""
    items = [
        Prose(
            "{file} does not name its hardware: it is taken to be {machine}, as given.",
            file=Name(run.file),
            machine=Name(run.machine),
        )
        for run in served
        if not run.says_machine
    ]
    most = 100 * _FEW
    if any(run.numbers["completed"] < most and "p99_ttft_ms" in run.numbers for run in served):
        items.append(
            Prose(
                "{high} of a run with fewer than {enough} rests on fewer than {above}.",
                high=Name("p99"),
                enough=Figure(most, "requests", "given", "as gqa plan asks"),
                above=Figure(_FEW, "of them", "given", "as gqa plan asks"),
            )
        )
    return items


def _kernels(question: Question, kernels: Sequence[Decoding]) -> list[Block]:
    """Attention of a decode step, where the context is nearest to what requests hold."""
    rows: list[tuple[Name, list[Cell]]] = []
    shown: list[Figure] = []
    held = question.trace.summary().residency.mean
    for record in dict.fromkeys(one.record for one in kernels):
        of = [one for one in kernels if one.record == record]
        of = [one for one in of if one.num_kv_heads in question.variants]
        for one in _nearest(of, held, question.scenario.own_config.head_dim):
            name = f"{one.setting}: {one.num_kv_heads} of {one.num_heads} heads"
            shown.append(one.seconds)
            noisy = Words("noisy" if one.noisy else "steady")
            rows.append((Name(name), [one.seconds, one.speedup, noisy]))
    if not rows:
        return [Prose("No kernel record was given: attention alone was not timed here.")]
    return [
        Prose(
            "Attention alone, one decode step, {places}. Another machine's time is no prediction; "
            "its ratio shows whether a kernel turns fewer bytes into less time.",
            places=places(shown),
        ),
        Table(["attention of a step", "time", "over the most KV heads", "samples"], rows),
    ]


def _nearest(points: Sequence[Decoding], held: float, head_dim: int) -> list[Decoding]:
    """The points of one setting: the most variants, the head size, the context, the batch."""
    settings: dict[str, list[Decoding]] = {}
    for one in points:
        settings.setdefault(one.setting, []).append(one)
    several = [of for of in settings.values() if len(of) > 1]

    def rank(of: list[Decoding]) -> tuple[float, ...]:
        other = float(of[0].head_dim != head_dim)
        return (-len(of), other, abs(math.log(of[0].context / held)), -of[0].batch_size)

    return min(several, key=rank, default=[])
