"""The same weights give what transformers' DeepSeek attention gives."""

import pytest
import torch
from transformers import DeepseekV3Config, DynamicCache
from transformers.models.deepseek_v3.modeling_deepseek_v3 import (
    DeepseekV3Attention,
    DeepseekV3RotaryEmbedding,
)

from gqa_lib.attention import LatentAttention, Rope, YarnScaling

B, LENGTH = 2, 9
PLAIN = {"rope_type": "default", "rope_theta": 500.0}
YARN = {  # as DeepSeek-V3's, shorter
    **{"rope_type": "yarn", "rope_theta": 500.0, "factor": 40.0, "mscale": 1.0},
    **{"mscale_all_dim": 1.0, "original_max_position_embeddings": 16},
    **{"beta_fast": 32, "beta_slow": 1},
}


def ours_of(config, device):
    scale, scaling = None, None
    if config.rope_parameters["rope_type"] == "yarn":
        larger = (0.1 * torch.tensor(40.0).double().log() + 1) ** 2
        scale = float(larger) * (config.qk_nope_head_dim + config.qk_rope_head_dim) ** -0.5
        scaling = YarnScaling(40.0, 16, attention_factor=1.0)
    return LatentAttention(
        config.hidden_size,
        config.num_attention_heads,
        head_dim=config.qk_nope_head_dim,
        rope_head_dim=config.qk_rope_head_dim,
        kv_lora_rank=config.kv_lora_rank,
        v_head_dim=config.v_head_dim,
        q_lora_rank=config.q_lora_rank,
        rope=Rope(config.qk_rope_head_dim, 500.0, scaling),
        interleaved=config.rope_interleave,
        scale=scale,
        device=device,
    )


@pytest.fixture(
    params=[
        {"rope_parameters": PLAIN},
        {"rope_parameters": PLAIN, "q_lora_rank": None, "rope_interleave": False},
        {"rope_parameters": YARN},
    ],
    ids=["plain", "halves, no q_lora", "yarn"],
)
def pair(request, device):
    """Their layer (as a function of x, start, cache) and ours, with the same weights."""
    sizes = {"q_lora_rank": 13, "kv_lora_rank": 11, "qk_nope_head_dim": 10, "v_head_dim": 7}
    config = DeepseekV3Config(
        hidden_size=40,
        num_attention_heads=6,
        num_key_value_heads=6,
        qk_rope_head_dim=8,
        attn_implementation="eager",
        **{**sizes, **request.param},
    )
    theirs = DeepseekV3Attention(config, layer_idx=0).to(device)
    for name, weight in theirs.named_parameters():
        with torch.no_grad():
            weight.uniform_(0.5, 1.5) if "norm" in name else weight.normal_(0, 0.3)
    rotary = DeepseekV3RotaryEmbedding(config).to(device)
    ours = ours_of(config, device)
    ours.load_state_dict(theirs.state_dict())

    def run(x, start=0, cache=None):
        T = x.shape[1]
        positions = torch.arange(start, start + T, device=device)[None]
        seen = torch.arange(start + T, device=device) <= positions[0, :, None]
        mask = torch.zeros(1, 1, T, start + T, device=device).masked_fill(~seen, -torch.inf)
        return theirs(x, rotary(x, positions), mask, past_key_values=cache)[0]

    return run, ours


def assert_close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("absorbed", [False, True])
def test_a_prompt_equals_deepseek(pair, absorbed, device):
    theirs, ours = pair
    x = torch.randn(B, LENGTH, 40, device=device)
    assert_close(ours(x, absorbed=absorbed), theirs(x))


@torch.no_grad()
@pytest.mark.parametrize("absorbed", [False, True])
def test_decoding_equals_deepseek_with_its_own_cache(pair, absorbed, device):
    theirs, ours = pair
    x = torch.randn(B, LENGTH, 40, device=device)
    cache, their_cache, start = ours.new_cache(B, LENGTH), DynamicCache(), 0
    for part in x.split([4] + [1] * (LENGTH - 4), 1):
        assert_close(ours(part, cache, absorbed=absorbed), theirs(part, start, their_cache))
        start += part.shape[1]
