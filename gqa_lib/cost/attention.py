"""What one layer's attention costs: FLOPs, bytes moved, the least time."""

from __future__ import annotations

from gqa_lib.arguments import check_number, check_whole
from gqa_lib.hardware import Hardware
from gqa_lib.heads import check_heads

from .positive import require_positive
from .roofline import roofline_time


def attention_flops(
    batch_size: int,
    num_heads: int,
    head_dim: int,
    num_queries: int,
    num_keys: int,
    causal: bool = False,
) -> int:
    """FLOPs of one layer's scores and weighted values; the number of KV heads does not appear.

    Each pair of a query and a key it may see costs 2 x head_dim FLOP for the score and as many
    for the value, a multiply-add being 2. The softmax is not counted.

    Args:
        batch_size: sequences.
        num_heads: query heads.
        head_dim: elements per head.
        num_queries: new tokens T.
        num_keys: cached and new tokens S.
        causal: count only the pairs allowed when query i sees keys up to S - T + i.

    Returns:
        FLOPs.

    Raises:
        ValueError: causal with fewer keys than queries, or a size that is not above 0.

    Source: derived from the shapes. FlashAttention-2 (arXiv 2307.08691), section 4.1, counts the
    same 4 x seqlen^2 x head_dim x heads for a forward pass, and simply half of it when causal.
    """
    check_whole(num_heads=num_heads, head_dim=head_dim)
    require_positive(batch_size=batch_size)
    check_number(0, num_queries=num_queries, num_keys=num_keys)
    pairs = num_queries * num_keys
    if causal:
        if num_keys < num_queries:
            raise ValueError(
                f"num_keys={num_keys} is less than num_queries={num_queries}: with a causal mask "
                "every new token is among the keys. Count the cached and the new tokens as keys."
            )
        pairs -= num_queries * (num_queries - 1) // 2
    return 4 * batch_size * num_heads * head_dim * pairs


def attention_bytes(
    batch_size: int,
    num_heads: int,
    num_kv_heads: int,
    head_dim: int,
    num_queries: int,
    num_keys: int,
    bytes_per_element: float,
) -> float:
    """The least bytes one layer's attention must move: q, k, v read once, the output written once.

    Args:
        batch_size: sequences.
        num_heads: query heads.
        num_kv_heads: key/value heads.
        head_dim: elements per head.
        num_queries: new tokens T.
        num_keys: cached and new tokens S.
        bytes_per_element: bytes of one number.

    Returns:
        Bytes.

    Raises:
        ValueError: a size that is not above 0, or num_kv_heads that does not divide num_heads.

    Source: derived from the shapes of q, k, v and the output.
    """
    check_heads(num_heads, num_kv_heads)
    check_whole(head_dim=head_dim)
    require_positive(batch_size=batch_size, bytes_per_element=bytes_per_element)
    check_number(0, num_queries=num_queries, num_keys=num_keys)
    query_and_output = 2 * num_heads * num_queries
    key_and_value = 2 * num_kv_heads * num_keys
    return batch_size * (query_and_output + key_and_value) * head_dim * bytes_per_element


def attention_time(
    hardware: Hardware,
    batch_size: int,
    num_heads: int,
    num_kv_heads: int,
    head_dim: int,
    num_queries: int,
    num_keys: int,
    bytes_per_element: float,
    causal: bool = False,
) -> float:
    """The least seconds one layer's attention can take: what a decode benchmark is held against.

    Args:
        hardware: ceilings, best measured in the same run.
        batch_size: sequences.
        num_heads: query heads.
        num_kv_heads: key/value heads.
        head_dim: elements per head.
        num_queries: new tokens T, 1 when decoding.
        num_keys: cached and new tokens S.
        bytes_per_element: bytes of one number.
        causal: whether masked pairs are skipped.

    Returns:
        Seconds; launch and dispatch cost is not in it.

    Raises:
        ValueError: causal with fewer keys than queries.

    Source: derived, `roofline_time` of `attention_flops` and `attention_bytes`.
    """
    flops = attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal)
    moved = attention_bytes(
        batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
    )
    return roofline_time(flops, moved, hardware)
