"""Decoding over caches whose sequences differ in length or lie in pages.

A backend that reads lengths and pages itself has a `decode` of its own. For the others a call is
cut here: into views where a sequence is in one piece, and where it does not into one copy of one
sequence's pages at a time.
"""

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from .call import Call
from .checks import capacity_of


class DecodeCall:
    """One new token per sequence over a cache: as a whole, and as pieces for plain attention.

    Args:
        q, k_cache, v_cache, lengths, block_table: as in `decode_attention`. Lengths on a GPU are
            waited for when the cache is cut, and not before.

    Attributes:
        whole: the call as it is, for backends with a `decode` of their own.
        in_one_piece: there are keys, and neither lengths nor pages.
    """

    def __init__(
        self,
        q: Tensor,
        k_cache: Tensor,
        v_cache: Tensor,
        lengths: Tensor | None = None,
        block_table: Tensor | None = None,
    ):
        self.whole = Call(q, k_cache, v_cache)
        self._lengths, self._table = lengths, block_table
        self.in_one_piece = lengths is None and block_table is None and self.whole.S > 0

    @cached_property
    def first(self) -> Call:
        """The first piece, by which a backend is chosen for all; its pages are not copied yet."""
        if self.in_one_piece:
            return self.whole
        q, k, v = self.whole.q, self.whole.k, self.whole.v
        if self._table is not None:
            k = k.new_empty(1, k.shape[1], capacity_of(k, self._table), k.shape[3])
            return Call(q[:1], k, k)
        rows, count = self._cuts[0] if self._cuts else (slice(0, 1), self.whole.S)
        return Call(q[rows], k[rows, :, :count], v[rows, :, :count])

    def attend(self, fn: Callable[..., Tensor]) -> Tensor:
        """Return attention by `fn`, as in `Backend.fn`: (B, Hq, 1, D), zeros without keys."""
        q, k_cache, v_cache = self.whole.q, self.whole.k, self.whole.v
        if self.in_one_piece:
            return fn(q, k_cache, v_cache, True)
        out = torch.zeros(q.shape, dtype=q.dtype, device=q.device)
        for rows, count in self._cuts:
            k, v = (self._keys(cache, rows, count) for cache in (k_cache, v_cache))
            out[rows] = fn(q[rows], k, v, True)
        return out

    @cached_property
    def _cuts(self) -> list[tuple[slice, int]]:
        """(rows of the batch, their keys) of each piece; rows without keys are left out."""
        capacity, B = capacity_of(self.whole.k, self._table), self.whole.B
        counts = [capacity] * B
        if self._lengths is not None:
            counts = [max(0, min(count, capacity)) for count in self._lengths.tolist()]
        if self._table is None and len(set(counts)) == 1:
            return [(slice(0, B), counts[0])] if counts[0] else []
        return [(slice(b, b + 1), count) for b, count in enumerate(counts) if count]

    def _keys(self, cache: Tensor, rows: slice, count: int) -> Tensor:
        """The first `count` keys or values of some rows: a view, or a copy of one row's pages."""
        if self._table is None:
            return cache[rows, :, :count]  # (rows, Hkv, count, D)
        pages = self._table[rows.start, : -(-count // cache.shape[2])]
        copied = cache.transpose(0, 1)[:, pages]  # (Hkv, pages, page_size, D); index_select is slow
        return copied.flatten(1, 2)[None, :, :count]
