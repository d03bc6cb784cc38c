"""K and V of one layer in blocks of tokens, read by block tables."""

from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor

from gqa_lib.kernels import attend_rows, decode_attention

from ..rows import on_cpu


class BlockTables:
    """Which blocks hold the tokens of each of some sequences, in order, and what is new of them.

    Args:
        blocks: of each sequence, the block of its first tokens first.
        lengths: tokens of each.
        num_new: how many of these, the last ones, are to attend.
        device: of the tensors.
    """

    def __init__(
        self,
        blocks: Sequence[Sequence[int]],
        lengths: Sequence[int],
        num_new: Sequence[int],
        device: torch.device,
    ):
        self.blocks, self.lengths, self.num_new = blocks, lengths, num_new
        self._device = device

    @cached_property
    def table(self) -> Tensor:
        """As a tensor, (B, pages) int64; block 0 fills up what a shorter sequence has not."""
        width = max(map(len, self.blocks), default=0)
        rows = [[*blocks, *[0] * (width - len(blocks))] for blocks in self.blocks]
        table = on_cpu([block for row in rows for block in row]).view(len(rows), width)
        return table.to(self._device, non_blocking=True)

    @cached_property
    def visible(self) -> Tensor:
        """Tokens that a new one sees, (B,) int64; 0 for a sequence without one."""
        seen = [n and length for n, length in zip(self.num_new, self.lengths, strict=True)]
        return on_cpu(seen).to(self._device, non_blocking=True)


class Pages:
    """Memory for keys and values of one layer, in blocks that sequences need not have in order.

    Args:
        num_blocks, num_kv_heads, block_size, head_dim: of the memory, (num_blocks, Hkv, block_size,
            D) each for K and V: what `gqa_lib.kernels.decode_attention` reads by a block table.
        dtype: of both.
        device: of both; None is torch's default device.
    """

    def __init__(
        self,
        num_blocks: int,
        num_kv_heads: int,
        block_size: int,
        head_dim: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ):
        shape = num_blocks, num_kv_heads, block_size, head_dim
        self.k, self.v = (torch.empty(shape, dtype=dtype, device=device) for _ in range(2))

    @property
    def block_size(self) -> int:
        """Tokens of a block."""
        return self.k.shape[2]

    @property
    def nbytes(self) -> int:
        """Bytes of all blocks, in use or not."""
        return self.k.nbytes + self.v.nbytes

    def write(self, k: Tensor, v: Tensor, slots: Tensor) -> None:
        """Keep the keys and values of some tokens; gradients are not kept.

        Args:
            k, v: (N, Hkv, D).
            slots: where each goes, (N,): its block times block_size, plus its place there.
        """
        block, place = slots // self.block_size, slots % self.block_size
        self.k[block, :, place] = k.detach()
        self.v[block, :, place] = v.detach()

    def copy(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Copy the keys and values of some blocks into others, given as (source, target)."""
        if pairs:
            sources, targets = ([pair[i] for pair in pairs] for i in range(2))
            for memory in (self.k, self.v):
                memory[targets] = memory[sources]

    def fill(self, k: Tensor, v: Tensor, blocks: Sequence[int]) -> None:
        """Overwrite some blocks.

        Args:
            k, v: (N, Hkv, block_size, D).
            blocks: the numbers of N blocks.
        """
        if blocks:
            self.k[list(blocks)], self.v[list(blocks)] = k, v

    @staticmethod
    def to_host(memory: Tensor, blocks: Sequence[int]) -> Tensor:
        """Return a copy of some blocks on the CPU, pinned where they are on a GPU.

        Args:
            memory: `k` or `v`.
            blocks: their numbers.
        """
        shape = (len(blocks), *memory.shape[1:])
        pinned = memory.device.type == "cuda"
        host = torch.empty(shape, dtype=memory.dtype, device="cpu", pin_memory=pinned)
        return host.copy_(memory[list(blocks)]) if blocks else host

    def attend(
        self,
        q: Tensor,
        tables: BlockTables,
        backend: str = "auto",
        *,
        causal: bool = True,
        window: int | None = None,
    ) -> Tensor:
        """Return attention of sequences' newest tokens; arguments are taken as valid.

        One new token per sequence is a decoding call, which reads the blocks by their table. For
        more, or behind a window, one sequence's keys in reach are copied out of them at a time.

        Args:
            q: queries, (B, Hq, T, D), each sequence's own first and then padding.
            tables: where the sequences are.
            backend, causal, window: as in `gqa_lib.kernels.attend`.

        Returns:
            (B, Hq, T, D) in q's dtype, zeros for padding.
        """
        if q.shape[2] == 1 and (window is None or max(tables.lengths, default=0) <= window):
            return decode_attention(q, self.k, self.v, tables.visible, tables.table, backend)
        rows = self._rows_in_reach(tables, window)
        return attend_rows(q, rows, tables.num_new, causal, backend, window=window)

    def _rows_in_reach(
        self, tables: BlockTables, window: int | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the k and v that each sequence's new tokens see, (1, Hkv, S, D)."""
        for b, (length, n) in enumerate(zip(tables.lengths, tables.num_new, strict=True)):
            first = 0 if window is None else max(0, length - n - window + 1)
            first, end = (first, length) if n else (0, 0)
            page = first // self.block_size
            pages = tables.table[b, page : -(-end // self.block_size)]
            start = page * self.block_size
            k, v = (
                _joined(m, pages)[..., first - start : end - start, :] for m in (self.k, self.v)
            )
            yield k, v


def slots_of(
    blocks: Sequence[Sequence[int]], rows: Tensor, positions: Tensor, block_size: int
) -> Tensor:
    """Return where in the memory some tokens go, (N,) int64 on the CPU; see `Pages.write`.

    Args:
        blocks: of each sequence, in order.
        rows: which sequence each token belongs to, (N,).
        positions: where each stands in its sequence, (N,).
        block_size: tokens of a block.
    """
    numbers = [
        blocks[row][position // block_size]
        for row, position in zip(rows.tolist(), positions.tolist(), strict=True)
    ]
    return on_cpu(numbers) * block_size + positions % block_size


def _joined(memory: Tensor, pages: Tensor) -> Tensor:
    """The tokens of some blocks one after the other, (1, Hkv, tokens, D): a copy."""
    copied = memory.transpose(0, 1)[:, pages]  # (Hkv, pages, block_size, D)
    return copied.flatten(1, 2)[None]
