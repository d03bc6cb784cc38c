"""Where K and V of past tokens are kept."""

from .blocks import BlockAllocator
from .contiguous import KVCache
from .eviction import EvictingCache
from .model import ModelCache
from .paged import PagedKVCache
from .protocol import Cache

__all__ = ["BlockAllocator", "Cache", "EvictingCache", "KVCache", "ModelCache", "PagedKVCache"]
