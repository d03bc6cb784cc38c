"""Each family of models loads and gives transformers' logits, whole and cached."""

import json

import pytest
import torch
from checkpoints import CLOSE, SIZES, change_config, difference, save, theirs, tokens
from transformers import AutoModel

from gqa_lib.course.places import course_root
from gqa_lib.model import load
from gqa_lib.model.hugging_face.config import read_config
from gqa_lib.model.hugging_face.families import FAMILIES

UNCAPPED = {"attn_logit_softcapping": None, "final_logit_softcapping": None}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
    "rope_theta": 500.0,
}
MODELS = {  # name -> family, and what makes it unlike the others
    "Llama 2": ("llama", {"num_key_value_heads": 6}),
    "Llama 3.1": ("llama", {"rope_parameters": LLAMA3}),
    "Llama 3.2": ("llama", {"rope_parameters": LLAMA3, "tie_word_embeddings": True}),
    "Mistral": ("mistral", {"sliding_window": 7, "head_dim": 10}),
    "Qwen2": ("qwen2", {}),
    "Qwen3": ("qwen3", {"head_dim": 10}),
    "OLMo 2": ("olmo2", {}),
    "SmolLM3": ("smollm3", {"num_hidden_layers": 5}),
    "Phi-3": ("phi3", {"num_attention_heads": 4, "sliding_window": 9}),
    "Gemma 2 without limits": ("gemma2", {"sliding_window": 7, "head_dim": 10, **UNCAPPED}),
    "Gemma 3": (
        "gemma3_text",
        {
            "sliding_window": 7,
            "head_dim": 10,
            "num_hidden_layers": 7,
            "query_pre_attn_scalar": 24,
            "num_key_value_heads": 1,
        },
    ),
}


def test_every_family_is_tested():
    assert {family for family, _ in MODELS.values()} == set(FAMILIES)


@pytest.mark.parametrize("name", MODELS)
def test_family(name, tmp_path, record_property):
    family, keys = MODELS[name]
    save(tmp_path, family, **keys)
    found = difference(tmp_path)
    record_property("difference", found)
    assert found < CLOSE


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_file_leaves_out_is_what_its_class_assumes(family, tmp_path):
    """Only sizes are in the file: bases, windows, norms' eps, tied heads are the class's."""
    keys = UNCAPPED if family == "gemma2" else {}
    save(tmp_path, family, **keys, num_attention_heads=4)
    sizes = SIZES | keys | {"model_type": family, "num_attention_heads": 4}
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    assert difference(tmp_path) < CLOSE


@pytest.mark.parametrize("tied", [True, False])
def test_names_without_model_in_front(tied, tmp_path):
    """As AutoModel saves them: there is no head, so only a tied one is known."""
    save(tmp_path / "whole", "llama", tie_word_embeddings=tied)
    AutoModel.from_pretrained(tmp_path / "whole").save_pretrained(tmp_path / "bare")
    if tied:
        assert difference(tmp_path / "bare", theirs(tmp_path / "whole")) < CLOSE
    else:
        with pytest.raises(ValueError, match=r"lm_head.weight is missing, and tie_word_embeddings"):
            load(tmp_path / "bare")


@torch.no_grad()
def test_gemma_in_bf16_is_as_close_as_transformers(tmp_path):
    """1 + w is rounded to bf16, where transformers adds it in float32 at every step."""
    save(tmp_path, "gemma3_text", num_hidden_layers=7, hidden_size=192, sliding_window=7)
    reference, ids = theirs(tmp_path), tokens()
    exact = reference(ids).logits
    rounded = reference.bfloat16()(ids).logits.float()
    ours = load(tmp_path, torch.bfloat16)(ids).float()
    assert (ours - exact).norm() < 1.3 * (rounded - exact).norm()


BASICS = {"hidden_act": "silu", "use_cache": True, "initializer_range": 0.02, "bos_token_id": 1}
PUBLISHED = {
    "Qwen2.5-7B-Instruct, with YaRN": {
        **BASICS,
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "attention_dropout": 0.0,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "max_position_embeddings": 32768,
        "max_window_layers": 28,
        "num_attention_heads": 28,
        "num_hidden_layers": 28,
        "num_key_value_heads": 4,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "sliding_window": 131072,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.43.1",
        "use_sliding_window": False,
        "vocab_size": 152064,
        "rope_scaling": {"factor": 4.0, "original_max_position_embeddings": 32768, "type": "yarn"},
    },
    "SmolLM3-3B": {
        **BASICS,
        "architectures": ["SmolLM3ForCausalLM"],
        "model_type": "smollm3",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "eos_token_id": 128012,
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "layer_types": ["full_attention"] * 36,
        "max_position_embeddings": 65536,
        "max_window_layers": 28,
        "mlp_bias": False,
        "no_rope_layer_interval": 4,
        "no_rope_layers": [1, 1, 1, 0] * 9,
        "num_attention_heads": 16,
        "num_hidden_layers": 36,
        "num_key_value_heads": 4,
        "pretraining_tp": 2,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "rope_theta": 5000000.0,
        "sliding_window": None,
        "torch_dtype": "bfloat16",
        "use_sliding_window": False,
        "vocab_size": 128256,
    },
    "Phi-3-mini-4k-instruct": {
        **BASICS,
        "_name_or_path": "Phi-3-mini-4k-instruct",
        "architectures": ["Phi3ForCausalLM"],
        "model_type": "phi3",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "auto_map": {"AutoConfig": "configuration_phi3.Phi3Config"},
        "embd_pdrop": 0.0,
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "max_position_embeddings": 4096,
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 32,
        "original_max_position_embeddings": 4096,
        "pad_token_id": 32000,
        "resid_pdrop": 0.0,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "sliding_window": 2047,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vocab_size": 32064,
    },
}
IN_DATA = (
    *(
        "meta-llama--Meta-Llama-3.1-70B",
        "llama3_2_1b",
        "llama2_13b",
        "smollm2_135m",
        "codellama_7b",
    ),
    *("mistral_7b_v03", "e5_mistral_7b", "qwen2_0_5b", "Qwen--Qwen3-8B", "olmo2_13b"),
    "gemma3_1b_it",
)


def published():
    lines = (course_root() / "tests" / "data" / "configs" / "real.jsonl").read_text().splitlines()
    real = {one["name"]: one["config"] for one in map(json.loads, lines)}
    return PUBLISHED | {name: real[name] for name in IN_DATA}


@pytest.mark.parametrize("name", [*PUBLISHED, *IN_DATA])
def test_published_configs_are_accepted(name, tmp_path):
    keys = published()[name]
    (tmp_path / "config.json").write_text(json.dumps(keys))
    found = read_config(tmp_path / "config.json")
    assert found.config.vocab_size == keys["vocab_size"]
    assert found.variant.norm_eps == keys["rms_norm_eps"]
    assert str(found.dtype) == f"torch.{keys['torch_dtype']}"
    ropes = {rope.base for rope in found.variant.rope if rope is not None}
    assert keys.get("rope_theta", 10000.0) in ropes


def test_a_model_of_transformers_5_says_its_dtype_in_dtype(tmp_path):
    save(tmp_path, "llama")
    change_config(tmp_path, dtype="bfloat16")
    assert load(tmp_path).head.weight.dtype == torch.bfloat16
    change_config(tmp_path, remove=("dtype",))
    assert load(tmp_path).head.weight.dtype == torch.float32
    assert load(tmp_path, torch.float16).head.weight.dtype == torch.float16
