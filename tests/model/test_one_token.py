"""A layer's step in one compiled call gives what the layer gives, and asks for what it must."""

import pytest
import torch

from gqa_lib.attention import Rope
from gqa_lib.configs import ModelConfig
from gqa_lib.model import LanguageModel, Variant, language_model

VARIANTS = {
    "Llama": Variant(),
    "q, k and v with a bias": Variant(qkv_bias=True),
    "every projection of attention with a bias": Variant(qkv_bias=True, out_bias=True),
    "normalised heads": Variant(qk_norm="head"),
    "not turned": Variant(rope=[None, None]),
    "turned in part": Variant(rope=Rope(16, rotary_dim=6)),
    "tied": Variant(tied=True, norm_eps=1e-3),
}
NOT_PLAIN = {
    "a normalised projection": Variant(qk_norm="projection"),
    "norms after": Variant(norms="after"),
    "norms on both sides": Variant(norms="both"),
    "another activation": Variant(activation="gelu_tanh"),
    "a bias in the feed-forward block": Variant(mlp_bias=True),
}


@pytest.fixture
def calls(monkeypatch):
    """The layers that were run in one call; `calls.allowed = False` lets none."""
    real, counted = language_model.runs_in_one_call, Calls()

    def runs(*args):
        found = counted.allowed and real(*args)
        counted.number += found
        return found

    monkeypatch.setattr(language_model, "runs_in_one_call", runs)
    return counted


class Calls:
    allowed, number = True, 0


def made(variant, dtype=torch.float32, *, window=None, num_kv_heads=2):
    torch.manual_seed(0)
    windows = window and (window, None)
    config = ModelConfig("small", 2, 6, num_kv_heads, 16, 40, 56, 97, windows=windows)
    model = LanguageModel(config, variant, dtype=dtype)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0, 0.3) if p.dim() > 1 else p.add_(torch.randn_like(p) * 0.2)
    return model


def decoded(model, calls, *, allowed, lengths=(5, 5, 5), steps=3):
    """Logits of some steps after a prompt of each row, and what is cached then."""
    calls.allowed = allowed
    torch.manual_seed(1)
    cache = model.new_cache(len(lengths), 12)
    prompt = torch.randint(0, 97, (len(lengths), max(lengths)))
    with torch.inference_mode():
        model(prompt, cache, lengths)
        out = [model(torch.randint(0, 97, (len(lengths), 1)), cache) for _ in range(steps)]
    rows = [
        layer._k[b, :, :length]
        for layer in cache.layers
        for b, length in enumerate(cache.lengths.tolist())
    ]
    assert cache.lengths.tolist() == [length + steps for length in lengths]
    return torch.cat(out, 1), torch.cat([row.flatten() for row in rows])


def assert_same(model, calls, dtype=torch.float32, **options):
    one_call, there = decoded(model, calls, allowed=True, **options)
    number = calls.number
    layer_by_layer, elsewhere = decoded(model, calls, allowed=False, **options)
    limit = 1e-5 if dtype == torch.float32 else 0.03
    for got, expected in ((one_call, layer_by_layer), (there, elsewhere)):
        assert (got - expected).norm() <= limit * expected.norm()
    return number


@pytest.mark.parametrize("lengths", [(5, 5, 5), (1, 7, 3), (4,)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", VARIANTS)
def test_as_layer_by_layer(built, calls, name, dtype, lengths):
    model = made(VARIANTS[name], dtype)
    assert assert_same(model, calls, dtype, lengths=lengths) == 3 * 2


@pytest.mark.parametrize("num_kv_heads", [1, 3, 6])
def test_for_any_number_of_kv_heads(built, calls, num_kv_heads):
    assert assert_same(made(Variant(), num_kv_heads=num_kv_heads), calls) == 6


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_other_layers_go_their_own_way(built, calls, name):
    assert assert_same(made(NOT_PLAIN[name]), calls) == 0


def test_a_window_that_hides_tokens_is_kept(built, calls):
    model = made(Variant(), window=7)
    assert assert_same(model, calls, lengths=(5, 5, 5)) == 2 + 3  # the first layer's tokens 6 and 7


def test_the_backend_that_somebody_chose_is_kept(built, calls, monkeypatch):
    model = made(Variant())
    monkeypatch.setenv("GQA_BACKEND", "sdpa_gqa")
    assert assert_same(model, calls) == 0
    monkeypatch.delenv("GQA_BACKEND")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")  # unmeasured
    assert assert_same(model, calls) == 0


def test_who_asks_for_gradients_is_told_that_a_cache_has_none(built, calls):
    """The layer's one call would leave them out in silence."""
    model = made(Variant())
    logits = model(torch.ones(2, 1, dtype=torch.int64), model.new_cache(2, 4))
    assert calls.number == 0
    with pytest.raises(RuntimeError, match="backward through a KV cache"):
        logits.sum().backward()


@torch.inference_mode()
def test_a_full_cache_stays_as_it_was(built, calls):
    model = made(Variant())
    cache = model.new_cache(2, 4)
    model(torch.ones(2, 4, dtype=torch.int64), cache)
    with pytest.raises(ValueError, match="max_seq_len=5"):
        model(torch.ones(2, 1, dtype=torch.int64), cache)
    assert cache.lengths.tolist() == [4, 4]


@torch.inference_mode()
def test_another_models_cache_is_refused(built, calls):
    model, other = made(Variant()), made(Variant(), num_kv_heads=1)
    cache = other.new_cache(2, 4)
    other(torch.ones(2, 2, dtype=torch.int64), cache)
    with pytest.raises(ValueError, match="the cache takes"):
        model(torch.ones(2, 1, dtype=torch.int64), cache)
