"""A LanguageModel: whole, cached, in chunks and in ragged batches it says the same."""

import re
from dataclasses import replace

import pytest
import torch

from gqa_lib.attention import DynamicScaling, LinearScaling, Rope
from gqa_lib.cache import ModelCache
from gqa_lib.compare.models import llama_like
from gqa_lib.configs import LayerKV, ModelConfig, from_hf_config
from gqa_lib.cost import kv_cache_bytes
from gqa_lib.model import LanguageModel, Variant, generate

VOCAB, WIDTH = 53, 28
TOTAL = 13  # tokens of the longest row, beyond the window
SIZES = {"num_layers": 3, "num_heads": 6, "head_dim": 4, "d_model": WIDTH, "d_ff": 20}
NOPE = (Rope(4), None, Rope(4, 500.0, LinearScaling(2.0)))
BIASES = {"qkv_bias": True, "out_bias": True, "mlp_bias": True}
VARIANTS = {  # name -> (KV heads, windows, variant)
    "MHA": (6, None, Variant()),
    "MQA": (1, None, Variant()),
    "GQA, biases": (2, None, Variant(**BIASES)),
    "three KV heads, windows": (3, (5, None, 1), Variant()),
    "NoPE": (2, None, Variant(rope=NOPE)),
    "NoPE, windows": (2, (None, 4, 4), Variant(rope=NOPE)),
    "a part turns": (2, None, Variant(rope=Rope(4, rotary_dim=2))),
    "norms of heads": (2, (5, 5, None), Variant(qk_norm="head", norms="both")),
    "norms of a projection": (3, None, Variant(qk_norm="projection", norms="after")),
    "norms and biases": (1, (5, 5, 5), Variant(qk_norm="projection", **BIASES)),
    "Gemma": (
        *(1, (5, None, 5)),
        Variant(
            qk_norm="head", norms="both", activation="gelu_tanh", embedding_scale=5.3, tied=True
        ),
    ),
    "tied": (2, None, Variant(tied=True)),
}
CLOSE = {torch.float64: 1e-12, torch.float32: 2e-5}  # of the largest logit


def tiny(num_kv_heads=2, windows=None, variant=None, dtype=torch.float64, **options):
    """A random model; what is 1 or 0 at first is neither, so that a part left out shows."""
    config = ModelConfig(
        "tiny", num_kv_heads=num_kv_heads, windows=windows, vocab_size=VOCAB, **SIZES
    )
    torch.manual_seed(4)
    model = LanguageModel(config, variant, dtype=dtype, **options)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "norm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.3)
            elif "attention" in name:
                parameter.mul_(3)
    return model


def some_tokens(B, T, seed=1):
    return torch.randint(VOCAB, (B, T), generator=torch.Generator().manual_seed(seed))


def refused(message, call):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.fixture(params=[(n, d) for n in VARIANTS for d in CLOSE], ids=lambda p: f"{p[0]}-{p[1]}")
def case(request):
    """A model, and an assertion that logits are those expected."""
    name, dtype = request.param
    model = tiny(*VARIANTS[name], dtype)

    def assert_same(actual, expected):
        assert actual.shape == expected.shape
        assert (actual - expected).abs().max() <= CLOSE[dtype] * expected.abs().max()

    return model, assert_same


@torch.no_grad()
@pytest.mark.parametrize("parts", [[1] * TOTAL, [6, 1, 1, 5], [TOTAL], [4, 4, 4, 1]])
def test_cached_is_as_whole(case, parts):
    model, assert_same = case
    tokens = some_tokens(3, TOTAL)
    whole = model(tokens)
    cache = model.new_cache(3, TOTAL)
    assert_same(torch.cat([model(part, cache) for part in tokens.split(parts, 1)], 1), whole)
    assert cache.lengths.tolist() == [TOTAL] * 3


@torch.no_grad()
def test_ragged_rows_are_as_each_alone(case):
    """Prompts of different lengths in chunks, rows that stop, then decoding."""
    model, assert_same = case
    tokens = some_tokens(3, TOTAL)
    cache = model.new_cache(3, TOTAL)
    ends, found = [0, 0, 0], [[], [], []]
    for counts in ([3, 5, 1], [4, 0, 2], [1, 1, 1], [1, 0, 1], [0, 2, 3], [1, 1, 0]):
        new = torch.zeros(3, max(counts), dtype=torch.int64)
        for b, n in enumerate(counts):
            new[b, :n] = tokens[b, ends[b] : ends[b] + n]
        logits = model(new, cache, counts)
        for b, n in enumerate(counts):
            found[b].append(logits[b, :n])
        ends = [end + n for end, n in zip(ends, counts, strict=True)]
    assert cache.lengths.tolist() == ends == [10, 9, 8]
    for b in range(3):
        assert_same(torch.cat(found[b]), model(tokens[b : b + 1, : ends[b]])[0])


@torch.no_grad()
def test_rows_may_be_reordered_and_cut_back(case):
    model, assert_same = case
    tokens, other = some_tokens(3, 8), some_tokens(3, 5, seed=2)
    cache = model.new_cache(3, TOTAL)
    model(tokens, cache, [8, 6, 7])
    cache.reorder([2, 0, 2])
    cache.truncate([7, 4, 6])
    logits = model(other, cache)
    pasts = tokens[2, :7], tokens[0, :4], tokens[2, :6]
    for b, past in enumerate(pasts):
        alone = model(torch.cat([past, other[b]])[None])[0, -5:]
        assert_same(logits[b], alone)


def test_every_parameter_has_a_gradient(case):
    model, _ = case
    generate(model, [[1, 2, 3]], 2)  # whose inference mode must not stick to anything
    tokens = some_tokens(2, TOTAL)
    logits = model.train()(tokens[:, :-1])
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_training_learns():
    model, tokens = tiny(3, (5, None, 5), dtype=torch.float32), some_tokens(2, 12)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    losses = []
    for _ in range(30):
        logits = model(tokens[:, :-1]).flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(logits, tokens[:, 1:].flatten())
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[-1] < losses[0] / 10
    assert generate(model, [tokens[0, :3].tolist()], 9) == [tokens[0, 3:].tolist()]


@torch.no_grad()
def test_a_window_and_a_nope_layer_change_what_is_said():
    """Each of them read in the wrong layer, or in none, is another model."""
    tokens = some_tokens(1, TOTAL)
    windows = [None, (4, None, None), (None, 4, None), (4, 4, 4)]
    ropes = [None, (None, Rope(4), Rope(4)), (Rope(4), None, Rope(4)), (None,) * 3]
    cases = [(one, Variant()) for one in windows] + [(None, Variant(rope=r)) for r in ropes[1:]]
    logits = [tiny(2, window, variant)(tokens)[0, -1] for window, variant in cases]
    for i, one in enumerate(logits):
        for other in logits[:i]:
            assert not torch.allclose(one, other, rtol=1e-3)


@torch.no_grad()
def test_no_tokens_and_no_rows():
    model = tiny()
    for B, T in ((0, 3), (2, 0)):
        empty, cache = some_tokens(B, T), model.new_cache(B, 4)
        assert model(empty).shape == model(empty, cache).shape == (B, T, VOCAB)
        assert cache.lengths.tolist() == [0] * B


def test_the_cache_takes_what_cost_says():
    """Windows apart: this cache keeps all tokens, so it is counted without them."""
    for dtype, size in ((torch.float64, 8), (torch.bfloat16, 2)):
        for num_kv_heads in (1, 3):
            model = tiny(num_kv_heads, (5, None, 5), dtype=dtype)
            counted = kv_cache_bytes(replace(model.config, windows=None), [17] * 3, size)
            assert model.new_cache(3, 17).nbytes == counted
    assert model.new_cache(0, 17).nbytes == 0


@pytest.mark.parametrize("tied", [True, False])
def test_parameters_are_as_many_as_configs_count(tied):
    shape = llama_like(2, vocab_size=VOCAB, **SIZES)
    model = LanguageModel(shape)
    assert sum(one.numel() for one in model.parameters()) == shape.weights.total
    keys = {"model_type": "qwen3", "num_hidden_layers": 3, "num_attention_heads": 6}
    keys |= {"num_key_value_heads": 2, "head_dim": 10, "hidden_size": 48, "vocab_size": 67}
    config = from_hf_config(keys | {"intermediate_size": 80, "tie_word_embeddings": tied})
    model = LanguageModel(config, Variant(qk_norm="head", tied=tied))
    assert sum(one.numel() for one in model.parameters()) == config.weights.total
    assert (model.head.weight is model.embedding.weight) == tied


def test_dynamic_scaling_with_chunks_is_as_a_prompt_within_its_length():
    model = tiny(2, None, Variant(rope=Rope(4, scaling=DynamicScaling(2.0, TOTAL))))
    tokens, cache = some_tokens(2, TOTAL), model.new_cache(2, TOTAL)
    parts = [model(part, cache) for part in tokens.split([5, 8], 1)]
    assert torch.allclose(torch.cat(parts, 1), model(tokens))


# ---- what is refused


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([[1, 2]], "tokens are [[1, 2]]: a model takes a batch of rows"),
        (torch.tensor([1, 2]), "tokens are of shape (2,)"),
        (torch.tensor([[[1, 2]]]), "tokens are of shape (1, 1, 2)"),
        (torch.tensor([[1.0, 2.0]]), "tokens are torch.float32"),
        (torch.tensor([[True]]), "tokens are torch.bool"),
        (torch.tensor([[1, 2], [3, VOCAB]]), f"tokens[1, 1]={VOCAB} is not a token: the model has"),
        (torch.tensor([[1, -1]]), "tokens[0, 1]=-1 is not a token"),
    ],
)
def test_what_is_not_tokens_is_refused_and_the_cache_stays_as_it_was(tokens, message):
    model = tiny()
    cache = model.new_cache(1, 5)
    refused(message, lambda: model(tokens))
    refused(message, lambda: model(tokens, cache))
    assert cache.lengths.tolist() == [0]
    assert model(torch.tensor([[1, 2]], dtype=torch.int32)).shape == (1, 2, VOCAB)


def test_a_cache_that_does_not_fit_is_refused_and_stays_as_it_was():
    model, tokens = tiny(), some_tokens(2, 4)
    cache = model.new_cache(2, 5)
    refused("num_new=[4, 3] without a cache", lambda: model(tokens, None, [4, 3]))
    refused("num_new=[4] for 2 rows", lambda: model(tokens, cache, [4]))
    refused("num_new=[4, 5] for 2 rows", lambda: model(tokens, cache, [4, 5]))
    refused("the cache takes (2, 2, T, 4)", lambda: model(some_tokens(3, 4), cache))
    refused("6 more make 6, over max_seq_len=5", lambda: model(some_tokens(2, 6), cache))
    few = ModelCache(cache.layers[:2])
    refused("a ModelCache of 2 layers for a model of 3 layers", lambda: model(tokens, few))
    refused("a KVCache for a model of 3", lambda: model(tokens, cache.layers[0]))
    other = tiny(dtype=torch.float32).new_cache(2, 5)
    refused("k is torch.float64", lambda: model(tokens, other))
    assert {int(n) for layer in cache.layers for n in layer.lengths} == {0}


SHAPE = ModelConfig("tiny", num_kv_heads=2, vocab_size=VOCAB, **SIZES)


def test_a_config_that_it_cannot_compute_is_refused():
    for name in ("vocab_size", "d_ff"):
        refused(f"{name} is not known", lambda n=name: LanguageModel(replace(SHAPE, **{n: None})))
    full = LayerKV(num_kv_heads=2, k_dim=4, v_dim=4)
    others = {
        "of chunks": replace(full, kind="chunk", window=5),
        "with a state": replace(full, state_bytes=64),
        "with an encoder": replace(full, cross_elements=8),
        "of other heads": replace(full, num_kv_heads=3),
        "of wider values": replace(full, v_dim=6),
        "sharing": replace(full, shares=0),
    }
    for layer in others.values():
        config = replace(SHAPE, layers=(full, full, layer))
        refused("tiny, layer 2:", lambda one=config: LanguageModel(one))
    latent = replace(SHAPE, kv_lora_rank=8, rope_head_dim=2, num_kv_heads=6)
    refused("tiny, layer 0:", lambda: LanguageModel(latent))
    refused("backend 'zz' does not exist", lambda: LanguageModel(SHAPE, backend="zz"))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"rope": [Rope(4)] * 2}, "rope has 2 entries for num_layers=3"),
        ({"rope": Rope(6)}, "rope is for head_dim=6 and the layer's heads have 4"),
        ({"rope": False}, "rope=False turns nothing"),
        ({"qk_norm": True}, "qk_norm=True is nothing that a layer does"),
        ({"norms": "around"}, "norms='around' is nothing"),
        ({"activation": "relu"}, "activation='relu' is nothing"),
        ({"norm_eps": 0}, "norm_eps=0: what a layer computes"),
        ({"norm_eps": float("nan")}, "norm_eps=nan"),
        ({"norm_eps": "1e-5"}, "norm_eps='1e-5'"),
        ({"embedding_scale": None}, "embedding_scale=None"),
        ({"embedding_scale": float("inf")}, "embedding_scale=inf"),
    ],
)
def test_a_wrong_variant_is_refused(keys, message):
    refused(message, lambda: LanguageModel(SHAPE, Variant(**keys)))
