"""What goes into a simulation, and what must come out of every one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gqa_lib.arguments import check_kind

from .result import Simulation
from .rules import Rules


def whole_tokens(given: ArrayLike, name: str) -> NDArray[np.int64]:
    """Return numbers of tokens as an array.

    Args:
        given: whole numbers from 1.
        name: of the argument.

    Raises:
        ValueError: they are something else.
    """
    tokens = np.asarray(given)
    if not tokens.size:
        return tokens.astype(np.int64)
    if tokens.dtype.kind not in "iu" or tokens.ndim != 1 or tokens.min() < 1:
        raise ValueError(
            f"{name} must be whole numbers from 1, one for each request: a request without a "
            "prompt or an output is never served. Leave such requests out."
        )
    return tokens.astype(np.int64)


def whole_pieces(
    hash_ids: Sequence[Sequence[int]] | None, num_requests: int, rules: Rules
) -> list[list[int]] | None:
    """Return the ids of each request's pieces as lists, in the order of the requests.

    They are numbered anew: as in an engine, a piece is the same only behind the same pieces.

    Args:
        hash_ids: as `simulate` takes them.
        num_requests: how many there are.
        rules: the engine's.

    Raises:
        ValueError: they do not go with the requests, or with the rules.
    """
    if hash_ids is None:
        return None
    if len(hash_ids) != num_requests or not all(hasattr(one, "__iter__") for one in hash_ids):
        raise ValueError(
            f"hash_ids has {len(hash_ids)} entries for {num_requests} requests, or one that is not "
            "a list: each prompt has its ids, or an empty list."
        )
    if rules.hash_tokens % rules.block_size:
        raise ValueError(
            f"hash_tokens={rules.hash_tokens} is not a multiple of block_size={rules.block_size}: "
            "a block that is shared in part cannot be. Choose a block_size that divides "
            f"{rules.hash_tokens}."
        )
    numbers: dict[tuple[int, int], int] = {}  # of a piece, by the number of that before it and id

    def numbered(ids: Sequence[int]) -> list[int]:
        found, before = [], -1
        for one in ids:
            before = numbers.setdefault((before, int(one)), len(numbers))
            found.append(before)
        return found

    return [numbered(one) for one in hash_ids]


def check_requests(
    arrivals: NDArray[np.float64],
    prompts: NDArray[np.int64],
    outputs: NDArray[np.int64],
    rules: Rules,
) -> None:
    """Refuse requests that do not go together or can never be served.

    Args:
        arrivals, prompts, outputs: as `simulate` takes them.
        rules: the engine's.

    Raises:
        ValueError: a time is negative, or a request needs more than there is.
    """
    check_kind(Rules, "Give Rules(num_blocks).", rules=rules)
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
    cached = prompts + outputs - 1  # the last token is chosen and never read
    states = f" but {rules.blocks_per_seq} for states" if rules.blocks_per_seq else ""
    blocks = f"num_blocks={rules.num_blocks} of {rules.block_size} tokens{states}"
    limits = [(rules.longest, blocks)]
    if not rules.chunked_prefill:
        most = rules.max_num_batched_tokens
        limits.append((most, f"max_num_batched_tokens={most} without chunked_prefill"))
    for most, name in limits:
        if cached.size and cached.max() > most:
            i = int(cached.argmax())
            raise ValueError(
                f"request {i}: {prompts[i]} prompt tokens and {outputs[i]} output tokens need "
                f"{cached[i]} cached ones, over {name}: it would wait forever. "
                "Leave it out, or give the engine more."
            )


def check_conserved(simulation: Simulation, available: int) -> None:
    """Refuse a simulation that has lost tokens or blocks at its end.

    Args:
        simulation: which.
        available: blocks that no sequence holds.

    Raises:
        RuntimeError: it has.
    """
    steps, rules = simulation.steps, simulation.rules
    decoded = int((steps["num_decodes"] * steps["num_steps"]).sum())
    # A token is a request's first, or decoded, or comes with a prompt that is computed again.
    made = len(simulation.arrival_s) + decoded + len(simulation.gaps_s)
    if made != simulation.output_tokens.sum() or available != rules.num_blocks:
        raise RuntimeError(
            f"{made} tokens of {simulation.output_tokens.sum()}, {available} blocks of "
            f"{rules.num_blocks} are there at the end: the simulation is wrong. Please report it."
        )
