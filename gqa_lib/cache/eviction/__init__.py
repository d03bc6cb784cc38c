"""A cache that keeps some rows of the past only, and the policies that choose them.

A prompt that goes through a model in chunks gives what it gives at once only while nothing is
evicted between its chunks: a large `interval` puts that off. After an eviction later chunks cannot
see all that went before them, and a policy that looks at queries has other queries to look at. One
that looks at positions alone still keeps the rows of the same tokens.
"""

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
