"""How many tokens of a sequence a layer keeps, indexes and reads, and their bytes."""

from __future__ import annotations

from gqa_lib.arguments import check_number
from gqa_lib.configs import LayerKV


def kept_tokens(layer: LayerKV, context_length: int) -> int:
    """Tokens and compressed entries that a layer's cache holds of one sequence.

    Args:
        layer: what it keeps.
        context_length: tokens of the sequence.

    Returns:
        Their number; each has `layer.elements` elements.

    Raises:
        ValueError: a negative length.
    """
    check_number(0, context_length=context_length)
    if layer.kind == "none":
        return 0
    recent = context_length if layer.window is None else min(context_length, layer.window)
    return recent + (context_length // layer.ratio if layer.ratio else 0)


def indexed_tokens(layer: LayerKV, context_length: int) -> int:
    """Tokens, or compressed entries, whose index key a layer keeps.

    Args:
        layer: what it keeps.
        context_length: tokens of the sequence.
    """
    return (context_length // (layer.ratio or 1)) if layer.index_dim else 0


def read_tokens(layer: LayerKV, context_length: int) -> int:
    """Tokens and compressed entries that attention reads for one new token.

    Args:
        layer: what it keeps; an indexer lets through `index_topk` of them at most.
        context_length: tokens of the sequence.
    """
    kept = kept_tokens(layer, context_length)
    if layer.index_topk is None:
        return kept
    chosen_from = context_length // layer.ratio if layer.ratio else kept
    return kept - chosen_from + min(chosen_from, layer.index_topk)


def layer_bytes(
    layer: LayerKV, tokens: float, indexed: float, bytes_per_element: tuple[float, float]
) -> float:
    """Bytes of so many tokens and index keys in one layer.

    Args:
        layer: what it keeps.
        tokens: tokens and compressed entries.
        indexed: tokens, or entries, with an index key.
        bytes_per_element: bytes of one number in K, index keys among them, and of one in V.
    """
    k_bytes, v_bytes = bytes_per_element
    keys = tokens * layer.num_kv_heads * layer.k_dim + indexed * layer.index_dim
    return keys * k_bytes + tokens * layer.num_kv_heads * layer.v_dim * v_bytes
