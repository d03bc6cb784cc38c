"""What a model keeps in its KV cache, in bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import inf, isfinite
from typing import TypeAlias

from gqa_lib.arguments import check_number, check_whole, is_number, several
from gqa_lib.configs import ModelConfig

from .positive import require_model, require_positive
from .tokens import indexed_tokens, kept_tokens, layer_bytes

Bytes: TypeAlias = (
    float | tuple[float, float]
)  # of a cached number; a pair: of one in K, of one in V


def kv_bytes_per_token(
    config: ModelConfig, bytes_per_element: Bytes, context_length: int | None = None
) -> float:
    """Bytes of cache per token.

    Without a length, what one more token adds when every layer keeps it: 2 x num_layers x
    num_kv_heads x head_dim x bytes_per_element; for MLA, which caches one latent and one RoPE key
    per layer, num_layers x (kv_lora_rank + rope_head_dim) x bytes_per_element. Windows and shared
    layers are left out then; layers that keep nothing are not, where a config lists its layers.

    With a length, what a token of such a sequence takes on average: `kv_cache_bytes` over its
    length, windows and shared layers counted.

    Args:
        config: the model's shape.
        bytes_per_element: bytes of one cached number, or a pair, of K's and of V's.
        context_length: tokens of the sequence; None for what one more token adds.

    Returns:
        Bytes per token.

    Raises:
        ValueError: a size that is not above 0.

    Source: Shazeer 2019 (arXiv 1911.02150), section 2.4; DeepSeek-V2 (arXiv 2405.04434), Table 1.
    """
    if context_length is not None:
        require_positive(context_length=context_length)
        return kv_cache_bytes(config, [context_length], bytes_per_element) / context_length
    require_model(config)
    each_kind = split_bytes(bytes_per_element)
    total = 0.0
    for layer in config.kv_layers:
        if layer.shares is None or config.layers is None:
            entries = 1 / (layer.ratio or 1)  # for each token
            tokens = (layer.kind != "none") + (entries if layer.ratio else 0)
            total += layer_bytes(layer, tokens, entries, each_kind)
    return total


def kv_cache_bytes(
    config: ModelConfig, context_lengths: Iterable[int], bytes_per_element: Bytes
) -> float:
    """Bytes of cache that these sequences hold together.

    A layer with a window keeps at most that many tokens of each sequence, one that compresses an
    entry for every `ratio` tokens besides, one that shares another's cache nothing. The constant
    state of linear and state-space layers is `state_bytes`, what is kept of an encoder's output or
    an image `cross_cache_bytes`.

    Args:
        config: the model's shape.
        context_lengths: tokens held by each sequence; `[4096] * 8` for eight of one length.
        bytes_per_element: bytes of one cached number, or a pair, of K's and of V's.

    Returns:
        Bytes.

    Raises:
        ValueError: a negative length, or bytes_per_element not above 0.

    Source: derived, `kv_bytes_per_token` summed over layers; a window keeps the newest tokens only:
    Jiang et al. 2023, "Mistral 7B" (arXiv 2310.06825), section 2.
    """
    require_model(config)
    each_kind = split_bytes(bytes_per_element)
    context_lengths = whole_lengths(context_lengths)
    owners = Counter(layer for layer in config.kv_layers if layer.shares is None)
    total = 0.0
    for length, sequences in Counter(context_lengths).items():
        for layer, number in owners.items():
            kept, indexed = kept_tokens(layer, length), indexed_tokens(layer, length)
            each = layer_bytes(layer, kept, indexed, each_kind)
            total += sequences * number * each
    return total


def state_bytes(config: ModelConfig, num_sequences: int = 1) -> int:
    """Bytes of the constant state of linear and state-space layers, whatever the length.

    Args:
        config: the model's shape.
        num_sequences: sequences that are held.

    Returns:
        Bytes; 0 for a model that has attention alone.

    Source: derived from the shapes of the states, at the precision the model keeps them in.
    """
    require_model(config)
    check_number(0, num_sequences=num_sequences)
    return num_sequences * sum(layer.state_bytes for layer in config.kv_layers)


def cross_cache_bytes(
    config: ModelConfig, source_lengths: Iterable[int], bytes_per_element: Bytes
) -> float:
    """Bytes that cross-attention keeps of an encoder's output, or of an image, beside the cache.

    Args:
        config: the model's shape.
        source_lengths: for each sequence, tokens of its encoder's output or of its images.
        bytes_per_element: bytes of one cached number, or a pair, of K's and of V's.

    Returns:
        Bytes; 0 for a model without cross-attention.

    Raises:
        ValueError: a negative length, or bytes_per_element not above 0.

    Source: derived from the shapes of K and V.
    """
    require_model(config)
    source_lengths = whole_lengths(source_lengths, "source_lengths")
    each = sum(layer.cross_elements for layer in config.kv_layers)
    return sum(source_lengths) * each * sum(split_bytes(bytes_per_element)) / 2


def max_concurrent_sequences(
    config: ModelConfig,
    memory_bytes: float,
    context_length: int,
    weight_bytes: float,
    bytes_per_element: Bytes,
) -> int:
    """How many sequences of one length fit next to the weights; 0 if not even one does.

    Args:
        config: the model's shape.
        memory_bytes: memory there is for weights and cache.
        context_length: tokens in each sequence.
        weight_bytes: memory the weights take.
        bytes_per_element: bytes of one cached number, or a pair, of K's and of V's.

    Returns:
        A whole number of sequences. Activations, fragmentation and what cross-attention keeps of an
        encoder or an image are not counted: leave space.

    Raises:
        ValueError: context_length or bytes_per_element is not above 0, or memory has no end.

    Source: derived, what the weights leave over `kv_cache_bytes` and `state_bytes` of one sequence.
    """
    check_whole(context_length=context_length)
    check_number(endless=True, memory_bytes=memory_bytes)
    check_number(0, weight_bytes=weight_bytes)
    if not isfinite(memory_bytes - weight_bytes):
        raise ValueError(
            f"memory_bytes={memory_bytes}, weight_bytes={weight_bytes}: any number of sequences "
            "fits into memory without end. Give numbers of bytes."
        )
    each = kv_cache_bytes(config, [context_length], bytes_per_element) + state_bytes(config)
    return max(0, int((memory_bytes - weight_bytes) // each))


def max_context_length(
    config: ModelConfig,
    memory_bytes: float,
    num_sequences: int,
    weight_bytes: float,
    bytes_per_element: Bytes,
) -> int | None:
    """How long so many sequences can all be next to the weights; None if no length is too long.

    Args:
        config: the model's shape; its max_context is not looked at.
        memory_bytes: memory there is for weights and cache.
        num_sequences: sequences of one length.
        weight_bytes: memory the weights take.
        bytes_per_element: bytes of one cached number, or a pair, of K's and of V's.

    Returns:
        Tokens of each sequence, 0 if not even one fits; None where every layer keeps a window or
        less, and all of them fit, or where memory has no end. Cross-attention is not counted.

    Raises:
        ValueError: num_sequences or bytes_per_element is not above 0.

    Source: derived, the inverse of `kv_cache_bytes`, which never shrinks with the length.
    """
    check_whole(num_sequences=num_sequences)
    check_number(endless=True, memory_bytes=memory_bytes)
    check_number(0, weight_bytes=weight_bytes)
    free = memory_bytes - weight_bytes - state_bytes(config, num_sequences)

    def fits(length: int) -> bool:
        return num_sequences * kv_cache_bytes(config, [length], bytes_per_element) <= free

    top = 1
    while fits(top):
        if top > 2**60:
            return None
        top *= 2
    lowest = 0
    while top - lowest > 1:
        middle = (lowest + top) // 2
        lowest, top = (middle, top) if fits(middle) else (lowest, middle)
    return lowest


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
    check_whole(d_model=d_model, num_kv_heads=num_kv_heads, head_dim=head_dim)
    return 2 * d_model * num_kv_heads * head_dim


def whole_lengths(lengths: Iterable[int], name: str = "context_lengths") -> list[int]:
    """Tokens of some sequences, as a list.

    Args:
        lengths: of each sequence.
        name: of the argument.

    Raises:
        ValueError: one is not a whole number, 0 or more.
    """
    listed = several(lengths, name, "lengths")
    for length in listed:
        check_number(0, context_length=length)
        if length != int(length):
            raise ValueError(
                f"context_length={length}: a sequence holds a whole number of tokens, 0 or more."
            )
    return listed


def split_bytes(bytes_per_element: Bytes) -> tuple[float, float]:
    """Bytes of one number in K and of one in V.

    Args:
        bytes_per_element: one number for both, or a pair.

    Raises:
        ValueError: one is not above 0, or there are not two.
    """
    if not isinstance(bytes_per_element, tuple | list):
        require_positive(bytes_per_element=bytes_per_element)
        return bytes_per_element, bytes_per_element
    pair = tuple(bytes_per_element)
    if len(pair) != 2 or not all(is_number(one) and 0 < one < inf for one in pair):
        raise ValueError(
            f"bytes_per_element={pair}: a pair is the bytes of one number in K and of one in V, "
            "both above 0. Give one number, or two."
        )
    return pair
