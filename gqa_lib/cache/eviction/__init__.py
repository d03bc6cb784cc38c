"""A cache that keeps some rows of the past only, and the policies that choose them."""

from .cache import EvictingCache
from .keep import ratio_removed, rows_to_evict, rows_to_keep
from .observing import HeavyHitter, Snap, attention_weights
from .places import Turns
from .policies import Oldest, Random, SinkWindow, SlidingWindow
from .protocol import EvictionPolicy

__all__ = [
    "EvictingCache",
    "EvictionPolicy",
    "HeavyHitter",
    "Oldest",
    "Random",
    "SinkWindow",
    "SlidingWindow",
    "Snap",
    "Turns",
    "attention_weights",
    "ratio_removed",
    "rows_to_evict",
    "rows_to_keep",
]
