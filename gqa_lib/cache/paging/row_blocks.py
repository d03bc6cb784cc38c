"""Which blocks each row of a batch has: taken as it grows, shared, and given back."""

from collections import Counter
from collections.abc import Sequence

from .blocks import BlockAllocator
from .checks import check_block_size


class RowBlocks:
    """The blocks of B rows, with no more of them than the rows' tokens need.

    It knows blocks by number; `grow` says which must be copied before something is written.

    Args:
        num_rows: B.
        num_blocks: blocks for all rows together.
        block_size: tokens of a block.

    Raises:
        ValueError: there is no block, or it has no place for a token.

    Attributes:
        blocks: of each row, that of its first tokens first.
        lengths: tokens of each row.
        allocator: how many references each block has: one for each row that has it.
    """

    def __init__(self, num_rows: int, num_blocks: int, block_size: int):
        self.allocator = BlockAllocator(num_blocks)
        check_block_size(block_size)
        self.block_size = int(block_size)
        self.blocks: list[list[int]] = [[] for _ in range(num_rows)]
        self.lengths = [0] * num_rows

    @property
    def used_slots(self) -> int:
        """Places of all blocks that hold a token of some row; a shared token counts once."""
        filled: dict[int, int] = {}
        for blocks, length in zip(self.blocks, self.lengths, strict=True):
            for i, block in enumerate(blocks):
                tokens = min(length - i * self.block_size, self.block_size)
                filled[block] = max(filled.get(block, 0), tokens)
        return sum(filled.values())

    def blocks_for(self, num_tokens: int) -> int:
        """Return how many blocks hold so many tokens."""
        return -(-num_tokens // self.block_size)

    def grow(self, counts: Sequence[int]) -> list[tuple[int, int]]:
        """Give each row blocks for new tokens, and a last block that no other row has.

        Args:
            counts: new tokens of each row.

        Returns:
            (source, target) of blocks that are to be copied before anything is written.

        Raises:
            ValueError: fewer blocks are free than are needed. Nothing has changed then.
        """
        ends = [length + n for length, n in zip(self.lengths, counts, strict=True)]
        more = [
            self.blocks_for(end) - len(blocks)
            for end, blocks in zip(ends, self.blocks, strict=True)
        ]
        self._check_free(counts, sum(more) + self._num_copies(counts))
        copies = []
        for n, missing, length, blocks in zip(counts, more, self.lengths, self.blocks, strict=True):
            if n and length % self.block_size and self.allocator.references(blocks[-1]) > 1:
                copy = self.allocator.allocate()
                self.allocator.free(blocks[-1])
                copies.append((blocks[-1], copy))
                blocks[-1] = copy
            blocks += [self.allocator.allocate() for _ in range(missing)]
        self.lengths = ends
        return copies

    def reorder(self, sources: Sequence[int]) -> None:
        """Let row b be what row sources[b] was; sources is taken as valid."""
        before, self.blocks = self.blocks, [list(self.blocks[b]) for b in sources]
        for blocks in self.blocks:
            self._share(blocks)
        for block in (block for blocks in before for block in blocks):
            self.allocator.free(block)
        self.lengths = [self.lengths[b] for b in sources]

    def fork(self, row: int, into: Sequence[int], length: int) -> None:
        """Let empty rows be the first `length` tokens of a row, in its blocks.

        Args:
            row: whose tokens.
            into: rows without tokens.
            length: from 0 to the row's tokens.
        """
        shared = self.blocks[row][: self.blocks_for(length)]
        for b in into:
            self._share(shared)
            self.blocks[b], self.lengths[b] = list(shared), length

    def truncate(self, most: Sequence[int]) -> None:
        """Forget all but the first most[b] tokens of each row b; blocks without one are free."""
        self.lengths = [min(pair) for pair in zip(self.lengths, most, strict=True)]
        for blocks, kept in zip(self.blocks, self.lengths, strict=True):
            while len(blocks) > self.blocks_for(kept):
                self.allocator.free(blocks.pop())

    def fill(
        self, rows: Sequence[int], tables: Sequence[Sequence[int]], lengths: Sequence[int]
    ) -> list[int]:
        """Give empty rows blocks of their own, of which they share some with one another.

        Args:
            rows: rows without tokens.
            tables: of each of them, which of N blocks it has, in order; numbers from 0 to N - 1.
            lengths: tokens of each of them.

        Returns:
            The N blocks that were taken.

        Raises:
            ValueError: fewer blocks are free. Nothing has changed then.
        """
        needed = 1 + max((place for table in tables for place in table), default=-1)
        self._check_free(lengths, needed)
        taken = [self.allocator.allocate() for _ in range(needed)]
        for b, table, length in zip(rows, tables, lengths, strict=True):
            self.blocks[b], self.lengths[b] = [taken[place] for place in table], length
            self._share(self.blocks[b])
        for block in taken:
            self.allocator.free(block)  # the reference of allocate(): its rows have theirs
        return taken

    def _share(self, blocks: Sequence[int]) -> None:
        for block in blocks:
            self.allocator.share(block)

    def _num_copies(self, counts: Sequence[int]) -> int:
        """Blocks that must be copied before each row has a last block of its own."""
        writers = Counter(  # of blocks that are not full
            blocks[-1]
            for length, n, blocks in zip(self.lengths, counts, self.blocks, strict=True)
            if n and length % self.block_size
        )
        return sum(n - (self.allocator.references(block) == n) for block, n in writers.items())

    def _check_free(self, counts: Sequence[int], needed: int) -> None:
        free = self.allocator.num_free
        if needed > free:
            raise ValueError(
                f"{sum(counts)} new tokens in rows of {self.lengths} need {needed} more blocks of "
                f"{self.block_size} tokens, and {free} of {self.allocator.num_blocks} are free: "
                "some would have no place. Make the cache with more blocks, or truncate() rows."
            )
