"""The last sections of a memo: quality, and what would change the answer."""

from __future__ import annotations

from collections.abc import Sequence

from .blocks import Block, Cell, Heading, Table
from .modelled import at_once, over, simulated
from .question import Evidence, Question
from .records import Quality
from .study import CASES, Study, Variant
from .values import Figure, Name, Prose, Words, places
from .verdict import Verdict


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
                "What small models lost when they were trained, {places}. They "
                "show that fewer KV heads can cost quality, and that a task decides how much; a "
                "model of billions of parameters may lose less, or more.",
                places=places(one.difference for one in evidence.trained),
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
    columns: list[str | Name] = ["variant", first, "traffic doubled", "prompts doubled"]
    columns.append("tokens/s of the last")
    price = Prose(
        "The price changes no choice between variants on one machine: costs per token are to each "
        "other as the tokens/s. It decides between machines, which is another memo."
    )
    heading = Heading("What would change the answer")
    return [heading, Table(columns, rows), _favoured(study), *_robust(study), price]


def _favoured(study: Study) -> Prose:
    """What the simulation favours, and in which cases something else."""
    question, usual = study.question, study.leaning()
    none = "no variant keeps the limits" if question.objectives else "nothing can serve it"
    changes = [
        Name(f"{case} ({question.arm(heads) if heads else none})")
        for case in CASES
        if (heads := study.leaning(case)) != usual
    ]
    favoured = Name(question.arm(usual)) if usual else Name("no variant")
    if usual is None and not changes:
        why = (
            f"none keeps {question.goodput} at p99"
            if question.objectives
            else "none can serve all requests"
        )
        return Prose(
            "The simulation favours no variant in any of these cases: {why}.", why=Name(why)
        )
    if changes:
        return Prose(
            "The simulation favours {usual} as asked; this would change it: {changes}.",
            usual=favoured,
            changes=Name("; ".join(one.text for one in changes)),
        )
    return Prose(
        "The simulation favours {usual} in each of these cases: heads are given up only for "
        "tokens/s beyond the margin.",
        usual=favoured,
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
