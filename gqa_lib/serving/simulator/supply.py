"""The blocks of a simulated engine, and what the free ones still hold."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence


class Supply:
    """How many blocks sequences hold, and what is left in those that nobody holds.

    Blocks keep what is in them until they are taken: pieces of prompts, that other prompts may
    begin with, and the keys and values of single requests. What was left first is taken first, of
    a request its last tokens.

    Args:
        num_blocks: blocks in all.
        piece_blocks: blocks of a piece.
    """

    def __init__(self, num_blocks: int, piece_blocks: int):
        self.num_blocks, self.piece_blocks = num_blocks, piece_blocks
        self.available = num_blocks  # that no sequence holds
        self._empty = num_blocks  # of these, with nothing left in them; below 0 until settled
        self._references: dict[int, int] = {}  # to pieces
        # Blocks, the oldest first, by a request's number or by ("piece", id).
        self._left: OrderedDict[int | tuple[str, int], int] = OrderedDict()

    def take(self, blocks: int) -> None:
        """Take as many blocks, which must be available.

        Args:
            blocks: how many.
        """
        self.available -= blocks
        self._empty -= blocks

    def _settle(self) -> None:
        """Forget what was in blocks that were taken, the oldest first."""
        while self._empty < 0:
            what, left = next(iter(self._left.items()))
            freed = min(left, -self._empty) if isinstance(what, int) else left
            self._empty += freed
            if freed == left:
                del self._left[what]
            else:
                self._left[what] = left - freed

    def leave(self, number: int, blocks: int) -> None:
        """Give back a request's own blocks; what is in them stays for a time.

        Args:
            number: the request's.
            blocks: how many.
        """
        self._settle()
        self.available += blocks
        self._empty += self._left.pop(number, 0)  # of a time before
        if blocks:
            self._left[number] = blocks

    def left(self, number: int) -> int:
        """Return how many of the blocks that a request left nobody has taken.

        Args:
            number: the request's.
        """
        self._settle()
        return self._left.get(number, 0)

    def take_back(self, number: int, blocks: int) -> None:
        """Give a request the first blocks of those that it left, as they are.

        Args:
            number: the request's.
            blocks: how many, of those that are left.
        """
        self._empty += self._left.pop(number) - blocks
        self.available -= blocks

    def find(self, ids: Sequence[int], most: int) -> tuple[int, int]:
        """Return how many leading pieces are there, and how many blocks of these nobody holds.

        Args:
            ids: of a prompt's pieces, in order.
            most: pieces at most.
        """
        self._settle()
        found = free = 0
        for one in ids[:most]:
            if ("piece", one) in self._left:
                free += self.piece_blocks
            elif one not in self._references:
                break
            found += 1
        return found, free

    def share(self, ids: Sequence[int]) -> None:
        """Add a reference to each of some pieces that are there.

        Args:
            ids: of the pieces.
        """
        self._settle()
        for one in ids:
            self.available -= self._left.pop(("piece", one), 0)
            self._references[one] = self._references.get(one, 0) + 1

    def keep(self, ids: Sequence[int]) -> list[int]:
        """Let others find pieces that a request computes; return those that were not there.

        The request refers to these. A second copy of one that is there stays its own.

        Args:
            ids: of the pieces, in order.
        """
        self._settle()
        held, left = self._references, self._left
        new = [one for one in ids if one not in held and ("piece", one) not in left]
        self._references.update(dict.fromkeys(new, 1))
        return new

    def release(self, ids: Sequence[int]) -> None:
        """Take a request's references from its pieces, the last first.

        Args:
            ids: of the pieces, in order.
        """
        for one in reversed(ids):
            self._references[one] -= 1
            if not self._references[one]:
                del self._references[one]
                self._left["piece", one] = self.piece_blocks
                self.available += self.piece_blocks
