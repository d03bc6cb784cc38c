"""Checks of shapes, dtypes and devices: once for a call, before any backend is asked."""

from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from gqa_lib.arguments import check_kind
from gqa_lib.heads import check_heads

from .traced import is_traced


def check_attention(
    q: Tensor, k: Tensor, v: Tensor, causal: bool = True, window: int | None = None
) -> None:
    """Raise ValueError, with the numbers in it, for arguments that attention cannot take.

    Args:
        q, k, v, causal, window: as in `gqa_lib.attention.grouped_query_attention`.
    """
    check_tensors(q, k, v)
    T, S = q.shape[2], k.shape[2]
    if causal and S < T:
        raise ValueError(
            f"T={T} queries over S={S} keys: in causal attention the queries are "
            "the last T of S tokens, so the first would see no key at all. "
            "Pass the keys of every token, or causal=False."
        )
    check_window(window, causal)


def check_tensors(q: Tensor, k: Tensor, v: Tensor) -> None:
    """Raise ValueError unless q, k and v fit together, whatever their numbers of tokens.

    Args:
        q: queries, (B, Hq, T, D).
        k, v: keys and values, (B, Hkv, S, D).
    """
    if not (isinstance(q, Tensor) and isinstance(k, Tensor) and isinstance(v, Tensor)):
        _check_are_tensors(q=q, k=k, v=v)
    if not q.dim() == k.dim() == v.dim() == 4 or k.shape != v.shape:
        raise ValueError(
            f"{_shapes(q=q, k=k, v=v)}: heads and tokens cannot be told apart. "
            "Pass q as (B, Hq, T, D) and both k and v as (B, Hkv, S, D)."
        )
    (B, Hq, _, D), (batch_size, Hkv, _, head_dim) = q.shape, k.shape
    if batch_size != B or head_dim != D:
        raise ValueError(
            f"{_shapes(q=q, k=k, v=v)}: each query is compared with keys of its own sequence and "
            "width. Give q and k the same batch_size (first) and head_dim (last)."
        )
    check_heads(Hq, Hkv)
    _check_kinds(q=q, k=k, v=v)


def check_window(window: int | None, causal: bool) -> None:
    """Raise ValueError unless a window is a number of keys that ends at each query.

    Args:
        window: keys, None for all of them.
        causal: whether a query sees only the keys up to its own.

    Raises:
        ValueError: it is not a whole number above 0, or causal is False.
    """
    if window is None:
        return
    whole = isinstance(window, Integral) and not isinstance(window, bool)
    if not whole or window < 1 or not causal:
        raise ValueError(
            f"window={window} with causal={causal}: a window counts back from each query, its own "
            "token included. Pass a whole number from 1 with causal=True, or window=None."
        )


def check_decode(
    q: Tensor, k_cache: Tensor, v_cache: Tensor, lengths: Tensor | None, block_table: Tensor | None
) -> None:
    """Raise ValueError, with the numbers in it, for arguments that `decode_attention` cannot take.

    Values of lengths and block_table are looked at on a CPU only: on a GPU that would wait for it,
    and a call that is traced has none yet.

    Args:
        q, k_cache, v_cache, lengths, block_table: as in `decode_attention`.
    """
    if not (isinstance(q, Tensor) and isinstance(k_cache, Tensor) and isinstance(v_cache, Tensor)):
        _check_are_tensors(q=q, k_cache=k_cache, v_cache=v_cache)
    _check_decode_shapes(q, k_cache, v_cache, paged=block_table is not None)
    _check_kinds(q=q, k_cache=k_cache, v_cache=v_cache)
    if block_table is not None:
        _check_integers(block_table, "block_table", (q.shape[0], None), q.device)
    if lengths is not None:
        _check_integers(lengths, "lengths", (q.shape[0],), q.device)
    uneven = lengths is not None or block_table is not None
    if uneven and q.is_cpu and not is_traced():
        _check_lengths(k_cache, lengths, block_table)
        _check_pages(k_cache, lengths, block_table)


def capacity_of(k_cache: Tensor, block_table: Tensor | None) -> int:
    """Return how many keys a sequence can have at most.

    Args:
        k_cache, block_table: as in `decode_attention`.
    """
    return k_cache.shape[2] * (1 if block_table is None else block_table.shape[1])


def _shapes(**tensors: Tensor) -> str:
    return ", ".join(f"{name} {tuple(t.shape)}" for name, t in tensors.items())


def _check_kinds(**tensors: Tensor) -> None:
    """Refuse q, K and V that differ in dtype or device."""
    q, k, v = tensors.values()
    if not q.dtype == k.dtype == v.dtype or not q.device == k.device == v.device:
        kinds = ", ".join(f"{name} {t.dtype} on {t.device}" for name, t in tensors.items())
        raise ValueError(
            f"{kinds}: converting here would hide a copy of the whole cache. "
            "Give all three one dtype and one device."
        )
    if not q.dtype.is_floating_point:
        raise ValueError(
            f"q, K and V are {q.dtype}: weights of an average are fractions. Give floating-point "
            "tensors, such as q.float()."
        )


def _check_are_tensors(**tensors: Tensor) -> None:
    for name, tensor in tensors.items():
        check_tensor(tensor, name)


def check_tensor(value: Any, name: str) -> None:
    """Raise ValueError for what is not a tensor.

    Args:
        value: what should be one.
        name: of the argument.
    """
    check_kind(Tensor, "Pass a torch.Tensor, such as torch.as_tensor(...).", **{name: value})


def _check_decode_shapes(q: Tensor, k_cache: Tensor, v_cache: Tensor, *, paged: bool) -> None:
    if q.dim() != 4 or q.shape[2] != 1 or k_cache.dim() != 4 or k_cache.shape != v_cache.shape:
        raise ValueError(
            f"{_shapes(q=q, k_cache=k_cache, v_cache=v_cache)}: decoding takes one new token per "
            "sequence and a value for each key. Pass q as (B, Hq, 1, D) and both caches as "
            f"{'(P, Hkv, page_size, D)' if paged else '(B, Hkv, S, D)'}."
        )
    (B, Hq, _, D), (blocks, Hkv, _, head_dim) = q.shape, k_cache.shape
    if head_dim != D or (not paged and blocks != B):
        same = "head_dim (last)" if paged else "batch_size (first) and head_dim (last)"
        raise ValueError(
            f"{_shapes(q=q, k_cache=k_cache, v_cache=v_cache)}: each query is compared with keys "
            f"of its own sequence and width. Give q and the caches the same {same}."
        )
    check_heads(Hq, Hkv)


def _check_integers(
    tensor: Tensor, name: str, shape: tuple[int, int | None] | tuple[int], device: torch.device
) -> None:
    check_tensor(tensor, name)
    fits = tensor.dim() == len(shape) and tensor.shape[0] == shape[0]
    if not fits or tensor.dtype not in (torch.int32, torch.int64) or tensor.device != device:
        wanted = "(B,)" if len(shape) == 1 else "(B, pages)"
        raise ValueError(
            f"{name} is {tensor.dtype} {tuple(tensor.shape)} on {tensor.device}, with "
            f"{shape[0]} sequences on {device}: every sequence needs its own entry there. "
            f"Pass {wanted} int32 or int64 on {device}."
        )


def _check_lengths(k_cache: Tensor, lengths: Tensor | None, block_table: Tensor | None) -> None:
    capacity = capacity_of(k_cache, block_table)
    for b, length in enumerate(() if lengths is None else lengths.tolist()):
        if not 0 <= length <= capacity:
            raise ValueError(
                f"lengths[{b}]={length}, but a sequence has 0 to {capacity} keys in this "
                "cache: keys after those belong to others. Pass the lengths with the new token."
            )


def _check_pages(k_cache: Tensor, lengths: Tensor | None, block_table: Tensor | None) -> None:
    if block_table is None or not block_table.numel():
        return
    used = block_table
    if lengths is not None:
        starts = torch.arange(block_table.shape[1]) * k_cache.shape[2]
        used = block_table[starts < lengths.unsqueeze(1)]
    wrong = used[(used < 0) | (used >= k_cache.shape[0])]
    if len(wrong):
        raise ValueError(
            f"block_table names page {wrong[0].item()}, but k_cache has pages 0 to "
            f"{k_cache.shape[0] - 1}: its keys would come from unrelated memory. "
            "Entries past a sequence's length may be anything; those before must be pages."
        )
