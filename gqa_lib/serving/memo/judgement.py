"""The ends of a memo: the answer, quality, what would change it, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence

from .blocks import Block, Cell, Command, Heading, Table
from .commands import again, plan_commands, quality_commands, serving_commands
from .modelled import at_once, of_concurrency, over, simulated
from .question import Evidence, Question
from .records import Quality
from .speeds import cost_of
from .study import CASES, Study, Variant
from .values import Figure, Name, Prose, Record, Words
from .verdict import MIN_RUNS, Judged, Verdict, counted


def answer(study: Study, evidence: Evidence, verdict: Verdict) -> list[Prose]:
    """Return the answer in three paragraphs: what to do, why, and what it rests on or lacks.

    Args:
        study: what was computed.
        evidence: what was measured.
        verdict: of the measurements.
    """
    question = study.question
    names = {
        "base": Name(question.arm(question.baseline)),
        "model": Name(question.model),
        "machine": Name(question.machine),
    }
    about = verdict.num_kv_heads
    if about is not None:
        names["arm"] = Name(question.arm(about))
    own = " (the model as it is)" if about == question.shipped else ""
    first = {
        "adopt": f"Adopt {{arm}}{own}, for {{model}} on {{machine}} with this traffic.",
        "do not adopt": "Do not go below {base} for {model} on {machine} with this traffic.",
        "cannot be said yet": f"It cannot be said yet whether {{arm}}{own} is to be adopted in "
        "place of {base}, for {model} on {machine} with this traffic.",
    }[verdict.answer]
    lines = [Prose(first, **names), *_measured(question, evidence, verdict)]
    if verdict.answer == "cannot be said yet" or len(lines) < 2:
        lines.append(_modelled(study, verdict))
    return [*lines, _rests_on(question, verdict)]


def quality(question: Question, evidence: Evidence, verdict: Verdict) -> list[Block]:
    """Return what is known of quality, and what cannot be.

    Args:
        question: what is asked.
        evidence: what was measured.
        verdict: with the scores of the memo's own model.
    """
    own = [one for judged in verdict.judged for one in judged.quality]
    blocks: list[Block] = [Heading("Quality")]
    if own:
        rows = [
            (Name(f"{question.arm(one.num_kv_heads or 1)}: {one.what}"), _cells(one)) for one in own
        ]
        columns = ["of this model, minus the model as it is", "difference", "margin", "verdict"]
        blocks.append(Table(columns, rows))
    else:
        blocks.append(
            Prose(
                "No score of any variant of {model} was given. What the variants would lose cannot "
                "be computed: quality at this size is known only of models that were trained so "
                "and evaluated. {as_it_is}",
                model=Name(question.model),
                as_it_is=Name(_as_it_is(question)),
            )
        )
    if evidence.trained:
        rows = [(Name(one.what), _cells(one)) for one in evidence.trained]
        columns = ["of small models, minus the most KV heads", "difference", "margin", "verdict"]
        blocks += [
            Prose(
                "What small models lost in training runs on other machines, as recorded. They "
                "show that fewer KV heads can cost quality, and that a task decides how much; a "
                "model of billions of parameters may lose less, or more."
            ),
            Table(columns, rows),
        ]
    return blocks


def sensitivity(study: Study) -> list[Block]:
    """Return which assumption would change what the simulation favours.

    Args:
        study: what was computed.
    """
    question = study.question
    usual = study.leaning()
    rows: list[tuple[Name, list[Cell]]] = []
    for one in study.variants:
        cells: list[Cell] = [_wait(study, one, case) for case in CASES]
        longer = "prompts doubled"
        if longer in one.cases:
            cells.append(at_once(study, one, "output_throughput", "", longer))
        else:
            cells.append(Words("none"))
        rows.append((Name(question.arm(one.num_kv_heads)), cells))
    first = Name("p99 TTFT, as asked")
    columns: list[str | Name] = [
        "variant",
        first,
        "traffic doubled",
        "prompts doubled",
        "tokens/s of the last",
    ]
    changes = [
        Name(f"{case} ({question.arm(heads) if heads else 'nothing can serve it'})")
        for case in CASES
        if (heads := study.leaning(case)) != usual
    ]
    favoured = Name(question.arm(usual)) if usual else Name("no variant")
    if changes:
        said = Prose(
            "The simulation favours {usual} as asked; this would change it: {changes}.",
            usual=favoured,
            changes=Name("; ".join(one.text for one in changes)),
        )
    else:
        said = Prose(
            "The simulation favours {usual} in each of these cases: heads are given up only for "
            "tokens/s beyond the margin.",
            usual=favoured,
        )
    price = Prose(
        "The price changes no choice between variants on one machine: costs per token are to each "
        "other as the tokens/s. It decides between machines, which is another memo."
    )
    heading = Heading("What would change the answer")
    return [heading, Table(columns, rows), said, *_robust(study), price]


def missing(study: Study, evidence: Evidence, verdict: Verdict) -> list[Block]:
    """Return what is missing for an answer or a cost, with the commands.

    Args:
        study: what was computed.
        evidence: what was measured.
        verdict: which says what is missing for an answer.
    """
    question = study.question
    runs, others = list(verdict.missing_runs), []
    if question.price_per_hour is not None:
        others = [
            heads
            for heads in question.variants
            if heads not in runs and not counted(question, evidence.served, heads)
        ]
        runs, others = (runs, others) if runs else (others[:1], others[1:])
    about = verdict.num_kv_heads if verdict.missing_quality else None
    if not runs and about is None:
        return []
    blocks: list[Block] = [Heading("What is missing")]
    if runs:
        blocks += _runs(study, runs, others)
    if about is not None:
        blocks += [
            Prose(
                "Scores of {arm} next to those of {reference}, on tasks that matter to you:",
                arm=Name(question.arm(about)),
                reference=Name(question.arm(question.reference)),
            ),
            Command(quality_commands(question, about)),
        ]
    return [
        *blocks,
        Prose("Then write this memo again:"),
        Command(again(question, runs, about)),
    ]


def _runs(study: Study, runs: Sequence[int], others: Sequence[int]) -> list[Block]:
    """The serving runs that are missing, and how to make them."""
    question = study.question
    few = Figure(MIN_RUNS, "runs", "given", "the least that show how far runs are apart")
    blocks: list[Block] = [
        Prose(
            "Tokens/s of {arms} on {machine} with this traffic, in {few} each, with seeds of their "
            "own. The plan says how many requests that takes, and its script runs the variants "
            "at the pace of the trace, for latency, and writes the prompts:",
            arms=Name(" and of ".join(map(question.arm, runs))),
            machine=Name(question.machine),
            few=few,
        ),
        Command(plan_commands(question)),
    ]
    for heads in runs:
        arm = Name(question.arm(heads))
        blocks += [
            Prose("Then what the server can do, with {arm}:", arm=arm),
            Command(serving_commands(study, heads)),
        ]
    if others:
        arms = Name("; ".join(map(question.arm, others)))
        blocks.append(Prose("The same, with their numbers, for the cost of {arms}.", arms=arms))
    return blocks


def _measured(question: Question, evidence: Evidence, verdict: Verdict) -> list[Prose]:
    """What was measured of the variant in question, as far as it was."""
    about = next((j for j in verdict.judged if j.num_kv_heads == verdict.num_kv_heads), None)
    if verdict.answer == "do not adopt":
        return [_why_not(question, verdict)]
    if about is None or about.speed.ratio is None:
        return []
    text = "Measured, {arm} serves {ratio} the tokens/s of {base}"
    parts: dict[str, Figure | Name] = {
        "arm": Name(question.arm(about.num_kv_heads)),
        "base": Name(question.arm(question.baseline)),
        "ratio": _ratio(question, evidence, about),
    }
    runs = counted(question, evidence.served, about.num_kv_heads)
    if question.price_per_hour is not None:
        text += ", at {cost} per million output tokens"
        parts["cost"] = cost_of(question, runs[0])
    return [Prose(f"{text}.", **parts)]


def _ratio(question: Question, evidence: Evidence, about: Judged) -> Figure:
    both = [
        run
        for heads in (about.num_kv_heads, question.baseline)
        for run in counted(question, evidence.served, heads)
    ]
    files = ", ".join(dict.fromkeys(run.file for run in both))
    record = Record(
        files, "mean output_throughput of one over the other's, between extremes", both[0].recorded
    )
    speed = about.speed
    assert speed.ratio is not None
    return Figure(speed.ratio, "x", "measured", record, speed.low, speed.high)


def _why_not(question: Question, verdict: Verdict) -> Prose:
    reasons = []
    for one in verdict.judged:
        why = []
        if one.quality_verdict == "worse":
            why.append("scores are worse by more than the margin")
        if one.speed.verdict in ("worse", "same within the margin"):
            why.append("tokens/s are not higher by more than the margin")
        if one.too_slow:
            why.append(f"{', '.join(one.too_slow)} exceeded what was asked for")
        reasons.append(f"{question.arm(one.num_kv_heads)}: {' and '.join(why)}")
    return Prose("As measured: {reasons}.", reasons=Name("; ".join(reasons)))


def _modelled(study: Study, verdict: Verdict) -> Prose:
    """What the simulation says of the variant in question, in a paragraph."""
    question, baseline = study.question, study.variants[0]
    about = study.at(verdict.num_kv_heads or question.variants[-1])
    parts: dict[str, Figure | Name] = {
        "arm": Name(question.arm(about.num_kv_heads)),
        "base": Name(question.arm(question.baseline)),
    }
    if not about.cases or not baseline.cases or not (about.concurrency and baseline.concurrency):
        return Prose("The simulation cannot compare {arm} with {base}: one does not fit.", **parts)
    text = (
        "Modelled, not measured: {arm} would serve {ratio} the tokens/s of {base} when all "
        "requests come at once, with {ms} instead of {base_ms} a token, and run {safe} requests "
        "safely instead of {base_safe}"
    )
    parts |= {
        "ratio": over(study, about, baseline),
        "ms": at_once(study, about, "mean_tpot_ms", "ms"),
        "base_ms": at_once(study, baseline, "mean_tpot_ms", "ms"),
        "safe": of_concurrency(about, "safe"),
        "base_safe": of_concurrency(baseline, "safe"),
    }
    leaning = study.leaning()
    if leaning is not None and leaning < about.num_kv_heads:
        text += "; {fewer} would serve {more} the tokens/s of that, and would have to be trained"
        parts["fewer"] = Name(question.arm(leaning))
        parts["more"] = over(study, study.at(leaning), about)
    return Prose(f"{text}.", **parts)


def _rests_on(question: Question, verdict: Verdict) -> Prose:
    if verdict.answer != "cannot be said yet":
        return Prose(
            "This holds for the hardware, the traffic and the model that were measured; what would "
            "change it is said below."
        )
    lacks = []
    if verdict.missing_runs:
        arms = " and ".join(map(question.arm, verdict.missing_runs))
        lacks.append(f"measured tokens/s of {arms} on {question.machine}")
    if verdict.missing_quality and verdict.num_kv_heads:
        lacks.append(f"scores of {question.arm(verdict.num_kv_heads)}")
    price = "" if question.price_per_hour is None else " No cost per token is stated before that."
    return Prose(
        f"Missing: {{lacks}}; the commands are under “What is missing”.{price}",
        lacks=Name("; ".join(lacks)),
    )


def _wait(study: Study, one: Variant, case: str) -> Cell:
    """The time to first token of a case, at the 99th percentile."""
    if case not in one.cases:
        return Words("cannot serve all" if one.ledger else "does not fit")
    if one.cases[case].arriving is None:
        return Words("arrivals not known")
    return simulated(study, one, "p99_ttft_ms", "s", case)


def _robust(study: Study) -> list[Block]:
    """How wrong the simulation could be before it favoured the baseline."""
    question, usual = study.question, study.leaning()
    about = question.shipped or usual
    if about is None or about == question.baseline or not study.variants[0].cases:
        return []
    ratio = over(study, study.at(about), study.variants[0])
    if ratio.value <= 1 + question.margin:
        return []
    far = 100 * (1 - (1 + question.margin) / ratio.value)
    return [
        Prose(
            "For {base} to be as good as {arm}, the simulation would have to be wrong by {far} in "
            "their ratio of {ratio}.",
            base=Name(question.arm(question.baseline)),
            arm=Name(question.arm(about)),
            far=Figure(far, "%", "modelled", "one less (one plus the margin) over the ratio"),
            ratio=ratio,
        )
    ]


def _cells(one: Quality) -> Sequence[Cell]:
    return [one.difference, one.margin, Words(one.verdict)]


def _as_it_is(question: Question) -> str:
    shipped = question.shipped
    if shipped is None or shipped == question.baseline:
        return ""
    return (
        f"With {question.arm(shipped)} it is the model as it is, whose quality you know; one with "
        f"{question.baseline} KV heads does not exist and would have to be trained from scratch."
    )
