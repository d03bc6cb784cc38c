"""The same rotation as transformers' models, with the parameters of real checkpoints."""

import math

import pytest
import torch
from transformers import LlamaConfig, PhiConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb
from transformers.models.phi.modeling_phi import PhiRotaryEmbedding

from gqa_lib.attention import (
    DynamicScaling,
    LinearScaling,
    Llama3Scaling,
    Rope,
    YarnScaling,
)
from gqa_lib.attention.rope_scaling import plain_frequencies

# name: head_dim, base, longest context, their parameters, ours
MODELS = {
    "Llama 2": (128, 10000.0, 4096, None, None),
    "deepseek-coder-6.7b": (
        *(128, 100000.0, 16384),
        {"rope_type": "linear", "factor": 4.0},
        LinearScaling(4.0),
    ),
    "internlm2-chat-7b": (
        *(128, 1000000.0, 32768),
        {"rope_type": "dynamic", "factor": 2.0},
        DynamicScaling(2.0, trained_len=32768),
    ),
    "Llama 3.1": (
        *(128, 500000.0, 131072),
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
        Llama3Scaling(8.0, trained_len=8192),
    ),
    "Llama 3.2": (
        *(64, 500000.0, 131072),
        {
            "rope_type": "llama3",
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
        Llama3Scaling(32.0, trained_len=8192, low_freq_factor=1.0, high_freq_factor=4.0),
    ),
    "Qwen2.5 long": (
        *(128, 1000000.0, 131072),
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
        YarnScaling(4.0, trained_len=32768),
    ),
    "gpt-oss": (
        *(64, 150000.0, 131072),
        {
            "rope_type": "yarn",
            "factor": 32.0,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "truncate": False,
            "original_max_position_embeddings": 4096,
        },
        YarnScaling(32.0, trained_len=4096, truncate=False),
    ),
    "trained on 128 tokens": (  # less than the fastest pairs' turns
        *(64, 10000.0, 1024),
        {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 128},
        YarnScaling(8.0, trained_len=128),
    ),
    "DeepSeek-V3": (
        *(64, 10000.0, 163840),
        {
            "rope_type": "yarn",
            "factor": 40.0,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "mscale": 1.0,
            "mscale_all_dim": 1.0,
            "original_max_position_embeddings": 4096,
        },
        YarnScaling(40.0, trained_len=4096, attention_factor=1.0),
    ),
}


def theirs_of(head_dim, base, longest, parameters):
    config = LlamaConfig(
        hidden_size=2 * head_dim,
        num_attention_heads=2,
        head_dim=head_dim,
        max_position_embeddings=longest,
        rope_theta=base,
        rope_scaling=parameters and dict(parameters),
    )
    return LlamaRotaryEmbedding(config)


def assert_turns_alike(rope, theirs, positions, head_dim):
    """Their angles are rounded to fp32, in which a position of 10^5 is 0.01 off."""
    q, k = torch.randn(1, 4, len(positions), head_dim), torch.randn(1, 2, len(positions), head_dim)
    cos, sin = theirs(q, positions[None])
    expected = apply_rotary_pos_emb(q, k, cos, sin)
    off = 8 * 2.0**-24 * (positions.max().item() + 10)
    for got, wanted in zip(rope.rotate(positions, q, k), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=off, atol=off)


@pytest.mark.parametrize("model", MODELS)
def test_frequencies_are_those_of_transformers(model):
    head_dim, base, longest, parameters, scaling = MODELS[model]
    theirs = theirs_of(head_dim, base, longest, parameters).inv_freq.double()
    ours = scaling.frequencies(base, head_dim) if scaling else plain_frequencies(base, head_dim)
    torch.testing.assert_close(ours, theirs, rtol=2e-6, atol=0)


@pytest.mark.parametrize("model", MODELS)
def test_heads_turn_as_in_transformers(model):
    head_dim, base, longest, parameters, scaling = MODELS[model]
    rope, theirs = Rope(head_dim, base, scaling), theirs_of(head_dim, base, longest, parameters)
    assert_turns_alike(rope, theirs, torch.arange(40), head_dim)
    assert_turns_alike(rope, theirs, torch.tensor([0, 1, 900, 2047, 4000]), head_dim)


@pytest.mark.parametrize("length", [101, 150, 1000])
def test_a_base_grows_with_the_length_as_in_transformers(length):
    theirs = theirs_of(64, 10000.0, 100, {"rope_type": "dynamic", "factor": 2.0})
    rope = Rope(64, scaling=DynamicScaling(2.0, trained_len=100))
    assert_turns_alike(rope, theirs, torch.arange(length), 64)
    grown = rope.scaling.frequencies_at(torch.tensor([length]), 10000.0, 64)
    torch.testing.assert_close(grown, theirs.inv_freq.double(), rtol=2e-6, atol=0)


def test_yarn_makes_scores_larger():
    position, x = torch.tensor([0]), torch.ones(1, 8)
    factor = 0.1 * math.log(4) + 1
    for scaling, expected in (
        (YarnScaling(4.0, 4096), factor),
        (YarnScaling(1.0, 4096), 1.0),
        (YarnScaling(4.0, 4096, attention_factor=1.5), 1.5),
    ):
        out = Rope(8, scaling=scaling).rotate(position, x)[0]
        torch.testing.assert_close(out, x * expected)


def test_part_of_a_head_turns_as_in_phi():
    config = PhiConfig(
        hidden_size=160,
        num_attention_heads=2,
        rope_theta=10000.0,
        partial_rotary_factor=0.4,
    )
    positions, q = torch.arange(50), torch.randn(1, 2, 50, 80)
    cos, sin = PhiRotaryEmbedding(config)(q, positions[None])
    turning, _ = apply_rotary_pos_emb(q[..., :32], q[..., :32], cos, sin)
    out = Rope(80, rotary_dim=32).rotate(positions, q)[0]
    torch.testing.assert_close(out, torch.cat((turning, q[..., 32:]), -1), rtol=2e-5, atol=2e-5)
