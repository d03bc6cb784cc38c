"""Shapes of real models: the shipped table, and what a config.json says and does not say."""

import json
from dataclasses import replace

import pytest

from gqa_lib.configs import (
    ModelConfig,
    all_models,
    expand_windows,
    from_hf_config,
    load_model,
)
from gqa_lib.cost import kv_projection_params

TINY = ModelConfig("tiny", num_layers=3, num_heads=6, num_kv_heads=2, head_dim=5, d_model=32)


def test_attention_types_and_query_heads_per_kv_head():
    assert (TINY.attention_type, TINY.q_per_kv) == ("GQA", 3)
    assert replace(TINY, num_kv_heads=6).attention_type == "MHA"
    assert replace(TINY, num_kv_heads=1).attention_type == "MQA"
    assert replace(TINY, num_kv_heads=6, kv_lora_rank=8, rope_head_dim=4).attention_type == "MLA"
    assert replace(TINY, num_heads=1, num_kv_heads=1).attention_type == "MHA"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_kv_heads": 4}, "num_heads=6 is not divisible by num_kv_heads=4.*from 1, 2, 3, 6"),
        ({"num_layers": 0}, "num_layers=0 is not a size"),
        ({"head_dim": 64.0}, "head_dim=64.0 is not a size"),
        ({"num_heads": True}, "num_heads=True is not a size"),
        ({"kv_lora_rank": 8}, "rope_head_dim=None"),
        ({"shared_kv_layers": 3}, "shared_kv_layers=3 of num_layers=3"),
        ({"windows": (4, None)}, "windows has 2 entries for num_layers=3"),
        ({"windows": (4, 0, None)}, "windows entry=0"),
    ],
)
def test_impossible_shapes_are_refused_with_their_numbers(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changes)


def test_windows_pattern_repeats_and_is_cut():
    assert expand_windows("2*8,full", 5) == (8, 8, None, 8, 8)
    assert expand_windows("4096", 2) == (4096, 4096)
    assert expand_windows("3*4,2*full", 5) == (4, 4, 4, None, None)


@pytest.mark.parametrize("pattern", ["", "full,,4", "x*4", "4*", "-4", "FULL"])
def test_unreadable_window_patterns_are_refused(pattern):
    with pytest.raises(ValueError, match="cannot read"):
        expand_windows(pattern, 4)


def test_query_heads_per_kv_head_over_the_verified_gqa_models():
    """The spread the course quotes: 16 models below 4, 67 from 4 to 8, 22 above."""
    shares = [config.q_per_kv for config in all_models() if config.attention_type == "GQA"]
    assert len(shares) == 105
    assert sum(share < 4 for share in shares) == 16
    assert sum(4 <= share <= 8 for share in shares) == 67
    assert max(shares) == 32


@pytest.mark.parametrize(
    ("name", "window", "local", "full"),
    [
        ("Gemma-2-27B", 4096, 23, 23),
        ("Gemma-3-1B", 512, 22, 4),
        ("Gemma-3-4B", 1024, 29, 5),
        ("Gemma-3-12B", 1024, 40, 8),
        ("Gemma-3-27B", 1024, 52, 10),
        ("gpt-oss-120b", 128, 18, 18),
        ("OLMo-3-32B", 4096, 48, 16),
        ("Command-R7B", 4096, 24, 8),
        ("Llama-4-Scout", 8192, 36, 12),
        ("Mistral-7B-v0.1", 4096, 32, 0),
    ],
)
def test_local_and_full_layers(name, window, local, full):
    windows = [layer.window for layer in load_model(name).kv_layers]
    assert windows.count(window) == local
    assert windows.count(None) == full
    assert windows[0] == window
    assert len(windows) == local + full


def test_the_last_layer_of_olmo_3_is_full():
    assert load_model("OLMo-3-7B").windows[-1] is None


def test_head_dim_is_read_and_not_derived():
    for name in ("Qwen3-4B", "Gemma-7B", "gpt-oss-20b", "GLM-4.5"):
        config = load_model(name)
        assert config.num_heads * config.head_dim != config.d_model


def test_load_model_ignores_case_and_suggests_on_a_typo():
    assert load_model("llama-3-8b") is load_model("Llama-3-8B")
    with pytest.raises(ValueError, match=r"Did you mean .*Llama-3-8B"):
        load_model("Lama-3-8B")
    with pytest.raises(ValueError, match="list_models"):
        load_model("?")


# Hugging Face

LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 8192,
}


def read(**changes):
    return from_hf_config(LLAMA | changes)


def test_a_plain_config_is_read_whole():
    config = read()
    assert (config.num_layers, config.num_heads, config.num_kv_heads) == (32, 32, 8)
    assert (config.head_dim, config.d_model, config.d_ff) == (128, 4096, 14336)
    assert (config.vocab_size, config.max_context) == (128256, 8192)
    assert config.windows is None


def test_head_dim_wins_over_hidden_size_by_heads():
    assert read(head_dim=80).head_dim == 80


def test_without_a_kv_head_count_every_query_head_has_its_own():
    assert read(num_key_value_heads=None).attention_type == "MHA"


def test_a_text_model_inside_a_multimodal_one():
    config = from_hf_config({"model_type": "llava", "text_config": LLAMA, "hidden_size": 1})
    assert (config.num_layers, config.d_model) == (32, 4096)


def test_an_empty_text_config_is_no_text_model():
    assert from_hf_config(LLAMA | {"text_config": None}).num_layers == 32


def test_no_heads_at_all_are_refused():
    with pytest.raises(ValueError, match="num_attention_heads=0 should be"):
        from_hf_config(LLAMA | {"num_attention_heads": 0})


def test_falcon_40b_by_its_first_names():
    sizes = {"n_layer": 60, "hidden_size": 8192, "n_head": 128, "n_head_kv": 8}
    config = from_hf_config({"model_type": "RefinedWeb", **sizes})
    assert (config.num_heads, config.num_kv_heads, config.head_dim) == (128, 8, 64)


def test_gpt2_names():
    config = from_hf_config(
        {"model_type": "gpt2", "n_layer": 12, "n_head": 12, "n_embd": 768, "n_positions": 1024}
    )
    assert (config.num_layers, config.num_kv_heads, config.head_dim) == (12, 12, 64)
    assert config.max_context == 1024


@pytest.mark.parametrize(
    ("flags", "num_kv_heads"),
    [
        ({"multi_query": True, "new_decoder_architecture": False, "num_kv_heads": 71}, 1),
        ({"num_kv_heads": 71}, 1),
        ({"multi_query": True, "new_decoder_architecture": True, "num_kv_heads": 71}, 71),
        ({"multi_query": False}, 71),
    ],
)
def test_falcon_ignores_its_kv_head_count_when_multi_query(flags, num_kv_heads):
    falcon = {"model_type": "falcon", "hidden_size": 4544, "num_hidden_layers": 32}
    config = from_hf_config(falcon | {"num_attention_heads": 71} | flags)
    assert config.num_kv_heads == num_kv_heads


def test_other_ways_to_write_the_kv_heads():
    assert read(num_key_value_heads=None, multi_query=True).num_kv_heads == 1
    glm = read(num_key_value_heads=None, multi_query_attention=True, multi_query_group_num=2)
    assert glm.num_kv_heads == 2
    dbrx = {"n_layers": 40, "n_heads": 48, "d_model": 6144, "attn_config": {"kv_n_heads": 8}}
    assert from_hf_config(dbrx).num_kv_heads == 8


def test_mla_keeps_the_latent_and_the_rope_key():
    config = read(kv_lora_rank=512, qk_rope_head_dim=64, qk_nope_head_dim=128, head_dim=64)
    assert config.attention_type == "MLA"
    assert (config.kv_lora_rank, config.rope_head_dim, config.head_dim) == (512, 64, 128)
    assert config.num_kv_heads == config.num_heads


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"sliding_window": 9, "model_type": "mistral"}, (9, 9, 9, 9, 9, 9)),
        ({"sliding_window": None}, None),
        ({"sliding_window": 9, "use_sliding_window": False}, None),
        (
            {"sliding_window": 9, "use_sliding_window": True, "max_window_layers": 4},
            (None, None, None, None, 9, 9),
        ),
        ({"sliding_window": 9, "sliding_window_pattern": 3}, (9, 9, None, 9, 9, None)),
        ({"sliding_window": 9, "sliding_window_pattern": "LLG"}, (9, 9, None, 9, 9, None)),
        ({"sliding_window": 9, "model_type": "gemma2"}, (9, None, 9, None, 9, None)),
        ({"sliding_window": 9, "model_type": "gemma3_text"}, (9, 9, 9, 9, 9, None)),
        (
            {"attention_chunk_size": 9, "model_type": "llama4_text", "no_rope_layer_interval": 4},
            (9, 9, 9, None, 9, 9),
        ),
        (
            {
                "sliding_window": 9,
                "sliding_window_pattern": 2,
                "layer_types": ["full_attention"] * 5 + ["sliding_attention"],
            },
            (None, None, None, None, None, 9),
        ),
    ],
)
def test_windows_in_all_their_spellings(keys, expected):
    layers = read(num_hidden_layers=6, **keys).kv_layers
    assert tuple(layer.window for layer in layers) == (expected or (None,) * 6)


def test_layers_that_reuse_kv():
    assert read(num_kv_shared_layers=20).shared_kv_layers == 20


@pytest.mark.parametrize(
    "keys",
    [
        {"layer_types": ["linear_attention", "full_attention"], "num_hidden_layers": 2},
        {"full_attention_interval": 4},
    ],
)
def test_linear_layers_whose_state_is_not_known_are_refused(keys):
    with pytest.raises(ValueError, match="constant state cannot be given"):
        read(**keys)


def test_a_second_head_size_in_a_family_that_has_none_is_refused():
    with pytest.raises(ValueError, match="global_head_dim=512 is not understood"):
        read(head_dim=256, global_head_dim=512)


def test_what_is_not_a_decoder_is_refused():
    with pytest.raises(ValueError, match=r"lacks num_layers.*model_index, version"):
        from_hf_config({"version": 1, "model_index": "x"})
    with pytest.raises(ValueError, match="BertForMaskedLM, an encoder"):
        read(architectures=["BertForMaskedLM"])


def test_reads_a_file_and_a_folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert from_hf_config(tmp_path) == from_hf_config(tmp_path / "config.json")
    assert str(tmp_path) not in repr(from_hf_config(tmp_path))
    with pytest.raises(FileNotFoundError):
        from_hf_config(tmp_path / "missing.json")


@pytest.mark.parametrize("family", ["Qwen2Config", "Gemma2Config", "Gemma3TextConfig"])
def test_agrees_with_transformers_on_its_own_defaults(family):
    transformers = pytest.importorskip("transformers")
    theirs = getattr(transformers, family)()
    ours = from_hf_config(theirs.to_dict())
    assert ours.num_kv_heads == theirs.num_key_value_heads
    sliding = [kind == "sliding_attention" for kind in theirs.layer_types]
    assert [w is not None for w in ours.windows or [None] * ours.num_layers] == sliding


def test_the_weights_of_llama_3_8b_are_those_that_lesson_03_adds_up():
    from gqa_lib.course.manifest import find_lesson
    from grading.authoring.source import read_source, source_of

    (cell,) = (
        cell.source
        for cell in read_source(source_of(find_lesson("03"))).cells
        if cell.source.startswith("D_FF, VOCAB = ")
    )
    llama = load_model("Llama-3-8B")
    names = {"kv_projection_params": kv_projection_params, "variants": {8: llama}}
    exec(cell, names)
    assert names["total"] == {8: 8_030_261_248}
    assert llama.weight_bytes == 2 * names["total"][8]
