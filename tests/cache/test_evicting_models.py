"""Evicting caches under layers and models."""

import re

import pytest
import torch

from gqa_lib.attention import (
    DynamicScaling,
    GroupedQueryAttention,
    LinearScaling,
    Rope,
    YarnScaling,
)
from gqa_lib.cache import Cache, EvictingCache, KVCache, ModelCache
from gqa_lib.cache.eviction import HeavyHitter, Random, SinkWindow, SlidingWindow, Snap
from gqa_lib.configs import ModelConfig
from gqa_lib.model import LanguageModel, generate

CONFIG = ModelConfig("toy", 2, 6, 2, 8, 24, d_ff=32, vocab_size=29)
POLICIES = {
    "window": lambda: SlidingWindow(),
    "sinks": lambda: SinkWindow(2),
    "random": lambda: Random(),
    "heavy": lambda: HeavyHitter(),
    "snap": lambda: Snap(4, 3),
}
F64 = torch.float64


@pytest.fixture
def model():
    torch.manual_seed(0)
    return LanguageModel(CONFIG, dtype=F64).eval()


class Masked(Cache):
    """Keeps all tokens and hides from new ones, head by head, what another cache has evicted."""

    def __init__(self, other):
        self.other, self.k, self.v = other, None, None

    @property
    def lengths(self):
        return self.other.lengths

    def positions(self, num_new):
        return torch.arange(num_new) + (0 if self.k is None else self.k.shape[2])

    def append(self, k, v, num_new=None):
        old = k[:, :, :0] if self.k is None else self.k
        self.visible = torch.zeros(*k.shape[:2], old.shape[2], dtype=torch.bool)
        for b, kept in enumerate(self.other.kept):
            self.visible[b].scatter_(1, kept.long(), True)
        self.k = torch.cat((old, k), 2)
        self.v = torch.cat((old if self.v is None else self.v, v), 2)

    def attend(self, q, backend="auto", *, causal=True, window=None):
        B, Hq, T, _ = q.shape
        new = torch.ones(T, T, dtype=torch.bool).tril().expand(B, self.k.shape[1], -1, -1)
        mask = torch.cat((self.visible[:, :, None].expand(-1, -1, T, -1), new), -1)
        R = Hq // self.k.shape[1]
        k, v, mask = (t.repeat_interleave(R, 1) for t in (self.k, self.v, mask))
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


@pytest.mark.parametrize("name", POLICIES)
@torch.no_grad()
def test_a_model_decodes_as_if_evicted_rows_were_masked(model, name):
    """Layers have budgets of their own; rows are masked that were evicted before each step."""
    caches = [EvictingCache(2, 2, budget, 8, POLICIES[name](), F64, recent=4) for budget in (9, 6)]
    cache, masked = ModelCache(caches), ModelCache([Masked(one) for one in caches])
    tokens = torch.randint(29, (2, 40))
    for start, end in [(0, 14), (14, 17), *((n, n + 1) for n in range(17, 40))]:
        part = tokens[:, start:end]
        expected = model(part, masked)  # first: it looks at what the other one holds before
        torch.testing.assert_close(model(part, cache), expected, rtol=1e-8, atol=1e-8)
    assert [one.num_kept for one in caches] == [[9, 9], [6, 6]]
    assert cache.lengths.tolist() == [40, 40]
    assert (model(tokens)[:, -1] - expected[:, -1]).abs().amax() > 1e-3  # it was another model's


@pytest.mark.parametrize("name", POLICIES)
def test_generate_runs_on_evicting_caches(name):
    torch.manual_seed(0)
    model = LanguageModel(CONFIG)
    prompts = [list(range(20)), [3], [5, 6, 7]]

    def cache(rows):
        sizes = rows, CONFIG.num_kv_heads, 10, CONFIG.head_dim
        layers = [EvictingCache(*sizes, POLICIES[name](), recent=4) for _ in model.layers]
        return ModelCache(layers)

    shared = cache(3)
    together = generate(model, prompts, 15, prefill_chunk=8, cache=shared)
    alone = [generate(model, [p], 15, prefill_chunk=8, cache=cache(1))[0] for p in prompts]
    assert together == alone
    assert shared.lengths.tolist() == [34, 15, 17]
    assert shared.layers[1].num_kept == [10, 10, 10]
    assert shared.nbytes == sum(one.nbytes for one in shared.layers)


@pytest.mark.parametrize("name", POLICIES)
def test_with_room_for_all_generation_is_unchanged(model, name):
    prompts = [[1, 2, 3, 4, 5, 6], [7, 8]]
    layers = [EvictingCache(2, 2, 14, 8, POLICIES[name](), F64, rope=rope) for rope in model._ropes]
    expected = generate(model, prompts, 8)
    assert generate(model, prompts, 8, cache=ModelCache(layers)) == expected


@pytest.mark.parametrize(
    "scaling",
    [None, LinearScaling(2.0), YarnScaling(4.0, 16), DynamicScaling(2.0, 12)],
    ids=lambda scaling: type(scaling).__name__,
)
@pytest.mark.parametrize("rotary_dim", [None, 4])
@torch.no_grad()
def test_turned_by_places_a_layer_sees_only_the_kept_tokens_in_a_row(scaling, rotary_dim):
    rope = Rope(8, scaling=scaling, rotary_dim=rotary_dim)
    layer = GroupedQueryAttention(24, 6, 2, head_dim=8, rope=rope, dtype=F64)
    cache = EvictingCache(1, 2, 7, 8, SinkWindow(3), F64, rope=rope)
    x, new = torch.randn(1, 20, 24, dtype=F64), torch.randn(1, 2, 24, dtype=F64)
    layer(x, cache)
    kept = [0, 1, 2, 16, 17, 18, 19]
    assert cache.kept[0].tolist() == [kept] * 2
    alone = layer(torch.cat((x[:, kept], new), 1))[:, -2:]
    torch.testing.assert_close(layer(new, cache), alone, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_turned_where_they_stood_a_layer_sees_true_distances():
    rope = Rope(8)
    layer = GroupedQueryAttention(24, 6, 2, head_dim=8, rope=rope, dtype=F64)
    caches = [EvictingCache(1, 2, 7, 8, SinkWindow(3), F64, rope=r) for r in (None, rope)]
    x, new = torch.randn(1, 20, 24, dtype=F64), torch.randn(1, 1, 24, dtype=F64)
    stood, placed = (
        layer(torch.cat((x, new), 1)[:, 20:], cache)
        for cache in caches
        if layer(x, cache) is not None
    )
    kept = torch.tensor([0, 1, 2, 16, 17, 18, 19, 20])
    q, k, v = layer._project(torch.cat((x, new), 1)[:, kept])
    q, k = rope.rotate(kept, q, k)
    plain = KVCache(1, 2, 8, 8, F64)
    plain.append(k, v)
    out = layer.o_proj(plain.attend(q[:, :, -1:]).transpose(1, 2).flatten(2))
    torch.testing.assert_close(stood, out, rtol=1e-9, atol=1e-9)
    assert (stood - placed).abs().amax() > 1e-3


@torch.no_grad()
def test_of_a_window_without_gaps_both_give_the_same():
    """Only distances matter, and those within an unbroken run of tokens are as they were."""
    rope = Rope(8)
    layer = GroupedQueryAttention(24, 6, 2, head_dim=8, rope=rope, dtype=F64)
    caches = [EvictingCache(1, 2, 7, 8, SlidingWindow(), F64, rope=r) for r in (None, rope)]
    for T in (20, 1, 1, 3):
        x = torch.randn(1, T, 24, dtype=F64)
        torch.testing.assert_close(*(layer(x, cache) for cache in caches), rtol=1e-9, atol=1e-9)


def test_a_layer_refuses_a_cache_that_turns_otherwise():
    layer = GroupedQueryAttention(24, 6, 2, head_dim=8, rope=Rope(8, 5e5))
    x = torch.randn(1, 2, 24)

    def cache(rope):
        return EvictingCache(1, 2, 7, 8, rope=rope)

    layer(x, cache(Rope(8, 500000)))  # the same, made twice
    message = "turns keys back by Rope(8, base=10000, scaling=None, rotary_dim=8) and the layer"
    with pytest.raises(ValueError, match=re.escape(message)):
        layer(x, cache(Rope(8)))
    with pytest.raises(ValueError, match="turned them by None"):
        GroupedQueryAttention(24, 6, 2, head_dim=8)(x, cache(Rope(8)))
    with pytest.raises(ValueError, match="LinearScaling"):
        layer(x, cache(Rope(8, 5e5, LinearScaling(2.0))))


class OtherRope(Rope):
    """May turn in any way."""


@pytest.mark.parametrize(
    ("layers", "caches", "alike"),
    [
        (Rope(8, scaling=LinearScaling(2)), Rope(8, scaling=LinearScaling(2.0)), True),
        (Rope(8, 1000000), Rope(8, 1000000.0), True),
        (Rope(8, 1000000), Rope(8, 1000004), False),
        (Rope(8), OtherRope(8), False),
        (OtherRope(8), OtherRope(8), False),
    ],
)
def test_ropes_are_compared_by_what_they_do(layers, caches, alike):
    layer, x = GroupedQueryAttention(24, 6, 2, head_dim=8, rope=layers), torch.randn(1, 2, 24)
    cache = EvictingCache(1, 2, 7, 8, rope=caches)
    if alike:
        layer(x, cache)
        return
    with pytest.raises(ValueError, match="turns keys back by") as error:
        layer(x, cache)
    if type(layers) is type(caches) is Rope:
        assert "base=1000004" in str(error.value)
    assert cache.lengths.tolist() == [0]
    layer(x, EvictingCache(1, 2, 7, 8, rope=layers))  # the layer's own


@torch.no_grad()
def test_a_window_of_the_layer_counts_true_positions(model):
    layer = GroupedQueryAttention(24, 6, 2, head_dim=8, rope=True, window=5, dtype=F64)
    cache, plain = EvictingCache(1, 2, 6, 8, SlidingWindow(), F64), KVCache(1, 2, 40, 8, F64)
    for T in (12, 1, 1, 4, 1):
        x = torch.randn(1, T, 24, dtype=F64)
        torch.testing.assert_close(layer(x, cache), layer(x, plain), rtol=1e-9, atol=1e-9)
    assert cache.num_kept == [6]
