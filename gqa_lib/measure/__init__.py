"""How this course times things, and the ceilings of the machine it runs on.

Importing this needs no torch.
"""

from .buffers import cold_pool, last_level_cache_bytes, rotating_buffers, rotation_bytes
from .ceilings import matrix_products, measure_hardware, read_passes
from .device import pick_device
from .environment import environment
from .findings import how_fast, how_long
from .samples import MIN_ROUNDS, ratios, read_jsonl, summarise, write_jsonl
from .timing import time_arms

__all__ = [
    "MIN_ROUNDS",
    "cold_pool",
    "environment",
    "how_fast",
    "how_long",
    "last_level_cache_bytes",
    "matrix_products",
    "measure_hardware",
    "pick_device",
    "ratios",
    "read_jsonl",
    "read_passes",
    "rotating_buffers",
    "rotation_bytes",
    "summarise",
    "time_arms",
    "write_jsonl",
]
