"""Rows of a paged cache that were moved to the host's memory."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from gqa_lib.arguments import check_kind

from .pages import Pages
from .row_blocks import RowBlocks


@dataclass(frozen=True, eq=False)
class SwappedRows:
    """What `PagedKVCache.swap_out` took out: whole blocks, of rows that may share some.

    Args:
        rows: the rows that these were.
        lengths: tokens of each; their positions begin at 0 again.
        tables: of each, which of the N blocks it has, in order.
        num_new: of each, how many of its tokens were appended last; None where it is as many as
            there are queries.
        lost: whether the cache held tokens that needed a gradient.
        k, v: the N blocks, (N, Hkv, block_size, D) on the CPU, pinned if they came from a GPU.
    """

    rows: tuple[int, ...]
    lengths: tuple[int, ...]
    tables: tuple[tuple[int, ...], ...]
    num_new: tuple[int | None, ...]
    lost: bool
    k: Tensor
    v: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes that they take on the host."""
        return self.k.nbytes + self.v.nbytes


def copy_rows(
    rows: RowBlocks, pages: Pages, chosen: Sequence[int], num_new: Sequence[int | None], lost: bool
) -> SwappedRows:
    """Return a copy of some rows on the host; waits until it is there.

    Args:
        rows, pages: of the cache.
        chosen: the rows' numbers.
        num_new, lost: see `SwappedRows`.
    """
    tables = [rows.blocks[b] for b in chosen]
    blocks = list(dict.fromkeys(block for table in tables for block in table))
    place = {block: i for i, block in enumerate(blocks)}
    return SwappedRows(
        rows=tuple(chosen),
        lengths=tuple(rows.lengths[b] for b in chosen),
        tables=tuple(tuple(place[block] for block in table) for table in tables),
        num_new=tuple(num_new),
        lost=lost,
        k=pages.to_host(pages.k, blocks),
        v=pages.to_host(pages.v, blocks),
    )


def check_swapped(swapped: SwappedRows, pages: Pages) -> None:
    """Raise ValueError unless these are swapped rows and their blocks are such as a memory has.

    Args:
        swapped: what is to be moved in.
        pages: the memory.
    """
    check_kind(SwappedRows, "Pass what swap_out() returned.", swapped=swapped)
    theirs, ours = ((*one.shape[1:], one.dtype) for one in (swapped.k, pages.k))
    if theirs != ours:
        raise ValueError(
            f"the swapped rows have blocks (Hkv, block_size, D, dtype) of {theirs} and the cache "
            f"of {ours}: their tokens have no place in it. Swap them into a cache like the one "
            "that they came from."
        )
