"""No sequences, no tokens, no keys: an empty result, or zeros, as torch's own attention gives."""

import itertools

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from gqa_lib.attention import GroupedQueryAttention, Rope, grouped_query_attention, rotate
from gqa_lib.cache import KVCache, PagedKVCache, QuantisedKVCache
from gqa_lib.kernels import (
    attend,
    attention_reference,
    available_backends,
    available_decode_backends,
    decode_attention,
)

EMPTY = [  # B, T, S, D
    *((0, 1, 5, 8), (0, 3, 5, 8), (0, 5, 5, 8), (0, 0, 0, 8), (2, 0, 0, 8), (2, 0, 5, 8)),
    *((2, 3, 5, 0), (2, 1, 5, 0)),
]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
CACHES = {
    "contiguous": lambda B: KVCache(B, 2, 9, 6),
    "paged": lambda B: PagedKVCache(B, 2, 9, 6, block_size=4),
    "quantised": lambda B: QuantisedKVCache(B, 2, 9, 6, residual_length=9),
}


def draw(B, T, S, D, dtype=torch.float32):
    return (torch.randn(B, heads, n, D, dtype=dtype) for heads, n in ((6, T), (2, S), (2, S)))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", EMPTY, ids=str)
def test_nothing_to_attend_for(shape, dtype):
    q, k, v = draw(*shape, dtype)
    expected = scaled_dot_product_attention(q, k, v, enable_gqa=True)
    for window, causal in ((None, True), (None, False), (2, True)):
        out = grouped_query_attention(q, k, v, causal, window=window)
        assert (out.shape, out.dtype) == (expected.shape, dtype)
    assert attention_reference(q, k, v).shape == expected.shape
    for backend in available_backends(q, k, v):
        assert attend(q, k, v, backend=backend).shape == expected.shape, backend
    if q.shape[2] == 1:
        assert decode_attention(q, k, v).shape == expected.shape


@pytest.mark.parametrize("T", [1, 3])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_no_key_at_all_gives_zeros(T, dtype):
    q, k, v = draw(2, T, 0, 8, dtype)
    expected = scaled_dot_product_attention(q, k, v, enable_gqa=True)
    assert not expected.any()
    assert torch.equal(grouped_query_attention(q, k, v, causal=False), expected)
    assert torch.equal(attention_reference(q, k, v, causal=False), expected.double())
    for backend in available_backends(q, k, v, causal=False):
        assert torch.equal(attend(q, k, v, False, backend), expected), backend
    if T == 1:
        for backend in ("auto", *available_decode_backends(q, k, v)):
            assert torch.equal(decode_attention(q, k, v, backend=backend), expected), backend


def test_no_key_in_the_native_operator(built):
    q, k, v = draw(2, 1, 0, 8)
    assert not decode_attention(q, k, v, backend="native").any()


@pytest.mark.parametrize("options", [{}, {"rope": True}, {"fused": True, "window": 2}])
@pytest.mark.parametrize(("B", "T"), [(0, 3), (0, 1), (2, 0), (0, 0)])
def test_a_layer_takes_nothing(B, T, options):
    layer, x = GroupedQueryAttention(36, 6, 2, **options), torch.randn(B, T, 36)
    for grad, make in itertools.product((True, False), (None, *CACHES.values())):
        with torch.set_grad_enabled(grad):
            cache = make and make(B)
            assert layer(x, cache).shape == x.shape
            assert cache is None or cache.lengths.tolist() == [T] * B
    x.requires_grad_()
    layer(x).sum().backward()
    assert x.grad.shape == x.shape


@pytest.mark.parametrize("make", CACHES.values(), ids=CACHES)
def test_a_step_without_tokens_changes_nothing(make):
    layer, cache, x = GroupedQueryAttention(36, 6, 2, rope=True), make(2), torch.randn(2, 4, 36)
    with torch.no_grad():
        parts = [layer(x[:, :3], cache), layer(x[:, 3:3], cache), layer(x[:, 3:], cache)]
    torch.testing.assert_close(torch.cat(parts, 1), layer(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", CACHES.values(), ids=CACHES)
def test_a_cache_of_no_rows(make):
    cache = make(0)
    cache.append(*(torch.randn(0, 2, 3, 6) for _ in range(2)))
    assert cache.lengths.shape == (0,)
    assert cache.attend(torch.randn(0, 6, 3, 6)).shape == (0, 6, 3, 6)
    cache.reorder([])
    cache.truncate([])
    cache.reset()


def test_rope_turns_nothing():
    rope = Rope(8)
    for positions, x in (
        (torch.arange(0), torch.randn(2, 3, 0, 8)),
        (torch.arange(4), torch.randn(0, 3, 4, 8)),
        (torch.empty(0, 4, dtype=torch.int64), torch.randn(0, 3, 4, 8)),
    ):
        assert rope.rotate(positions, x)[0].shape == x.shape
        assert rotate(x, positions).shape == x.shape
