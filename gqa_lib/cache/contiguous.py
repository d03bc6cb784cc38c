"""A KV cache in one preallocated block."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .checks import check_new, check_room, check_sizes, counts_of
from .gradients import is_lost, refuse_gradient
from .newest import attend_newest
from .protocol import Cache
from .row_lengths import RowLengths
from .rows import are_alike, on_cpu, own_tokens


class KVCache(RowLengths, Cache):
    """K and V of past tokens, allocated once; `append` returns views, never copies.

    Rows of the batch may differ in length. What lies behind a row's tokens means nothing.

    Args:
        batch_size, num_kv_heads, max_seq_len, head_dim: the block, (B, Hkv, max_seq_len, D) each
            for K and V.
        dtype: of both.
        device: of both; None is torch's default device.

    Raises:
        ValueError: a size is not a whole number, or there is no head, or nothing in it.
    """

    def __init__(
        self,
        batch_size: int,
        num_kv_heads: int,
        max_seq_len: int,
        head_dim: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ):
        check_sizes(batch_size, num_kv_heads, head_dim, dtype)
        super().__init__(batch_size, max_seq_len)
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self._k, self._v = (torch.empty(shape, dtype=dtype, device=device) for _ in range(2))

    @property
    def lengths(self) -> Tensor:
        """Tokens of each row, (B,) int64 on the cache's device."""
        return on_cpu(self._lengths).to(self._k.device, non_blocking=True)

    @property
    def nbytes(self) -> int:
        """Bytes allocated, whatever the lengths."""
        return self._k.nbytes + self._v.nbytes

    @property
    def memory(self) -> tuple[Tensor, Tensor]:
        """K and V, (B, Hkv, max_seq_len, D) each; behind a row's tokens they mean nothing."""
        return self._k, self._v

    def append(
        self, k: Tensor, v: Tensor, num_new: Sequence[int] | Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return all cached keys and values, the new ones last.

        The cache is for inference: gradients do not flow into it, and where k or v needs one,
        backward through `attend` is an error.

        Args:
            k, v: of the new tokens, (B, Hkv, T, D), in the cache's dtype on its device.
            num_new: how many of the T tokens each row has, (B,): its own come first, then padding,
                which is not cached. None is T for all.

        Returns:
            (k_all, v_all), each (B, Hkv, length, D): views that the next append leaves as they are.
            A row that is shorter than `length` ends with what means nothing.

        Raises:
            ValueError: k, v or num_new does not fit the cache, or there is no room for the new
                tokens. The cache is then as it was before.
        """
        check_new(k, v, self._k)
        B, T, start = len(self._lengths), k.shape[2], self.length
        counts = counts_of(num_new, B, T)
        check_room(self._lengths, counts, self.max_seq_len)
        all_new = counts.count(T) == B
        if all_new and self._rows_alike():
            self._k[:, :, start : start + T] = k.detach()
            self._v[:, :, start : start + T] = v.detach()
        else:
            rows, tokens, slots = self._slots(counts, T)
            self._k[rows, :, slots] = k.detach()[rows, :, tokens]  # (N, Hkv, D)
            self._v[rows, :, slots] = v.detach()[rows, :, tokens]
        self._lengths = [length + n for length, n in zip(self._lengths, counts, strict=True)]
        self._num_new = None if all_new else counts
        self._lost = self._lost or is_lost(k, v)
        return self._k[:, :, : self.length], self._v[:, :, : self.length]

    def extend(self) -> Tensor:
        """Make each row a token longer, for whoever writes the tokens to `memory` directly.

        Returns:
            The tokens of each row with the new one, which is the last of them, (B,) int64 on the
            CPU.

        Raises:
            ValueError: a row has no room. The cache is then as it was before.
        """
        check_room(self._lengths, [1] * len(self._lengths), self.max_seq_len)
        self._lengths = [length + 1 for length in self._lengths]
        self._num_new = None
        return on_cpu(self._lengths)

    def attend(
        self, q: Tensor, backend: str = "auto", *, causal: bool = True, window: int | None = None
    ) -> Tensor:
        """Return attention of the tokens appended last over all tokens of their rows.

        Each row's result is what it would be alone. K and V are read where they are: rows of one
        length together, others by a backend that reads lengths or else row by row.

        Args:
            q: their queries, (B, Hq, T, D), padded as k and v were; without padding T may be less
                than it was then, and the queries are those of each row's newest tokens.
            backend, causal, window: as in `gqa_lib.attention.grouped_query_attention`.

        Returns:
            (B, Hq, T, D) in q's dtype, zeros for padding.

        Raises:
            ValueError: q does not fit the cache, or the backend cannot run the call.
        """
        out = self._attend(q, backend, causal, window)
        return refuse_gradient(out) if self._lost else out

    def _attend(self, q: Tensor, backend: str, causal: bool, window: int | None) -> Tensor:
        k, v = self._k[:, :, : self.length], self._v[:, :, : self.length]  # (B, Hkv, S, D)
        return attend_newest(q, k, v, self._lengths, self._num_new, backend, causal, window)

    def reorder(self, index: Sequence[int] | Tensor) -> None:
        """Let row b be what row index[b] was, as beam search does.

        Rows that change are copied, their keys first and then their values; no others are.

        Args:
            index: (B,), each from 0 to B - 1; a row may be taken several times or not at all.

        Raises:
            ValueError: it is not a row's number for each row. The cache is then as it was before.
        """
        sources, changed, moved = self._sources(index)
        for memory in (self._k, self._v):
            memory[changed, :, : self.length] = memory[moved, :, : self.length]
        self._count_as(sources)

    def _rows_alike(self) -> bool:
        return are_alike(self._lengths)

    def _slots(self, counts: list[int], T: int) -> tuple[Tensor, Tensor, Tensor]:
        """(row, which of the T, slot) of each of the N new tokens, padding left out."""
        places = own_tokens(self._lengths, counts, T)
        rows, tokens, slots = (t.to(self._k.device, non_blocking=True) for t in places)
        return rows, tokens, slots
