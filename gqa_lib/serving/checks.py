"""Checks of what an engine is made with and asked for, before anything is taken for it."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

from torch import Tensor

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
    if memory_bytes < block_bytes:
        raise ValueError(
            f"memory_bytes={memory_bytes} is less than a block's {block_bytes} bytes (K and V, all "
            "layers): no token could be kept. Give more memory, or a smaller block_size."
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
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(f"{name}={number}: nothing could run. Give a whole number from 1.")
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
        max_new_tokens: as in `Engine.add`.
        model, pool: the engine's.
    """
    whole = isinstance(max_new_tokens, int) and not isinstance(max_new_tokens, bool)
    if not num_prompt or not whole or max_new_tokens < 1:
        raise ValueError(
            f"a prompt of {num_prompt} tokens with max_new_tokens={max_new_tokens}: a token is "
            "chosen by those before it, and there must be one to choose. Give 1 or more of each."
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


def whole_tokens(given: Any, name: str, vocab_size: int) -> list[int]:
    """Return tokens as a list.

    Args:
        given: a sequence, a tensor or an array of one dimension.
        name: what the error calls them.
        vocab_size: tokens that the model has.

    Raises:
        ValueError: one is not a token of the model's.
    """
    listed = given.tolist() if isinstance(given, Tensor) else given
    tokens = [_index(one) for one in listed] if isinstance(listed, Iterable) else [None]
    known = [one for one in tokens if one is not None and 0 <= one < vocab_size]
    if len(known) < len(tokens):
        wrong = next(i for i, one in enumerate(tokens) if one is None or not 0 <= one < vocab_size)
        what = f"{name}[{wrong}]={list(listed)[wrong]!r}" if isinstance(listed, Iterable) else None
        raise ValueError(
            f"{what or f'{name}={given!r}'} is not a token: the model has {vocab_size}, numbered "
            "from 0. Pass whole numbers in one sequence, as a tokenizer gives them."
        )
    return known


def _index(number: Any) -> int | None:
    try:
        return None if isinstance(number, bool) else operator.index(number)
    except TypeError:
        return None
