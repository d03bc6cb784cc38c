"""A KV cache in blocks, and how much memory ways of reserving it leave unused."""

from .block_sizes import BlockSize, block_size_study
from .blocks import BlockAllocator
from .cache import PagedKVCache
from .contiguous_allocator import ContiguousAllocator
from .fragmentation import RULES, Fragmentation, fragmentation, reserved_slots
from .pages import BlockTables, Pages, slots_of
from .row_blocks import RowBlocks
from .serve import Served, serve_contiguous, serve_paged
from .swapped import SwappedRows

__all__ = [
    "RULES",
    "BlockAllocator",
    "BlockSize",
    "BlockTables",
    "ContiguousAllocator",
    "Fragmentation",
    "PagedKVCache",
    "Pages",
    "RowBlocks",
    "Served",
    "SwappedRows",
    "block_size_study",
    "fragmentation",
    "reserved_slots",
    "serve_contiguous",
    "serve_paged",
    "slots_of",
]
