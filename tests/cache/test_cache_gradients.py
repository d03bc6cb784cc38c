"""Training over a cache: an error in backward, and never a gradient that is silently missing."""

import pytest
import torch

from gqa_lib.attention import GroupedQueryAttention
from gqa_lib.cache import EvictingCache, KVCache, PagedKVCache
from gqa_lib.configs import ModelConfig
from gqa_lib.model import LanguageModel

CACHES = {
    "contiguous": lambda: KVCache(2, 2, 12, 4),
    "evicting": lambda: EvictingCache(2, 2, 8, 4),
    "paged": lambda: PagedKVCache(2, 2, 8, 4, block_size=3),
}
REFUSED = r"backward through a KV cache.*torch\.no_grad"


@pytest.fixture(params=CACHES)
def cache(request):
    return CACHES[request.param]()


@pytest.fixture
def layer():
    return GroupedQueryAttention(24, 6, 2, head_dim=4, rope=True)


@pytest.mark.parametrize("T", [1, 3])
@pytest.mark.parametrize("num_new", [None, [1, 0]])
def test_backward_is_refused(layer, cache, T, num_new):
    out = layer(torch.randn(2, T, 24), cache, num_new=num_new)
    with pytest.raises(RuntimeError, match=REFUSED):
        out.sum().backward()
    assert all(parameter.grad is None for parameter in layer.q_proj.parameters())


@pytest.mark.parametrize("frozen", [("q_proj", "o_proj"), ("q_proj", "k_proj", "o_proj")])
def test_it_is_refused_where_queries_need_no_gradient(layer, cache, frozen):
    for name in frozen:
        getattr(layer, name).requires_grad_(False)
    x = torch.randn(2, 3, 24)
    with pytest.raises(RuntimeError, match=REFUSED):
        (x + layer(x, cache)).sum().backward()


def test_gradients_of_queries_alone_flow(layer, cache):
    for name in ("k_proj", "v_proj"):
        getattr(layer, name).requires_grad_(False)
    x = torch.randn(2, 3, 24)
    expected = torch.autograd.grad(layer(x).square().sum(), layer.q_proj.weight)[0]
    layer(x, cache).square().sum().backward()
    torch.testing.assert_close(layer.q_proj.weight.grad, expected, rtol=1e-4, atol=1e-5)
    assert layer.k_proj.weight.grad is None


def test_what_was_cached_before_counts_until_it_is_forgotten(layer, cache):
    layer(torch.randn(2, 3, 24), cache)
    for name in ("k_proj", "v_proj"):
        getattr(layer, name).requires_grad_(False)
    with pytest.raises(RuntimeError, match=REFUSED):
        layer(torch.randn(2, 1, 24), cache).sum().backward()
    cache.reset()
    layer(torch.randn(2, 1, 24), cache).sum().backward()
    assert layer.q_proj.weight.grad is not None


def test_forward_is_as_before(layer, cache):
    x = torch.randn(2, 5, 24)
    out = torch.cat((layer(x[:, :4], cache), layer(x[:, 4:], cache)), 1)
    torch.testing.assert_close(out, layer(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_nothing_is_refused_where_no_gradient_is_asked_for(layer, cache, context):
    with context():
        assert not layer(torch.randn(2, 3, 24), cache).requires_grad
    x = torch.randn(2, 1, 24)
    with context():
        layer(x, cache)


def test_a_model_is_refused_too():
    config = ModelConfig("toy", 2, 6, 2, 4, 24, d_ff=32, vocab_size=13)
    model = LanguageModel(config)
    logits = model(torch.tensor([[1, 2, 3]]), model.new_cache(1, 5))
    with pytest.raises(RuntimeError, match=REFUSED):
        logits.sum().backward()
    model(torch.tensor([[1, 2, 3]])).sum().backward()
    assert model.embedding.weight.grad is not None
