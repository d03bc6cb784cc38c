"""The answer of a memo, in three paragraphs."""

from __future__ import annotations

from .modelled import at_once, of_concurrency, over
from .question import Evidence, Question
from .speeds import cost_of
from .study import Study
from .values import Figure, Name, Prose, Record
from .verdict import Judged, Verdict, counted


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
        "do not adopt": "Do not adopt fewer KV heads than {base} for {model} on {machine} with "
        "this traffic.",
        "cannot be said yet": f"It cannot be said yet whether {{arm}}{own} is to be adopted in "
        "place of {base}, for {model} on {machine} with this traffic.",
    }[verdict.answer]
    lines = [Prose(first, **names), *_measured(question, evidence, verdict)]
    if verdict.answer == "cannot be said yet" or len(lines) < 2:
        lines.append(_modelled(study, verdict))
    return [*lines, _rests_on(question, verdict)]


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
    text, parts = "As measured: {reasons}.", {"reasons": Name("; ".join(reasons))}
    if question.shipped and question.shipped != question.baseline:
        text += " The model as it is has {own}, and none with more exists: keep it, or choose anew."
        parts["own"] = Name(question.arm(question.shipped))
    return Prose(text, **parts)


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
