"""torch.compile, torch.export, torch.vmap and torch.jit.trace follow attention to its end."""

import itertools
import os
import warnings

import pytest
import torch
from torch._dynamo.testing import CompileCounter, CompileCounterWithBackend

from gqa_lib.attention import DynamicScaling, GroupedQueryAttention, Rope, grouped_query_attention
from gqa_lib.cache import KVCache, PagedKVCache, QuantisedKVCache
from gqa_lib.kernels import attention_reference, causal_mask, decode_attention
from gqa_lib.kernels.native.library import problem

SHAPES = {"decode": (1, 9), "some tokens": (4, 9), "many tokens": (90, 101), "prompt": (9, 9)}
LAYERS = {
    "plain": {},
    "rope": {"rope": True},
    "norms": {"qk_norm": "head", "rope": Rope(8, scaling=DynamicScaling(2.0, 6))},
    "fused": {"fused": True, "rope": True},
}
CACHES = {
    "contiguous": lambda: KVCache(2, 2, 40, 8),
    "paged": lambda: PagedKVCache(2, 2, 30, 8, block_size=3),
    "quantised": lambda: QuantisedKVCache(2, 2, 40, 8, run_size=3, residual_length=2),
}
T_OF_ANY, S_OF_ANY = (torch.export.Dim(name, min=2, max=256) for name in "TS")


@pytest.fixture(autouse=True)
def _fresh():
    torch._dynamo.reset()


@pytest.fixture(params=SHAPES.values(), ids=SHAPES)
def tensors(request):
    return draw(*request.param)


@pytest.fixture(params=LAYERS.values(), ids=LAYERS)
def layer(request):
    return GroupedQueryAttention(48, 6, 2, **request.param)


def draw(T, S, B=2):
    return torch.randn(B, 6, T, 16), torch.randn(B, 2, S, 16), torch.randn(B, 2, S, 16)


def compiled(function):
    return torch.compile(function, fullgraph=True, backend="aot_eager")


def assert_near(out, expected):
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


def assert_right(out, q, k, v, window=None):
    torch.testing.assert_close(
        out.double(), attention_reference(q, k, v, window=window), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("window", [None, 1, 5, 300])
def test_the_function_compiles_whole(tensors, window):
    run = compiled(lambda q, k, v: grouped_query_attention(q, k, v, window=window))
    assert_right(run(*tensors), *tensors, window)


def test_a_compiled_function_has_its_gradients(tensors):
    plain, traced = ([t.clone().requires_grad_() for t in tensors] for _ in range(2))
    grouped_query_attention(*plain).square().sum().backward()
    compiled(grouped_query_attention)(*traced).square().sum().backward()
    for one, other in zip(plain, traced, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-4)


def test_the_function_compiles_where_the_native_operator_would_run(built, tensors):
    assert problem() is None
    assert_right(compiled(grouped_query_attention)(*tensors), *tensors)


@pytest.mark.parametrize("T", [1, 5])
def test_the_layer_compiles_whole(layer, T):
    x = torch.randn(2, T, 48)
    assert_near(compiled(layer)(x), layer(x))


@pytest.mark.parametrize("rows", [None, [5, 3]], ids=["alike", "ragged"])
@pytest.mark.parametrize("kind", CACHES)
def test_a_decode_loop_compiles_at_most_twice(kind, rows):
    """However long the cache grows; a whole graph each where rows of one block are alike."""
    layer = GroupedQueryAttention(48, 6, 2, rope=True)
    whole = kind == "contiguous" and rows is None
    counted = CompileCounterWithBackend("aot_eager")
    run = torch.compile(layer, backend=counted, fullgraph=whole)
    caches = [CACHES[kind]() for _ in range(2)]
    with torch.no_grad():
        prompt = torch.randn(2, 5, 48)
        run(prompt, caches[0], num_new=rows), layer(prompt, caches[1], num_new=rows)
        counts = []
        for _ in range(12):
            x = torch.randn(2, 1, 48)
            assert_near(run(x, caches[0]), layer(x, caches[1]))
            counts.append(counted.frame_count)
    assert len(set(counts[1:])) == 1, counts
    assert not whole or counts[-1] <= 2


def test_a_loop_over_the_function_compiles_at_most_twice():
    counter = CompileCounter()
    run = torch.compile(grouped_query_attention, backend=counter, fullgraph=True)
    for S in range(9, 29):
        tensors = draw(1, S)
        assert_right(run(*tensors), *tensors)
    assert counter.frame_count <= 2


@pytest.mark.parametrize("paged", [False, True])
def test_decoding_over_lengths_compiles_once(paged):
    """What lies behind a row's keys is NaN, and a row without keys gives zeros."""
    counter = CompileCounter()
    run = torch.compile(decode_attention, backend=counter, fullgraph=True)
    q, k, v = draw(1, 12, B=3)
    table = torch.tensor([[3, 0, 7], [2, 6, 8], [1, 4, 5]]) if paged else None
    for lengths in ([12, 7, 0], [1, 12, 5], [0, 0, 3]):
        there = torch.arange(12) < torch.tensor(lengths)[:, None]
        caches = [t.masked_fill(~there[:, None, :, None], torch.nan) for t in (k, v)]
        if paged:
            pages = [t.unflatten(2, (3, 4)).transpose(1, 2).flatten(0, 1) for t in caches]
            caches = [t[table.flatten().argsort()] for t in pages]
        out = run(q, *caches, torch.tensor(lengths), table)
        assert_near(out, decode_attention(q, *caches, torch.tensor(lengths), table))
    assert counter.frame_count == 1


@pytest.mark.parametrize("T", [1, 4, 90])
def test_the_function_exports_with_any_number_of_tokens(T):
    class Attention(torch.nn.Module):
        def forward(self, q, k, v):
            return grouped_query_attention(q, k, v)

    queries = None if T == 1 else {2: T_OF_ANY}
    shapes = (queries, {2: S_OF_ANY}, {2: S_OF_ANY})
    exported = torch.export.export(Attention(), draw(T, 101), dynamic_shapes=shapes).module()
    for other, S in ((T, 101), (T, 130), (T if T == 1 else 7, 8)):
        tensors = draw(other, S)
        assert_right(exported(*tensors), *tensors)


def test_the_layer_exports_with_any_number_of_tokens(layer):
    shapes = {"x": {1: T_OF_ANY}}
    exported = torch.export.export(layer, (torch.randn(2, 9, 48),), dynamic_shapes=shapes)
    for T in (9, 2, 40):
        x = torch.randn(2, T, 48)
        assert_near(exported.module()(x), layer(x))


@pytest.mark.parametrize("mapped", [(0, 0, 0), (None, 0, 0), (0, None, None)])
def test_the_function_is_mapped(tensors, mapped):
    several = [
        t if at is None else t + torch.randn(3, *t.shape)
        for t, at in zip(tensors, mapped, strict=True)
    ]
    with warnings.catch_warnings(action="ignore"):  # torch has no rule of its own for its operator
        out = torch.vmap(grouped_query_attention, in_dims=mapped)(*several)
    for b in range(3):
        each = [t if at is None else t[b] for t, at in zip(several, mapped, strict=True)]
        assert_right(out[b], *each)


@pytest.mark.parametrize("T", [1, 5])
def test_the_layer_is_mapped(built, layer, T):
    x = torch.randn(3, 2, T, 48)
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        out = torch.vmap(layer)(x)
    assert_near(out, torch.stack([layer(row) for row in x]))


def test_functional_gradients():
    tensors = draw(1, 9)
    by_func = torch.func.grad(lambda q: grouped_query_attention(q, *tensors[1:]).sum())(tensors[0])
    q = tensors[0].clone().requires_grad_()
    grouped_query_attention(q, *tensors[1:]).sum().backward()
    assert_near(by_func, q.grad)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("T", [1, 5])
def test_what_jit_traces_holds_for_other_lengths(layer, T):
    traced = torch.jit.trace(layer, (torch.randn(2, T, 48),))
    for other, B in itertools.product((1, 4, 11), (2, 3)):
        x = torch.randn(B, other, 48)
        assert_near(traced(x), layer(x))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "make",
    [
        lambda: KVCache(2, 2, 12, 8),
        lambda: PagedKVCache(2, 2, 8, 8),
        lambda: QuantisedKVCache(2, 2, 12, 8),
    ],
)
def test_jit_trace_with_a_cache_is_refused(make):
    cache = make()
    layer = GroupedQueryAttention(48, 6, 2).requires_grad_(False)
    with pytest.raises(ValueError, match=r"jit\.trace.*torch\.compile"):
        torch.jit.trace(lambda x: layer(x, cache), (torch.randn(2, 1, 48),))
    assert cache.lengths.tolist() == [0, 0]


def test_a_paged_cache_says_why_it_is_in_no_graph():
    layer, cache = GroupedQueryAttention(48, 6, 2), PagedKVCache(2, 2, 8, 8)
    with torch.no_grad(), pytest.raises(torch._dynamo.exc.Unsupported, match="disable"):
        compiled(layer)(torch.randn(2, 1, 48), cache)


def test_a_named_backend_is_the_one_that_is_traced(monkeypatch, tensors):
    for name in ("fold_matmul", "loop_sdpa", "sdpa_gqa"):
        torch._dynamo.reset()
        run = compiled(lambda q, k, v, name=name: grouped_query_attention(q, k, v, backend=name))
        assert_right(run(*tensors), *tensors)
    monkeypatch.setitem(os.environ, "GQA_BACKEND", "fold_matmul")
    assert_right(compiled(grouped_query_attention)(*tensors), *tensors)


def test_the_mask_is_bottom_right():
    assert causal_mask(2, 4, window=2).tolist() == [
        [False, True, True, False],
        [False, False, True, True],
    ]
