"""A KV cache whose rows take blocks of memory as they grow."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gqa_lib.kernels.checks import check_tensors, check_window
from gqa_lib.kernels.traced import untraced

from ..checks import check_new, check_queries, check_sizes, counts_of, one_per_row
from ..gradients import is_lost, refuse_gradient
from ..protocol import Cache
from ..rows import next_positions, on_cpu, own_tokens
from .checks import check_empty, some_rows
from .fragmentation import Fragmentation
from .pages import BlockTables, Pages, slots_of
from .row_blocks import RowBlocks
from .swapped import SwappedRows, check_swapped, copy_rows


class PagedKVCache(Cache):
    """K and V of past tokens in blocks, which the rows of a batch take from one supply.

    A row has at most one block that is not full. Rows that `fork` or `reorder` made begin in the
    same blocks; a row that goes on in a shared block copies that one first.

    Args:
        batch_size: B, the rows.
        num_kv_heads, head_dim: of the keys and values, Hkv and D.
        num_blocks: blocks for all rows together.
        block_size: tokens of a block.
        dtype: of K and V.
        device: of both; None is torch's default device.

    Raises:
        ValueError: there is no block, or it has no place for a token.

    Source: Kwon et al. 2023 (arXiv 2309.06180), sections 4.1 to 4.4.
    """

    def __init__(
        self,
        batch_size: int,
        num_kv_heads: int,
        num_blocks: int,
        head_dim: int,
        block_size: int = 16,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ):
        check_sizes(batch_size, num_kv_heads, head_dim, dtype)
        self._rows = RowBlocks(batch_size, num_blocks, block_size)
        self._pages = Pages(num_blocks, num_kv_heads, block_size, head_dim, dtype, device)
        # Of each row at the last append; None where it is as many as there are queries.
        self._num_new: list[int | None] = [None] * batch_size
        self._lost = False  # whether something was cached that needed a gradient

    @property
    def block_size(self) -> int:
        """Tokens of a block."""
        return self._pages.block_size

    @property
    def num_blocks(self) -> int:
        """Blocks, free or not."""
        return self._rows.allocator.num_blocks

    @property
    def num_free(self) -> int:
        """Blocks that no row has."""
        return self._rows.allocator.num_free

    @property
    def blocks(self) -> list[list[int]]:
        """The numbers of each row's blocks, in order."""
        return [list(blocks) for blocks in self._rows.blocks]

    @property
    def lengths(self) -> Tensor:
        """Tokens of each row, (B,) int64 on the cache's device."""
        return on_cpu(self._rows.lengths).to(self._pages.k.device, non_blocking=True)

    @property
    def nbytes(self) -> int:
        """Bytes allocated for all blocks, whatever the lengths."""
        return self._pages.nbytes

    @untraced
    def positions(self, num_new: int) -> Tensor:
        """Return where the next `num_new` tokens stand: (T,), or (B, T) where rows differ."""
        return next_positions(self._rows.lengths, num_new)

    @untraced
    def append(self, k: Tensor, v: Tensor, num_new: Sequence[int] | Tensor | None = None) -> None:
        """Take in the keys and values of new tokens, in blocks that are taken for them.

        The cache is for inference: gradients do not flow into it, and where k or v needs one,
        backward through `attend` is an error.

        Args:
            k, v: of the new tokens, (B, Hkv, T, D), in the cache's dtype on its device.
            num_new: how many of the T tokens each row has, (B,): its own come first, then padding,
                which is not cached. None is T for all.

        Raises:
            ValueError: k, v or num_new does not fit the cache, or fewer blocks are free than the
                new tokens need. The cache is then as it was before.
        """
        B = len(self._num_new)
        check_new(k, v, self._pages.k[:1].expand(B, -1, -1, -1))
        T = k.shape[2]
        counts = counts_of(num_new, B, T)
        rows, tokens, positions = own_tokens(self._rows.lengths, counts, T)
        here = [t.to(k.device, non_blocking=True) for t in (rows, tokens)]
        new_k, new_v = (new[here[0], :, here[1]] for new in (k, v))  # (N, Hkv, D)
        self._pages.copy(self._rows.grow(counts))
        slots = slots_of(self._rows.blocks, rows, positions, self.block_size)
        self._pages.write(new_k, new_v, slots.to(k.device, non_blocking=True))
        self._num_new = [None] * B if counts.count(T) == B else list(counts)
        self._lost = self._lost or is_lost(k, v)

    @untraced
    def attend(
        self, q: Tensor, backend: str = "auto", *, causal: bool = True, window: int | None = None
    ) -> Tensor:
        """Return attention of the tokens appended last over all tokens of their rows.

        Each row's result is what it would be alone. With one query per row a backend that reads
        block tables reads the blocks in place; otherwise one row's keys in reach are copied out of
        its blocks at a time.

        Args:
            q: their queries, (B, Hq, T, D), padded as k and v were; without padding T may be less
                than it was then, and the queries are those of each row's newest tokens.
            backend, causal, window: as in `gqa_lib.attention.grouped_query_attention`.

        Returns:
            (B, Hq, T, D) in q's dtype, zeros for padding.

        Raises:
            ValueError: q does not fit the cache, or the backend cannot run the call.
        """
        none = self._pages.k[:1, :, :0].expand(len(self._num_new), -1, -1, -1)  # (B, Hkv, 0, D)
        check_tensors(q, none, none)
        check_window(window, causal)
        T, lengths = q.shape[2], self._rows.lengths
        num_new = [T if n is None else n for n in self._num_new]
        check_queries(T, lengths, num_new)
        tables = BlockTables(self._rows.blocks, lengths, num_new, q.device)
        out = self._pages.attend(q, tables, backend, causal=causal, window=window)
        return refuse_gradient(out) if self._lost else out

    def reorder(self, index: Sequence[int] | Tensor) -> None:
        """Let row b be what row index[b] was, as beam search does; nothing is copied.

        Args:
            index: (B,), each from 0 to B - 1; a row may be taken several times or not at all.

        Raises:
            ValueError: it is not a row's number for each row. The cache is then as it was before.
        """
        B = len(self._num_new)
        sources = one_per_row(index, "index", B, most=B - 1)
        self._rows.reorder(sources)
        self._num_new = [self._num_new[b] for b in sources]

    def fork(self, row: int, into: int | Sequence[int] | Tensor, length: int | None = None) -> None:
        """Let empty rows be the first tokens of a row, in the same blocks; nothing is copied.

        Whichever row goes on first in a last block that is not full copies that one.

        Args:
            row: whose tokens.
            into: the rows that get them, one number or several.
            length: how many of its tokens; None is all.

        Raises:
            ValueError: there is no such row, the row has fewer tokens, or one of `into` has some.
                The cache is then as it was before.
        """
        B = len(self._num_new)
        (source,), targets = some_rows([row], "row", B), some_rows(into, "into", B)
        check_empty(targets, self._rows.lengths)
        held = self._rows.lengths[source]
        (kept,) = [held] if length is None else one_per_row([length], "length", 1, most=held)
        self._rows.fork(source, targets, kept)
        n = self._num_new[source]
        for b in targets:
            self._num_new[b] = n if n is None else max(0, n - (held - kept))
        self._ask_nothing_of_empty_rows()

    def drop(self, rows: int | Sequence[int] | Tensor) -> None:
        """Forget some rows' tokens: they are empty, and have no query until they get tokens again.

        Blocks that no other row has are free.

        Args:
            rows: one number or several.

        Raises:
            ValueError: there is no such row. The cache is then as it was before.
        """
        dropped = some_rows(rows, "rows", len(self._num_new))
        kept = [0 if b in dropped else n for b, n in enumerate(self._rows.lengths)]
        self._rows.truncate(kept)
        self._ask_nothing_of_empty_rows()

    def swap_out(self, rows: int | Sequence[int] | Tensor) -> SwappedRows:
        """Move some rows to the host's memory and drop them; waits until they are there.

        Blocks that these rows share among them are moved once. One that another row has, too, is
        copied, and stays in use.

        Args:
            rows: one number or several.

        Returns:
            What `swap_in` takes, this cache's or another's of the same shape.

        Raises:
            ValueError: there is no such row. The cache is then as it was before.
        """
        chosen = some_rows(rows, "rows", len(self._num_new))
        num_new = [self._num_new[b] for b in chosen]
        swapped = copy_rows(self._rows, self._pages, chosen, num_new, self._lost)
        self.drop(chosen)
        return swapped

    def swap_in(
        self, swapped: SwappedRows, into: int | Sequence[int] | Tensor | None = None
    ) -> None:
        """Move rows back from the host's memory, with their tokens at the positions they had.

        They share among them what they shared; a block that they shared with a row that stayed is
        now their own.

        Args:
            swapped: from `swap_out`. It stays as it is, and may be swapped in again.
            into: empty rows for them, in their order; None is the rows that they were.

        Raises:
            ValueError: their blocks are of another shape, a row has tokens, or fewer blocks are
                free than they need. The cache is then as it was before.
        """
        check_swapped(swapped, self._pages)
        rows = swapped.rows if into is None else into
        rows = some_rows(rows, "into", len(self._num_new), count=len(swapped.rows))
        check_empty(rows, self._rows.lengths)
        device = self._pages.k.device
        k, v = (t.to(device, non_blocking=True) for t in (swapped.k, swapped.v))
        self._pages.fill(k, v, self._rows.fill(rows, swapped.tables, swapped.lengths))
        for b, n in zip(rows, swapped.num_new, strict=True):
            self._num_new[b] = n
        self._ask_nothing_of_empty_rows()
        self._lost = self._lost or swapped.lost

    def fragmentation(self) -> Fragmentation:
        """Return how many places for tokens there are, are in blocks in use, and hold a token.

        A token that rows share counts once. No free block is lost: each serves any row.
        """
        reserved = (self.num_blocks - self.num_free) * self.block_size
        return Fragmentation(self.num_blocks * self.block_size, reserved, self._rows.used_slots)

    def truncate(self, length: int | Sequence[int] | Tensor) -> None:
        """Forget all but the first `length` tokens of each row; a shorter row stays as it is.

        Blocks that are left without a token are free.

        Args:
            length: from 0 to what all blocks hold, one number for all rows or (B,).

        Raises:
            ValueError: it is neither. The cache is then as it was before.
        """
        most = self.check_truncate(length)
        pairs = zip(self._num_new, self._rows.lengths, strict=True)
        self._num_new = [0 if n == held == 0 else None for n, held in pairs]  # still none
        self._rows.truncate(most)

    def check_truncate(self, length: int | Sequence[int] | Tensor) -> list[int]:
        """Return the length of each row that `truncate` is asked for; nothing changes.

        Args, Raises: as in `truncate`.
        """
        B, capacity = len(self._num_new), self.num_blocks * self.block_size
        return one_per_row(length, "length", B, most=capacity, one_for_all=True)

    def reset(self) -> None:
        """Forget every token; all blocks are free."""
        self.truncate(0)
        self._lost = False

    def _ask_nothing_of_empty_rows(self) -> None:
        """Where rows came and went one by one, one without tokens has no query."""
        pairs = zip(self._num_new, self._rows.lengths, strict=True)
        self._num_new = [n if length else 0 for n, length in pairs]
