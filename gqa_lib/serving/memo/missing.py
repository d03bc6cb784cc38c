"""What a memo lacks, and the commands that would measure it."""

from __future__ import annotations

from collections.abc import Sequence

from .blocks import Block, Command, Heading
from .commands import again, quality_commands, serving_commands
from .question import Evidence, Question
from .study import Study
from .values import Figure, Name, Prose
from .verdict import MIN_RUNS, Verdict, counted


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
        blocks += _runs(question, runs, others)
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


def _runs(question: Question, runs: Sequence[int], others: Sequence[int]) -> list[Block]:
    """The serving runs that are missing, and how to make them."""
    few = Figure(MIN_RUNS, "runs", "given", "the least that show how far runs are apart")
    both = sorted({question.baseline, *runs}, reverse=True)
    blocks: list[Block] = [
        Prose(
            "Tokens/s of {arms} on {machine} with this traffic, all requests at once, in {few} "
            "each, with seeds of their own. The plan says how many requests that takes; its script "
            "starts {serve} for each variant, one that nobody trained with random weights, which "
            "is enough for speed, and measures it with {bench}:",
            arms=Name(" and of ".join(map(question.arm, runs))),
            machine=Name(question.machine),
            few=few,
            serve=Name("vllm serve"),
            bench=Name("vllm bench serve"),
        ),
        Command(serving_commands(question, both)),
    ]
    if others:
        arms = Name("; ".join(map(question.arm, others)))
        added = Name("--variants")
        blocks.append(Prose("For the cost of {arms}, add them to {added}.", arms=arms, added=added))
    return blocks
