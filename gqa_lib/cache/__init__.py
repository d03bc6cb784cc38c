"""Where K and V of past tokens are kept."""

from .contiguous import KVCache
from .eviction import EvictingCache
from .latent import LatentCache
from .model import ModelCache
from .paging import BlockAllocator, PagedKVCache
from .protocol import Cache
from .quantised import QuantisedKVCache

__all__ = [
    "BlockAllocator",
    "Cache",
    "EvictingCache",
    "KVCache",
    "LatentCache",
    "ModelCache",
    "PagedKVCache",
    "QuantisedKVCache",
]
