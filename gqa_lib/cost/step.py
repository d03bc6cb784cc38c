"""What attention costs in bytes, FLOPs and seconds: arithmetic, nothing measured, no torch.

B batch, T new query tokens, S key tokens, Hq query heads, Hkv key/value heads, D head size.
Sizes are bytes, times seconds, rates per second. `bytes_per_element` is that of the cache: 4 for
float32, 2 for bfloat16, 1 for 8-bit, 0.5 for 4-bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gqa_lib.configs import ModelConfig

if TYPE_CHECKING:
    from gqa_lib.hardware import Hardware


def kv_bytes_per_token(config: ModelConfig, bytes_per_element: float) -> float:
    """Bytes one more token adds to the cache when every layer keeps it.

    2 x num_layers x num_kv_heads x head_dim x bytes_per_element; for MLA, which caches one latent
    and one RoPE key per layer, num_layers x (kv_lora_rank + rope_head_dim) x bytes_per_element.
    Windows and shared layers are left out here; `kv_cache_bytes` counts them.

    Args:
        config: the model's shape.
        bytes_per_element: bytes of one cached number.

    Returns:
        Bytes per token.

    Source: Shazeer 2019 (arXiv 1911.02150), section 2.4; DeepSeek-V2 (arXiv 2405.04434), Table 1.
    """
    _require_positive(bytes_per_element=bytes_per_element)
    return config.num_layers * _kv_elements_per_layer(config) * bytes_per_element


def kv_cache_bytes(
    config: ModelConfig, context_lengths: Iterable[int], bytes_per_element: float
) -> float:
    """Bytes of cache that these sequences hold together.

    A layer with a window keeps at most that many tokens of each sequence, and the last
    `shared_kv_layers` layers keep none of their own.

    Args:
        config: the model's shape.
        context_lengths: tokens held by each sequence; `[4096] * 8` for eight of one length.
        bytes_per_element: bytes of one cached number.

    Returns:
        Bytes.

    Raises:
        ValueError: a negative length.

    Source: derived, `kv_bytes_per_token` summed over layers; a window keeps the newest tokens only:
    Jiang et al. 2023, "Mistral 7B" (arXiv 2310.06825), section 2.
    """
    _require_positive(bytes_per_element=bytes_per_element)
    caching = config.num_layers - config.shared_kv_layers
    tokens = sum(_tokens_over_layers(config, length, caching) for length in context_lengths)
    return tokens * _kv_elements_per_layer(config) * bytes_per_element


def max_concurrent_sequences(
    config: ModelConfig,
    memory_bytes: float,
    context_length: int,
    weight_bytes: float,
    bytes_per_element: float,
) -> int:
    """How many sequences of one length fit next to the weights; 0 if not even one does.

    Args:
        config: the model's shape.
        memory_bytes: memory there is for weights and cache.
        context_length: tokens in each sequence.
        weight_bytes: memory the weights take.
        bytes_per_element: bytes of one cached number.

    Returns:
        A whole number of sequences. Activations and fragmentation are not counted: leave space.

    Source: derived, what the weights leave over `kv_cache_bytes` of one sequence.
    """
    _require_positive(context_length=context_length)
    free_bytes = memory_bytes - weight_bytes
    return max(0, int(free_bytes // kv_cache_bytes(config, [context_length], bytes_per_element)))


def kv_projection_params(d_model: int, num_kv_heads: int, head_dim: int) -> int:
    """Parameters of one layer's K and V projections: 2 x d_model x num_kv_heads x head_dim.

    Args:
        d_model: hidden size.
        num_kv_heads: key/value heads.
        head_dim: elements per head.

    Returns:
        A number of parameters, biases left out.

    Source: derived from the shapes of `k_proj` and `v_proj`, (num_kv_heads x head_dim, d_model).
    """
    _require_positive(d_model=d_model, num_kv_heads=num_kv_heads, head_dim=head_dim)
    return 2 * d_model * num_kv_heads * head_dim


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
        ValueError: causal with fewer keys than queries.

    Source: derived from the shapes. FlashAttention-2 (arXiv 2307.08691), section 4.1, counts the
    same 4 x seqlen^2 x head_dim x heads for a forward pass, and simply half of it when causal.
    """
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

    Source: derived from the shapes of q, k, v and the output.
    """
    query_and_output = 2 * num_heads * num_queries
    key_and_value = 2 * num_kv_heads * num_keys
    return batch_size * (query_and_output + key_and_value) * head_dim * bytes_per_element


def arithmetic_intensity(flops: float, bytes_moved: float) -> float:
    """FLOPs per byte moved.

    Args:
        flops: multiplications and additions, a multiply-add being 2.
        bytes_moved: between memory and processor.

    Returns:
        FLOP per byte. Shazeer 2019 has the inverse, memory over compute.

    Source: Williams, Waterman and Patterson 2009, "Roofline", CACM 52(4).
    """
    _require_positive(bytes_moved=bytes_moved)
    return flops / bytes_moved


def ridge_point(hardware: Hardware) -> float:
    """Intensity in FLOP/byte at which this hardware's FLOPs and bytes take equally long.

    Source: Williams, Waterman and Patterson 2009, "Roofline", CACM 52(4).
    """
    return hardware.flops_per_s / hardware.bandwidth_bytes_per_s


def is_memory_bound(intensity: float, hardware: Hardware) -> bool:
    """True when moving the bytes takes longer than doing the FLOPs: intensity below the ridge.

    Args:
        intensity: FLOP per byte.
        hardware: its two ceilings.

    Returns:
        True or False; at the ridge itself both take equally long, so False.

    Source: Williams, Waterman and Patterson 2009, "Roofline", CACM 52(4).
    """
    return intensity < ridge_point(hardware)


def roofline_time(flops: float, bytes_moved: float, hardware: Hardware) -> float:
    """The least seconds a piece of work can take: the longer of its bytes and its FLOPs.

    Args:
        flops: multiplications and additions, a multiply-add being 2.
        bytes_moved: between memory and processor.
        hardware: its two ceilings.

    Returns:
        Seconds.

    Source: Williams, Waterman and Patterson 2009, "Roofline", CACM 52(4).
    """
    return max(bytes_moved / hardware.bandwidth_bytes_per_s, flops / hardware.flops_per_s)


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
    """
    flops = attention_flops(batch_size, num_heads, head_dim, num_queries, num_keys, causal)
    moved = attention_bytes(
        batch_size, num_heads, num_kv_heads, head_dim, num_queries, num_keys, bytes_per_element
    )
    return roofline_time(flops, moved, hardware)


def decode_intensity(config: ModelConfig, bytes_per_element: float) -> float:
    """FLOPs that decoding attention does per byte of cache it reads: 2 x q_per_kv / bytes.

    It depends on neither context nor batch: every sequence has its own cache. MLA is counted in
    its absorbed form.

    Args:
        config: the model's shape.
        bytes_per_element: bytes of one cached number.

    Returns:
        FLOP per byte, to be held against `ridge_point`.
    """
    cached_bytes = _kv_elements_per_layer(config) * bytes_per_element
    return arithmetic_intensity(_decode_flops_per_token(config), cached_bytes)


def decode_step_work(
    config: ModelConfig,
    batch_size: int,
    context_length: int,
    bytes_per_element: float,
    weight_bytes: float,
) -> tuple[float, float]:
    """(FLOPs, bytes) of decoding one token for every sequence of a batch.

    A step reads the weights once for the whole batch and every sequence's cache once per layer
    that attends to it (a layer that shares another's KV still reads it). It does 2 FLOP per
    parameter and sequence, and the attention FLOPs.

    Args:
        config: the model's shape.
        batch_size: sequences decoded together.
        context_length: tokens each of them has cached.
        bytes_per_element: bytes of one cached number, and of one parameter.
        weight_bytes: bytes of all the weights that a step reads; 0 for attention alone.

    Returns:
        FLOPs and bytes of one step.
    """
    _require_positive(batch_size=batch_size, bytes_per_element=bytes_per_element)
    tokens = batch_size * _tokens_over_layers(config, context_length, config.num_layers)
    kv_bytes = tokens * _kv_elements_per_layer(config) * bytes_per_element
    linear_flops = 2 * batch_size * weight_bytes / bytes_per_element
    return linear_flops + tokens * _decode_flops_per_token(config), weight_bytes + kv_bytes


def decode_step_time(
    config: ModelConfig,
    hardware: Hardware,
    batch_size: int,
    context_length: int,
    bytes_per_element: float,
    weight_bytes: float,
) -> float:
    """The least seconds in which a model can decode one token for every sequence of a batch.

    Whichever of the FLOPs and bytes of `decode_step_work` takes longer: a bound, without kernels'
    losses or launches.

    Args:
        config: the model's shape.
        hardware: its two ceilings.
        batch_size: sequences decoded together.
        context_length: tokens each of them has cached.
        bytes_per_element: bytes of one cached number, and of one parameter.
        weight_bytes: bytes of all the weights that a step reads.

    Returns:
        Seconds per step.

    Source: derived; Shazeer 2019 (arXiv 1911.02150), sections 2.4.1 and 3.1, has the same two
    terms, weights and cache, as memory over compute.
    """
    flops, moved = decode_step_work(
        config, batch_size, context_length, bytes_per_element, weight_bytes
    )
    return roofline_time(flops, moved, hardware)


def _kv_elements_per_layer(config: ModelConfig) -> int:
    """Numbers that one token keeps in one layer's cache."""
    if config.kv_lora_rank is not None and config.rope_head_dim is not None:
        return config.kv_lora_rank + config.rope_head_dim
    return 2 * config.num_kv_heads * config.head_dim


def _decode_flops_per_token(config: ModelConfig) -> int:
    """FLOPs that one new query spends on one cached token of one layer.

    MLA decodes in absorbed form, where every head scores against latent and RoPE key and sums
    latents.
    """
    if config.kv_lora_rank is not None and config.rope_head_dim is not None:
        return config.num_heads * 2 * (2 * config.kv_lora_rank + config.rope_head_dim)
    return attention_flops(1, config.num_heads, config.head_dim, 1, 1)


def _tokens_over_layers(config: ModelConfig, context_length: int, num_layers: int) -> int:
    """Tokens of one sequence that the first num_layers layers keep, added up."""
    if context_length < 0:
        raise ValueError(
            f"context_length={context_length}: a sequence cannot hold fewer than 0 tokens. "
            "Give 0 or more."
        )
    if config.windows is None:
        return num_layers * context_length
    windows = config.windows[:num_layers]
    return sum(context_length if w is None else min(context_length, w) for w in windows)


def _require_positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(
                f"{name}={value} is not positive: a cost per nothing has no meaning. "
                f"Give {name} above 0."
            )
