"""What a memo computes: memory, concurrency and a simulation for each number of KV heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ..fits import fit_at_a_time, too_long
from ..ledger import Concurrency, Ledger
from ..scenario import Scenario
from ..simulator import ENGINES, latencies_ms, summary
from ..traffic import Trace, sample
from .question import Question, changed

ENDLESS = float("inf")
CASES = {"as asked": (1.0, 1.0), "traffic doubled": (2.0, 1.0), "prompts doubled": (1.0, 2.0)}


@dataclass(frozen=True)
class Simulated:
    """One variant under one kind of traffic.

    Args:
        arriving: figures of the simulation by vLLM's names, as requests arrive; None where the
            trace does not say when they do.
        at_once: the same with all requests at once: what the server can do.
    """

    arriving: Mapping[str, Any] | None
    at_once: Mapping[str, Any]


@dataclass(frozen=True)
class Variant:
    """What is computed for one number of KV heads.

    Args:
        num_kv_heads: of it.
        ledger: where the memory goes; None where the model does not fit.
        concurrency: requests that run at a time; None likewise.
        too_long: requests of the trace that can never be served.
        cases: case of `CASES` to its simulation; a case is missing where the variant cannot
            serve it.
        why_not: why it does not fit, else "".
    """

    num_kv_heads: int
    ledger: Ledger | None
    concurrency: Concurrency | None
    too_long: int
    cases: Mapping[str, Simulated]
    why_not: str = ""

    @property
    def tokens_per_s(self) -> float | None:
        """Output tokens/s that the server can do, as simulated."""
        case = self.cases.get("as asked")
        return case.at_once["output_throughput"] if case else None


@dataclass(frozen=True)
class Check:
    """The simulator next to a real engine's log, on the hardware that the memo is about.

    Args:
        log: the trace with what was measured.
        measured, modelled: name to value: "mean_tpot_ms" and "output_throughput".
    """

    log: Trace
    measured: Mapping[str, float]
    modelled: Mapping[str, float]


@dataclass(frozen=True)
class Study:
    """All that is computed for a question.

    Args:
        question: the question.
        requests: those that are simulated; every variant that fits can serve them.
        left_out: requests that some variant can never serve, which are not simulated.
        variants: by number of KV heads, the most first.
        check: the simulator next to a log, None where no log is of this hardware.
    """

    question: Question
    requests: Trace
    left_out: int
    variants: Sequence[Variant]
    check: Check | None

    def at(self, num_kv_heads: int) -> Variant:
        """Return a variant.

        Args:
            num_kv_heads: of it.
        """
        return next(one for one in self.variants if one.num_kv_heads == num_kv_heads)

    def leaning(self, case: str = "as asked") -> int | None:
        """Return the variant that the simulation favours, None where it cannot compare.

        Of those that keep the latencies asked for, it is the one with the most KV heads whose
        tokens/s are within the margin of the best: heads are given up only for what they bring.

        Args:
            case: of `CASES`.
        """
        rates = {
            one.num_kv_heads: one.cases[case].at_once["output_throughput"]
            for one in self.variants
            if case in one.cases and self.keeps(one, case)
        }
        if not rates:
            return None
        enough = max(rates.values()) / (1 + self.question.margin)
        return max(heads for heads, rate in rates.items() if rate >= enough)

    def keeps(self, variant: Variant, case: str = "as asked") -> bool:
        """Return whether a variant keeps the latencies asked for, at the 99th percentile.

        Args:
            variant: which.
            case: of `CASES`.
        """
        arriving = variant.cases[case].arriving
        return arriving is None or all(
            arriving[f"p99_{name}_ms"] <= most for name, most in self.question.objectives.items()
        )


def study(question: Question) -> Study:
    """Return what can be computed for a question.

    Args:
        question: the model, the hardware, the traffic, the variants.

    Raises:
        ValueError: no variant fits into the memory.
    """
    requests = question.requests()
    rules: dict[int, Ledger | str] = {}
    for heads in question.variants:
        try:
            rules[heads] = question.at(heads).ledger()
        except ValueError as error:
            rules[heads] = str(error)
    if all(isinstance(one, str) for one in rules.values()):
        raise ValueError(f"no variant fits: {rules[question.variants[-1]]}")
    masks = {
        heads: too_long(requests, question.at(heads))
        for heads, one in rules.items()
        if isinstance(one, Ledger)
    }
    every = np.logical_or.reduce(list(masks.values()))
    if every.all():
        raise ValueError(
            f"all {len(requests)} requests are too long for some variant: give more memory, or "
            f"leave {question.baseline} KV heads out of the variants."
        )
    served = requests.select(~every)
    variants = [
        _variant(question, heads, one, served, int(masks[heads].sum()))
        if isinstance(one, Ledger)
        else Variant(heads, None, None, 0, {}, one)
        for heads, one in rules.items()
    ]
    return Study(question, served, int(every.sum()), variants, _check(question.scenario))


def _variant(
    question: Question, heads: int, ledger: Ledger, requests: Trace, num_too_long: int
) -> Variant:
    scenario = question.at(heads)
    held = fit_at_a_time(requests, scenario)
    cases: dict[str, Simulated] = {}
    for case, (rate, context) in CASES.items():
        trace = changed(requests, rate=rate, context=context)
        if too_long(trace, scenario).any():
            continue
        same = cases.get("as asked") if context == 1 else None  # all at once have no rate
        cases[case] = _simulated(scenario, trace, question.objectives, same)
    return Variant(heads, ledger, held, num_too_long, cases)


def _simulated(
    scenario: Scenario, trace: Trace, objectives: Mapping[str, float], same: Simulated | None
) -> Simulated:
    arriving = None
    if trace.arrival_s is not None:
        arriving = summary(scenario.run(trace), objectives or None)
    if same is not None:
        return Simulated(arriving, same.at_once)
    return Simulated(arriving, summary(scenario.run(changed(trace, rate=ENDLESS))))


def _check(scenario: Scenario) -> Check | None:
    """The course's log of an engine on this hardware, next to its simulation."""
    engine = scenario.engine
    if engine is None or scenario.machine is None or scenario.machine.name != engine.hardware:
        return None
    return _check_of(str(scenario.kernel_times))


@cache
def _check_of(kernel_times: str) -> Check:
    engine = ENGINES[kernel_times]
    log = sample(engine.log)
    assert log.arrival_s is not None
    first, last = log.measured["ttft_s"], log.measured["e2e_s"]
    served = Scenario(
        kernel_times=kernel_times,
        num_blocks=engine.num_blocks,
        max_num_seqs=engine.max_num_seqs,
        max_num_batched_tokens=engine.max_num_batched_tokens,
        block_size=engine.block_size,
    ).run(log)
    end_s = float((log.arrival_s + last).max())
    modelled = {
        "mean_tpot_ms": float(np.nanmean(latencies_ms(served)["tpot"])),
        "output_throughput": float(summary(served)["output_throughput"]),
    }
    measured = {
        "mean_tpot_ms": float(np.mean(1e3 * (last - first) / np.maximum(log.output_tokens - 1, 1))),
        "output_throughput": float(log.output_tokens.sum()) / end_s,
    }
    return Check(log, measured, modelled)
