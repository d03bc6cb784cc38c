"""Checks of what a cache is given, before anything is written."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from gqa_lib.arguments import check_kind, check_whole, index, shown
from gqa_lib.kernels.checks import check_tensor


def check_sizes(batch_size: int, num_kv_heads: int, head_dim: int, dtype: torch.dtype) -> None:
    """Raise ValueError unless a cache can be made with these.

    Args:
        batch_size: rows, of which there may be none.
        num_kv_heads, head_dim: of keys and values.
        dtype: of both.
    """
    check_whole(0, batch_size=batch_size)
    check_whole(num_kv_heads=num_kv_heads, head_dim=head_dim)
    check_kind(torch.dtype, "Pass one such as torch.bfloat16.", dtype=dtype)


def refuse_trace() -> None:
    """Raise ValueError under torch.jit.trace, which would keep a cache's length as a constant."""
    if torch._C._get_tracing_state() is not None:
        raise ValueError(
            "torch.jit.trace with a cache: it would write down how many tokens that holds now, "
            "and be wrong at the next call. Use torch.compile, or trace without a cache."
        )


def check_new(k: Tensor, v: Tensor, memory: Tensor) -> None:
    """Raise ValueError unless k and v are keys and values that belong in a cache.

    Args:
        k, v: of the new tokens, (B, Hkv, T, D).
        memory: where the cache keeps its keys, (B, Hkv, any, D).
    """
    refuse_trace()
    B, Hkv, _, D = memory.shape
    for name, new in (("k", k), ("v", v)):
        if not isinstance(new, Tensor):
            check_tensor(new, name)
        if new.dim() != 4 or (*new.shape[:2], new.shape[3]) != (B, Hkv, D):
            raise ValueError(
                f"{name} has shape {tuple(new.shape)} but the cache takes ({B}, {Hkv}, T, {D}): "
                "a token of another shape has no place in it. "
                "Make the cache with the model's batch_size, num_kv_heads and head_dim."
            )
        if new.dtype != memory.dtype or new.device != memory.device:
            raise ValueError(
                f"{name} is {new.dtype} on {new.device} but the cache is {memory.dtype} on "
                f"{memory.device}: converting every step would hide a cost. "
                "Make the cache with the model's dtype and device."
            )
    if k.shape != v.shape:
        raise ValueError(
            f"k has {k.shape[2]} new tokens and v has {v.shape[2]}: each key needs its value. "
            "Append the k and v of the same tokens."
        )


def counts_of(
    num_new: Sequence[int] | Tensor | None, batch_size: int, num_tokens: int
) -> list[int]:
    """Return how many new tokens each row has.

    Args:
        num_new: as in `Cache.append`; None is all of them.
        batch_size: B.
        num_tokens: T, padding counted.

    Raises:
        ValueError: num_new is not a whole number from 0 to T for each row.
    """
    if num_new is None:
        return [num_tokens] * batch_size
    return one_per_row(num_new, "num_new", batch_size, most=num_tokens)


def check_room(lengths: list[int], num_new: list[int], max_seq_len: int) -> None:
    """Raise ValueError if some row has no room for its new tokens.

    Args:
        lengths, num_new: tokens of each row, and how many it is to get.
        max_seq_len: tokens that a row has room for.
    """
    ends = [length + n for length, n in zip(lengths, num_new, strict=True)]
    end = max(ends) if ends else 0
    if end > max_seq_len:
        b = ends.index(end)
        where = "the cache" if min(ends) == end else f"row {b} of the cache"
        raise ValueError(
            f"{where} holds {lengths[b]} tokens and {num_new[b]} more make {end}, over "
            f"max_seq_len={max_seq_len}: old tokens would be lost. "
            f"Make the cache with max_seq_len={end} or more, or reset() it."
        )


def check_queries(num_queries: int, lengths: list[int], num_new: list[int]) -> None:
    """Raise ValueError unless every new token has its query, and is there.

    Args:
        num_queries: T, padding counted.
        lengths, num_new: tokens of each row, and how many of them are to attend.
    """
    for b, (length, n) in enumerate(zip(lengths, num_new, strict=True)):
        if n > min(num_queries, length):
            raise ValueError(
                f"q has T={num_queries} queries, for the last {n} of the {length} tokens that row "
                f"{b} of the cache holds: each query is a cached token's, each new token has one. "
                "Pass the queries of the tokens that were appended last."
            )


def one_per_row(
    numbers: int | Sequence[int] | Tensor,
    name: str,
    batch_size: int,
    *,
    most: int,
    one_for_all: bool = False,
) -> list[int]:
    """Return one whole number for each row as a list; a tensor on a GPU is waited for.

    Args:
        numbers: (B,) of any integers: a sequence, a tensor or an array.
        name: what the error calls them.
        batch_size: B.
        most: the largest that is allowed; the smallest is 0.
        one_for_all: whether a single number may stand for all rows.

    Raises:
        ValueError: there are more or fewer, or one is not a whole number from 0 to `most`.
    """
    given: Any = numbers.tolist() if isinstance(numbers, Tensor) else numbers
    each = [given] * batch_size if one_for_all and not _is_many(given) else given
    if _is_many(each):
        each = list(each)
        whole = [n for n in map(_whole, each) if n is not None and 0 <= n <= most]
        if len(whole) == len(each) == batch_size:
            return whole
    ways = "Pass one such number for all rows, or" if one_for_all else "Pass"
    raise ValueError(
        f"{name}={shown(each)} for {batch_size} rows: each row needs one of its own, a whole "
        f"number from 0 to {most}. {ways} {batch_size} such numbers."
    )


def _is_many(given: Any) -> bool:
    """Whether something is several numbers; an array without dimensions is one."""
    several = isinstance(given, Iterable) and not isinstance(given, str)
    return several and getattr(given, "ndim", 1) > 0


def _whole(number: Any) -> int | None:
    """A number as an int, or None for what is not whole, truth values included."""
    return index(number.item() if isinstance(number, Tensor) else number)
