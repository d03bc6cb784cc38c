"""Whether to adopt fewer KV heads: from measurements alone, or what is missing to say so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..results.names import same_machine
from .evaluated import compared
from .loads import pace
from .question import Evidence, Question
from .records import Better, Quality
from .served import Served
from .study import Study

Answer = Literal["adopt", "do not adopt", "cannot be said yet"]
MIN_RUNS = 2  # of each variant: one says nothing about how far runs are apart
MOST_FAILED = 0.1  # of the requests; those that were answered are a selection
GIVEN_RATE = "at a given rate, not at capacity"
_SAME_RATE = 1.1  # times another: about as fast
SAME_TRAFFIC = 0.1  # how far mean prompt and output may be from the trace's, if not by chance


@dataclass(frozen=True)
class Speed:
    """Measured tokens/s of a variant over the baseline's.

    Args:
        ratio: of the means; None without runs of both.
        low, high: the lowest of one over the highest of the other, and the other way round; None
            with fewer than `MIN_RUNS` of either.
        runs: of the variant, then of the baseline.
        verdict: of the variant; "not distinguishable" with fewer than `MIN_RUNS` of either.
    """

    ratio: float | None
    low: float | None
    high: float | None
    runs: tuple[int, int]
    verdict: Better


@dataclass(frozen=True)
class Judged:
    """What measurements say of one variant against the baseline.

    Args:
        num_kv_heads: of it.
        speed: measured tokens/s.
        quality: against the model as it is, task by task.
        quality_verdict: "worse" if one task is, "not distinguishable" if one is open or there are
            none.
        too_slow: latencies asked for that were measured to be exceeded, by name.
        answer: of these.
    """

    num_kv_heads: int
    speed: Speed
    quality: Sequence[Quality]
    quality_verdict: Better
    too_slow: Sequence[str]
    answer: Answer


@dataclass(frozen=True)
class Verdict:
    """The answer of a memo.

    Args:
        answer: adopt, do not adopt, or cannot be said yet.
        num_kv_heads: the variant that it is about: to adopt, or to measure first, which is the
            model as it is, or else what the simulation favours; None where none is to adopt.
        judged: each variant after the baseline.
        missing_runs: variants of which serving runs are missing, the baseline among them.
        missing_quality: whether scores of that variant against the baseline's are missing.
    """

    answer: Answer
    num_kv_heads: int | None
    judged: Sequence[Judged]
    missing_runs: Sequence[int]
    missing_quality: bool


def judge(study: Study, evidence: Evidence) -> Verdict:
    """Return the answer that the measurements carry.

    To adopt takes tokens/s measured to be higher than the baseline's by more than the margin, on
    this hardware with this traffic, and scores of this model that are not worse than those of the
    model as it is. One of them measured to be otherwise is enough not to. Of several to adopt, the
    one with the most KV heads whose tokens/s are within the margin of the best is chosen. The
    simulation decides nothing: it says which variant to measure.

    Args:
        study: what was computed.
        evidence: what was measured.
    """
    question = study.question
    judged = [_judged(question, evidence, heads) for heads in question.variants[1:]]
    adopted = {one.num_kv_heads: one.speed.ratio or 0.0 for one in judged if one.answer == "adopt"}
    if adopted:
        enough = max(adopted.values()) / (1 + question.margin)
        best = max(heads for heads, ratio in adopted.items() if ratio >= enough)
        return Verdict("adopt", best, judged, (), False)
    open_ones = {one.num_kv_heads: one for one in judged if one.answer == "cannot be said yet"}
    if not open_ones:
        return Verdict("do not adopt", None, judged, (), False)
    wanted = (question.shipped, study.leaning(), max(open_ones))
    about = next(open_ones[heads] for heads in wanted if heads in open_ones)
    runs: list[int] = []
    if about.speed.verdict == "not distinguishable":
        few = zip((about.num_kv_heads, question.baseline), about.speed.runs, strict=True)
        runs = [heads for heads, count in few if count < MIN_RUNS] or [
            about.num_kv_heads,
            question.baseline,
        ]
    lacks = about.quality_verdict == "not distinguishable"
    return Verdict("cannot be said yet", about.num_kv_heads, judged, sorted(runs)[::-1], lacks)


def counted(question: Question, served: Sequence[Served], num_kv_heads: int) -> list[Served]:
    """Return the runs that say what a variant can do: its hardware, this traffic, at capacity.

    Args:
        question: what is asked.
        served: all runs.
        num_kv_heads: of the variant.
    """
    return [
        run
        for run in served
        if run.num_kv_heads == num_kv_heads and not why_not_counted(question, run)
    ]


def why_not_counted(question: Question, run: Served) -> str:
    """Return why a run does not say what a variant can do, "" if it does.

    Args:
        question: what is asked.
        run: of a benchmark.
    """
    if not same_machine(run.machine, question.machine):
        return "of other hardware"
    if run.failed > MOST_FAILED:
        return "of a server that failed many requests"
    if run.mean_prompt is None or run.mean_output is None:
        return "of traffic that it does not tell"
    served, sent = (run.mean_prompt, run.mean_output), question.fits
    for mean, tokens in zip(served, (sent.prompt_tokens, sent.output_tokens), strict=True):
        expected, spread = float(tokens.mean()), float(tokens.std())
        by_chance = 3 * spread / math.sqrt(run.numbers["completed"])
        if abs(mean - expected) > max(SAME_TRAFFIC * expected, by_chance):
            return "of other traffic"
    most = min(question.scenario.max_num_seqs, run.numbers["completed"])
    if run.max_concurrency is not None and run.max_concurrency < most:
        return "with fewer requests at a time than the server takes"
    if run.at_capacity:
        return ""
    return "at a load that the file does not tell" if run.rate is None else GIVEN_RATE


def _judged(question: Question, evidence: Evidence, heads: int) -> Judged:
    runs = counted(question, evidence.served, heads)
    speed = _speed(runs, counted(question, evidence.served, question.baseline), question.margin)
    quality = _quality(question, evidence, heads)
    verdicts = [one.verdict for one in quality]
    overall: Better = "same within the margin"  # of the model as it is, by itself
    if heads == question.reference:
        verdicts = []
    elif not verdicts or "not distinguishable" in verdicts:
        overall = "not distinguishable"
    if "worse" in verdicts:
        overall = "worse"
    slow = _too_slow(question, evidence.served, heads)
    answer: Answer = "cannot be said yet"
    if overall == "worse" or slow or speed.verdict in ("worse", "same within the margin"):
        answer = "do not adopt"
    elif speed.verdict == "better" and overall != "not distinguishable":
        answer = "adopt"
    return Judged(heads, speed, quality, overall, slow, answer)


def _speed(runs: list[Served], baseline: list[Served], margin: float) -> Speed:
    a = [run.numbers["output_throughput"] for run in baseline]
    b = [run.numbers["output_throughput"] for run in runs]
    if not a or not b:
        return Speed(None, None, None, (len(b), len(a)), "not distinguishable")
    ratio, low, high = (sum(b) / len(b)) / (sum(a) / len(a)), min(b) / max(a), max(b) / min(a)
    said: Better = "not distinguishable"
    if min(len(a), len(b)) < MIN_RUNS:
        return Speed(ratio, None, None, (len(b), len(a)), said)
    if low > 1 + margin:
        said = "better"
    elif high < 1 / (1 + margin):
        said = "worse"
    elif low >= 1 / (1 + margin) and high <= 1 + margin:
        said = "same within the margin"
    return Speed(ratio, low, high, (len(b), len(a)), said)


def _quality(question: Question, evidence: Evidence, heads: int) -> list[Quality]:
    by_heads = {one.num_kv_heads: one for one in evidence.evaluated}
    if heads == question.reference or not {heads, question.reference} <= by_heads.keys():
        return []
    return compared(by_heads[question.reference], by_heads[heads], question.quality_margin)


def exceeded(question: Question, served: Sequence[Served], heads: int) -> list[str]:
    """Return the latencies asked for that every run of a variant at the trace's pace exceeded.

    Args:
        question: what is asked.
        served: all runs; those faster than the trace's own pace do not count.
        heads: KV heads of the variant.
    """
    runs = _at_pace(question, served, heads)
    return [
        name
        for name, most in question.objectives.items()
        if runs and all(_exceeds(run, name, most) for run in runs)
    ]


def _too_slow(question: Question, served: Sequence[Served], heads: int) -> list[str]:
    """Latencies that a variant exceeded at a pace at which the baseline did not.

    Runs of the baseline that are slower than this variant's do not count. Where the baseline
    exceeds them too, they are no reason to keep it.
    """
    fastest = max((run.rate or 0.0 for run in _at_pace(question, served, heads)), default=0.0)
    baseline = [
        run
        for run in _at_pace(question, served, question.baseline)
        if _SAME_RATE * (run.rate or 0.0) >= fastest
    ]
    return [
        name
        for name in exceeded(question, served, heads)
        if baseline and not any(_exceeds(run, name, question.objectives[name]) for run in baseline)
    ]


def _at_pace(question: Question, served: Sequence[Served], heads: int) -> list[Served]:
    own = pace(question.trace)
    return [
        run
        for run in served
        if run.num_kv_heads == heads
        and run.rate is not None
        and why_not_counted(question, run) in ("", GIVEN_RATE)
        and (own is None or run.rate <= _SAME_RATE * own)
    ]


def _exceeds(run: Served, name: str, most: float) -> bool:
    return run.numbers.get(f"p99_{name}_ms", 0.0) > most
