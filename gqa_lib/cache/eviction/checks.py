"""Checks of what an evicting cache is asked for."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from gqa_lib.arguments import shown


def check_fresh(num_queries: int, fresh: Sequence[int], num_new: Sequence[int]) -> None:
    """Raise ValueError unless each query is a token's that came since rows were last evicted.

    Args:
        num_queries: T, padding counted.
        fresh: of each row, tokens that were appended since.
        num_new: how many of them are to attend.
    """
    for b, (there, n) in enumerate(zip(fresh, num_new, strict=True)):
        if n > min(num_queries, there):
            raise ValueError(
                f"q has T={num_queries} queries, for the last {n} tokens of row {b}, which has "
                f"{there} new ones since rows were last evicted or forgotten: what older queries "
                "saw may be gone. Attend once to what was appended, with the queries of its tokens."
            )


def check_rope(rope: Any, head_dim: int) -> None:
    """Raise ValueError unless rope is None or turns heads of this size.

    Args:
        rope: as in `EvictingCache`.
        head_dim: D.
    """
    if rope is None:
        return
    if not hasattr(rope, "cos_sin") or rope.head_dim != head_dim:
        size = f" for head_dim={rope.head_dim}" if hasattr(rope, "head_dim") else ""
        raise ValueError(
            f"rope={shown(rope)}{size} cannot turn heads of head_dim={head_dim} back: keys would "
            "be compared at wrong distances. Pass the Rope of the layer itself, or None."
        )


def check_truncation(positions: Tensor, length: int, wanted: int, row: int) -> None:
    """Raise ValueError unless all KV heads hold all tokens that are to be forgotten.

    Args:
        positions: of the rows that are held, (Hkv, held).
        length: tokens of the row.
        wanted: how many of them are to stay.
        row: its number.
    """
    fewest = int((positions >= wanted).sum(-1).min())
    if fewest < length - wanted:
        raise ValueError(
            f"length={wanted} for row {row} of {length} tokens: some KV head holds only {fewest} "
            f"of the {length - wanted} to be forgotten, and what it kept instead of the others, or "
            "evicted for them, would differ from head to head. Forget tokens that are protected as "
            "recent, or all with reset()."
        )


def check_masked(backend: str, window: int | None) -> None:
    """Raise ValueError for a backend that cannot run behind a window once rows are evicted.

    Args:
        backend, window: as in `EvictingCache.attend`.
    """
    if window is not None and backend not in ("auto", "fold_sdpa"):
        raise ValueError(
            f"backend {backend!r} with window={window} over rows of which some are evicted: "
            "which of them a window hides differs from head to head, and this backend takes no "
            "mask for that. Choose from auto, fold_sdpa."
        )
