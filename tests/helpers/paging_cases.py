"""A paged cache next to a contiguous one: the same operations on both, and what must be equal."""

from collections import Counter
from random import Random

import torch

from gqa_lib.cache import KVCache, PagedKVCache
from gqa_lib.cache.paging import SwappedRows

B, HQ, HKV, D, ROOM = 4, 4, 2, 3, 11
Rows = list[tuple[torch.Tensor, torch.Tensor, int]]


def assert_counted(cache: PagedKVCache) -> None:
    """Each block is referred to as often as rows have it, and rows have as few as they can."""
    tables = cache.blocks
    held = Counter(block for blocks in tables for block in blocks)
    for block in range(cache.num_blocks):
        assert cache._rows.allocator.references(block) == held[block]
    assert cache.num_free == cache.num_blocks - len(held)
    sizes = [-(-n // cache.block_size) for n in cache.lengths.tolist()]
    assert [len(blocks) for blocks in tables] == sizes


class Twins:
    """Both caches, B rows of at most ROOM tokens; too few blocks for all of them at once.

    Args:
        block_size: tokens of a block.
        num_blocks: blocks of the paged cache; others are refused, and must then change nothing.
    """

    def __init__(self, block_size: int, num_blocks: int):
        self.paged = PagedKVCache(B, HKV, num_blocks, D, block_size, torch.float64)
        self.plain = KVCache(B, HKV, ROOM, D, torch.float64)
        for memory in (self.paged._pages.k, self.paged._pages.v, *self.plain.memory):
            memory.fill_(torch.nan)
        self.host: list[tuple[SwappedRows, Rows]] = []
        self.steps = self.refused = 0
        self._random = torch.Generator().manual_seed(0)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        return list(self.plain._lengths)

    @property
    def empty(self) -> list[int]:
        """Rows without tokens."""
        return [b for b, n in enumerate(self.lengths) if not n]

    def append(self, counts: list[int], ragged: bool, window: int | None) -> None:
        """Append so many tokens to each row and have them attend; more than ROOM are left out."""
        counts = [min(n, ROOM - held) for n, held in zip(counts, self.lengths, strict=True)]
        T = max(counts)
        num_new = counts if ragged or min(counts) < T else None
        q, k, v = (
            torch.randn(B, heads, T, D, generator=self._random, dtype=torch.float64)
            for heads in (HQ, HKV, HKV)
        )
        for b, n in enumerate(counts):
            k[b, :, n:] = torch.nan
        if self._accepts(lambda: self.paged.append(k, v, num_new)):
            self.plain.append(k, v, num_new)
            outs = [cache.attend(q, window=window) for cache in (self.paged, self.plain)]
            torch.testing.assert_close(*outs, rtol=1e-12, atol=1e-12)

    def reorder(self, index: list[int]) -> None:
        """Let rows be what others were."""
        for cache in (self.paged, self.plain):
            cache.reorder(index)

    def truncate(self, most: list[int]) -> None:
        """Cut rows back; lengths are refused that no row can have."""
        most = [min(n, self.paged.num_blocks * self.paged.block_size) for n in most]
        for cache in (self.paged, self.plain):
            cache.truncate(most)

    def fork(self, row: int, into: list[int], length: int) -> None:
        """Let those rows among `into` that are empty begin as a row does."""
        into = [b for b in into if b in self.empty]
        length = min(length, self.lengths[row])
        self.paged.fork(row, into, length)
        self.plain.reorder([row if b in into else b for b in range(B)])
        self.plain.truncate([length if b in into else ROOM for b in range(B)])

    def drop(self, rows: list[int]) -> None:
        """Empty some rows."""
        self.paged.drop(rows)
        self.plain.truncate([0 if b in rows else ROOM for b in range(B)])

    def swap_out(self, rows: list[int]) -> None:
        """Keep some rows on the host; of the contiguous cache, copies of their tokens."""
        k, v = self.plain.memory
        kept = [(k[b].clone(), v[b].clone(), self.lengths[b]) for b in rows]
        self.host.append((self.paged.swap_out(rows), kept))
        self.plain.truncate([0 if b in rows else ROOM for b in range(B)])

    def swap_in(self, number: int) -> None:
        """Bring rows from the host into the first empty ones, if there are enough of them."""
        if not self.host:
            return
        swapped, rows = self.host[number % len(self.host)]
        into = self.empty[: len(rows)]
        if len(into) == len(rows) and self._accepts(lambda: self.paged.swap_in(swapped, into)):
            for b, (k, v, length) in zip(into, rows, strict=True):
                self.plain.memory[0][b], self.plain.memory[1][b] = k, v
                self.plain._lengths[b] = length
            self.host.pop(number % len(self.host))

    def reset(self) -> None:
        """Empty both."""
        for cache in (self.paged, self.plain):
            cache.reset()

    def random_step(self, rng: Random) -> None:
        """Do any of these."""
        some = [b for b in range(B) if rng.random() < 0.4]
        least = rng.choice([0, 0, 1])
        steps = {
            "append": lambda: self.append(
                [rng.randint(least, 3) for _ in range(B)],
                rng.random() < 0.5,
                rng.choice([None, None, 1, 4]),
            ),
            "reorder": lambda: self.reorder([rng.randrange(B) for _ in range(B)]),
            "truncate": lambda: self.truncate([rng.randint(0, ROOM) for _ in range(B)]),
            "fork": lambda: self.fork(rng.randrange(B), some, rng.randint(0, ROOM)),
            "drop": lambda: self.drop(some),
            "swap_out": lambda: self.swap_out(some),
            "swap_in": lambda: self.swap_in(rng.randrange(9)),
            "reset": self.reset,
        }
        weights = [30, 8, 5, 15, 8, 8, 12, 1]
        steps[rng.choices(list(steps), weights)[0]]()

    def check(self) -> None:
        """Equal lengths, positions and tokens in both, and every reference accounted for."""
        self.steps += 1
        assert self.paged.lengths.tolist() == self.lengths
        assert torch.equal(self.paged.positions(2), self.plain.positions(2))
        assert_counted(self.paged)
        size, tables = self.paged.block_size, self.paged.blocks
        places = [(b, i) for b, length in enumerate(self.lengths) for i in range(length)]
        rows, positions = torch.tensor(places, dtype=torch.int64).view(-1, 2).unbind(1)
        blocks = torch.tensor([tables[b][i // size] for b, i in places], dtype=torch.int64)
        pages = (self.paged._pages.k, self.paged._pages.v)
        for ours, theirs in zip(pages, self.plain.memory, strict=True):
            tokens = ours[blocks, :, positions % size]
            assert torch.equal(tokens, theirs[rows, :, positions])

    def _accepts(self, call) -> bool:
        """Do it; where the paged cache has too few blocks, it must be as before."""
        before = self.paged.blocks, self.paged.lengths.tolist(), self.paged._pages.k.clone()
        try:
            call()
        except ValueError as error:
            if "are free" not in str(error):
                raise
            self.refused += 1
            assert (self.paged.blocks, self.paged.lengths.tolist()) == before[:2]
            assert torch.equal(self.paged._pages.k.nan_to_num(), before[2].nan_to_num())
            return False
        return True
