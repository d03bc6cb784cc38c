"""What a decoding step of a whole model costs: weights and KV cache together."""

from __future__ import annotations

from gqa_lib.configs import ModelConfig
from gqa_lib.hardware import Hardware

from .attention import attention_flops
from .bytes import kv_elements_per_layer, tokens_over_layers
from .positive import require_positive
from .roofline import arithmetic_intensity, roofline_time


def decode_intensity(config: ModelConfig, bytes_per_element: float) -> float:
    """FLOPs that decoding attention does per byte of cache it reads: 2 x q_per_kv / bytes.

    It depends on neither context nor batch: every sequence has its own cache. MLA is counted in
    its absorbed form.

    Args:
        config: the model's shape.
        bytes_per_element: bytes of one cached number.

    Returns:
        FLOP per byte, to be held against `ridge_point`.

    Raises:
        ValueError: bytes_per_element is not above 0.

    Source: derived from the shapes; the absorbed form is DeepSeek-V2's (arXiv 2405.04434),
    section 2.1.2.
    """
    cached_bytes = kv_elements_per_layer(config) * bytes_per_element
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

    Raises:
        ValueError: a negative length, or batch_size or bytes_per_element not above 0.

    Source: derived; 2 FLOP per parameter and token is Kaplan et al. 2020 (arXiv 2001.08361),
    section 2.1.
    """
    require_positive(batch_size=batch_size, bytes_per_element=bytes_per_element)
    tokens = batch_size * tokens_over_layers(config, context_length, config.num_layers)
    kv_bytes = tokens * kv_elements_per_layer(config) * bytes_per_element
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

    Raises:
        ValueError: a negative length, or batch_size or bytes_per_element not above 0.

    Source: derived; Shazeer 2019 (arXiv 1911.02150), sections 2.4.1 and 3.1, has the same two
    terms, weights and cache, as memory over compute.
    """
    flops, moved = decode_step_work(
        config, batch_size, context_length, bytes_per_element, weight_bytes
    )
    return roofline_time(flops, moved, hardware)


def _decode_flops_per_token(config: ModelConfig) -> int:
    """FLOPs that one new query spends on one cached token of one layer.

    MLA decodes in absorbed form, where every head scores against latent and RoPE key and sums
    latents.
    """
    if config.kv_lora_rank is not None and config.rope_head_dim is not None:
        return config.num_heads * 2 * (2 * config.kv_lora_rank + config.rope_head_dim)
    return attention_flops(1, config.num_heads, config.head_dim, 1, 1)
