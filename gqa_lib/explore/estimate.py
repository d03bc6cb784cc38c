"""What decoding costs one model on one device, modelled."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gqa_lib import cost
from gqa_lib.configs import ModelConfig
from gqa_lib.hardware import Hardware


@dataclass(frozen=True)
class Estimate:
    """What a decode step costs one model, modelled; sizes in bytes, times in seconds.

    Args:
        arm: MHA, GQA, MQA or MLA.
        num_kv_heads: KV heads.
        batch_size: sequences decoded together.
        kv_bytes_per_token: bytes one more token adds when every layer keeps it.
        sequence_bytes: cache of one sequence of this context, windows and shared layers counted.
        capacity: sequences of this context that fit next to the weights.
        intensity: FLOPs of attention per byte of cache it reads.
        weight_bytes: weights read in a step.
        kv_bytes: cache read in a step, all sequences.
        step_time_s: the least time of a step.
    """

    arm: str
    num_kv_heads: int
    batch_size: int
    kv_bytes_per_token: float
    sequence_bytes: float
    capacity: int
    intensity: float
    weight_bytes: float
    kv_bytes: float
    step_time_s: float


def estimate(
    config: ModelConfig,
    hardware: Hardware,
    *,
    batch_size: int = 1,
    context_length: int = 8192,
    bytes_per_element: float = 2,
    weight_bytes: float | None = None,
) -> Estimate:
    """Return what decoding costs a model on a device.

    Args:
        config: the model's shape.
        hardware: its ceilings and memory.
        batch_size: sequences decoded together.
        context_length: tokens each of them has cached.
        bytes_per_element: bytes of one cached number, and of one parameter.
        weight_bytes: bytes of all weights; those of the config unless given, 0 where it has none.

    Returns:
        An Estimate.

    Raises:
        ValueError: a size that is not above 0.

    Source: `gqa_lib.cost`, each of whose functions names its own.
    """
    weights = (config.weight_bytes or 0) if weight_bytes is None else weight_bytes
    work = (batch_size, context_length, bytes_per_element, weights)
    _, moved = cost.decode_step_work(config, *work)
    return Estimate(
        arm=config.attention_type,
        num_kv_heads=config.num_kv_heads,
        batch_size=batch_size,
        kv_bytes_per_token=cost.kv_bytes_per_token(config, bytes_per_element),
        sequence_bytes=cost.kv_cache_bytes(config, [context_length], bytes_per_element),
        capacity=cost.max_concurrent_sequences(
            config, hardware.memory_bytes, context_length, weights, bytes_per_element
        ),
        intensity=cost.decode_intensity(config, bytes_per_element),
        weight_bytes=weights,
        kv_bytes=moved - weights,
        step_time_s=cost.decode_step_time(config, hardware, *work),
    )


def alternatives(config: ModelConfig) -> list[ModelConfig]:
    """Return the model as MHA, as it is, and as MQA; one that is an end already appears once.

    Args:
        config: the model's shape.

    Returns:
        Two or three shapes, MHA first; they differ in nothing but the KV heads, and in the latent
        that only MLA has.
    """
    standard = replace(config, kv_lora_rank=None, rope_head_dim=None)
    ends = [replace(standard, num_kv_heads=n) for n in (config.num_heads, 1)]
    arms = {c.attention_type: c for c in (ends[0], config, ends[1])}
    return list(arms.values())
