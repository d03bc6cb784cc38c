"""Each key that changes what a model computes: as transformers does it, and not without it."""

import pytest
import torch
from checkpoints import CLOSE, OTHER, change_config, difference, save, theirs, tokens

from gqa_lib.model import load

TRAINED = {"original_max_position_embeddings": 16}
NO_TRAINED = {"remove": tuple(TRAINED)}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 4.0}
NEW, OLD = ("rope_parameters",), {"rope_theta": 500.0}
WINDOWS = ["sliding_attention", "full_attention", "sliding_attention"]
FULL = ["full_attention"] * 3


def new(**rope):
    return {"rope_parameters": {"rope_theta": 500.0, **rope}}


def old(**rope):
    return {"rope_theta": 500.0, "rope_scaling": rope, "remove": NEW}


# name: family, keys of the saved model, changes of its config.json, changes that make it another
CASES = {
    "rope_theta": ("llama", {}, {**OLD, "remove": NEW}, {"remove": ("rope_theta",)}),
    "rope_theta, new": ("llama", {}, new(rope_type="default"), {"remove": NEW}),
    "linear, new": ("llama", {}, new(rope_type="linear", factor=3.0), new()),
    "linear, type": ("mistral", {}, old(type="linear", factor=3.0), old()),
    "dynamic, new": (
        "llama",
        {"max_position_embeddings": 16},
        new(rope_type="dynamic", factor=3.0),
        new(),
    ),
    "dynamic, type": (
        "qwen2",
        {"max_position_embeddings": 16},
        old(type="dynamic", factor=3.0),
        old(),
    ),
    "llama3, new": ("llama", {}, new(**LLAMA3, **TRAINED), new()),
    "llama3, old": ("llama", {}, old(**LLAMA3, **TRAINED), old()),
    "llama3, trained outside": ("smollm3", {}, old(**LLAMA3) | TRAINED, NO_TRAINED),
    "yarn, new": ("llama", {}, new(**YARN, **TRAINED), new()),
    "yarn, type": ("qwen2", {}, old(type="yarn", factor=4.0, **TRAINED), old()),
    "yarn, trained outside": ("qwen3", {}, old(**YARN) | TRAINED, NO_TRAINED),
    "yarn, trained nowhere": ("qwen3", {}, old(**YARN), old()),
    "yarn, attention_factor": (
        "llama",
        {},
        new(**YARN, **TRAINED, attention_factor=1.7),
        new(**YARN, **TRAINED),
    ),
    "yarn, mscale": (
        "llama",
        {},
        new(**YARN, **TRAINED, mscale=3.0, mscale_all_dim=0.5),
        new(**YARN, **TRAINED),
    ),
    "yarn, truncate": (
        "llama",
        {"head_dim": 16},
        new(**YARN, **TRAINED, beta_fast=1.5, beta_slow=0.4, truncate=False),
        new(**YARN, **TRAINED, beta_fast=1.5, beta_slow=0.4),
    ),
    "yarn, betas": (
        "olmo2",
        {},
        new(**YARN, **TRAINED, beta_fast=3, beta_slow=0.4),
        new(**YARN, **TRAINED),
    ),
    "partial_rotary_factor": (
        "phi3",
        {"num_attention_heads": 4},
        {"rope_theta": 500.0, "partial_rotary_factor": 0.5, "remove": NEW},
        {"partial_rotary_factor": 1.0},
    ),
    "partial_rotary_factor, new": (
        "phi3",
        {"num_attention_heads": 4},
        new(partial_rotary_factor=0.5),
        new(),
    ),
    "attention_bias": ("llama", {"attention_bias": True}, {}, None),
    "attention_bias, Qwen3": ("qwen3", {"attention_bias": True}, {}, None),
    "attention_bias, OLMo 2": ("olmo2", {"attention_bias": True}, {}, None),
    "mlp_bias": ("llama", {"mlp_bias": True}, {}, None),
    "head_dim": ("llama", {"head_dim": 14}, {}, None),
    "head_dim, Qwen3": ("qwen3", {"head_dim": 14}, {}, None),
    "hidden_act": (
        "llama",
        {"hidden_act": "gelu_pytorch_tanh"},
        {},
        {"hidden_act": "silu"},
    ),
    "rms_norm_eps": ("llama", {"rms_norm_eps": 0.1}, {}, {"rms_norm_eps": 1e-6}),
    "tied": ("llama", {"tie_word_embeddings": True}, {}, None),
    "untied": ("gemma3_text", {"tie_word_embeddings": False}, {}, None),
    "no KV heads": ("llama", {"num_key_value_heads": 6}, {"num_key_value_heads": None}, None),
    "sliding_window": ("mistral", {"sliding_window": 7}, {}, {"sliding_window": None}),
    "sliding_window, Phi-3": ("phi3", {"sliding_window": 7}, {}, {"sliding_window": None}),
    "max_window_layers": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1},
        {"remove": ("layer_types",)},
        {"max_window_layers": 2},
    ),
    "use_sliding_window": (
        "qwen2",
        {},
        {"sliding_window": 7, "max_window_layers": 1, "remove": ("layer_types",)},
        {"use_sliding_window": True},
    ),
    "layer_types": (
        "qwen3",
        {"use_sliding_window": True, "sliding_window": 7, "layer_types": WINDOWS},
        {},
        {"layer_types": WINDOWS[::-1][:1] + WINDOWS[:2]},
    ),
    "layer_types, Gemma 3": (
        "gemma3_text",
        {"sliding_window": 7, "layer_types": WINDOWS},
        {},
        {"layer_types": FULL},
    ),
    "layer_types, SmolLM3": (
        "smollm3",
        {"use_sliding_window": True, "sliding_window": 7, "layer_types": WINDOWS},
        {},
        {"layer_types": FULL},
    ),
    "sliding_window_pattern": (
        "gemma3_text",
        {"sliding_window": 7},
        {"sliding_window_pattern": 2, "remove": ("layer_types", "_sliding_window_pattern")},
        {"sliding_window_pattern": 3},
    ),
    "no_rope_layers": ("smollm3", {"no_rope_layers": [0, 1, 1]}, {}, {"no_rope_layers": [1, 1, 1]}),
    "no_rope_layer_interval": (
        "smollm3",
        {"no_rope_layer_interval": 2},
        {"remove": ("no_rope_layers",)},
        {"no_rope_layer_interval": 3},
    ),
    "local and global bases, old": (
        "gemma3_text",
        {"sliding_window": 7},
        {
            "rope_theta": 300.0,
            "rope_local_base_freq": 20.0,
            "rope_scaling": {"rope_type": "linear", "factor": 4.0},
            "layer_types": WINDOWS,
            "remove": NEW,
        },
        {"rope_local_base_freq": 300.0},
    ),
    "local and global bases, new": (
        "gemma3_text",
        {"sliding_window": 7},
        {
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 300.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 20.0},
            },
            "layer_types": WINDOWS,
        },
        {"rope_parameters": {"sliding_attention": {"rope_theta": 300.0}}},
    ),
    "query_pre_attn_scalar": (
        "gemma3_text",
        {"query_pre_attn_scalar": 30, "head_dim": 10},
        {},
        {"query_pre_attn_scalar": 10},
    ),
    "query_pre_attn_scalar, Gemma 2": (
        "gemma2",
        {
            "query_pre_attn_scalar": 30,
            "head_dim": 10,
            "sliding_window": 7,
            "attn_logit_softcapping": None,
            "final_logit_softcapping": None,
        },
        {},
        {"query_pre_attn_scalar": 10},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_key(name, tmp_path, record_property):
    family, saved, changes, other = CASES[name]
    change_config(save(tmp_path, family, **saved), **changes)
    reference = theirs(tmp_path)
    found = difference(tmp_path, reference)
    record_property("difference", found)
    assert found < CLOSE
    if other is not None:
        change_config(tmp_path, **other)
        assert difference(tmp_path, reference) > OTHER


@torch.no_grad()
def test_dynamic_scaling_goes_by_the_rows_own_length(tmp_path):
    """In transformers it goes by the longest sequence so far, until one fits those in training.

    So the two agree for a model that has seen nothing longer, and not after that.
    """
    save(tmp_path, "llama", max_position_embeddings=16)
    change_config(tmp_path, **new(rope_type="dynamic", factor=3.0))
    ours, fresh = load(tmp_path, torch.float32), theirs(tmp_path)
    expected = fresh(tokens(20)).logits
    ours(tokens(40))
    torch.testing.assert_close(ours(tokens(20)), expected, rtol=0, atol=1e-5)
    fresh(tokens(40))
    assert (fresh(tokens(20)).logits - expected).abs().max() > OTHER
