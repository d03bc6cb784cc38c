"""Checks of tokens and numbers that a model is given, before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gqa_lib.arguments import index
from gqa_lib.cache import Cache, ModelCache


def in_dtype(name: str, value: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a weight as it is stored, in memory of its own.

    Args:
        name: of the weight.
        value: its numbers.
        dtype: of those that are stored.

    Raises:
        ValueError: a number is NaN, or infinite in that dtype.
    """
    new = value.to(dtype)
    if not new.isfinite().all():
        finite = value.isfinite()
        if not finite.all():
            raise ValueError(
                f"{name} has a weight that is infinite or NaN: what computes with it is lost. Give "
                "a model whose weights are numbers."
            )
        raise ValueError(
            f"{name} would have a weight of {float(value.abs().max()):.4g}, which {dtype} does not "
            "reach. Take the model in bfloat16 or float32."
        )
    return new.contiguous().clone()


def embed(embedding: nn.Embedding, tokens: Tensor) -> Tensor:
    """Return the embedding of each token, (B, T, d_model).

    Args:
        embedding: of the vocabulary.
        tokens: (B, T) int64.

    Raises:
        ValueError: tokens are not whole numbers in two dimensions, or, on a CPU, one is not in the
            vocabulary: a GPU would have to be waited for.
    """
    if not isinstance(tokens, Tensor) or tokens.dim() != 2:
        what = f"of shape {tuple(tokens.shape)}" if isinstance(tokens, Tensor) else f"{tokens!r}"
        raise ValueError(
            f"tokens are {what:.60}: a model takes a batch of rows. Pass a tensor of (B, T), such "
            "as torch.tensor([[1, 2, 3]]) for one row of three tokens."
        )
    if tokens.dtype not in (torch.int64, torch.int32):
        raise ValueError(
            f"tokens are {tokens.dtype}: they are places in a vocabulary. Pass them as torch.int64."
        )
    try:
        return embedding(tokens)
    except IndexError:
        known = (tokens >= 0) & (tokens < embedding.num_embeddings)
        b, t = (~known).nonzero()[0].tolist()
        raise ValueError(
            f"tokens[{b}, {t}]={tokens[b, t]} is not a token: the model has "
            f"{embedding.num_embeddings}, numbered from 0. Use the model's own tokenizer."
        ) from None


def caches_of(cache: ModelCache | None, num_layers: int) -> Sequence[Cache | None]:
    """Return the cache of each layer, None for all without one.

    Args:
        cache: a model's.
        num_layers: layers of the model that is to use it.

    Raises:
        ValueError: it is not a cache for so many layers.
    """
    if cache is None:
        return (None,) * num_layers
    if not isinstance(cache, ModelCache) or len(cache.layers) != num_layers:
        layers = f" of {len(cache.layers)} layers" if isinstance(cache, ModelCache) else ""
        raise ValueError(
            f"a {type(cache).__name__}{layers} for a model of {num_layers} layers: each layer has "
            "past tokens of its own. Make it with the model's new_cache(batch_size, max_seq_len)."
        )
    return cache.layers


def check_empty_cache(cache: ModelCache, num_layers: int, num_rows: int) -> None:
    """Raise ValueError unless a cache can take prompts from their first tokens on.

    Args:
        cache: a model's.
        num_layers: layers of the model.
        num_rows: prompts.
    """
    caches_of(cache, num_layers)
    for i, layer in enumerate(cache.layers):
        lengths = layer.lengths.tolist()
        if lengths != [0] * num_rows:
            where = f" in layer {i}" if i else ""
            raise ValueError(
                f"a cache with rows of {lengths} tokens{where} for {num_rows} prompts: each prompt "
                f"needs a row of its own, and begins at position 0. Make one of {num_rows} rows, "
                "or truncate(0) it."
            )


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
    if not isinstance(listed, Iterable):
        raise _not_a_token(name, given, vocab_size)
    listed = list(listed)
    tokens = [index(one) for one in listed]
    for i, one in enumerate(tokens):
        if one is None or not 0 <= one < vocab_size:
            raise _not_a_token(f"{name}[{i}]", listed[i], vocab_size)
    return [one for one in tokens if one is not None]


def _not_a_token(name: str, given: Any, vocab_size: int) -> ValueError:
    return ValueError(
        f"{name}={repr(given)[:60]} is not a token: the model has {vocab_size}, numbered from 0. "
        "Pass whole numbers in one sequence, as a tokenizer gives them."
    )


def whole_number(given: Any, name: str, least: int, most: int | None = None) -> int:
    """Return a whole number.

    Args:
        given: what may be one.
        name: what the error calls it.
        least, most: the smallest and the largest that is allowed; None is any.

    Raises:
        ValueError: it is something else.
    """
    number = index(given)
    if number is None or number < least or (most is not None and number > most):
        up_to = "" if most is None else f" to {most}"
        raise ValueError(
            f"{name}={repr(given)[:60]} is not a whole number from {least}{up_to}. Give such a one."
        )
    return number
