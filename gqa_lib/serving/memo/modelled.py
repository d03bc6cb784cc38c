"""Figures of the study, each with the formula that it is computed by."""

from __future__ import annotations

import re

from ..basis import basis
from ..traffic import Trace
from .question import Question
from .study import Study, Variant
from .values import Figure, Record

_SENTENCE = re.compile(r"(?<=\.) (?=[A-Z])")
HELD = (
    "tokens that a decoding request holds, residency-weighted: "
    "E[o (p + (o + 1) / 2)] / E[o] of p prompt and o output tokens"
)


def counted(trace: Trace, value: float, unit: str = "tokens", key: str = "") -> Figure:
    """Return what was counted in the trace's file.

    Args:
        trace: the requests.
        value, unit: how much.
        key: what was counted, unless a figure's place says it.
    """
    name = trace.source or "the trace"
    said = key or "its lengths and arrivals; percentiles with bootstrap intervals"
    record = Record(name, said, f"counted in {len(trace):,} requests, read as {trace.format}")
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
        f"memory ledger: KV cache = {question.machine}'s memory x gpu_memory_utilization "
        f"{ledger.memory_fraction:g} - weights - activations "
        f"({ledger.activation_bytes / 2**30:.3g} GiB), in blocks of {ledger.block_size} tokens; "
        "weights at 2 bytes a parameter, the projections of K and V by the variant's heads"
    )
    return Figure(getattr(ledger, name) / 2**30, "GiB", "modelled", formula)


def of_concurrency(variant: Variant, name: str) -> Figure:
    """Return a number of requests that run at a time.

    Args:
        variant: which.
        name: of a field of Concurrency.
    """
    held = variant.concurrency
    assert held is not None
    rules = {
        "safe": f"the most requests whose sum exceeds the cache at most {held.overflow:.0%} of the "
        f"time, by n-fold convolution of the {HELD}",
        "mean_rule": f"cache over the mean of the {HELD}",
        "max_length": "cache over the blocks of the longest request",
    }
    return Figure(getattr(held, name), "", "modelled", rules[name])


def simulated(
    study: Study, variant: Variant, key: str, unit: str, case: str = "as asked"
) -> Figure:
    """Return a figure of a variant's simulation as requests arrive, by vLLM's names.

    Args:
        study: what was computed.
        variant: which.
        key: vLLM's name of it; one in ms is returned in seconds for the unit "s".
        unit: of it.
        case: of `CASES`.
    """
    arriving = variant.cases[case].arriving
    assert arriving is not None
    value = arriving[key] / 1e3 if unit == "s" else arriving[key]
    return Figure(value, unit, "modelled", _formula(study, "as they arrive"))


def at_once(study: Study, variant: Variant, key: str, unit: str, case: str = "as asked") -> Figure:
    """Return a figure of a variant's simulation with all requests at once.

    Args:
        study, variant, key, unit, case: as in `simulated`.
    """
    value = variant.cases[case].at_once[key]
    return Figure(value, unit, "modelled", _formula(study, "all at once"))


def over(study: Study, variant: Variant, other: Variant, case: str = "as asked") -> Figure:
    """Return a variant's tokens/s over another's, all requests at once.

    Args:
        study: what was computed.
        variant, other: which.
        case: of `CASES`.
    """
    mine, theirs = (one.cases[case].at_once["output_throughput"] for one in (variant, other))
    return Figure(mine / theirs, "x", "modelled", _formula(study, "all at once"))


def _formula(study: Study, how: str) -> str:
    question = study.question
    served = (one.num_kv_heads for one in study.variants if one.cases)
    text = " ".join(line for heads in served for line in basis(question.at(heads)))
    said = dict.fromkeys(_SENTENCE.split(text))  # each once
    return (
        f"simulation by vLLM's scheduling rules of {len(study.requests):,} requests of "
        f"{question.trace_name}, {how}. {' '.join(said)}"
    )
