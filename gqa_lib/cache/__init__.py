"""Where K and V of past tokens are kept."""

from .contiguous import KVCache
from .model import ModelCache
from .protocol import Cache

__all__ = ["Cache", "KVCache", "ModelCache"]
