"""What decoding costs one model on one device, modelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gqa_lib import cost
from gqa_lib.arguments import check_number
from gqa_lib.configs import ModelConfig
from gqa_lib.cost import Bytes
from gqa_lib.cost.positive import require_hardware, require_model, require_positive
from gqa_lib.hardware import Hardware


@dataclass(frozen=True)
class Estimate:
    """What a decode step costs one model, modelled; sizes in bytes, times in seconds.

    Args:
        arm: MHA, GQA, MQA or MLA.
        num_kv_heads: KV heads.
        batch_size: sequences decoded together.
        context_length: tokens each of them has cached.
        max_context: the longest context the model is made for, None where it has no limit.
        kv_bytes_per_token: what a token of that context takes on average.
        sequence_bytes: cache of one sequence of this context, constant states included; what
            cross-attention keeps is not in it, nor in what follows.
        cross_bytes: what cross-attention keeps of each token of an encoder or an image.
        capacity: sequences of this context that fit next to the weights; None without weights.
        intensity: FLOPs of attention per byte of cache it reads.
        weight_bytes: all weights; None where their number is not known.
        read_bytes: weights read in a step, experts by how many the batch touches on average.
        kv_bytes: cache and states read in a step, all sequences.
        step_time_s: the least time of a step; None without weights.
    """

    arm: str
    num_kv_heads: int
    batch_size: int
    context_length: int
    max_context: int | None
    kv_bytes_per_token: float
    sequence_bytes: float
    cross_bytes: float
    capacity: int | None
    intensity: float
    weight_bytes: float | None
    read_bytes: float | None
    kv_bytes: float
    step_time_s: float | None


def estimate(
    config: ModelConfig,
    hardware: Hardware,
    *,
    batch_size: int = 1,
    context_length: int = 8192,
    bytes_per_element: Bytes = 2,
    weight_bytes: float | None = None,
    bytes_per_parameter: float | None = None,
) -> Estimate:
    """Return what decoding costs a model on a device.

    Args:
        config: the model's shape.
        hardware: its ceilings and memory.
        batch_size: sequences decoded together.
        context_length: tokens each of them has cached.
        bytes_per_element: bytes of one cached number, or a pair, of K's and of V's.
        weight_bytes: bytes of all weights, every one of which a step reads; those of the config
            unless given, 0 for attention alone. Where the config has none either, neither a time
            nor a capacity is stated.
        bytes_per_parameter: bytes of one parameter; as of a cached key unless given.

    Returns:
        An Estimate.

    Raises:
        ValueError: a size that is not above 0, or a negative weight_bytes.

    Source: `gqa_lib.cost`, each of whose functions names its own.
    """
    require_model(config)
    require_hardware(hardware)
    require_positive(batch_size=batch_size)
    each = _bytes_per_parameter(bytes_per_element, weight_bytes, bytes_per_parameter)
    total, read, active = _weights(config, batch_size, weight_bytes, each)
    work = (batch_size, context_length, bytes_per_element, read or 0)
    _, moved = cost.decode_step_work(config, *work, active_parameters=active)
    sequence = cost.kv_cache_bytes(config, [context_length], bytes_per_element)
    known = {} if total is None else _known(config, hardware, work, total, active)
    return Estimate(
        arm=config.attention_type,
        num_kv_heads=config.num_kv_heads,
        batch_size=batch_size,
        context_length=context_length,
        max_context=config.max_context,
        kv_bytes_per_token=cost.kv_bytes_per_token(config, bytes_per_element, context_length),
        sequence_bytes=sequence + cost.state_bytes(config),
        cross_bytes=cost.cross_cache_bytes(config, [1], bytes_per_element),
        intensity=cost.decode_intensity(config, bytes_per_element, context_length),
        weight_bytes=total,
        read_bytes=read,
        kv_bytes=moved - (read or 0),
        capacity=known.get("capacity"),
        step_time_s=known.get("step_time_s"),
    )


def _known(
    config: ModelConfig,
    hardware: Hardware,
    work: tuple[int, int, Bytes, float],
    total: float,
    active: float,
) -> dict[str, Any]:
    """What can be stated of a model whose weights are known."""
    _, context_length, bytes_per_element, _ = work
    return {
        "capacity": cost.max_concurrent_sequences(
            config, hardware.memory_bytes, context_length, total, bytes_per_element
        ),
        "step_time_s": cost.decode_step_time(config, hardware, *work, active_parameters=active),
    }


def _bytes_per_parameter(
    bytes_per_element: Bytes, weight_bytes: float | None, given: float | None
) -> float:
    if weight_bytes is not None:
        check_number(0, weight_bytes=weight_bytes)
    if given is None:
        return cost.split_bytes(bytes_per_element)[0]
    require_positive(bytes_per_parameter=given)
    return given


def _weights(
    config: ModelConfig, batch_size: int, given: float | None, each: float
) -> tuple[float | None, float | None, float]:
    """Bytes of all weights and of those a step reads, and the parameters a token meets."""
    if given is not None:
        return given, given, given / each
    if config.weights is not None:
        weights = config.weights
        return weights.total * each, weights.touched(batch_size) * each, weights.active
    if config.weight_bytes is not None:
        parameters = config.weight_bytes / 2
        return parameters * each, parameters * each, parameters
    return None, None, 0


def alternatives(config: ModelConfig) -> list[ModelConfig]:
    """Return the model as MHA, as it is, and as MQA; one that is an end already appears once.

    Args:
        config: the model's shape.

    Returns:
        Two or three shapes, MHA first; they differ in nothing but the KV heads, and in the latent
        that only MLA has: its other arms have keys and values of head_dim, without the RoPE part
        that its own keys have besides.
    """
    require_model(config)
    ends = [config.with_kv_heads(n) for n in (config.num_heads, 1)]
    arms = {c.attention_type: c for c in (ends[0], config, ends[1])}
    return list(arms.values())
