"""What a step of an engine did, as a record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gqa_lib.model import LanguageModel

from .checks import attentions
from .scheduler import Chunk


@dataclass(frozen=True)
class Step:
    """What one step did.

    Bytes are those that the step's arithmetic needs, each read once, and not what a backend moves.

    Args:
        number: of the step, from 0.
        start_s: when it began, by the engine's clock.
        seconds: how long it took by that clock.
        num_seqs: sequences of which it computed tokens.
        num_decodes: those of them that decoded one token each.
        prefill_tokens: tokens of prompts, and of what preempted requests compute again.
        reused_tokens: tokens that requests admitted in this step found in the cache.
        context_tokens: cached tokens of all these sequences, the new ones included.
        kv_bytes_read: of their keys and values, in all layers, as far as windows reach.
        kv_bytes_written: of the new tokens' keys and values, in all layers.
        weight_bytes: of the weights, the output head only if a token was chosen, and of the input
            embedding only the new tokens' rows.
        running, waiting: requests, after it.
        blocks_used: blocks that sequences had while it computed.
        blocks_idle: blocks that none had then, but that hold what the next one may ask for.
        admitted, preempted, finished: numbers of the requests to which that happened.
    """

    number: int
    start_s: float
    seconds: float
    num_seqs: int
    num_decodes: int
    prefill_tokens: int
    reused_tokens: int
    context_tokens: int
    kv_bytes_read: int
    kv_bytes_written: int
    weight_bytes: int
    running: int
    waiting: int
    blocks_used: int
    blocks_idle: int
    admitted: tuple[int, ...]
    preempted: tuple[int, ...]
    finished: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what can be written as a line of JSON."""
        return asdict(self)


def totals(steps: Sequence[Step]) -> dict[str, float]:
    """Return what steps come to.

    Args:
        steps: of one engine, one or more.

    Returns:
        `num_steps`; `seconds`, of all steps; `mean_seqs`, sequences of a step on average over time;
        `most_seqs`; `preemptions`; `decode_tokens_per_s`, of the steps that only decoded, 0 if
        there are none; `prefill_share`, the part of the time in steps with tokens of prompts.
    """
    seconds = sum(step.seconds for step in steps)
    only = [step for step in steps if not step.prefill_tokens]
    decode_s = sum(step.seconds for step in only)
    decoded = sum(step.num_decodes for step in only)
    return {
        "num_steps": len(steps),
        "seconds": seconds,
        "mean_seqs": sum(step.num_seqs * step.seconds for step in steps) / seconds,
        "most_seqs": max(step.num_seqs for step in steps),
        "preemptions": sum(len(step.preempted) for step in steps),
        "decode_tokens_per_s": decoded / decode_s if decode_s else 0.0,
        "prefill_share": 1 - decode_s / seconds,
    }


class StepBytes:
    """The bytes that steps of a model read and write.

    Args:
        model: whose.
    """

    def __init__(self, model: LanguageModel):
        config, weight = model.config, model.head.weight
        self.kv_bytes_per_layer = 2 * config.num_kv_heads * config.head_dim * weight.itemsize
        self._windows = [one.window for one in attentions(model)]
        self._head_bytes = weight.nbytes
        embedding = model.embedding.weight
        self._embedding_row_bytes = embedding[0].nbytes
        either = {id(one): one.nbytes for one in (weight, embedding)}  # one if they are tied
        self._body_bytes = sum(one.nbytes for one in model.parameters()) - sum(either.values())

    def kv_read(self, chunks: Sequence[Chunk]) -> int:
        """Return the bytes of the keys and values that chunks' tokens see."""
        return self.kv_bytes_per_layer * sum(
            chunk.end if window is None else min(chunk.end, chunk.num_tokens + window - 1)
            for chunk in chunks
            for window in self._windows
        )

    def kv_written(self, chunks: Sequence[Chunk]) -> int:
        """Return the bytes of the keys and values of chunks' tokens."""
        tokens = sum(chunk.num_tokens for chunk in chunks)
        return self.kv_bytes_per_layer * len(self._windows) * tokens

    def weights_read(self, num_tokens: int, num_chosen: int) -> int:
        """Return the bytes of the weights that a step reads; none if it computes nothing.

        Args:
            num_tokens: new tokens.
            num_chosen: tokens that are chosen by their logits.
        """
        if not num_tokens:
            return 0
        head = self._head_bytes if num_chosen else 0
        return self._body_bytes + head + num_tokens * self._embedding_row_bytes
