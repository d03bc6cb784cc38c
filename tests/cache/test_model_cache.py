"""The caches of a model's layers are distinct, and move together or not at all."""

import re

import pytest
import torch

from gqa_lib.attention import GroupedQueryAttention
from gqa_lib.cache import EvictingCache, KVCache, ModelCache, PagedKVCache, QuantisedKVCache
from gqa_lib.cache.eviction import Random, SlidingWindow

CACHES = {
    "contiguous": lambda max_seq_len: KVCache(2, 1, max_seq_len, 2),
    "paged": lambda max_seq_len: PagedKVCache(2, 1, max_seq_len // 2, 2, 2),
    "quantised": lambda max_seq_len: QuantisedKVCache(2, 1, max_seq_len, 2),
}


def refused(message, call):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def evicting():
    """Two layers of 9 tokens each; only the first still has the last 3 of them."""
    layers = [EvictingCache(1, 2, 4, 2, policy) for policy in (SlidingWindow(), Random(1))]
    for cache in layers:
        x = torch.randn(1, 2, 9, 2)
        cache.append(x, x)
        cache.attend(x)
    return ModelCache(layers)


def test_what_one_layer_refuses_to_forget_none_does():
    caches = evicting()
    kept = [[row.tolist() for row in cache.kept] for cache in caches.layers]
    refused("length=6 for row 0 of 9", lambda: caches.truncate(6))
    assert [cache.lengths.tolist() for cache in caches.layers] == [[9], [9]]
    assert [[row.tolist() for row in cache.kept] for cache in caches.layers] == kept
    caches.truncate(8)
    assert [cache.lengths.tolist() for cache in caches.layers] == [[8], [8]]


@pytest.mark.parametrize("name", CACHES)
def test_no_layer_forgets_where_one_has_no_place_for_so_many(name):
    caches = ModelCache([CACHES[name](24), CACHES[name](12)])
    x = torch.randn(2, 1, 6, 2)
    for cache in caches.layers:
        cache.append(x, x)
    refused("whole number from 0 to 12.", lambda: caches.truncate([2, 20]))
    assert [cache.lengths.tolist() for cache in caches.layers] == [[6, 6], [6, 6]]
    refused("length=[-1, -1] for 2 rows", lambda: caches.truncate(-1))
    caches.truncate(n for n in (2, 5))
    assert [cache.lengths.tolist() for cache in caches.layers] == [[2, 5], [2, 5]]
    caches.reorder(n for n in (1, 1))
    assert [cache.lengths.tolist() for cache in caches.layers] == [[5, 5], [5, 5]]


def test_rows_move_in_all_layers_or_in_none():
    caches = ModelCache([KVCache(2, 1, 8, 2), KVCache(3, 1, 8, 2)])
    x = torch.randn(2, 1, 2, 2)
    caches.layers[0].append(x, x, [1, 2])
    refused("layers[1] has 3 rows and layers[0] has 2", lambda: caches.reorder([1, 0]))
    refused("index=[0, 2]", lambda: caches.reorder([0, 2]))
    assert caches.lengths.tolist() == [1, 2]


@pytest.mark.parametrize("given", [[1, 1], [None] * 2, ["cache"] * 2, [KVCache(1, 1, 1, 1), 2.0]])
def test_what_is_not_a_cache_is_refused(given):
    refused("is not a cache", lambda: ModelCache(given))


@pytest.mark.parametrize("make", CACHES.values())
def test_one_cache_for_two_layers_is_refused(make):
    one, other = make(8), make(8)
    refused("layers[2] is layers[0]", lambda: ModelCache([one, other, one]))
    refused("layers[1] is layers[0]", lambda: ModelCache([one] * 3))


def test_a_layer_that_cannot_attend_so_appends_nothing():
    layer = GroupedQueryAttention(8, 2, 1, window=2)
    cache, x = KVCache(1, 1, 8, 4), torch.randn(1, 3, 8)
    refused("window=2 with causal=False", lambda: layer(x, cache, causal=False))
    assert cache.lengths.tolist() == [0]
    refused("window=2 with causal=False", lambda: layer(x, causal=False))
