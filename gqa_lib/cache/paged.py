"""A KV cache whose rows take blocks of memory as they grow."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from gqa_lib.kernels.checks import check_tensors, check_window
from gqa_lib.kernels.traced import untraced

from .blocks import BlockAllocator
from .checks import check_new, check_queries, check_sizes, one_per_row
from .gradients import is_lost, refuse_gradient
from .pages import BlockTables, Pages, slots_of
from .protocol import Cache
from .rows import next_positions, on_cpu, own_tokens


class PagedKVCache(Cache):
    """K and V of past tokens in blocks, which the rows of a batch take from one supply.

    A row has at most one block that is not full. Rows that `reorder` made alike share their blocks;
    a row that goes on in a shared block copies that one first.

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
        self._allocator = BlockAllocator(num_blocks)
        check_block_size(block_size)
        self._pages = Pages(num_blocks, num_kv_heads, block_size, head_dim, dtype, device)
        self._blocks: list[list[int]] = [[] for _ in range(batch_size)]
        self._lengths = [0] * batch_size
        self._num_new: list[int] | None = None  # of each row at the last append; None if all had T
        self._lost = False  # whether something was cached that needed a gradient

    @property
    def block_size(self) -> int:
        """Tokens of a block."""
        return self._pages.block_size

    @property
    def num_free(self) -> int:
        """Blocks that no row has."""
        return self._allocator.num_free

    @property
    def blocks(self) -> list[list[int]]:
        """The numbers of each row's blocks, in order."""
        return [list(blocks) for blocks in self._blocks]

    @property
    def lengths(self) -> Tensor:
        """Tokens of each row, (B,) int64 on the cache's device."""
        return on_cpu(self._lengths).to(self._pages.k.device, non_blocking=True)

    @property
    def nbytes(self) -> int:
        """Bytes allocated for all blocks, whatever the lengths."""
        return self._pages.nbytes

    @untraced
    def positions(self, num_new: int) -> Tensor:
        """Return where the next `num_new` tokens stand: (T,), or (B, T) where rows differ."""
        return next_positions(self._lengths, num_new)

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
        check_new(k, v, self._pages.k[:1].expand(len(self._blocks), -1, -1, -1))
        B, T = len(self._blocks), k.shape[2]
        counts = [T] * B if num_new is None else one_per_row(num_new, "num_new", B, most=T)
        self._take_blocks(counts)
        rows, tokens, positions = own_tokens(self._lengths, counts, T)
        slots = slots_of(self._blocks, rows, positions, self.block_size)
        rows, tokens, slots = (t.to(k.device, non_blocking=True) for t in (rows, tokens, slots))
        self._pages.write(k[rows, :, tokens], v[rows, :, tokens], slots)  # (N, Hkv, D)
        self._lengths = [length + n for length, n in zip(self._lengths, counts, strict=True)]
        self._num_new = None if counts.count(T) == B else counts
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
        B = len(self._blocks)
        none = self._pages.k[:1, :, :0].expand(B, -1, -1, -1)  # (B, Hkv, 0, D)
        check_tensors(q, none, none)
        check_window(window, causal)
        num_new = [q.shape[2]] * B if self._num_new is None else self._num_new
        check_queries(q.shape[2], self._lengths, num_new)
        tables = BlockTables(self._blocks, self._lengths, num_new, q.device)
        out = self._pages.attend(q, tables, backend, causal=causal, window=window)
        return refuse_gradient(out) if self._lost else out

    def reorder(self, index: Sequence[int] | Tensor) -> None:
        """Let row b be what row index[b] was, as beam search does; nothing is copied.

        Args:
            index: (B,), each from 0 to B - 1; a row may be taken several times or not at all.

        Raises:
            ValueError: it is not a row's number for each row. The cache is then as it was before.
        """
        B = len(self._blocks)
        sources = one_per_row(index, "index", B, most=B - 1)
        before, self._blocks = self._blocks, [list(self._blocks[b]) for b in sources]
        for block in (block for blocks in self._blocks for block in blocks):
            self._allocator.share(block)
        for block in (block for blocks in before for block in blocks):
            self._allocator.free(block)
        self._lengths = [self._lengths[b] for b in sources]
        self._num_new = self._num_new and [self._num_new[b] for b in sources]

    def truncate(self, length: int | Sequence[int] | Tensor) -> None:
        """Forget all but the first `length` tokens of each row; a shorter row stays as it is.

        Blocks that are left without a token are free.

        Args:
            length: from 0 to what all blocks hold, one number for all rows or (B,).

        Raises:
            ValueError: it is neither. The cache is then as it was before.
        """
        B, capacity = len(self._blocks), self._allocator.num_blocks * self.block_size
        most = one_per_row(length, "length", B, most=capacity, one_for_all=True)
        self._lengths = [min(pair) for pair in zip(self._lengths, most, strict=True)]
        for blocks, kept in zip(self._blocks, self._lengths, strict=True):
            while len(blocks) > self._blocks_for(kept):
                self._allocator.free(blocks.pop())
        self._num_new = None

    def reset(self) -> None:
        """Forget every token; all blocks are free."""
        self.truncate(0)
        self._lost = False

    def _blocks_for(self, num_tokens: int) -> int:
        return -(-num_tokens // self.block_size)

    def _take_blocks(self, counts: list[int]) -> None:
        """Give each row the blocks for its new tokens, and its last block for its own, or raise."""
        ends = [length + n for length, n in zip(self._lengths, counts, strict=True)]
        more = [
            self._blocks_for(end) - len(blocks)
            for end, blocks in zip(ends, self._blocks, strict=True)
        ]
        writers = Counter(  # of blocks that are not full
            blocks[-1]
            for length, n, blocks in zip(self._lengths, counts, self._blocks, strict=True)
            if n and length % self.block_size
        )
        copies = sum(n - (self._allocator.references(block) == n) for block, n in writers.items())
        needed, free = sum(more) + copies, self._allocator.num_free
        if needed > free:
            raise ValueError(
                f"{sum(counts)} new tokens in rows of {self._lengths} need {needed} more blocks of "
                f"{self.block_size} tokens, and {free} of {self._allocator.num_blocks} are free: "
                "some would have no place. Make the cache with more blocks, or truncate() rows."
            )
        for n, missing, length, blocks in zip(
            counts, more, self._lengths, self._blocks, strict=True
        ):
            if n and length % self.block_size:
                blocks[-1] = self._own(blocks[-1])
            blocks += [self._allocator.allocate() for _ in range(missing)]

    def _own(self, block: int) -> int:
        """Return a block with the same tokens that no other row has: this one, or a copy."""
        if self._allocator.references(block) == 1:
            return block
        copy = self._allocator.allocate()
        self._pages.copy(block, copy)
        self._allocator.free(block)
        return copy


def check_block_size(block_size: int) -> None:
    """Raise ValueError unless a block has place for a whole number of tokens, 1 or more."""
    if isinstance(block_size, bool) or not isinstance(block_size, int) or block_size < 1:
        raise ValueError(
            f"block_size={block_size!r}: a block holds whole tokens. Give a whole number from 1, "
            "such as 16."
        )
