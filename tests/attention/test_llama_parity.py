"""The same weights give what Hugging Face's LlamaAttention gives."""

import pytest
import torch
from transformers import DynamicCache, LlamaConfig
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRotaryEmbedding

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
