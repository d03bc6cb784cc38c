"""The blocks of an engine: in use, shared by their content, or kept until they are needed.

Only full blocks are shared, and a full block is never written again.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from hashlib import sha256

from gqa_lib.cache import BlockAllocator


def block_key(previous: bytes, tokens: Sequence[int]) -> bytes:
    """Return what a full block is found by: it stands for its tokens and all before them.

    A key and a value depend on every token before theirs, so that equal tokens behind other ones
    are something else. No two contents with the same SHA-256 are known.

    Args:
        previous: key of the block before it; empty for the first.
        tokens: of the block.
    """
    return sha256(previous + array("q", tokens).tobytes()).digest()


class Pool:
    """Blocks of tokens that sequences take and give back.

    A block that was given back is found again by its key until it is needed for other tokens; the
    least recently used one is taken first.

    Args:
        num_blocks: blocks in all.
        block_size: tokens of a block.
        prefix_sharing: whether blocks are found by their keys at all.
    """

    def __init__(self, num_blocks: int, block_size: int, prefix_sharing: bool = True):
        self.block_size, self._sharing = block_size, prefix_sharing
        self._allocator = BlockAllocator(num_blocks)
        self._block_of: dict[bytes, int] = {}  # the pool has a reference to each of these
        self._key_of: dict[int, bytes] = {}
        self._idle: OrderedDict[int, None] = OrderedDict()  # those without any other

    @property
    def num_blocks(self) -> int:
        """Blocks in all."""
        return self._allocator.num_blocks

    @property
    def num_free(self) -> int:
        """Blocks that no sequence has, those that can be found by a key among them."""
        return self._allocator.num_free + len(self._idle)

    @property
    def num_used(self) -> int:
        """Blocks that sequences have; one that several share counts once."""
        return self.num_blocks - self.num_free

    @property
    def num_idle(self) -> int:
        """Blocks that no sequence has but that can be found by a key."""
        return len(self._idle)

    def blocks_for(self, num_tokens: int) -> int:
        """Return how many blocks hold so many tokens."""
        return -(-num_tokens // self.block_size)

    def references(self, block: int) -> int:
        """Return how many sequences have a block."""
        return self._allocator.references(block) - (block in self._key_of)

    def find(self, keys: Iterable[bytes]) -> list[int]:
        """Return the blocks of the first keys, up to the first that no block has."""
        blocks = []
        for key in keys:
            if key not in self._block_of:
                break
            blocks.append(self._block_of[key])
        return blocks

    def allocate(self) -> int:
        """Return a block for new tokens.

        Raises:
            ValueError: sequences have all of them.
        """
        if not self._allocator.num_free and self._idle:
            block, _ = self._idle.popitem(last=False)
            del self._block_of[self._key_of.pop(block)]
            self._allocator.free(block)
        return self._allocator.allocate()

    def share(self, block: int) -> None:
        """Give one more sequence a block, as `find` returns it."""
        self._allocator.share(block)
        self._idle.pop(block, None)

    def free(self, blocks: Sequence[int]) -> None:
        """Take a sequence's blocks back, in order.

        The last ones are the first to be taken for other tokens: they serve only a sequence that
        has all the tokens before them as well.
        """
        for block in reversed(blocks):
            self._allocator.free(block)
            if block in self._key_of and not self.references(block):
                self._idle[block] = None

    def keep(self, block: int, key: bytes) -> None:
        """Let a full block be found from now on, unless another one is for the same key.

        Args:
            block: a sequence's, whose keys and values are all there.
            key: from `block_key`.
        """
        if self._sharing and key not in self._block_of and block not in self._key_of:
            self._allocator.share(block)
            self._block_of[key], self._key_of[block] = block, key
