"""What a model keeps in its KV cache, in bytes."""

from __future__ import annotations

from collections.abc import Iterable

from gqa_lib.configs import ModelConfig

from .positive import require_positive


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

    Raises:
        ValueError: bytes_per_element is not above 0.

    Source: Shazeer 2019 (arXiv 1911.02150), section 2.4; DeepSeek-V2 (arXiv 2405.04434), Table 1.
    """
    require_positive(bytes_per_element=bytes_per_element)
    return config.num_layers * kv_elements_per_layer(config) * bytes_per_element


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
        ValueError: a negative length, or bytes_per_element not above 0.

    Source: derived, `kv_bytes_per_token` summed over layers; a window keeps the newest tokens only:
    Jiang et al. 2023, "Mistral 7B" (arXiv 2310.06825), section 2.
    """
    require_positive(bytes_per_element=bytes_per_element)
    caching = config.num_layers - config.shared_kv_layers
    tokens = sum(tokens_over_layers(config, length, caching) for length in context_lengths)
    return tokens * kv_elements_per_layer(config) * bytes_per_element


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

    Raises:
        ValueError: context_length or bytes_per_element is not above 0.

    Source: derived, what the weights leave over `kv_cache_bytes` of one sequence.
    """
    require_positive(context_length=context_length)
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

    Raises:
        ValueError: a size is not above 0.

    Source: derived from the shapes of `k_proj` and `v_proj`, (num_kv_heads x head_dim, d_model).
    """
    require_positive(d_model=d_model, num_kv_heads=num_kv_heads, head_dim=head_dim)
    return 2 * d_model * num_kv_heads * head_dim


def kv_elements_per_layer(config: ModelConfig) -> int:
    """Numbers that one token keeps in one layer's cache.

    Args:
        config: the model's shape.

    Returns:
        2 x num_kv_heads x head_dim; for MLA kv_lora_rank + rope_head_dim.
    """
    if config.kv_lora_rank is not None and config.rope_head_dim is not None:
        return config.kv_lora_rank + config.rope_head_dim
    return 2 * config.num_kv_heads * config.head_dim


def tokens_over_layers(config: ModelConfig, context_length: int, num_layers: int) -> int:
    """Tokens of one sequence that the first num_layers layers keep, added up.

    Args:
        config: the model's shape; of it only the windows count here.
        context_length: tokens of the sequence.
        num_layers: how many layers.

    Returns:
        Tokens, a token that several layers keep counted in each.

    Raises:
        ValueError: a negative length.
    """
    if context_length < 0:
        raise ValueError(
            f"context_length={context_length}: a sequence cannot hold fewer than 0 tokens. "
            "Give 0 or more."
        )
    if config.windows is None:
        return num_layers * context_length
    windows = config.windows[:num_layers]
    return sum(context_length if w is None else min(context_length, w) for w in windows)
