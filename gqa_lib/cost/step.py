"""What a decoding step of a whole model costs: weights and KV cache together."""

from __future__ import annotations

from collections import Counter

from gqa_lib.arguments import check_number
from gqa_lib.configs import ModelConfig
from gqa_lib.hardware import Hardware

from .bytes import Bytes, split_bytes, state_bytes
from .positive import require_model, require_positive
from .roofline import arithmetic_intensity, roofline_time
from .tokens import indexed_tokens, layer_bytes, read_tokens


def decode_intensity(
    config: ModelConfig, bytes_per_element: Bytes, context_length: int = 1
) -> float:
    """FLOPs that decoding attention does per byte of cache it reads: 2 x q_per_kv / bytes.

    It does not depend on the batch, every sequence having its own cache, and where layers are
    alike not on the context either. MLA is counted in its absorbed form.

    Args:
        config: the model's shape.
        bytes_per_element: bytes of one cached number, or a pair, of K's and of V's.
        context_length: tokens cached, for models whose layers differ.

    Returns:
        FLOP per byte, to be held against `ridge_point`.

    Raises:
        ValueError: bytes_per_element is not above 0.

    Source: derived from the shapes; the absorbed form is DeepSeek-V2's (arXiv 2405.04434),
    section 2.1.2.
    """
    require_positive(context_length=context_length)
    return arithmetic_intensity(*_attention_work(config, context_length, bytes_per_element))


def decode_step_work(
    config: ModelConfig,
    batch_size: int,
    context_length: int,
    bytes_per_element: Bytes,
    weight_bytes: float,
    *,
    active_parameters: float | None = None,
) -> tuple[float, float]:
    """(FLOPs, bytes) of decoding one token for every sequence of a batch.

    A step reads the weights once for the whole batch and every sequence's cache once per layer
    that attends to it (a layer that shares another's KV still reads it, one with an indexer reads
    the index keys and the tokens they choose). Constant states are read and written. It does 2 FLOP
    per parameter and sequence, and the attention FLOPs of num_heads heads in every layer; those of
    state-space layers and of indexers' own scores, and cross-attention, are left out.

    Args:
        config: the model's shape.
        batch_size: sequences decoded together.
        context_length: tokens each of them has cached.
        bytes_per_element: bytes of one cached number, or a pair, of K's and of V's; and of one
            parameter unless active_parameters is given.
        weight_bytes: bytes of all the weights that a step reads; 0 for attention alone.
        active_parameters: parameters that one token is multiplied with, where they are not
            weight_bytes / bytes_per_element: experts, or weights of other bits than the cache.

    Returns:
        FLOPs and bytes of one step.

    Raises:
        ValueError: a negative length, or batch_size or bytes_per_element not above 0.

    Source: derived; 2 FLOP per parameter and token is Kaplan et al. 2020 (arXiv 2001.08361),
    section 2.1.
    """
    require_positive(batch_size=batch_size)
    check_number(0, weight_bytes=weight_bytes)
    if active_parameters is not None:
        check_number(0, active_parameters=active_parameters)
    flops, moved = _attention_work(config, context_length, bytes_per_element)
    if active_parameters is None:
        active_parameters = weight_bytes / split_bytes(bytes_per_element)[0]
    moved += 2 * state_bytes(config)
    return batch_size * (2 * active_parameters + flops), weight_bytes + batch_size * moved


def decode_step_time(
    config: ModelConfig,
    hardware: Hardware,
    batch_size: int,
    context_length: int,
    bytes_per_element: Bytes,
    weight_bytes: float,
    *,
    active_parameters: float | None = None,
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
        active_parameters: as in `decode_step_work`.

    Returns:
        Seconds per step.

    Raises:
        ValueError: a negative length, or batch_size or bytes_per_element not above 0.

    Source: derived; Shazeer 2019 (arXiv 1911.02150), sections 2.4.1 and 3.1, has the same two
    terms, weights and cache, as memory over compute.
    """
    flops, moved = decode_step_work(
        config,
        batch_size,
        context_length,
        bytes_per_element,
        weight_bytes,
        active_parameters=active_parameters,
    )
    return roofline_time(flops, moved, hardware)


def _attention_work(
    config: ModelConfig, context_length: int, bytes_per_element: Bytes
) -> tuple[float, float]:
    """FLOPs and bytes of one new token's attention over one sequence, all layers.

    MLA decodes in absorbed form, where every head scores against latent and RoPE key and sums
    latents.
    """
    require_model(config)
    each_kind = split_bytes(bytes_per_element)
    flops, moved = 0.0, 0.0
    for layer, number in Counter(config.kv_layers).items():
        tokens = read_tokens(layer, context_length)
        indexed = indexed_tokens(layer, context_length)
        flops += number * tokens * config.num_heads * 2 * (layer.k_dim + layer.value_dim)
        moved += number * layer_bytes(layer, tokens, indexed, each_kind)
    return flops, moved
