"""A KV cache in one preallocated block."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gqa_lib.kernels import attend, attend_rows, decode_attention
from gqa_lib.kernels.checks import check_attention


class KVCache:
    """K and V of past tokens, allocated once; `append` returns views, never copies.

    It is a `gqa_lib.cache.Cache`. Rows of the batch may differ in length: row b has `lengths[b]`
    tokens, and what lies behind them in its part of the block means nothing.

    Args:
        batch_size, num_kv_heads, max_seq_len, head_dim: the block, (B, Hkv, max_seq_len, D) each
            for K and V.
        dtype: of both.
        device: of both; None is torch's default device.
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
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self._k, self._v = (torch.empty(shape, dtype=dtype, device=device) for _ in range(2))
        self._lengths = [0] * batch_size  # here and not on a GPU, which would be waited for
        self._num_new: list[int] | None = None  # of each row at the last append

    @property
    def max_seq_len(self) -> int:
        return self._k.shape[2]

    @property
    def length(self) -> int:
        """Tokens of the longest row."""
        return max(self._lengths, default=0)

    @property
    def lengths(self) -> Tensor:
        """Tokens of each row, (B,) int64 on the cache's device."""
        return torch.tensor(self._lengths, device="cpu").to(self._k.device, non_blocking=True)

    @property
    def nbytes(self) -> int:
        """Bytes allocated, whatever the lengths."""
        return self._k.nbytes + self._v.nbytes

    def positions(self, num_new: int) -> Tensor:
        """Return where the next `num_new` tokens of each row stand.

        Returns:
            (T,) if it is the same in all rows, else (B, T); int64 on the CPU, where it is known
            without waiting for a GPU.
        """
        steps = torch.arange(num_new, device="cpu")
        if (start := _alike(self._lengths)) is not None:
            return start + steps
        return torch.tensor(self._lengths, device="cpu")[:, None] + steps

    def append(
        self, k: Tensor, v: Tensor, num_new: Sequence[int] | Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return all cached keys and values, the T new ones last.

        The cache is for inference: gradients do not flow into it.

        Args:
            k, v: of the new tokens, (B, Hkv, T, D), in the cache's dtype on its device.
            num_new: how many of the T tokens each row has, (B,): its own come first, then padding,
                which is not cached. None is T for all.

        Returns:
            (k_all, v_all), each (B, Hkv, length, D): views that the next append leaves as they are.
            Where rows differ, what lies behind `lengths[b]` in row b means nothing.

        Raises:
            ValueError: k, v or num_new does not fit the cache, or there is no room for the new
                tokens. The cache is then as it was before.
        """
        self._check(k, "k")
        self._check(v, "v")
        if k.shape != v.shape:
            raise ValueError(
                f"k has {k.shape[2]} new tokens and v has {v.shape[2]}: each key needs its value. "
                "Append the k and v of the same tokens."
            )
        B, T = k.shape[0], k.shape[2]
        counts = [T] * B if num_new is None else self._per_row(num_new, "num_new", most=T)
        ends = [length + n for length, n in zip(self._lengths, counts, strict=True)]
        self._check_room(ends, counts)
        alike = _alike(counts) == T
        if alike and (start := _alike(self._lengths)) is not None:
            self._k[:, :, start : start + T] = k.detach()
            self._v[:, :, start : start + T] = v.detach()
        else:
            rows, tokens, slots = self._slots(counts, T)
            self._k[rows, :, slots] = k.detach()[rows, :, tokens]  # (N, Hkv, D)
            self._v[rows, :, slots] = v.detach()[rows, :, tokens]
        self._lengths, self._num_new = ends, None if alike else counts
        return self._k[:, :, : self.length], self._v[:, :, : self.length]

    def attend(
        self, q: Tensor, backend: str = "auto", *, causal: bool = True, window: int | None = None
    ) -> Tensor:
        """Return attention of the tokens appended last over all tokens of their rows.

        Each row's result is what it would be alone. K and V are read where they are: rows of one
        length together, rows that differ by a backend that reads lengths, or else row by row.

        Args:
            q: their queries, (B, Hq, T, D), padded like the k and v of that append. Without such
                padding T may be less than it was: they are then each row's newest.
            backend, causal, window: as in `gqa_lib.attention.grouped_query_attention`.

        Returns:
            (B, Hq, T, D) in q's dtype, zeros for padding.

        Raises:
            ValueError: q does not fit the cache, or the backend cannot run the call.
        """
        k, v = self._k[:, :, : self.length], self._v[:, :, : self.length]  # (B, Hkv, S, D)
        check_attention(q, k, v, causal, window)
        if self._num_new is None and _alike(self._lengths) is not None:
            return attend(q, k, v, causal, backend, window=window)
        T = q.shape[2]
        num_new = self._num_new or [T] * len(self._lengths)
        self._check_queries(T, num_new)
        if T == 1 and window is None:
            seen = [n and length for n, length in zip(num_new, self._lengths, strict=True)]
            lengths = torch.tensor(seen, device="cpu").to(k.device, non_blocking=True)
            return decode_attention(q, k, v, lengths, backend=backend)
        rows = (
            (k[b : b + 1, :, :length], v[b : b + 1, :, :length])
            for b, length in enumerate(self._lengths)
        )
        return attend_rows(q, rows, num_new, causal, backend, window=window)

    def reorder(self, index: Sequence[int] | Tensor) -> None:
        """Let row b be what row index[b] was, as beam search does.

        Only rows that change are copied, K and V one after the other.

        Args:
            index: (B,), each from 0 to B - 1; rows may be taken several times or not at all.
        """
        B = len(self._lengths)
        rows = self._per_row(index, "index", most=B - 1)
        changed = [b for b in range(B) if rows[b] != b]
        sources = [rows[b] for b in changed]
        for memory in (self._k, self._v):
            memory[changed, :, : self.length] = memory[sources, :, : self.length]
        self._lengths = [self._lengths[row] for row in rows]
        self._num_new = self._num_new and [self._num_new[row] for row in rows]

    def truncate(self, length: int | Sequence[int] | Tensor) -> None:
        """Forget all but the first `length` tokens of each row; shorter rows stay as they are.

        Args:
            length: 0 to max_seq_len, one number for all rows or (B,).
        """
        each = [length] * len(self._lengths) if isinstance(length, int) else length
        most = self._per_row(each, "length", most=self.max_seq_len)
        self._lengths = [min(pair) for pair in zip(self._lengths, most, strict=True)]
        self._num_new = None

    def reset(self) -> None:
        """Forget every token; the memory stays allocated."""
        self.truncate(0)

    def _slots(self, counts: list[int], T: int) -> tuple[Tensor, Tensor, Tensor]:
        """(row, its place among the T, its slot) of each of the N new tokens, padding left out."""
        is_new = torch.arange(T, device="cpu") < torch.tensor(counts, device="cpu")[:, None]
        rows, tokens = is_new.nonzero(as_tuple=True)
        slots = torch.tensor(self._lengths, device="cpu")[rows] + tokens
        to = self._k.device
        return rows.to(to), tokens.to(to), slots.to(to)

    def _per_row(self, numbers: Sequence[int] | Tensor, name: str, *, most: int) -> list[int]:
        """One number of each row, checked."""
        given = numbers.tolist() if isinstance(numbers, Tensor) else list(numbers)
        B = len(self._lengths)
        if len(given) != B or not all(0 <= n <= most for n in given):
            raise ValueError(
                f"{name}={given} for {B} rows: each row has its own, from 0 to {most}. "
                f"Pass {B} such numbers."
            )
        return given

    def _check(self, new: Tensor, name: str) -> None:
        B, Hkv, _, D = self._k.shape
        if new.dim() != 4 or (*new.shape[:2], new.shape[3]) != (B, Hkv, D):
            raise ValueError(
                f"{name} has shape {tuple(new.shape)} but the cache takes ({B}, {Hkv}, T, {D}): "
                "a token of another shape has no place in it. "
                "Make the cache with the model's batch_size, num_kv_heads and head_dim."
            )
        if (new.dtype, new.device) != (self._k.dtype, self._k.device):
            raise ValueError(
                f"{name} is {new.dtype} on {new.device} but the cache is {self._k.dtype} on "
                f"{self._k.device}: converting every step would hide a cost. "
                "Make the cache with the model's dtype and device."
            )

    def _check_room(self, ends: list[int], counts: list[int]) -> None:
        end = max(ends, default=0)
        if end > self.max_seq_len:
            b = ends.index(end)
            where = "the cache" if _alike(ends) == end else f"row {b} of the cache"
            raise ValueError(
                f"{where} holds {self._lengths[b]} tokens and {counts[b]} more make {end}, over "
                f"max_seq_len={self.max_seq_len}: old tokens would be lost. "
                f"Make the cache with max_seq_len={end} or more, or reset() it."
            )

    def _check_queries(self, T: int, num_new: list[int]) -> None:
        for b, (n, length) in enumerate(zip(num_new, self._lengths, strict=True)):
            if n > min(T, length):
                raise ValueError(
                    f"q has T={T} queries, and row {b} of the cache {n} new tokens of {length}: "
                    "each new token needs its query and every query its token. "
                    "Pass the queries of the tokens that were appended last."
                )


def _alike(numbers: list[int]) -> int | None:
    """Return the number that all of them are, or None where they differ."""
    return numbers[0] if numbers and numbers.count(numbers[0]) == len(numbers) else None
