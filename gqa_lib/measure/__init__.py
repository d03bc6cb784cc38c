"""How this course times things, and the ceilings of the machine it runs on.

Importing this needs no torch.
"""

from .ceilings import matrix_products, measure_hardware, read_passes
from .device import pick_device
from .environment import environment
from .samples import MIN_ROUNDS, ratios, read_jsonl, summarise, write_jsonl
from .timing import last_level_cache_bytes, rotating_buffers, time_arms

__all__ = [
    "MIN_ROUNDS",
    "environment",
    "last_level_cache_bytes",
    "matrix_products",
    "measure_hardware",
    "pick_device",
    "ratios",
    "read_jsonl",
    "read_passes",
    "rotating_buffers",
    "summarise",
    "time_arms",
    "write_jsonl",
]
