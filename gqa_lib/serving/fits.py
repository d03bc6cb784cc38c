"""Which requests of a trace engines can serve, and how many of them fit at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .concurrency import Concurrency, concurrency
from .scenario import Scenario
from .traffic import Trace


def too_long(trace: Trace, *scenarios: Scenario) -> NDArray[np.bool_]:
    """Return which requests some engine can never serve, (N,).

    Args:
        trace: the requests.
        scenarios: the engines.

    Raises:
        ValueError: an engine's weights do not fit into its memory.
    """
    out = np.zeros(len(trace), bool)
    for scenario in scenarios:
        for mask in scenario.too_long(trace).values():
            out |= mask
    return out


def fit_at_a_time(trace: Trace, scenario: Scenario, overflow: float = 0.01) -> Concurrency:
    """Return how many requests of a trace's kind an engine's blocks hold, by three rules.

    Args:
        trace: the requests.
        scenario: the engine.
        overflow: share of the time in which as many as `safe` may need more.

    Raises:
        ValueError: the engine's weights do not fit into its memory.
    """
    rules = scenario.rules()
    return concurrency(
        rules.num_blocks * rules.block_size,
        trace.prompt_tokens,
        trace.output_tokens,
        overflow=overflow,
        block_size=rules.block_size,
        blocks_per_seq=rules.blocks_per_seq,
    )
