"""What a simulated engine did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .rules import Rules

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Simulation:
    """What a simulated engine did; times are seconds, requests in the order of their arrival.

    Args:
        rules: the engine's.
        arrival_s, prompt_tokens, output_tokens: the requests.
        scheduled_s, first_token_s, last_token_s: when each was first admitted, and had its tokens.
        gaps_s: between two tokens of a request that was preempted after the first of them.
        preemptions: how often each lost its blocks.
        steps: by name, of each run of steps that did alike: `start_s`, `seconds` of all of them,
            `num_steps`, `num_decodes` (sequences that decode), `prefill_tokens`, `blocks_used` (at
            its end), `running` and `waiting` requests.
        recomputed_tokens: tokens that lost their keys and values and were computed again.
        reused_tokens: tokens whose keys and values were still there.
        swapped_tokens: tokens copied to the host or back, each way counted.
    """

    STEP_COLUMNS: ClassVar[tuple[str, ...]] = (
        "start_s",
        "seconds",
        "num_steps",
        "num_decodes",
        "prefill_tokens",
        "blocks_used",
        "running",
        "waiting",
    )

    rules: Rules
    arrival_s: Floats
    prompt_tokens: Whole
    output_tokens: Whole
    scheduled_s: Floats
    first_token_s: Floats
    last_token_s: Floats
    gaps_s: Floats
    preemptions: Whole
    steps: dict[str, NDArray[Any]]
    recomputed_tokens: int
    reused_tokens: int
    swapped_tokens: int
