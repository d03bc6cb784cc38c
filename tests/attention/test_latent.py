"""Latent attention: the expanded and the absorbed way, with and without a cache."""

import re

import pytest
import torch

from gqa_lib.attention import LatentAttention, Rope
from gqa_lib.cache import KVCache, LatentCache
from gqa_lib.configs import load_model
from gqa_lib.cost import kv_bytes_per_token

D_MODEL, HEADS = 40, 6
SIZES = {"head_dim": 5, "rope_head_dim": 4, "kv_lora_rank": 11, "v_head_dim": 7}
CLOSE = {torch.float32: 1e-5, torch.float64: 1e-10}


def layer(dtype=torch.float64, device=None, **others):
    made = LatentAttention(
        D_MODEL, HEADS, **{**SIZES, "q_lora_rank": 13, **others}, dtype=dtype, device=device
    )
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "norm" in name:
                weight.copy_(torch.rand_like(weight) + 0.5)
    return made


def assert_close(actual, expected):
    limit = CLOSE[actual.dtype]
    torch.testing.assert_close(actual, expected, rtol=limit, atol=limit)


def by_hand(made, x, causal=True):
    """One head, one query at a time, from the paper's equations; neighbours turn as pairs."""
    T = x.shape[1]
    norm = made.q_a_layernorm, made.kv_a_layernorm
    q_latent = norm[0](made.q_a_proj(x[0])) @ made.q_b_proj.weight.T
    q = q_latent.view(T, HEADS, 9)
    latent, key = made.kv_a_proj_with_mqa(x[0]).split((11, 4), -1)
    kv = (norm[1](latent) @ made.kv_b_proj.weight.T).view(T, HEADS, 12)

    def turned(v, t):  # (4,)
        pairs = torch.complex(v[::2], v[1::2])
        angles = t * torch.tensor([1.0, 10000.0**-0.5], dtype=torch.float64)
        return torch.view_as_real(pairs * torch.polar(torch.ones(2).double(), angles)).flatten()

    outs = []
    for t in range(T):
        for h in range(HEADS):
            seen = range(t + 1) if causal else range(T)
            scores = torch.stack(
                [
                    q[t, h, :5] @ kv[s, h, :5] + turned(q[t, h, 5:], t) @ turned(key[s], s)
                    for s in seen
                ]
            )
            weights = (scores / 3).softmax(0)  # sqrt(5 + 4)
            outs.append(weights @ kv[list(seen), h, 5:])
    return torch.cat(outs).view(1, T, -1) @ made.o_proj.weight.T


@torch.no_grad()
@pytest.mark.parametrize("absorbed", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_both_ways_are_the_papers_equations(absorbed, causal):
    made, x = layer(), torch.randn(1, 6, D_MODEL, dtype=torch.float64)
    assert_close(made(x, None, causal, absorbed=absorbed), by_hand(made, x, causal))


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "others",
    [
        {},
        {"q_lora_rank": None},
        {"v_head_dim": 12},
        {"rope": False},
        {"scale": 0.9},
        {"rope_head_dim": 0},
    ],
    ids=str,
)
def test_absorbed_is_expanded(dtype, others, device):
    made = layer(dtype, device, **others)
    x = torch.randn(2, 7, D_MODEL, dtype=dtype, device=device)
    assert_close(made(x, absorbed=True), made(x, absorbed=False))


@torch.no_grad()
@pytest.mark.parametrize("absorbed", [False, True, None])
@pytest.mark.parametrize("chunks", [[9], [4, 1, 1, 1, 1, 1], [2, 3, 4]])
def test_cached_is_whole(absorbed, chunks, device):
    made = layer(device=device)
    x = torch.randn(2, 9, D_MODEL, dtype=torch.float64, device=device)
    cache = made.new_cache(2, 9)
    parts = [made(part, cache, absorbed=absorbed) for part in x.split(chunks, 1)]
    assert_close(torch.cat(parts, 1), made(x, absorbed=False))


@torch.no_grad()
@pytest.mark.parametrize("absorbed", [False, True])
def test_rows_that_differ_in_length_are_each_as_alone(absorbed, device):
    made, cache = layer(device=device), None
    x = torch.randn(3, 8, D_MODEL, dtype=torch.float64, device=device)
    counts, cache = [5, 0, 2], made.new_cache(3, 8)
    cache.memory.fill_(torch.nan)
    first = made(x[:, :5], cache, num_new=counts, absorbed=absorbed)
    second = made(x[:, 5:7], cache, num_new=[2, 1, 0], absorbed=absorbed)
    third = made(x[:, 7:], cache, absorbed=absorbed)
    own = [[*range(5), 5, 6, 7], [5, 7], [0, 1, 7]]
    for b, tokens in enumerate(own):
        alone = made(x[b : b + 1, tokens], absorbed=False)[0]
        n, more = counts[b], [2, 1, 0][b]
        got = torch.cat((first[b, :n], second[b, :more], third[b]))
        assert_close(got, alone)


@torch.no_grad()
def test_a_row_goes_on_where_another_was(device):
    made = layer(device=device)
    x = torch.randn(2, 5, D_MODEL, dtype=torch.float64, device=device)
    cache = made.new_cache(2, 8)
    made(x, cache)
    cache.reorder([1, 1])
    cache.truncate(3)
    new = torch.randn(2, 1, D_MODEL, dtype=torch.float64, device=device)
    past = x[[1, 1], :3]
    assert_close(made(new, cache), made(torch.cat((past, new), 1))[:, -1:])


def test_fewer_multiplications_decide():
    deepseek = {"head_dim": 128, "rope_head_dim": 64, "kv_lora_rank": 512}
    made = LatentAttention(64, 2, **deepseek, device="meta")
    less = made._absorbing_is_less
    assert less(1, 1000)
    assert less(128, 10_000)
    assert not less(256, 10_000)
    assert not less(1000, 1000)  # a prompt
    assert not less(1, 1)


def test_gradients_reach_all_weights_either_way():
    made, x = layer(), torch.randn(1, 6, D_MODEL, dtype=torch.float64)
    grads = []
    for absorbed in (False, True):
        made.zero_grad()
        made(x, absorbed=absorbed).square().sum().backward()
        grads.append([weight.grad.clone() for weight in made.parameters()])
    for expanded, absorbed in zip(*grads, strict=True):
        assert expanded.any()
        torch.testing.assert_close(expanded, absorbed, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ["DeepSeek-V2-Lite", "DeepSeek-V2", "DeepSeek-V3"])
def test_a_real_model_caches_what_its_config_says(name):
    config = load_model(name)
    made = LatentAttention(
        config.d_model,
        config.num_heads,
        head_dim=config.head_dim,
        rope_head_dim=config.rope_head_dim,
        kv_lora_rank=config.kv_lora_rank,
        device="meta",
        dtype=torch.bfloat16,
    )
    per_token = config.num_layers * made.new_cache(1, 1).nbytes
    assert per_token == kv_bytes_per_token(config, 2)


def test_the_papers_saving_is_of_elements_and_of_bits():
    """DeepSeek-V2 against DeepSeek 67B: 82.2 % fewer elements, 93.3 % with 6 bits for 16."""
    latents = load_model("DeepSeek-V2")
    assert kv_bytes_per_token(latents, 2) == 60 * 576 * 2
    heads = 2 * 8 * 128 * 95  # GQA of 8 KV heads, 95 layers
    elements = 60 * 576 / heads
    assert round(100 * (1 - elements), 1) == 82.2
    assert round(100 * (1 - elements * 6 / 16), 1) == 93.3
    assert 2 * 128 * 128 * 60 / (60 * 576) > 56  # an MHA of its own shape


def test_a_cache_of_keys_and_values_is_refused():
    made, x = layer(), torch.randn(1, 2, D_MODEL, dtype=torch.float64)
    with pytest.raises(ValueError, match="new_cache"):
        made(x, KVCache(1, 6, 4, 9, torch.float64))


def test_padding_without_a_cache_is_refused():
    made, x = layer(), torch.randn(1, 2, D_MODEL, dtype=torch.float64)
    with pytest.raises(ValueError, match="without a cache"):
        made(x, num_new=[1])


@pytest.mark.parametrize(
    ("others", "says"),
    [
        ({"kv_lora_rank": 0}, "kv_lora_rank=0"),
        ({"rope_head_dim": 3}, "head_dim=3 is odd"),
        ({"rope": Rope(8)}, "rope is for head_dim=8"),
        ({"q_lora_rank": -1}, "q_lora_rank=-1"),
        ({"v_head_dim": 0}, "v_head_dim=0"),
        ({"scale": 0}, "scale=0"),
        ({"backend": "none"}, "backend 'none'"),
    ],
    ids=lambda one: one if isinstance(one, str) else next(iter(one)),
)
def test_sizes_that_cannot_be_are_refused(others, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        layer(**others)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (torch.zeros(2, D_MODEL).double(), "d_model=40"),
        (torch.zeros(1, 2, D_MODEL), "float32"),
        ("tokens", "x='tokens'"),
    ],
    ids=["two dimensions", "dtype", "text"],
)
def test_other_inputs_are_refused(x, says):
    with pytest.raises(ValueError, match=says):
        layer()(x)


def test_a_refused_call_leaves_the_cache_as_it_was():
    made, cache = layer(), LatentCache(2, 4, 11, 4, torch.float64)
    with pytest.raises(ValueError, match="max_seq_len=4"):
        made(torch.zeros(2, 5, D_MODEL, dtype=torch.float64), cache)
    assert cache.lengths.tolist() == [0, 0]
