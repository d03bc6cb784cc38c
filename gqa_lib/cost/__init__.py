"""What attention costs in bytes, FLOPs and seconds: arithmetic, nothing measured, no torch.

B batch, T new query tokens, S key tokens, Hq query heads, Hkv key/value heads, D head size.
Sizes are bytes, times seconds, rates per second. `bytes_per_element` is that of the cache: 4 for
float32, 2 for bfloat16, 1 for 8-bit, 0.5 for 4-bit; a pair where K and V differ.
"""

from .attention import attention_bytes, attention_flops, attention_time
from .bytes import (
    Bytes,
    cross_cache_bytes,
    kv_bytes_per_token,
    kv_cache_bytes,
    kv_projection_params,
    max_concurrent_sequences,
    max_context_length,
    split_bytes,
    state_bytes,
)
from .memory import kv_memory
from .ranks import (
    most_ranks,
    rank_config,
    sequence_parallel_bytes,
    sharing,
    tensor_parallel_bytes,
)
from .reserved import Group, Reserved, reserved_bytes
from .roofline import arithmetic_intensity, is_memory_bound, ridge_point, roofline_time
from .step import decode_intensity, decode_step_time, decode_step_work

__all__ = [
    "Bytes",
    "Group",
    "Reserved",
    "arithmetic_intensity",
    "attention_bytes",
    "attention_flops",
    "attention_time",
    "cross_cache_bytes",
    "decode_intensity",
    "decode_step_time",
    "decode_step_work",
    "is_memory_bound",
    "kv_bytes_per_token",
    "kv_cache_bytes",
    "kv_memory",
    "kv_projection_params",
    "max_concurrent_sequences",
    "max_context_length",
    "most_ranks",
    "rank_config",
    "reserved_bytes",
    "ridge_point",
    "roofline_time",
    "sequence_parallel_bytes",
    "sharing",
    "split_bytes",
    "state_bytes",
    "tensor_parallel_bytes",
]
