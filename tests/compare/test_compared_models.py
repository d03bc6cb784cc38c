"""Steps of whole models: what is counted, what a cache holds after a step, and equal logits."""

import pytest
import torch

from gqa_lib.compare.models import (
    SPARE,
    filled_cache,
    first_tokens,
    layer_kv,
    llama_like,
    llama_weights,
    part_arms,
    random_kv,
    step_arm,
    transformers_arms,
)
from gqa_lib.model import LanguageModel

SHAPE = {"num_layers": 3, "num_heads": 6, "head_dim": 8, "d_model": 24, "d_ff": 28}


def model(num_kv_heads=2, dtype=torch.float32):
    torch.manual_seed(3)
    return LanguageModel(llama_like(num_kv_heads, **SHAPE, vocab_size=40), dtype=dtype)


@pytest.mark.parametrize("num_kv_heads", [1, 2, 6])
def test_the_weights_that_are_counted_are_the_models(num_kv_heads):
    ours = model(num_kv_heads)
    sizes = {name: p.numel() for name, p in ours.named_parameters()}
    weights = ours.config.weights
    assert weights.total == sum(sizes.values())
    assert weights.embedding == sizes["embedding.weight"]
    assert weights.dense == sum(sizes.values()) - sizes["embedding.weight"]


def test_a_filled_cache_holds_what_was_drawn_another_in_each_layer():
    ours, lengths = model(), [5, 7, 7]
    drawn = random_kv(ours, lengths)
    assert drawn.shape == (2, 3, 2, 7, 8)
    cache = filled_cache(ours, lengths, drawn)
    assert cache.lengths.tolist() == lengths
    held = []
    for index, layer in enumerate(cache.layers):
        nothing = torch.zeros(3, 2, 1, 8)
        k, v = layer.append(nothing, nothing, [0, 0, 0])
        expected_k, expected_v = layer_kv(drawn, index)
        for b, length in enumerate(lengths):
            assert torch.equal(k[b, :, :length], expected_k[b, :, :length])
            assert torch.equal(v[b, :, :length], expected_v[b, :, :length])
        held.append(v[1])
    assert not torch.equal(held[0], held[1])


@pytest.mark.parametrize("lengths", [[7, 7], [4, 9, 2]])
def test_a_step_cuts_its_cache_back_before_it_is_full(lengths):
    ours = model()
    cache = filled_cache(ours, lengths)
    step = step_arm(ours, cache)
    tokens, logits = step(0)
    assert tokens.shape == (len(lengths),)
    assert torch.equal(tokens, logits.argmax(-1))
    for call in range(1, SPARE - 1):
        step(call)
    assert cache.lengths.tolist() == [n + SPARE - 1 for n in lengths]
    step(SPARE)
    assert cache.lengths.tolist() == lengths
    assert torch.equal(step(SPARE + 1)[1], logits)


@pytest.mark.parametrize("lengths", [[7, 7], [4, 9, 2]])
def test_parts_of_a_step_leave_the_cache_as_it_is(lengths):
    ours = model()
    drawn = random_kv(ours, lengths)
    cache = filled_cache(ours, lengths, drawn)
    arms = part_arms(ours, cache)
    assert set(arms) == {"products", "attention"}
    for arm in arms.values():
        arm(0)
    assert cache.lengths.tolist() == lengths
    after = step_arm(ours, cache)(0)[1]
    assert torch.equal(after, step_arm(ours, filled_cache(ours, lengths, drawn))(0)[1])


def test_products_are_all_linear_layers_and_attention_is_in_every_layer(monkeypatch):
    ours = model()
    cache = filled_cache(ours, [5, 5])
    arms, seen = part_arms(ours, cache), []
    for name, module in ours.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda *_, name=name: seen.append(name))
    arms["products"](0)
    assert len(seen) == len(set(seen)) == 3 * 4 + 1  # qkv, o, gate and up, down; the head
    asked = []
    for layer in cache.layers:
        monkeypatch.setattr(layer, "attend", lambda q, **_: asked.append(q.shape))
    arms["attention"](0)
    assert asked == [(2, 6, 1, 8)] * 3


@pytest.mark.parametrize("num_kv_heads", [1, 2, 6])
def test_transformers_llama_says_the_same_with_the_same_weights(num_kv_heads):
    transformers = pytest.importorskip("transformers")
    ours = model(num_kv_heads, torch.float64)
    config = transformers.LlamaConfig(
        hidden_size=24,
        intermediate_size=28,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=num_kv_heads,
        head_dim=8,
        vocab_size=40,
        rms_norm_eps=ours.variant.norm_eps,
    )
    llama = transformers.LlamaForCausalLM(config).double()
    llama.load_state_dict(llama_weights(ours))  # all of them, and no others
    tokens = torch.randint(40, (2, 9))
    with torch.no_grad():  # its rotations are float32
        torch.testing.assert_close(ours(tokens), llama(tokens).logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("num_kv_heads", [1, 2, 6])
def test_transformers_steps_are_ours_also_after_they_were_cut_back(num_kv_heads):
    pytest.importorskip("transformers")
    ours, lengths = model(num_kv_heads), [11, 11, 11]
    drawn = random_kv(ours, lengths)
    step = step_arm(ours, filled_cache(ours, lengths, drawn))
    arms = transformers_arms(ours, drawn)
    assert set(arms) == {
        f"{a}, {c} cache" for a in ("sdpa", "eager") for c in ("static", "dynamic")
    }
    for call in range(SPARE + 2):
        tokens, logits = step(call)
        for name, arm in arms.items():
            theirs, their_logits = arm(call)
            torch.testing.assert_close(their_logits, logits, rtol=1e-4, atol=1e-4, msg=name)
            assert torch.equal(theirs, tokens)


def test_each_sequence_decodes_from_a_token_of_its_own():
    assert first_tokens(model(), 3).tolist() == [[0], [1], [2]]
    assert first_tokens(model(), 42)[-2:].tolist() == [[0], [1]]
