"""Figures of the study, each with the formula that it is computed by."""

from __future__ import annotations

from ..basis import basis
from ..traffic import Trace
from .question import Question
from .study import Study, Variant
from .values import Figure, Record

HELD = (
    "tokens that a decoding request holds, residency-weighted: "
    "E[o (p + (o + 1) / 2)] / E[o] of p prompt and o output tokens"
)


def counted(trace: Trace, key: str, value: float, unit: str = "tokens") -> Figure:
    """Return what was counted in the trace's file.

    Args:
        trace: the requests.
        key: what was counted.
        value, unit: how much.
    """
    name = trace.source or "the trace"
    record = Record(name, key, f"counted in its {len(trace):,} requests, read as {trace.format}")
    return Figure(value, unit, "measured", record)


def of_ledger(question: Question, variant: Variant, name: str) -> Figure:
    """Return a size of a variant's memory in GiB.

    Args:
        question: what is asked.
        variant: which.
        name: of a field of Ledger in bytes.
    """
    ledger = variant.ledger
    assert ledger is not None
    formula = (
        f"ledger of {question.model} at {variant.num_kv_heads} KV heads: memory x "
        f"gpu_memory_utilization {ledger.memory_fraction:g} - weights - activations "
        f"({ledger.activation_bytes / 2**30:.3g} GiB) is the cache, in blocks of "
        f"{ledger.block_size} tokens; {ledger.tensor_parallel} rank(s)"
    )
    return Figure(getattr(ledger, name) / 2**30, "GiB", "modelled", formula)


def of_concurrency(question: Question, variant: Variant, name: str) -> Figure:
    """Return a number of requests that run at a time.

    Args:
        question: what is asked.
        variant: which.
        name: of a field of Concurrency.
    """
    held = variant.concurrency
    assert held is not None
    rules = {
        "safe": f"the sum of n such requests exceeds the cache at most {held.overflow:.0%} of the "
        "time (n-fold convolution)",
        "mean_rule": "the cache over the mean of what a request holds",
        "max_length": "the cache over the longest request's blocks",
    }
    formula = f"{HELD}; {rules[name]}; cache of {held.capacity:,} tokens ({question.model} at "
    formula += f"{variant.num_kv_heads} KV heads)"
    return Figure(getattr(held, name), "", "modelled", formula)


def simulated(study: Study, variant: Variant, key: str, unit: str, case: str = "as asked") -> Figure:
    """Return a figure of a variant's simulation as requests arrive, by vLLM's names.

    Args:
        study: what was computed.
        variant: which.
        key: vLLM's name of it.
        unit: of it.
        case: of `CASES`.
    """
    arriving = variant.cases[case].arriving
    assert arriving is not None
    return Figure(arriving[key], unit, "modelled", _formula(study, variant, case, "as they arrive"))


def at_once(study: Study, variant: Variant, key: str, unit: str, case: str = "as asked") -> Figure:
    """Return a figure of a variant's simulation with all requests at once.

    Args:
        study, variant, key, unit, case: as in `simulated`.
    """
    value = variant.cases[case].at_once[key]
    return Figure(value, unit, "modelled", _formula(study, variant, case, "all at once"))


def over(study: Study, variant: Variant, other: Variant, case: str = "as asked") -> Figure:
    """Return a variant's tokens/s over another's, all requests at once.

    Args:
        study: what was computed.
        variant, other: which.
        case: of `CASES`.
    """
    mine, theirs = (
        one.cases[case].at_once["output_throughput"] for one in (variant, other)
    )
    heads = f"{variant.num_kv_heads} over {other.num_kv_heads} KV heads"
    return Figure(mine / theirs, "x", "modelled", f"output_throughput, {heads}, all at once, {case}")


def _formula(study: Study, variant: Variant, case: str, how: str) -> str:
    question = study.question
    stands_on = " ".join(basis(question.at(variant.num_kv_heads)))
    return (
        f"simulation by vLLM's scheduling rules of {len(study.requests):,} requests of "
        f"{question.trace_name}, {case}, {how}; {question.model} at {variant.num_kv_heads} KV "
        f"heads on {question.machine}. {stands_on}"
    )
