"""What a config.json says that is not supported is refused by name, before any weight is read."""

import json

import pytest
import torch
from checkpoints import SIZES

from gqa_lib.model import load

LLAMA = {**SIZES, "model_type": "llama"}
QWEN = {**SIZES, "model_type": "qwen2"}
SMOL = {**SIZES, "model_type": "smollm3"}
PHI = {**SIZES, "model_type": "phi3"}
GEMMA3 = {**SIZES, "model_type": "gemma3_text"}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}


def rope(config=LLAMA, **keys):
    return config | {"rope_scaling": keys}


REFUSED = {  # message -> keys; there are no weights, so that none can have been read
    "model_type='mixtral' is not supported.*llama, mistral, qwen2": LLAMA
    | {"model_type": "mixtral"},
    "model_type='' is not supported": SIZES,
    "attn_logit_softcapping=50.0": {**SIZES, "model_type": "gemma2"},
    "final_logit_softcapping=30.0": {
        **SIZES,
        "model_type": "gemma2",
        "attn_logit_softcapping": None,
    },
    "attn_logit_softcapping=20.0": GEMMA3 | {"attn_logit_softcapping": 20.0},
    "hidden_act='relu2'": LLAMA | {"hidden_act": "relu2"},
    "hidden_activation='gelu'": GEMMA3 | {"hidden_activation": "gelu"},
    "name one activation": GEMMA3 | {"hidden_act": "silu"},
    "rms_norm_eps=0": LLAMA | {"rms_norm_eps": 0},
    "rms_norm_eps='1e-6'": LLAMA | {"rms_norm_eps": "1e-6"},
    "query_pre_attn_scalar=-1": GEMMA3 | {"query_pre_attn_scalar": -1},
    "attention_multiplier=0.1": LLAMA | {"attention_multiplier": 0.1},
    "logits_scaling=8": LLAMA | {"logits_scaling": 8},
    "residual_multiplier=0": LLAMA | {"residual_multiplier": 0},
    "embedding_multiplier=12.0": LLAMA | {"embedding_multiplier": 12.0},
    "quantization_config=": LLAMA | {"quantization_config": {"bits": 4}},
    "novelty=1": LLAMA | {"novelty": 1},
    r"novelty=\[\]": LLAMA | {"novelty": []},
    "chunk_size_feed_forward=2": LLAMA | {"chunk_size_feed_forward": 2},
    "mlp_bias=True": QWEN | {"mlp_bias": True},
    "attention_bias=True": PHI | {"attention_bias": True},
    "attention_bias=1 should be true or false": LLAMA | {"attention_bias": 1},
    "sliding_window": LLAMA | {"sliding_window": 7},
    "layer_types": {**SIZES, "model_type": "mistral", "layer_types": ["full_attention"] * 3},
    "use_sliding_window=None": QWEN | {"layer_types": ["sliding_attention"] * 3},
    "use_sliding_window=False": SMOL
    | {
        "use_sliding_window": False,
        "sliding_window": 7,
        "layer_types": ["sliding_attention"] * 3,
    },
    "layer_types.* not known": SMOL | {"use_sliding_window": True, "sliding_window": 7},
    "_sliding_window_pattern=2": GEMMA3 | {"_sliding_window_pattern": 2, "sliding_window": 7},
    "use_bidirectional_attention": GEMMA3 | {"use_bidirectional_attention": True},
    r"no_rope_layers=\[0, 2, 1\]": SMOL | {"no_rope_layers": [0, 2, 1]},
    "no_rope_layers has 2 entries": SMOL | {"no_rope_layers": [0, 1]},
    "no_rope_layers=": LLAMA | {"no_rope_layers": [0, 1, 1]},
    "dtype='int8'": LLAMA | {"torch_dtype": "int8"},
    "tie_word_embeddings='yes'": LLAMA | {"tie_word_embeddings": "yes"},
    "rope_type='longrope'": rope(PHI, type="longrope", short_factor=[1.0], long_factor=[2.0]),
    "rope_type='yarn'": rope(PHI, **YARN),  # which that class would take for longrope
    "rope_type='proportional'": rope(rope_type="proportional"),
    "rope_type='dynamic'": rope(GEMMA3, rope_type="dynamic", factor=2.0),
    "factor=None": rope(rope_type="linear"),
    "factor='2'": rope(rope_type="linear", factor="2"),
    "factor=2.0 means nothing": rope(factor=2.0),
    "type='yarn' and rope_type='linear'": rope(type="yarn", rope_type="linear", factor=2.0),
    "low_freq_factor=None": rope(rope_type="llama3", factor=8.0),
    "mscale=1.0 with mscale_all_dim=0.0": rope(**YARN, mscale=1.0),
    "truncate='no'": rope(**YARN, truncate="no"),
    "extrapolation=1 means nothing": rope(**YARN, extrapolation=1),
    "original_max_position_embeddings=32 and": rope(**YARN)
    | {"original_max_position_embeddings": 32},
    "original_max_position_embeddings=32 is not supported": LLAMA
    | {"original_max_position_embeddings": 32},
    "partial_rotary_factor=0.5 should be 1": LLAMA | {"partial_rotary_factor": 0.5},
    "partial_rotary_factor=1.5": PHI | {"partial_rotary_factor": 1.5},
    "rope_theta=500 and": LLAMA | {"rope_theta": 500, "rope_parameters": {"rope_theta": 600}},
    "rope_theta='big'": LLAMA | {"rope_theta": "big"},
    "rope_scaling=.* and rope_parameters": rope(rope_type="linear", factor=2.0)
    | {"rope_parameters": {"rope_type": "linear", "factor": 3.0}},
    "rope_parameters is not understood": GEMMA3
    | {"sliding_window": 7, "rope_parameters": {"rope_theta": 600}},
    "full_attention=.* means nothing": QWEN
    | {"rope_parameters": {"full_attention": {"rope_theta": 600}}},
    "rope_local_base_freq=10.0": LLAMA | {"rope_local_base_freq": 10.0},
    "n_layers": LLAMA | {"n_layers": 3},
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused_by_name(message, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(REFUSED[message]))
    with pytest.raises(ValueError, match=f"^{tmp_path.name}: .*{message}"):
        load(tmp_path)


OFF = {
    "novelty": None,
    "another": False,
    "quantization_config": None,
    "attn_logit_softcapping": None,
    "chunk_size_feed_forward": 0,
}


@pytest.mark.parametrize("keys", [{name: value} for name, value in OFF.items()])
def test_what_is_off_changes_nothing(keys, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA | keys))
    with pytest.raises(FileNotFoundError, match=r"neither model.safetensors nor"):
        load(tmp_path)


def test_weights_are_no_whole_numbers(tmp_path):
    with pytest.raises(ValueError, match=r"dtype=torch.int8"):
        load(tmp_path, torch.int8)


JUNK = (True, -1, 0, 0.5, 10**400, 1e308, "", "x", [], [None], [[1]], {}, {"a": 1}, {"type": []})
LAYERS = {"layer_types": ["full_attention"] * 3, "no_rope_layers": [1, 1, 0]}
MEANT = {  # keys that are read, with what is right for them
    "llama": rope(**YARN, beta_fast=3, beta_slow=1, truncate=True, mscale=1.0, mscale_all_dim=1.0)
    | {"hidden_act": "silu", "rms_norm_eps": 0.1, "attention_bias": False, "head_dim": 8}
    | {"rope_theta": 500, "dtype": "float32", "tie_word_embeddings": True, "mlp_bias": False},
    "smollm3": SMOL | LAYERS | {"use_sliding_window": False, "sliding_window": None},
    "gemma3_text": GEMMA3
    | {"query_pre_attn_scalar": 8, "sliding_window": 7, "hidden_activation": "gelu_pytorch_tanh"}
    | {"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 2.0}}},
}


@pytest.mark.parametrize("family", MEANT)
def test_whatever_a_key_holds_it_is_accepted_or_refused_in_a_sentence(family, tmp_path):
    """Without weights, what is accepted ends in their being missing: nothing else is raised."""
    meant = MEANT[family]
    cases = [{name: junk} for name in meant for junk in JUNK]
    cases += [
        {"rope_scaling": meant["rope_scaling"] | {name: junk}}
        for name in meant.get("rope_scaling", ())
        for junk in JUNK
    ]
    messages = []
    for case in cases:
        (tmp_path / "config.json").write_text(json.dumps(meant | case))
        try:
            load(tmp_path)
        except FileNotFoundError:
            continue
        except ValueError as refused:
            messages.append(str(refused))
    assert len(cases) * 2 / 3 < len(messages) < len(cases)
    assert [one for one in messages if not one.startswith(tmp_path.name)] == []
