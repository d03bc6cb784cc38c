"""What a trace would see of an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .replay import STEP_COLUMNS, Replay
from .rules import Rules
from .step_time import StepTime

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Simulation:
    """What a simulated engine did; times are seconds, requests in the order of their arrival.

    Args:
        rules: the engine's.
        arrival_s, prompt_tokens, output_tokens: the requests.
        scheduled_s, first_token_s, last_token_s: when each was first admitted, and had its tokens.
        preemptions: how often each lost its blocks.
        steps: of each step, by name: `start_s`, `seconds`, `num_decodes` (sequences that decode),
            `prefill_tokens`, `blocks_used`, `running` and `waiting` requests.
        recomputed_tokens: tokens that lost their keys and values and had to be computed again.
        reused_tokens: tokens whose keys and values another request had left.
        swapped_tokens: tokens copied to the host or back, each way counted.
    """

    rules: Rules
    arrival_s: Floats
    prompt_tokens: Whole
    output_tokens: Whole
    scheduled_s: Floats
    first_token_s: Floats
    last_token_s: Floats
    preemptions: Whole
    steps: dict[str, NDArray[np.float64] | NDArray[np.int64]]
    recomputed_tokens: int
    reused_tokens: int
    swapped_tokens: int


def simulate(
    arrival_s: ArrayLike,
    prompt_tokens: ArrayLike,
    output_tokens: ArrayLike,
    rules: Rules,
    step_time: StepTime,
    hash_ids: Sequence[Sequence[int]] | None = None,
) -> Simulation:
    """Serve requests with continuous batching, as vLLM schedules it, on a clock that is computed.

    Each step decodes a token of every running sequence and fills what is left of
    max_num_batched_tokens with prompts, in chunks. If a running sequence needs a block and none is
    free, the one admitted last loses its own, and nothing is admitted in that step. Requests come
    first, are served first. Times of the host outside steps are those that step_time counts.

    Args:
        arrival_s: when each request comes, (N,), in any order.
        prompt_tokens, output_tokens: tokens of each, (N,), whole numbers from 1.
        rules: the engine's.
        step_time: seconds of a step.
        hash_ids: ids of the pieces of each prompt, `rules.hash_tokens` each; full pieces with the
            same id are computed once while they are in memory. None is without sharing.

    Returns:
        The Simulation, requests in the order of their arrival.

    Raises:
        ValueError: the arrays do not go together, or a request can never be served.

    Source: vLLM 0.19, vllm/v1/core/sched/scheduler.py, `schedule`.
    """
    arrivals = np.asarray(arrival_s, dtype=np.float64)
    prompts, outputs = _tokens(prompt_tokens, "prompt_tokens"), _tokens(output_tokens, "output_tokens")
    _check(arrivals, prompts, outputs, rules)
    order = np.argsort(arrivals, kind="stable")
    arrivals, prompts, outputs = arrivals[order], prompts[order], outputs[order]
    hashes = None if hash_ids is None else [list(hash_ids[i]) for i in order.tolist()]
    replay = Replay(
        arrivals.tolist(), prompts.tolist(), outputs.tolist(), rules, step_time, hashes
    )
    replay.run()
    return Simulation(
        rules=rules,
        arrival_s=arrivals,
        prompt_tokens=prompts,
        output_tokens=outputs,
        scheduled_s=np.array(replay.scheduled_s),
        first_token_s=np.array(replay.first_s),
        last_token_s=np.array(replay.last_s),
        preemptions=np.array(replay.preemptions, dtype=np.int64),
        steps={
            name: np.array(column, dtype=np.float64 if STEP_COLUMNS[name] == "d" else np.int64)
            for name, column in replay.steps.items()
        },
        recomputed_tokens=replay.recomputed,
        reused_tokens=replay.reused,
        swapped_tokens=replay.swapped,
    )


def _tokens(given: ArrayLike, name: str) -> Whole:
    tokens = np.asarray(given)
    if tokens.dtype.kind not in "iu" or tokens.ndim != 1 or (tokens.size and tokens.min() < 1):
        raise ValueError(
            f"{name} must be whole numbers from 1, one for each request: a request without a "
            "prompt or an output is never served. Leave such requests out."
        )
    return tokens.astype(np.int64)


def _check(arrivals: Floats, prompts: Whole, outputs: Whole, rules: Rules) -> None:
    """Raise ValueError for requests that do not go together or can never be served."""
    if not arrivals.shape == prompts.shape == outputs.shape:
        raise ValueError(
            f"{arrivals.shape} arrivals, {prompts.shape} prompts and {outputs.shape} outputs: "
            "each request has one of each."
        )
    if not np.isfinite(arrivals).all() or (arrivals < 0).any():
        raise ValueError(
            "arrival_s has a time that is negative or not a number: the clock begins at 0. "
            "Subtract the first arrival."
        )
    cached = prompts + outputs - 1  # the last token is written and never read
    capacity = rules.num_blocks * rules.block_size
    for most, what in (
        (capacity, f"num_blocks={rules.num_blocks} x block_size={rules.block_size} tokens"),
        (
            capacity if rules.chunked_prefill else rules.max_num_batched_tokens,
            f"max_num_batched_tokens={rules.max_num_batched_tokens}, without chunked_prefill",
        ),
    ):
        if cached.size and cached.max() > most:
            i = int(cached.argmax())
            raise ValueError(
                f"request {i}: {prompts[i]} prompt tokens and {outputs[i]} output tokens need "
                f"{cached[i]} cached ones, over {what}: it would wait forever. "
                "Leave it out, or give the engine more."
            )
