"""What the size of a block costs: places left empty, and tables to be kept and read."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from .checks import whole_numbers
from .fragmentation import fragmentation

ENTRY_BYTES = 8  # of a block's number in a table: int64, see `BlockTables`


@dataclass(frozen=True)
class BlockSize:
    """What sequences take in blocks of one size.

    Args:
        block_size: tokens of a block.
        num_tokens: of all sequences.
        num_blocks: blocks that they need, each of which is an entry of a table.
        waste_tokens: places in these blocks that hold no token.
    """

    block_size: int
    num_tokens: int
    num_blocks: int
    waste_tokens: int

    @property
    def waste_share(self) -> float:
        """Part of the blocks' places that hold no token; 0 if there is no block."""
        places = self.num_blocks * self.block_size
        return self.waste_tokens / places if places else 0.0

    @property
    def table_bytes(self) -> int:
        """Bytes of the sequences' tables, without padding."""
        return self.num_blocks * ENTRY_BYTES


def block_size_study(
    lengths: Sequence[int] | Tensor, sizes: Sequence[int] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
) -> list[BlockSize]:
    """Return what sequences waste in blocks of each size, and how long their tables are.

    A sequence wastes less than a block: block_size - 1 places at most, half of them on average
    where its length is many blocks and its last one anything.

    Args:
        lengths: tokens of each sequence.
        sizes: tokens of a block.

    Returns:
        One for each size, in the order given.

    Raises:
        ValueError: a length or a size is not a whole number, or a size is below 1.

    Source: Kwon et al. 2023 (arXiv 2309.06180), section 7.2.
    """
    tokens = whole_numbers(lengths, "lengths", 0)
    found = []
    for size in whole_numbers(sizes, "sizes", 1):
        places = fragmentation(tokens, block_size=size)
        blocks = places.reserved // size
        found.append(BlockSize(size, places.used, blocks, places.internal))
    return found
