"""What an engine reserves for sequences, next to what their cache would ideally take.

The rules are vLLM's, read at commit 001cabc1 of vllm-project/vllm (2026, the engine that logs as
0.19 does); how states are aligned and heads divided over ranks, in passages quoted from it. An
engine keeps the cache in blocks of one size, so a model whose layers differ has to be cut into
groups that can share them; that, and not the cache alone, is what it allocates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import ceil

from gqa_lib.arguments import check_whole
from gqa_lib.configs import ModelConfig

from .blocks import (
    StoredLayer,
    count_blocks,
    group_layers,
    stored_layers,
    stored_v_dim,
    windows_in_full,
)
from .bytes import Bytes, kv_cache_bytes, split_bytes, state_bytes, whole_lengths
from .positive import require_model
from .tokens import kept_tokens


@dataclass(frozen=True)
class Group:
    """Layers that share one table of blocks.

    Args:
        kind: "full", "window", "chunk" or "state".
        layers: how many layers of the model.
        padding: empty layers added, so that every group has equally many.
        block_tokens: tokens in a block; 0 for a state, which takes a block whatever the length.
        blocks: blocks that all sequences take together in this group.
    """

    kind: str
    layers: int
    padding: int
    block_tokens: int
    blocks: int


@dataclass(frozen=True)
class Reserved:
    """Where the reserved bytes come from, over all ranks; they add up to `total_bytes`.

    Args:
        ideal_bytes: `kv_cache_bytes` and `state_bytes`, once.
        replica_bytes: KV heads and latents that several ranks hold.
        value_bytes: values that are the keys, and are stored a second time nevertheless.
        rounding_bytes: up to whole blocks.
        window_bytes: what windows and chunks hold beyond the tokens that attention can still read.
        page_bytes: larger blocks, empty layers and padded states, so that all blocks are equal.
        block_bytes: of one block, over all layers of a group, in one rank.
        ranks: ranks of the tensor parallelism.
        groups: the layers as the engine groups them.
    """

    ideal_bytes: float
    replica_bytes: float
    value_bytes: float
    rounding_bytes: float
    window_bytes: float
    page_bytes: float
    block_bytes: float
    ranks: int
    groups: tuple[Group, ...]

    @property
    def blocks(self) -> int:
        """Blocks that the sequences take, of all groups."""
        return sum(group.blocks for group in self.groups)

    @property
    def rank_bytes(self) -> float:
        """Bytes reserved in each rank."""
        return self.blocks * self.block_bytes

    @property
    def total_bytes(self) -> float:
        """Bytes reserved in all ranks together."""
        return self.ranks * self.rank_bytes


def reserved_bytes(
    config: ModelConfig,
    context_lengths: Iterable[int],
    bytes_per_element: Bytes,
    *,
    block_size: int = 16,
    tensor_parallel: int = 1,
    prefill_tokens: int = 2048,
    hybrid_manager: bool = True,
    state_copies: int = 1,
) -> Reserved:
    """What vLLM reserves for sequences of these lengths, and what makes it more than the cache.

    - Blocks: a layer that keeps all tokens takes ceil(tokens / block_size) blocks; one with a
      window ceil(min(window - 1 + prefill_tokens, tokens) / block_size) + 1, as a window may begin
      within a block; chunked attention ceil(min(chunk + prefill_tokens, tokens) / block_size).
      (vllm/v1/kv_cache_interface.py, `max_memory_usage_bytes` of the specs.)
    - Pages: where layers differ, each gets as many tokens to a block as make its block as large as
      the largest (`unify_kv_cache_spec_page_size`), and layers are split into groups of equally
      many, those of the rarest kind, or of the commonest if that has less than 1.5 times as many;
      the last group of a kind is filled up with empty layers
      (`_get_kv_cache_groups_uniform_page_size`, both vllm/v1/core/kv_cache_utils.py). Layers that
      all keep everything share one group whatever their sizes.
    - States: a block grows, in steps of block_size, until it is as large as a state, and the state
      is padded to it (`_align_hybrid_block_size`, vllm/platforms/interface.py).
    - `hybrid_manager=False`: next to layers that keep all tokens, windows and chunks do so too
      (`unify_hybrid_kv_cache_specs`). That is what estimates after alvarobartt/hf-mem#70 count, and
      engines whose connectors or devices switch the manager off.
    - Ranks: each holds max(1, KV heads / ranks) heads of a layer, and latents and index keys whole
      (vLLM, `get_num_kv_heads`); states are divided evenly.

    Not counted, as not known here or not per sequence: the pool's one empty block, pipeline and
    context parallelism, drafts of speculative decoding, scales of quantised caches, states padded
    to whole heads per rank, cross-attention, what prefix caching keeps of finished sequences. A
    state is as large as the config says; vLLM's own may lack one token of the convolution.

    Args:
        config: the model's shape.
        context_lengths: tokens of each sequence, the most it will ever have.
        bytes_per_element: bytes of one cached number, or a pair, of K's and of V's.
        block_size: tokens of a block before layers are made equal.
        tensor_parallel: ranks that the heads are divided over.
        prefill_tokens: most tokens of one step (`max_num_batched_tokens`); later versions count
            twice as many where steps overlap (vllm-project/vllm#54703).
        hybrid_manager: whether layers of different kinds get blocks of their own.
        state_copies: blocks that a sequence's state takes; 2 with prefix caching ("align").

    Returns:
        The parts, per rank and over all ranks.

    Raises:
        ValueError: a size not above 0, heads that cannot be divided over the ranks, or a model for
            which the engine's layout is not known.
    """
    require_model(config)
    check_whole(block_size=block_size, tensor_parallel=tensor_parallel)
    check_whole(prefill_tokens=prefill_tokens, state_copies=state_copies)
    lengths = Counter(whole_lengths(context_lengths))
    stored = stored_layers(config, bytes_per_element, block_size, tensor_parallel)
    if not hybrid_manager:
        stored = windows_in_full(config, stored)
    groups = group_layers(config, stored, block_size)
    size = max(len(members) for members in groups)

    def blocks(layer: StoredLayer) -> int:
        return sum(
            n * count_blocks(layer, s, prefill_tokens, state_copies) for s, n in lengths.items()
        )

    if len(groups) == 1:  # no block has to be as large as another
        block_bytes = sum(layer.page_bytes for layer in groups[0])
    else:
        block_bytes = size * groups[0][0].page_bytes
    tables = tuple(
        Group(g[0].kind, len(g), size - len(g), g[0].block_tokens, blocks(g[0])) for g in groups
    )
    ideal = kv_cache_bytes(config, lengths.elements(), bytes_per_element)
    ideal += state_bytes(config, lengths.total())
    extra = _extra(config, lengths, bytes_per_element, stored, blocks, tensor_parallel)
    total = tensor_parallel * block_bytes * sum(table.blocks for table in tables)
    pages = total - ideal - sum(extra)
    return Reserved(ideal, *extra, pages, block_bytes, tensor_parallel, tables)


def _extra(
    config: ModelConfig,
    lengths: Counter[int],
    bytes_per_element: Bytes,
    stored: list[StoredLayer],
    blocks: Callable[[StoredLayer], int],
    ranks: int,
) -> tuple[float, float, float, float]:
    """Bytes of copies, of values stored again, of whole blocks and of windows, over all ranks."""
    k_bytes, v_bytes = split_bytes(bytes_per_element)
    copies = again = rounding = windows = 0.0
    for held in stored:
        layer = config.kv_layers[held.number]
        if held.kind == "state":
            copies += lengths.total() * (ranks * held.token_bytes - layer.state_bytes)
            continue
        kept = sum(n * kept_tokens(layer, s) for s, n in lengths.items())
        size, row = held.block_tokens, ranks * held.token_bytes
        whole = sum(n * size * ceil(kept_tokens(layer, s) / size) for s, n in lengths.items())
        ideal = layer.num_kv_heads * (layer.k_dim * k_bytes + layer.v_dim * v_bytes)
        twice = ranks * held.shape[0] * (stored_v_dim(layer) - layer.v_dim) * v_bytes
        copies += kept * (row - twice - ideal - layer.index_dim * k_bytes)
        again += kept * twice
        rounding += (whole - kept) * row
        windows += (blocks(held) * size - whole) * row
    return copies, again, rounding, windows
