"""A sequence's keys over several ranks, merged by log-sum-exp: heads need not be divided.

B batch, T new tokens, Hq query heads, Hkv KV heads, D elements of a head.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gqa_lib.arguments import shown
from gqa_lib.cache import Cache, ModelCache
from gqa_lib.cache.checks import check_new, check_queries, check_room, check_sizes, counts_of
from gqa_lib.cache.gradients import is_lost, refuse_gradient
from gqa_lib.cache.row_lengths import RowLengths
from gqa_lib.cache.rows import on_cpu, own_tokens
from gqa_lib.kernels.checks import check_tensors, check_window

from ..language_model import LanguageModel, check_model
from .collectives import Group, gather, rank_of
from .partial import attend_part, merge_parts
from .shard import ShardedModel


def split_decode(q: Tensor, k: Tensor, v: Tensor, group: Group = None) -> Tensor:
    """Return attention of q over the keys of all ranks, the same in each.

    Args:
        q: queries, (B, Hq, T, D), the same in all ranks; they see all keys.
        k, v: this rank's keys and values, (B, Hkv, S, D); another rank may have more, or none.
        group: the ranks; None is all of them.

    Returns:
        (B, Hq, T, D) in q's dtype.

    Raises:
        ValueError: shapes, dtypes or devices do not fit together.
        RuntimeError: this process belongs to no group.
    """
    rank_of(group)
    return _merged(q, *attend_part(q, k, v), group)


def split_cache(
    model: LanguageModel, batch_size: int, max_seq_len: int, group: Group = None
) -> ModelCache:
    """Return an empty cache of which each rank keeps every so-many-th token.

    Each rank has the whole model, computes all heads, and reads its own keys only: the cache
    shrinks with the ranks whatever num_kv_heads is.

    Args:
        model: the whole model, the same in all ranks.
        batch_size: B, rows.
        max_seq_len: tokens that each has room for, in all ranks together.
        group: the ranks; None is all of them.

    Raises:
        ValueError: the model is a rank's part of one, or a size is out of range.
        RuntimeError: this process belongs to no group.
    """
    check_model(model)
    if isinstance(model, ShardedModel):
        raise ValueError(
            f"the model is a rank's part, with heads of its own, of {model.num_ranks} ranks: keys "
            "of other tokens that another rank has would be of other heads. Give the whole model."
        )
    weight, config = model.head.weight, model.config
    sizes = batch_size, config.num_kv_heads, max_seq_len, config.head_dim
    return ModelCache(
        [SplitKVCache(*sizes, weight.dtype, weight.device, group) for _ in model.layers]
    )


class SplitKVCache(RowLengths, Cache):
    """K and V of one layer's past tokens, those at positions p with p % num_ranks == rank.

    All ranks append the same tokens, and attend together.

    Args:
        batch_size, num_kv_heads, max_seq_len, head_dim: sizes, of all ranks together.
        dtype: of keys and values.
        device: of both; None is torch's default device.
        group: the ranks; None is all of them.

    Raises:
        ValueError: a size is not a whole number.
        RuntimeError: this process belongs to no group.
    """

    def __init__(
        self,
        batch_size: int,
        num_kv_heads: int,
        max_seq_len: int,
        head_dim: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
        group: Group = None,
    ):
        check_sizes(batch_size, num_kv_heads, head_dim, dtype)
        super().__init__(batch_size, max_seq_len)
        self._group, (self._rank, self._num_ranks) = group, rank_of(group)
        shape = batch_size, num_kv_heads, self._count(max_seq_len), head_dim
        # zeros, as what is behind a short row's tokens is multiplied by 0
        self._k, self._v = (torch.zeros(shape, dtype=dtype, device=device) for _ in range(2))

    @property
    def lengths(self) -> Tensor:
        """Tokens of each row, in all ranks together, (B,) int64 on the cache's device."""
        return on_cpu(self._lengths).to(self._k.device, non_blocking=True)

    @property
    def nbytes(self) -> int:
        """Bytes that this rank allocated, whatever the lengths."""
        return self._k.nbytes + self._v.nbytes

    def append(self, k: Tensor, v: Tensor, num_new: Sequence[int] | Tensor | None = None) -> None:
        """Keep those of the new tokens that are this rank's.

        Args:
            k, v: of all new tokens, (B, Hkv, T, D).
            num_new: as in `Cache.append`.

        Raises:
            ValueError: as in `Cache.append`. The cache is then as it was before.
        """
        check_new(k, v, self._k)
        B, T = len(self._lengths), k.shape[2]
        counts = counts_of(num_new, B, T)
        check_room(self._lengths, counts, self.max_seq_len)
        rows, tokens, positions = own_tokens(self._lengths, counts, T)
        mine = positions % self._num_ranks == self._rank
        places = rows[mine], tokens[mine], positions[mine] // self._num_ranks
        at, new, slots = (one.to(self._k.device, non_blocking=True) for one in places)
        self._k[at, :, slots] = k.detach()[at, :, new]  # (N, Hkv, D)
        self._v[at, :, slots] = v.detach()[at, :, new]
        self._lengths = [length + n for length, n in zip(self._lengths, counts, strict=True)]
        self._num_new = None if counts.count(T) == B else counts
        self._lost = self._lost or is_lost(k, v)

    def attend(
        self, q: Tensor, backend: str = "auto", *, causal: bool = True, window: int | None = None
    ) -> Tensor:
        """Return attention of the newest tokens over all ranks' keys, the same in each rank.

        Args:
            q: their queries, (B, Hq, T, D).
            backend: "auto"; no other gives the log-sum-exps that parts are merged by.
            causal, window: as in `Cache.attend`.

        Raises:
            ValueError: q does not fit the cache, or a backend is named.
        """
        if backend != "auto":
            raise ValueError(
                f"backend={shown(backend)}: a backend attends to all keys, and this rank has some "
                "of them. Use backend='auto'."
            )
        check_window(window, causal)
        num_keys = self._count(self.length)
        k, v = self._k[:, :, :num_keys], self._v[:, :, :num_keys]
        check_tensors(q, k, v)
        T = q.shape[2]
        counts = self._num_new or [T] * len(self._lengths)
        check_queries(T, self._lengths, counts)
        sees, is_new = self._mask(T, counts, num_keys, causal, window)
        out = _merged(q, *attend_part(q, k, v, sees), self._group)
        out = out.masked_fill(~is_new[:, None, :, None], 0)
        return refuse_gradient(out) if self._lost else out

    def reorder(self, index: Sequence[int] | Tensor) -> None:
        """Let row b be what row index[b] was, as beam search does.

        Args:
            index: as in `Cache.reorder`, the same in all ranks.

        Raises:
            ValueError: it is not a row's number for each row. The cache is then as it was before.
        """
        sources, changed, moved = self._sources(index)
        for memory in (self._k, self._v):
            memory[changed] = memory[moved]
        self._count_as(sources)

    def _count(self, length: int) -> int:
        """Of so many tokens, those that are this rank's."""
        return (length + self._num_ranks - 1 - self._rank) // self._num_ranks

    def _mask(
        self, T: int, counts: Sequence[int], num_keys: int, causal: bool, window: int | None
    ) -> tuple[Tensor, Tensor]:
        """Which of this rank's keys a query sees, (B, T, keys); which of the T are new, (B, T)."""
        lengths, new = on_cpu(self._lengths), on_cpu(list(counts))
        tokens = torch.arange(T, device="cpu")
        is_new = tokens < new[:, None]
        at = ((lengths - new)[:, None] + tokens)[..., None]  # (B, T, 1)
        keys = torch.arange(num_keys, device="cpu") * self._num_ranks + self._rank
        sees = is_new[..., None] & (keys < lengths[:, None, None])
        if causal:
            sees &= keys <= at
        if window is not None:
            sees &= keys > at - window
        device = self._k.device
        return sees.to(device, non_blocking=True), is_new.to(device, non_blocking=True)


def _merged(q: Tensor, out: Tensor, lse: Tensor, group: Group) -> Tensor:
    """All ranks' partial outputs as one; they are sent with their log-sum-exps in one message."""
    parts = gather(torch.cat((out, lse.unsqueeze(-1)), -1), group)  # (ranks, B, Hq, T, D + 1)
    return merge_parts(parts[..., :-1], parts[..., -1]).to(q.dtype)
