"""What an engine's memory fraction leaves for the cache."""

from typing import Literal, get_args

from gqa_lib.arguments import check_choice, check_number

from .positive import require_positive

Engine = Literal["vllm", "tensorrt-llm", "sglang"]


def kv_memory(
    memory_bytes: float,
    weight_bytes: float,
    fraction: float,
    engine: Engine,
    other_bytes: float = 0,
) -> float:
    """Bytes that an engine gives to the cache: the same fraction means three things.

    - "vllm", gpu_memory_utilization: weights, cache and everything else together take that share of
      the whole memory.
    - "tensorrt-llm", free_gpu_memory_fraction: the cache takes that share of what is free once
      weights and everything else are there.
    - "sglang", mem_fraction_static: weights and cache take that share of the memory that was free
      before loading; activations and graphs have to do with the rest, and are not taken off here.

    Args:
        memory_bytes: the device's memory; for SGLang, what of it is free before loading.
        weight_bytes: what the weights take on this device.
        fraction: above 0, up to 1.
        engine: whose fraction it is.
        other_bytes: peak of activations, graphs and the like, as a run measured it.

    Returns:
        Bytes for the cache, 0 where none are left.

    Raises:
        ValueError: an unknown engine, a fraction outside (0, 1], memory not above 0, or a negative
            size.

    Source: vLLM, docs of gpu_memory_utilization (of the total); TensorRT-LLM, docs of KvCacheConfig
    ("of free GPU memory"); SGLang v0.5.8, model_runner_kv_cache_mixin.py, profile_max_num_token
    (`available - total * (1 - mem_fraction_static)`). The first two in one formula each:
    ai-dynamo/aiconfigurator@095f58a5, sdk/memory.py.
    """
    require_positive(memory_bytes=memory_bytes, fraction=fraction)
    if fraction > 1:
        raise ValueError(f"fraction={fraction} is a share of the memory. Give up to 1.")
    check_number(0, weight_bytes=weight_bytes, other_bytes=other_bytes)
    check_choice(get_args(Engine), engine=engine)
    share = fraction * memory_bytes
    left = {
        "vllm": share - weight_bytes - other_bytes,
        "tensorrt-llm": fraction * (memory_bytes - weight_bytes - other_bytes),
        "sglang": share - weight_bytes,
    }
    return max(0.0, left[engine])
