"""How a sequence's cache lies in an engine's blocks."""

from __future__ import annotations

from dataclasses import dataclass

from gqa_lib.configs import ModelConfig
from gqa_lib.cost import Bytes, reserved_bytes


@dataclass(frozen=True)
class Layout:
    """What a sequence takes of the blocks.

    Args:
        block_size: tokens of a block, in layers that attend.
        token_tables: tables that get another block with every `block_size` tokens.
        state_tables: tables with a single block, of a constant state.
    """

    block_size: int
    token_tables: int
    state_tables: int

    def tokens_blocks(self, num_blocks: int) -> int:
        """Return how many blocks there are for tokens, each of them in all tables at once.

        Args:
            num_blocks: blocks of the device.
        """
        return num_blocks // self.token_tables

    @property
    def blocks_per_seq(self) -> int:
        """What the states of a sequence take of `tokens_blocks`, rounded up to whole ones."""
        return -(-self.state_tables // self.token_tables)


def layout(
    config: ModelConfig, bytes_per_element: Bytes, block_size: int, tensor_parallel: int = 1
) -> Layout:
    """Return how an engine lays out a sequence of a model whose layers keep all tokens.

    Args:
        config: the model's shape.
        bytes_per_element: bytes of one cached number, or a pair, of K's and of V's.
        block_size: tokens of a block, before blocks are made as large as a state.
        tensor_parallel: ranks.

    Raises:
        ValueError: layers keep less than all tokens, or their blocks hold unlike numbers of them.

    Source: vLLM's rules, see `gqa_lib.cost.reserved_bytes`.
    """
    found = reserved_bytes(
        config, [1], bytes_per_element, block_size=block_size, tensor_parallel=tensor_parallel
    )
    tables = [group for group in found.groups if group.kind != "state"]
    sizes = sorted({group.block_tokens for group in tables})
    if len(sizes) != 1 or any(group.kind != "full" for group in tables):
        kinds = ", ".join(f"{group.kind} ({group.block_tokens} tokens a block)" for group in tables)
        raise ValueError(
            f"{config.name} has tables of blocks of several kinds: {kinds}. Windows give blocks "
            "back, which is not simulated, and what fits would be too little. Use "
            "gqa_lib.cost.reserved_bytes for sequences of known lengths."
        )
    return Layout(sizes[0], len(tables), len(found.groups) - len(tables))
