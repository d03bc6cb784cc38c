"""Checks of what an engine is made with and asked for, before anything is taken for it."""

from __future__ import annotations

from gqa_lib.arguments import check_number, index
from gqa_lib.attention import GroupedQueryAttention
from gqa_lib.attention.rope_scaling import DynamicScaling
from gqa_lib.model import LanguageModel

from .pool import Pool


def number_of_blocks(num_blocks: int | None, memory_bytes: int | None, block_bytes: int) -> int:
    """Return how many blocks an engine has.

    Args:
        num_blocks, memory_bytes: of which one is given.
        block_bytes: of a block, in all layers.

    Raises:
        ValueError: both are given or none, or the memory is too small for one block.
    """
    if (num_blocks is None) == (memory_bytes is None):
        raise ValueError(
            f"num_blocks={num_blocks}, memory_bytes={memory_bytes}: either says how many blocks of "
            f"{block_bytes} bytes (K and V, all layers) there are. Give one of the two."
        )
    if memory_bytes is None:
        return num_blocks  # type: ignore[return-value]  # BlockAllocator checks it
    check_number(endless=True, memory_bytes=memory_bytes)
    if not block_bytes <= memory_bytes < float("inf"):
        raise ValueError(
            f"memory_bytes={memory_bytes} is less than a block's {block_bytes} bytes (K and V, all "
            "layers), or no number: no token could be kept. Give more, or a smaller block_size."
        )
    return int(memory_bytes // block_bytes)


def check_limits(max_num_seqs: int, max_num_batched_tokens: int) -> None:
    """Raise ValueError unless every sequence that runs can have a token in each step.

    Args:
        max_num_seqs, max_num_batched_tokens: as in `Engine`.
    """
    for name, number in (
        ("max_num_seqs", max_num_seqs),
        ("max_num_batched_tokens", max_num_batched_tokens),
    ):
        if (index(number) or 0) < 1:
            raise ValueError(f"{name}={number!r}: nothing could run. Give a whole number from 1.")
    if max_num_batched_tokens < max_num_seqs:
        raise ValueError(
            f"max_num_batched_tokens={max_num_batched_tokens} for max_num_seqs={max_num_seqs}: "
            "some sequences would not decode while others do, for as long as these run. "
            f"Give max_num_seqs={max_num_batched_tokens} or fewer, or more tokens."
        )


def check_request(num_prompt: int, max_new_tokens: int, model: LanguageModel, pool: Pool) -> None:
    """Raise ValueError for a request that could never end, however long it waits.

    Args:
        num_prompt: tokens of its prompt.
        max_new_tokens: as in `Engine.add`, 1 or more.
        model, pool: the engine's.
    """
    if not num_prompt:
        raise ValueError(
            "a prompt of 0 tokens: a token is chosen by those before it. Begin with the "
            "tokenizer's token for a beginning."
        )
    total = num_prompt + max_new_tokens
    asked = f"{num_prompt} tokens and max_new_tokens={max_new_tokens} make {total}"
    needed = pool.blocks_for(total - 1)  # of the last one, keys and values are not needed
    if needed > pool.num_blocks:
        raise ValueError(
            f"{asked}, which need {needed} blocks of {pool.block_size} tokens, and the engine has "
            f"{pool.num_blocks}: the request would wait forever. "
            "Ask for fewer tokens, or make the engine with more blocks."
        )
    longest = model.config.max_context
    if longest is not None and total > longest:
        raise ValueError(
            f"{asked}, over the model's max_context={longest}: it knows no text so long. "
            "Ask for fewer tokens."
        )
    for attention in attentions(model):
        scaling = attention.rope and attention.rope.scaling
        if isinstance(scaling, DynamicScaling) and total - 1 > scaling.trained_len:
            raise ValueError(
                f"{asked}, and beyond {scaling.trained_len} this model's DynamicScaling turns keys "
                "by how long their sequence is by then: computed again or shared, they would "
                "differ. Ask for fewer tokens, or give the model a scaling that is fixed."
            )


def attentions(model: LanguageModel) -> list[GroupedQueryAttention]:
    """Return a model's attention layers, the first layer's first."""
    return [one for one in model.modules() if isinstance(one, GroupedQueryAttention)]
