"""Sparse indexers: a small key of its own for each token, by which a layer chooses what to read."""

from __future__ import annotations

from .keys import Keys

_CONFIG = (
    *("use_sparse_attention", "sparse_index_dim", "sparse_num_index_heads", "sparse_topk_blocks"),
    *("sparse_block_size", "sparse_disable_index_value", "sparse_score_type", "sparse_init_block"),
    *("sparse_local_block", "sparse_attention_freq"),
)
_SPARSE = {"indexed_attention", "deepseek_sparse_attention"}


def is_deepseek_v4(keys: Keys) -> bool:
    """Return whether it is a DeepSeek V4, whatever its file calls itself."""
    return keys.family == "deepseek_v4" or keys.has("compress_ratios")


def indexers(keys: Keys, num_layers: int) -> list[tuple[int, int | None] | None]:
    """For each layer, the elements of an index key and how many tokens it lets through.

    Args:
        keys: the text model's keys.
        num_layers: how many layers it has.
    """
    sparse = keys.keys_of("sparse_attention_config", _CONFIG)  # MiniMax M3
    if sparse and sparse.get("use_sparse_attention", True):
        dim, blocks = sparse.get("sparse_index_dim"), sparse.get("sparse_topk_blocks")
        freq = keys.per_layer(
            sparse.get("sparse_attention_freq"), num_layers, ("sparse_attention_freq",)
        )
        topk = blocks * sparse["sparse_block_size"] if blocks else None
        size = keys.whole(dim, "sparse_index_dim", 1)
        return [(size, topk) if one else None for one in freq]
    dim = keys.size("index_head_dim")
    keys.skip(
        "index_n_heads", "index_topk", "indexer_rope_interleave", "index_share_for_mtp_iteration"
    )
    if is_deepseek_v4(keys):
        keys.skip("qk_rope_head_dim")
    if dim is None or is_deepseek_v4(keys):
        return [None] * num_layers
    topk = keys.size("index_topk")
    if keys.family.startswith("minimax_m3"):
        listed = keys.get("layer_types") or [""] * num_layers
        blocks, block = keys.size("index_topk_blocks"), keys.size("index_block_size")
        keys.skip("index_local_blocks")
        topk = blocks * block if blocks and block else None
        return [(dim, topk) if one == "minimax_m3_sparse" else None for one in listed]
    owns = _own_index(keys, num_layers)
    kinds = keys.get("layer_types")
    if isinstance(kinds, list) and _SPARSE & set(kinds):
        owns = [own and kind in _SPARSE for own, kind in zip(owns, kinds, strict=True)]
    return [(dim, topk) if own else None for own in owns]


def _own_index(keys: Keys, num_layers: int) -> list[bool]:
    """Which layers have an indexer of their own; GLM 5.2's others use the one before."""
    types = keys.get("indexer_types")
    pattern = keys.get("index_topk_pattern")
    freq, offset = keys.get("index_topk_freq"), keys.get("index_skip_topk_offset")
    if types is None and pattern is not None:
        types = [{"F": "full", "S": "shared"}.get(one, one) for one in pattern]
    if types is not None:
        listed = keys.per_layer(types, num_layers, ("indexer_types",))
        if not set(listed) <= {"full", "shared"}:
            raise keys.wrong("indexer_types", types, '"full" or "shared" for each layer')
        return [one == "full" for one in listed]
    if freq is None:
        return [True] * num_layers
    offset = 2 if offset is None else offset
    return [max(i - offset + 1, 0) % max(freq, 1) == 0 for i in range(num_layers)]
