"""Where K and V of past tokens are kept."""

from .blocks import BlockAllocator
from .contiguous import KVCache
from .latent import LatentCache
from .model import ModelCache
from .paged import PagedKVCache
from .protocol import Cache

__all__ = ["BlockAllocator", "Cache", "KVCache", "LatentCache", "ModelCache", "PagedKVCache"]
