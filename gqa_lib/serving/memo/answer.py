"""The answer of a memo, in three paragraphs."""

from __future__ import annotations

from .modelled import at_once, of_concurrency, over, simulated
from .question import Evidence, Question
from .speeds import cost_of
from .study import Study
from .values import Figure, Name, Prose, Record
from .verdict import Judged, Verdict, counted, exceeded


def answer(study: Study, evidence: Evidence, verdict: Verdict) -> list[Prose]:
    """Return the answer in paragraphs: what to do, why, and what it rests on or lacks.

    Where latencies were asked for that no variant keeps, that is one more.

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
    priced = any("cost" in line.parts for line in lines)
    lines += _too_slow(study, evidence)
    return [*lines, _rests_on(question, verdict, priced)]


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
    if about.speed.low is None:
        text += ", in one run of one of them: how far runs are apart is not known"
    elif question.price_per_hour is not None:
        text += ", at {cost} per million output tokens"
        parts["cost"] = cost_of(question, runs)
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


def _too_slow(study: Study, evidence: Evidence) -> list[Prose]:
    """That no variant keeps the latencies asked for, measured or modelled, if it is so."""
    question, said = study.question, list[Prose]()
    limits = Name(question.goodput or "none")
    measured = {heads: exceeded(question, evidence.served, heads) for heads in question.variants}
    if slow := {heads: names for heads, names in measured.items() if names}:
        each = (f"{question.arm(heads)}: {', '.join(names)}" for heads, names in slow.items())
        said.append(
            Prose(
                "Measured at the trace's pace or below, {limits} was exceeded: {each}.",
                limits=limits,
                each=Name("; ".join(each)),
            )
        )
    served = [one for one in study.variants if one.cases]
    arriving = served and served[0].cases["as asked"].arriving is not None
    if not (question.objectives and arriving) or any(map(study.keeps, served)):
        return said
    best = []
    parts: dict[str, Figure | Name] = {"limits": limits, "high": Name("p99")}
    for name in question.objectives:
        key = f"p99_{name}_ms"
        one = min(served, key=lambda it: it.cases["as asked"].arriving[key])  # type: ignore[index]
        parts |= {
            f"{name}_name": Name(name),
            name: simulated(study, one, key, "ms"),
            f"{name}_arm": Name(question.arm(one.num_kv_heads)),
        }
        best.append(f"{{{name}_name}} {{{name}}} ({{{name}_arm}})")
    text = (
        "Modelled, no variant keeps {limits} as the requests arrive: the best {high} are "
        f"{' and '.join(best)}. No choice of KV heads alone brings that; other limits, fewer "
        "requests for each device or other hardware may."
    )
    return [*said, Prose(text, **parts)]


def _rests_on(question: Question, verdict: Verdict, priced: bool) -> Prose:
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
    price = " No cost per token is stated before that."
    price = "" if question.price_per_hour is None or priced else price
    return Prose(
        f"Missing: {{lacks}}; the commands are under “What is missing”.{price}",
        lacks=Name("; ".join(lacks)),
    )
