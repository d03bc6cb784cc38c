"""The same weights give what the attention of Hugging Face's models gives."""

import pytest
import torch
from transformers import DynamicCache, LlamaConfig, Qwen2Config, Qwen3Config
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRotaryEmbedding
from transformers.models.qwen2.modeling_qwen2 import Qwen2Attention
from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention

from gqa_lib.attention import GroupedQueryAttention
from gqa_lib.cache import KVCache

D_MODEL, HEADS, HEAD_DIM, LENGTH = 48, 6, 10, 9  # head_dim is not d_model // heads, on purpose


@pytest.fixture(params=[1, 2, 3, 6])
def pair(request, device):
    """Their layer (as a function of x, start, cache) and ours, with the same weights."""
    config = LlamaConfig(
        hidden_size=D_MODEL,
        num_attention_heads=HEADS,
        num_key_value_heads=request.param,
        head_dim=HEAD_DIM,
        attn_implementation="sdpa",
    )
    theirs = LlamaAttention(config, layer_idx=0).to(device)
    rotary = LlamaRotaryEmbedding(config).to(device)
    ours = GroupedQueryAttention(
        D_MODEL, HEADS, request.param, head_dim=HEAD_DIM, rope=True, device=device
    )
    ours.load_state_dict(theirs.state_dict())

    def run(x, start=0, cache=None):
        positions = torch.arange(start, start + x.shape[1], device=device)[None]
        return theirs(x, rotary(x, positions), None, past_key_values=cache)[0]

    return run, ours


def assert_close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_full_prefill_equals_llama(pair, device):
    theirs, ours = pair
    x = torch.randn(2, LENGTH, D_MODEL, device=device)
    assert_close(ours(x), theirs(x))


@torch.no_grad()
def test_cached_decode_equals_llama_with_its_own_cache(pair, device):
    theirs, ours = pair
    x = torch.randn(2, LENGTH, D_MODEL, device=device)
    cache = KVCache(2, ours.num_kv_heads, LENGTH, HEAD_DIM, device=device)
    their_cache = DynamicCache()
    start = 0
    for part in x.split([4] + [1] * (LENGTH - 4), 1):
        assert_close(ours(part, cache), theirs(part, start, their_cache))
        start += part.shape[1]
    assert their_cache.get_seq_length() == cache.length == LENGTH


@torch.no_grad()
def test_cached_keys_are_rotated_as_llamas_are(pair, device):
    theirs, ours = pair
    x = torch.randn(2, LENGTH, D_MODEL, device=device)
    cache = KVCache(2, ours.num_kv_heads, LENGTH + 1, HEAD_DIM, device=device)
    their_cache = DynamicCache()
    ours(x, cache), theirs(x, 0, their_cache)
    new = torch.zeros(2, ours.num_kv_heads, 1, HEAD_DIM, device=device)
    our_k, our_v = cache.append(new, new)
    their_k, their_v = their_cache.update(new, new, 0)
    assert_close(our_k, their_k)
    assert_close(our_v, their_v)


# ---- biases and normalised heads


FAMILIES = {  # of each: config, attention, more of the config, our options
    "Llama with biases": (
        *(LlamaConfig, LlamaAttention, {"attention_bias": True}),
        {"bias": True, "out_bias": True},
    ),
    "Qwen2": (Qwen2Config, Qwen2Attention, {}, {"bias": True}),
    "Qwen3": (
        Qwen3Config,
        Qwen3Attention,
        {"rms_norm_eps": 1e-5},
        {"qk_norm": True, "norm_eps": 1e-5},
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_other_families_equal_their_own_attention(family, device):
    configure, attention, more, options = FAMILIES[family]
    config = configure(
        hidden_size=D_MODEL,
        num_attention_heads=HEADS,
        num_key_value_heads=2,
        head_dim=HEAD_DIM,
        num_hidden_layers=1,
        attn_implementation="sdpa",
        **more,
    )
    head_dim = getattr(config, "head_dim", HEAD_DIM)
    theirs = attention(config, layer_idx=0).to(device)
    for parameter in theirs.parameters():  # norms begin as ones, biases as zeros
        torch.nn.init.normal_(parameter, std=0.3)
    ours = GroupedQueryAttention(
        D_MODEL, HEADS, 2, head_dim=head_dim, rope=True, device=device, **options
    )
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, LENGTH, D_MODEL, device=device)
    rotary = LlamaRotaryEmbedding(config).to(device)
    expected = theirs(x, rotary(x, torch.arange(LENGTH, device=device)[None]), None)[0]
    assert_close(ours(x), expected)
    cache = KVCache(2, 2, LENGTH, head_dim, device=device)
    assert_close(torch.cat([ours(part, cache) for part in x.split([5, 1, 3], 1)], 1), expected)
