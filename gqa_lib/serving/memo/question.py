"""What a memo is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from gqa_lib.arguments import check_distinct, check_kind, check_number, check_whole, several
from gqa_lib.heads import check_heads

from ..fits import too_long
from ..results.checked import check_margin
from ..scenario import Scenario
from ..simulator import parse_goodput
from ..traffic import Trace
from .evaluated import Evaluation
from .records import Decoding, Quality
from .served import Served

MOST_REQUESTS = 2000  # that are simulated, unless more are asked for


@dataclass(frozen=True, kw_only=True)
class Question:
    """A model, hardware and traffic, and which numbers of KV heads to choose from.

    Args:
        trace: the requests.
        trace_name: as a command line names them.
        scenario: the model as it is, the hardware, and the engine's flags.
        variants: numbers of KV heads, the most first; the first is the baseline.
        price_per_hour: of the hardware; None says nothing of cost.
        currency: of the price.
        goodput: latencies that a request must not exceed, as "ttft:500 tpot:50" in ms.
        margin: ratio of tokens/s, less 1, that would matter; stated before looking.
        quality_margin: difference of a score that would matter.
        max_requests: consecutive requests of the trace that are simulated.

    Raises:
        ValueError: a number is out of range, or the model cannot have so many KV heads.
    """

    trace: Trace
    trace_name: str
    scenario: Scenario
    variants: Sequence[int]
    price_per_hour: float | None = None
    currency: str = "USD"
    goodput: str | None = None
    margin: float = 0.05
    quality_margin: float = 0.01
    max_requests: int = MOST_REQUESTS

    def __post_init__(self) -> None:
        check_kind(Trace, "Give load_trace(...) or sample(...).", trace=self.trace)
        check_kind(str, "Give a name such as EUR.", currency=self.currency)
        heads = several(self.variants, "variants", "numbers of KV heads")
        check_distinct(heads, "variants")
        for one in heads:
            check_heads(self.scenario.own_config.num_heads, one, where="variants")
        if len(heads) < 2:
            raise ValueError(
                f"variants={heads}: one number of KV heads leaves nothing to decide. Give two or "
                f"more, such as {self.scenario.own_config.num_heads},{heads[0]}."
            )
        object.__setattr__(self, "variants", tuple(sorted(heads, reverse=True)))
        if self.price_per_hour is not None:
            check_number(above=0, price_per_hour=self.price_per_hour)
        check_margin(self.margin)
        check_number(above=0, quality_margin=self.quality_margin)
        check_whole(max_requests=self.max_requests)
        if self.goodput is not None:
            parse_goodput(self.goodput)

    @property
    def baseline(self) -> int:
        """The most KV heads, that the others are compared with."""
        return self.variants[0]

    @property
    def shipped(self) -> int | None:
        """KV heads of the model as it is, if that is a variant."""
        own = self.scenario.own_config.num_kv_heads
        return own if own in self.variants else None

    @property
    def reference(self) -> int:
        """The variant whose quality the others must keep: the model as it is, if it is one."""
        return self.shipped or self.baseline

    @property
    def model(self) -> str:
        """The model's name."""
        return self.scenario.own_config.name

    @property
    def machine(self) -> str:
        """The hardware's name."""
        return self.scenario.machine.name if self.scenario.machine else "unnamed hardware"

    @property
    def objectives(self) -> Mapping[str, float]:
        """Latency to the most milliseconds of it; empty without goodput."""
        return {} if self.goodput is None else parse_goodput(self.goodput)

    @cached_property
    def fits(self) -> Trace:
        """The requests of the trace that every variant can serve that fits into the memory."""
        out = np.zeros(len(self.trace), bool)
        for heads in self.variants:
            try:
                out |= too_long(self.trace, self.at(heads))
            except ValueError:
                continue  # it does not fit itself, as the memo says
        return self.trace.select(~out)

    def at(self, num_kv_heads: int) -> Scenario:
        """Return the scenario of a variant.

        Args:
            num_kv_heads: of it.
        """
        return replace(self.scenario, num_kv_heads=num_kv_heads)

    def requests(self) -> Trace:
        """Return the first requests of the trace, as many as are simulated."""
        return self.trace.select(slice(self.max_requests))

    def arm(self, num_kv_heads: int) -> str:
        """Return what a variant is called: MHA, GQA or MQA with its number of KV heads.

        Args:
            num_kv_heads: of it.
        """
        if num_kv_heads == self.scenario.own_config.num_heads:
            kind = "MHA"
        else:
            kind = "MQA" if num_kv_heads == 1 else "GQA"
        return f"{kind}, {num_kv_heads} KV head{'s' * (num_kv_heads > 1)}"


@dataclass(frozen=True)
class Evidence:
    """What was measured, here or elsewhere.

    Args:
        kernels: decode steps of kernel records.
        served: runs of serving benchmarks.
        trained: comparisons of small models that were trained.
        evaluated: scores of the memo's own model and its variants.
    """

    kernels: Sequence[Decoding] = field(default_factory=tuple)
    served: Sequence[Served] = field(default_factory=tuple)
    trained: Sequence[Quality] = field(default_factory=tuple)
    evaluated: Sequence[Evaluation] = field(default_factory=tuple)


def changed(trace: Trace, *, rate: float = 1.0, context: float = 1.0) -> Trace:
    """Return a trace with requests that come faster, or have longer prompts.

    Args:
        trace: the requests.
        rate: how many times as fast they come; infinity is all at once.
        context: how many times as long prompts are; prefixes are then no longer shared.
    """
    arrivals: Any = trace.arrival_s
    if rate == float("inf"):
        arrivals = np.zeros(len(trace))
    elif arrivals is not None:
        arrivals = arrivals / rate
    prompts = np.maximum(1, np.rint(trace.prompt_tokens * context)).astype(np.int64)
    kept: dict[str, Any] = {} if context == 1 else {"hash_ids": None, "hash_block_tokens": None}
    return replace(trace, arrival_s=arrivals, prompt_tokens=prompts, measured={}, **kept)
