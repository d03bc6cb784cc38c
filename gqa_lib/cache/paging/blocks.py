"""Blocks of memory that sequences take and give back, several of them sharing one."""

import operator
from typing import Any

from gqa_lib.arguments import index


class BlockAllocator:
    """Which of some equal blocks are free, and how many references each of the others has.

    It knows blocks by number only, not what they hold or where.

    Args:
        num_blocks: blocks, numbered from 0.

    Raises:
        ValueError: num_blocks is not a whole number from 1.

    Source: Kwon et al. 2023 (arXiv 2309.06180), sections 4.2 and 4.4.
    """

    def __init__(self, num_blocks: int):
        whole = index(num_blocks)
        if whole is None or whole < 1:
            raise ValueError(
                f"num_blocks={num_blocks!r}: without a block no token can be kept. "
                "Give a whole number from 1."
            )
        self._references = [0] * whole
        self._free = list(reversed(range(whole)))  # the last of the list is the next to go

    @property
    def num_blocks(self) -> int:
        """Blocks, free or not."""
        return len(self._references)

    @property
    def num_free(self) -> int:
        """Blocks without a reference."""
        return len(self._free)

    def references(self, block: int) -> int:
        """Return how often a block is referred to: allocated once, and shared so often."""
        return self._references[self._number(block)]

    def allocate(self) -> int:
        """Return the number of a block that was free; it then has one reference.

        Raises:
            ValueError: no block is free.
        """
        if not self._free:
            raise ValueError(
                f"all {self.num_blocks} blocks are in use: there is none for new tokens. "
                "Free some first, or make more blocks."
            )
        block = self._free.pop()
        self._references[block] = 1
        return block

    def share(self, block: int) -> None:
        """Add a reference to a block that is in use.

        Raises:
            ValueError: no such block, or it is free.
        """
        if not self.references(block):
            raise ValueError(
                f"block {block} is free, so that what it holds may be overwritten at any time. "
                "Share a block only while it is in use; otherwise allocate one."
            )
        self._references[block] += 1

    def free(self, block: int) -> None:
        """Take a reference from a block; without any it is free.

        Raises:
            ValueError: no such block, or it is free already.
        """
        if not self.references(block):
            raise ValueError(
                f"block {block} is free already: freed twice, it would be given to two sequences "
                "that overwrite each other. Free a block once for each allocate() and share()."
            )
        self._references[block] -= 1
        if not self._references[block]:
            self._free.append(block)

    def _number(self, block: Any) -> int:
        try:
            number = -1 if isinstance(block, bool) else operator.index(block)
        except TypeError:
            number = -1
        if not 0 <= number < self.num_blocks:
            raise ValueError(
                f"block {block!r} does not exist: the {self.num_blocks} blocks are 0 to "
                f"{self.num_blocks - 1}. Use the numbers that allocate() returns."
            )
        return number
