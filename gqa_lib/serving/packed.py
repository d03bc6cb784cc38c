"""One step's tokens as one row, and the cache through which a model sees whose they are.

N new tokens, Hq query heads, Hkv KV heads, D elements of a head.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gqa_lib.cache import Cache
from gqa_lib.cache.checks import check_new
from gqa_lib.cache.paging import BlockTables, Pages, slots_of
from gqa_lib.cache.rows import own_tokens

from .scheduler import Chunk


class Packed:
    """Where the new tokens of a step stand, one sequence after the other without padding.

    Args:
        chunks: the sequences' tokens; those with one come first.
        block_size: tokens of a block.
        device: of the caches.

    Attributes:
        chunks: in the order in which they are packed.
        positions: of each token in its sequence, (N,) on the CPU.
        slots: where its key and value go, (N,); see `Pages.write`.
        parts: (which of the N tokens, the block tables of the sequences that they belong to), each
            sequence with equally many of them.
    """

    def __init__(self, chunks: Sequence[Chunk], block_size: int, device: torch.device):
        self.chunks = sorted(chunks, key=lambda chunk: chunk.num_tokens > 1)
        counts = [chunk.num_tokens for chunk in self.chunks]
        starts = [chunk.start for chunk in self.chunks]
        blocks = [chunk.request.blocks for chunk in self.chunks]
        rows, _, self.positions = own_tokens(starts, counts, max(counts))
        slots = slots_of(blocks, rows, self.positions, block_size)
        self.slots = slots.to(device, non_blocking=True)
        self.parts: list[tuple[slice, BlockTables]] = []
        singles = [chunk for chunk in self.chunks if chunk.num_tokens == 1]
        longer = [[chunk] for chunk in self.chunks[len(singles) :]]
        start = 0
        for group in [singles, *longer] if singles else longer:
            tables = BlockTables(
                [chunk.request.blocks for chunk in group],
                [chunk.end for chunk in group],
                [chunk.num_tokens for chunk in group],
                device,
            )
            end = start + sum(tables.num_new)
            self.parts.append((slice(start, end), tables))
            start = end


class StepCache(Cache):
    """One layer's cache for one step: the batch is a single row in which all tokens are packed.

    Args:
        pages: the layer's memory.
        packed: the step's tokens.
    """

    def __init__(self, pages: Pages, packed: Packed):
        self._pages, self._packed = pages, packed

    @property
    def lengths(self) -> Tensor:
        """Tokens of each packed sequence with its new ones, in their order, (num_seqs,) int64."""
        ends = [chunk.end for chunk in self._packed.chunks]
        return torch.tensor(ends, device=self._pages.k.device)

    @property
    def nbytes(self) -> int:
        """Bytes of the layer's memory, which sequences outside this step share."""
        return self._pages.nbytes

    def positions(self, num_new: int) -> Tensor:
        """Return where each packed token stands in its own sequence, (N,)."""
        self._check_number(num_new)
        return self._packed.positions

    def append(self, k: Tensor, v: Tensor, num_new: Sequence[int] | Tensor | None = None) -> None:
        """Write each token's key and value into its sequence's block.

        Args:
            k, v: (1, Hkv, N, D).
            num_new: not for packed tokens, which have no padding.

        Raises:
            ValueError: they are not the step's tokens.
        """
        check_new(k, v, self._pages.k[:1])
        self._check_number(k.shape[2] if num_new is None else -1)
        k, v = k[0].transpose(0, 1), v[0].transpose(0, 1)  # (1, Hkv, N, D) -> (N, Hkv, D)
        self._pages.write(k, v, self._packed.slots)

    def attend(
        self, q: Tensor, backend: str = "auto", *, causal: bool = True, window: int | None = None
    ) -> Tensor:
        """Return attention of every token over its own sequence, up to itself.

        Sequences with one new token are one decoding call.

        Args:
            q: (1, Hq, N, D).
            backend, causal, window: as in `Cache.attend`.

        Returns:
            (1, Hq, N, D).

        Raises:
            ValueError: they are not the step's tokens, or the backend cannot run a call.
        """
        self._check_number(q.shape[2])
        outs = []
        for tokens, tables in self._packed.parts:
            num_seqs = len(tables.lengths)
            part = q[0, :, tokens].unflatten(1, (num_seqs, -1)).transpose(0, 1)  # (num_seqs, Hq, T)
            out = self._pages.attend(part, tables, backend, causal=causal, window=window)
            outs.append(out.transpose(0, 1).flatten(1, 2))  # (Hq, num_seqs * T, D)
        return torch.cat(outs, 1)[None]

    def reorder(self, index: Sequence[int] | Tensor) -> None:
        """Raise ValueError: what lasts longer than a step is in the engine's block tables."""
        raise self._for_one_step()

    def truncate(self, length: int | Sequence[int] | Tensor) -> None:
        """Raise ValueError: what lasts longer than a step is in the engine's block tables."""
        raise self._for_one_step()

    def check_truncate(self, length: int | Sequence[int] | Tensor) -> None:
        """Raise ValueError, as `truncate` does."""
        raise self._for_one_step()

    def _for_one_step(self) -> ValueError:
        return ValueError(
            f"{len(self._packed.chunks)} sequences are packed for one step: their order and their "
            "lengths are the engine's. Use Engine.add and Engine.cancel."
        )

    def _check_number(self, num_tokens: int) -> None:
        if num_tokens != len(self._packed.positions):
            raise ValueError(
                f"{num_tokens} tokens (-1: with padding) for a step of "
                f"{len(self._packed.positions)}: each has a place in a block of its sequence. "
                "Pass the step's tokens, all of them and no others."
            )
