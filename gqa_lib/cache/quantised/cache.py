"""A KV cache that keeps the newest tokens as they are and the others in 8 or 4 bits."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from gqa_lib.arguments import check_whole, shown
from gqa_lib.kernels.checks import check_tensors, check_window
from gqa_lib.kernels.traced import untraced

from ..checks import check_new, check_queries, check_room, check_sizes, counts_of
from ..gradients import is_lost, refuse_gradient
from ..protocol import Cache
from ..row_lengths import RowLengths
from ..rows import on_cpu
from .codes import check_bits
from .parts import attend_parts
from .runs import Rows, Runs
from .store import Store

QUERIES = 256  # at a time: their scores with a chunk of keys are in memory


class QuantisedKVCache(RowLengths, Cache):
    """K and V of past tokens in 8 or 4 bits a number, the newest tokens in full precision.

    A row keeps its last `residual_length` tokens as they are. As soon as `run_size` tokens are
    older than these, they become a run of codes: keys with a scale for each channel of the run,
    values with a scale for each token. Which tokens are codes depends on the row's length and on
    truncations, not on how many were appended at a time; those of one append that are older than
    the residual are codes already when their queries attend. (KIVI has a prompt attend to itself in
    full precision, and quantises afterwards.)

    It saves memory. On a CPU it is slower than `KVCache`: every step turns all codes back into
    numbers, a chunk of them at a time, in several passes of PyTorch, where `KVCache` only reads.
    A number that is not finite spoils its channel of a run.

    Args:
        batch_size, num_kv_heads, max_seq_len, head_dim: B, Hkv, tokens of a row at most, D.
        dtype: of K and V as they come, of the residual and of all scales.
        device: of the memory; None is torch's default device.
        bits: of a code, 8 or 4.
        run_size: tokens that share the scales of their keys.
        residual_length: tokens of each row that are never quantised, the newest.
        chunk_size: tokens of each row that are turned back into numbers at a time; a run at least.

    Raises:
        ValueError: a size is not a whole number, bits are others, or dtype has no fractions.

    Source: Liu et al. 2024, "KIVI" (arXiv 2402.02750), section 3, which has 2 bits.
    """

    def __init__(
        self,
        batch_size: int,
        num_kv_heads: int,
        max_seq_len: int,
        head_dim: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
        *,
        bits: int = 8,
        run_size: int = 64,
        residual_length: int = 128,
        chunk_size: int = 256,
    ):
        check_sizes(batch_size, num_kv_heads, head_dim, dtype)
        super().__init__(batch_size, max_seq_len)
        check_whole(0, residual_length=residual_length)
        check_whole(run_size=run_size, chunk_size=chunk_size)
        check_bits(bits)
        _check_fractions(dtype)
        num_runs = max(0, max_seq_len - residual_length) // run_size
        shape = batch_size, num_kv_heads, num_runs, run_size, head_dim
        runs = Runs(shape, bits, dtype, device)
        self._store = Store(runs, residual_length, max_seq_len, chunk_size)
        self._quantised = [0] * batch_size  # tokens of each row that are codes, the first ones

    @property
    def bits(self) -> int:
        """Bits of a code."""
        return self._store.runs.bits

    @property
    def run_size(self) -> int:
        """Tokens that share the scales of their keys."""
        return self._store.runs.run_size

    @property
    def residual_length(self) -> int:
        """Tokens of each row that are never quantised."""
        return self._store.residual_length

    @property
    def lengths(self) -> Tensor:
        """Tokens of each row, (B,) int64 on the cache's device."""
        return on_cpu(self._lengths).to(self._store.k.device, non_blocking=True)

    @property
    def num_quantised(self) -> list[int]:
        """Tokens of each row that are codes; they are its first ones."""
        return list(self._quantised)

    @property
    def nbytes(self) -> int:
        """Bytes allocated, whatever the lengths: codes, scales, zeros and the residual."""
        return self._store.nbytes

    @property
    def bytes_per_token(self) -> float:
        """Bytes of a quantised token in all KV heads, K and V, its share of scales included.

        The residual is not in it: it takes `dtype`'s bytes for residual_length + run_size tokens of
        each row, however long that is. `nbytes` counts it.
        """
        return self._store.runs.bytes_per_token

    @untraced
    def positions(self, num_new: int) -> Tensor:
        """Return where the next `num_new` tokens stand: (T,), or (B, T) where rows differ."""
        return super().positions(num_new)

    @untraced
    def append(self, k: Tensor, v: Tensor, num_new: Sequence[int] | Tensor | None = None) -> None:
        """Take in the keys and values of new tokens, and quantise what is older than the residual.

        The cache is for inference: gradients do not flow into it, and where k or v needs one,
        backward through `attend` is an error.

        Args:
            k, v: of the new tokens, (B, Hkv, T, D), in the cache's dtype on its device.
            num_new: how many of the T tokens each row has, (B,): its own come first, then padding,
                which is not cached. None is T for all.

        Raises:
            ValueError: k, v or num_new does not fit the cache, or there is no room for the new
                tokens. The cache is then as it was before.
        """
        check_new(k, v, self._store.k)
        B, T = len(self._lengths), k.shape[2]
        counts = counts_of(num_new, B, T)
        check_room(self._lengths, counts, self.max_seq_len)
        for rows, members in self._alike(counts):
            b = members[0]
            own = (t.detach()[rows, :, : counts[b]] for t in (k, v))
            quantised = self._store.append(rows, self._lengths[b], self._quantised[b], *own)
            for b in members:
                self._lengths[b], self._quantised[b] = self._lengths[b] + counts[b], quantised
        self._num_new = None if counts.count(T) == B else counts
        self._lost = self._lost or is_lost(k, v)

    @untraced
    def attend(
        self, q: Tensor, backend: str = "auto", *, causal: bool = True, window: int | None = None
    ) -> Tensor:
        """Return attention of the tokens appended last over all tokens of their rows.

        Never more than a chunk of keys and values is there in full precision.

        Args:
            q: their queries, (B, Hq, T, D), padded as k and v were; without padding T may be less
                than it was then, and the queries are those of each row's newest tokens.
            backend: "auto"; no other can read codes.
            causal, window: as in `gqa_lib.attention.grouped_query_attention`.

        Returns:
            (B, Hq, T, D) in q's dtype, zeros for padding.

        Raises:
            ValueError: q does not fit the cache, or a backend is named.
        """
        none = self._store.k[:, :, :0]  # (B, Hkv, 0, D)
        check_tensors(q, none, none)
        check_window(window, causal)
        _check_auto(backend)
        T, B = q.shape[2], len(self._lengths)
        num_new = [T] * B if self._num_new is None else self._num_new
        check_queries(T, self._lengths, num_new)
        out = torch.zeros_like(q)
        for rows, members in self._alike(num_new):
            n, length = num_new[members[0]], self._lengths[members[0]]
            for start in range(0, n, QUERIES):
                queries = q[rows, :, start : min(start + QUERIES, n)]
                first = length - n + start
                reach = first + queries.shape[2] if causal else length
                oldest = 0 if window is None else max(0, first - window + 1)
                parts = self._store.parts(rows, self._quantised[members[0]], oldest, reach)
                block = attend_parts(queries, none.shape[1], parts, first, causal, window)
                out[rows, :, start : start + queries.shape[2]] = block
        return refuse_gradient(out) if self._lost else out

    def reorder(self, index: Sequence[int] | Tensor) -> None:
        """Let row b be what row index[b] was, as beam search does; rows that change are copied.

        Args:
            index: (B,), each from 0 to B - 1; a row may be taken several times or not at all.

        Raises:
            ValueError: it is not a row's number for each row. The cache is then as it was before.
        """
        sources, changed, moved = self._sources(index)
        self._store.copy_rows(moved, changed, max(self._quantised, default=0))
        self._quantised = [self._quantised[b] for b in sources]
        self._count_as(sources)

    def truncate(self, length: int | Sequence[int] | Tensor) -> None:
        """Forget all but the first `length` tokens of each row; a shorter row stays as it is.

        Tokens that are codes stay codes, also where fewer than residual_length are left behind
        them. Of a run that is cut its first tokens remain, the others are no longer read; when new
        tokens fill it up, those that remained are quantised a second time, along with them.

        Args:
            length: from 0 to max_seq_len, one number for all rows or (B,).

        Raises:
            ValueError: it is neither. The cache is then as it was before.
        """
        super().truncate(length)
        self._quantised = [min(p) for p in zip(self._quantised, self._lengths, strict=True)]

    def _alike(self, counts: list[int]) -> Iterator[tuple[Rows, list[int]]]:
        """Yield the rows with as many tokens, codes and new ones: as an index, and as numbers."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for b, key in enumerate(zip(self._lengths, self._quantised, counts, strict=True)):
            groups.setdefault(key, []).append(b)
        for members in groups.values():
            whole = len(members) == members[-1] - members[0] + 1
            yield slice(members[0], members[-1] + 1) if whole else members, members


def _check_fractions(dtype: torch.dtype) -> None:
    if not dtype.is_floating_point:
        raise ValueError(
            f"dtype={dtype}: keys, values and their scales are fractions. Pass the model's dtype, "
            "such as torch.bfloat16; bits=8 or 4 is what they are stored in."
        )


def _check_auto(backend: str) -> None:
    if backend != "auto":
        raise ValueError(
            f"backend={shown(backend)}: a backend reads keys and values, and this cache has codes; "
            "it would need all of them turned back first. Pass 'auto'."
        )
