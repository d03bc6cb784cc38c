"""How much of its prompts a trace shares, by the names of their blocks."""

from __future__ import annotations

from dataclasses import dataclass

from ..traffic import Trace


@dataclass(frozen=True)
class Sharing:
    """What prompts have in common with earlier ones, from their beginning.

    Args:
        block_tokens: tokens of a named block.
        requests: share of requests whose first block came before.
        tokens: share of prompt tokens in blocks that came before, in full blocks only: what an
            endless cache would spare.
    """

    block_tokens: int
    requests: float
    tokens: float


def prefix_sharing(trace: Trace) -> Sharing | None:
    """Return what the prompts of a trace share; None if it does not name their blocks.

    Args:
        trace: the requests, in the order of their arrival.
    """
    size = trace.hash_block_tokens
    if trace.hash_ids is None or size is None:
        return None
    seen: set[int] = set()
    hits = tokens = 0
    for ids, prompt in zip(trace.hash_ids, trace.prompt_tokens.tolist(), strict=True):
        full = [int(one) for one in ids][: prompt // size]
        shared = next((n for n, one in enumerate(full) if one not in seen), len(full))
        seen.update(full)
        hits += shared > 0
        tokens += shared * size
    return Sharing(size, hits / len(trace), tokens / int(trace.prompt_tokens.sum()))
