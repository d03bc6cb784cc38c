"""Where K and V of past tokens are kept."""

from .contiguous import KVCache

__all__ = ["KVCache"]
