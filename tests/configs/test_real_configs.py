"""Config files of real models: what each keeps is right, or the file is refused with a reason."""

import json
import math
from collections import Counter
from pathlib import Path

import pytest

from gqa_lib import cost
from gqa_lib.configs import from_hf_config

REAL = Path(__file__).parents[1] / "data" / "configs" / "real.jsonl"
ROWS = {row["name"]: row for row in map(json.loads, REAL.read_text(encoding="utf-8").splitlines())}
KIB, MIB = 2**10, 2**20
NO_CACHE = {"mamba-codestral-7b", "xlstm-7b", "clip_vision_model"}


@pytest.mark.parametrize("name", ROWS)
def test_bytes_of_a_real_file_are_right_or_it_keeps_no_cache(name):
    row = ROWS[name]
    if name in NO_CACHE:
        assert row["kib_per_token_at_64"] == 0
        with pytest.raises(ValueError, match="no KV cache"):
            from_hf_config(row["config"])
        return
    config = from_hf_config(row["config"])
    short = cost.kv_cache_bytes(config, [64], 2) / 64 / KIB
    assert short == pytest.approx(row["kib_per_token_at_64"], abs=0.05)
    if "mib_at_20000" in row:
        ours = cost.kv_cache_bytes(config, [20_000], 2) / MIB
        # transformers lets the token that leaves a window go before the next one comes
        last = sum(2 * layer.elements for layer in config.kv_layers if layer.window) / MIB
        assert ours - last - 0.01 <= row["mib_at_20000"] <= ours + 0.01


def kinds(config):
    return dict(Counter(layer.kind for layer in config.kv_layers))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Qwen--Qwen3.5-122B-A10B", {"none": 36, "full": 12}),
        ("google--gemma-4-26B-A4B", {"window": 25, "full": 5}),
        ("nvidia--Llama-3_3-Nemotron-Super-49B-v1", {"full": 49, "none": 31}),
        ("nvidia--NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16", {"none": 96, "full": 12}),
        ("kimi-linear-48b", {"none": 20, "latent": 7}),
        ("zai-org--GLM-5.2", {"latent": 78}),
        ("meta-llama--Llama-4-Maverick-17B-128E-Instruct", {"chunk": 36, "full": 12}),
        ("openai--gpt-oss-20b", {"window": 12, "full": 12}),
    ],
)
def test_layers_of_hybrids_by_kind(name, expected):
    assert kinds(from_hf_config(ROWS[name]["config"])) == expected


def test_two_head_sizes_in_gemma_4():
    layers = set(from_hf_config(ROWS["google--gemma-4-26B-A4B"]["config"]).kv_layers)
    sizes = {layer.kind: (layer.num_kv_heads, layer.k_dim, layer.v_dim) for layer in layers}
    assert sizes == {"window": (8, 256, 256), "full": (2, 512, 512)}


def test_an_indexer_of_its_own_in_21_of_78_layers_of_glm_5_2():
    layers = from_hf_config(ROWS["zai-org--GLM-5.2"]["config"]).kv_layers
    assert Counter(layer.index_dim for layer in layers) == {128: 21, 0: 57}


def test_layers_that_read_the_layer_before_keep_nothing():
    config = from_hf_config(ROWS["hunyuan-large"]["config"])
    assert [layer.shares for layer in config.kv_layers[:4]] == [None, 0, None, 2]
    assert cost.kv_cache_bytes(config, [1], 2) == 32 * 2 * 8 * 80 * 2


def test_image_tokens_of_llama_3_2_vision_are_said_apart():
    config = from_hf_config(ROWS["llama3_2_11b_vision"]["config"])
    assert kinds(config) == {"full": 32, "none": 8}
    assert cost.kv_cache_bytes(config, [1000], 2) == 1000 * 128 * KIB
    assert cost.cross_cache_bytes(config, [1601], 2) == 1601 * 8 * 2 * 8 * 128 * 2


def test_an_encoder_decoder_keeps_the_encoders_output_too():
    config = from_hf_config(ROWS["byt5-small"]["config"])
    assert config.num_layers == 4  # the decoder's; the file's 12 are the encoder's
    assert cost.cross_cache_bytes(config, [100], 2) == cost.kv_cache_bytes(config, [100], 2)


def test_the_state_of_linear_layers_is_constant_and_said_apart():
    config = from_hf_config(ROWS["Qwen--Qwen3.5-122B-A10B"]["config"])
    per_layer = (2 * 16 * 128 + 64 * 128) * 4 * 2 + 64 * 128 * 128 * 4  # convolution, recurrence
    assert cost.state_bytes(config) == 36 * per_layer
    assert cost.state_bytes(config, 3) == 3 * cost.state_bytes(config)


V4 = {
    "model_type": "deepseek_v4",
    "num_hidden_layers": 4,
    "num_attention_heads": 64,
    "num_key_value_heads": 1,
    "hidden_size": 4096,
    "head_dim": 512,
    "qk_rope_head_dim": 64,
    "index_head_dim": 128,
    "index_topk": 512,
    "sliding_window": 128,
    "compress_ratios": [0, 0, 4, 128, 0],  # one more: the layer that predicts a token ahead
}


def test_compressed_layers_grow_by_an_entry_for_so_many_tokens():
    config = from_hf_config(V4)
    at = {n: cost.kv_cache_bytes(config, [n], 2) for n in (100, 131, 132, 256)}
    assert at[100] == 2 * (4 * 100 * 512 + 25 * (512 + 128))
    assert at[131] == 2 * (4 * 128 * 512 + 32 * (512 + 128) + 512)
    assert at[132] - at[131] == 2 * (512 + 128)
    assert at[256] - at[131] == 2 * (32 * (512 + 128) + 512)


# What is not understood

PLAIN = {
    "model_type": "mistral",
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "hidden_size": 64,
    "sliding_window": None,
}


@pytest.mark.parametrize(
    "name",
    [
        "kv_share_map",
        "attention_pattern_v2",
        "local_window_tokens",
        "latent_cache_dim",
        "rope_nova",
        "indexer_levels",
        "num_recurrent_layers",
        "ssm_expand_ratio",
        "compress_every",
        "layer_mixers",
    ],
)
@pytest.mark.parametrize("value", [1, 2.5, "x", [1, 2], {"a": 1}, True])
def test_an_unknown_key_that_could_concern_the_cache_is_refused_by_name_value_and_file(
    tmp_path, name, value
):
    path = tmp_path / "somebody--model.json"
    path.write_text(json.dumps(PLAIN | {name: value}))
    with pytest.raises(ValueError, match="is not understood") as refusal:
        from_hf_config(path)
    assert all(part in str(refusal.value) for part in ("somebody--model.json", name, repr(value)))


@pytest.mark.parametrize("value", [None, False, [], {}])
def test_an_unknown_key_that_is_off_says_nothing(value):
    assert from_hf_config(PLAIN | {"kv_share_map": value}).num_kv_heads == 2


def test_an_unknown_key_about_something_else_says_nothing():
    assert from_hf_config(PLAIN | {"favourite_colour": "blue"}).num_kv_heads == 2


def test_a_model_of_unknown_type_must_say_its_kv_heads():
    assert from_hf_config(PLAIN | {"model_type": "new"}).num_kv_heads == 2
    with pytest.raises(ValueError, match="does not say how many KV heads"):
        from_hf_config(
            {k: v for k, v in PLAIN.items() if "key_value" not in k} | {"model_type": "new"}
        )


def test_a_window_of_which_nobody_says_the_layers_is_refused():
    with pytest.raises(ValueError, match="no word on which of the layers"):
        from_hf_config(PLAIN | {"model_type": "new", "sliding_window": 9})


def test_what_a_file_leaves_to_its_class_is_noted():
    config = from_hf_config({"model_type": "llama", "num_hidden_layers": 2})
    assert (config.num_heads, config.d_model) == (32, 4096)
    assert "num_attention_heads=32" in config.notes


@pytest.mark.parametrize(
    ("wrapper", "text"),
    [
        ({"model_type": "x", "text_config": PLAIN}, PLAIN),
        ({"model_type": "x", "llm_config": PLAIN}, PLAIN),
        ({"model_type": "x", "language_config": PLAIN}, PLAIN),
        ({"model_type": "x", "thinker_config": {"text_config": PLAIN}}, PLAIN),
        ({"model_type": "x", "text_config": {"llm_config": PLAIN}}, PLAIN),
    ],
)
def test_a_text_model_inside_another(wrapper, text):
    assert from_hf_config(wrapper).kv_layers == from_hf_config(text).kv_layers


# Broken files

BROKEN = {
    "not-json.json": b"{",
    "binary.json": bytes(range(256)),
    "list.json": b"[1, 2]",
    "string.json": b'"4096"',
    "number.json": b"7",
    "null.json": b"null",
    "empty.json": b"",
    "nested.json": b"[" * 100_000,
    "floats.json": json.dumps(PLAIN | {"num_hidden_layers": 4.0}).encode(),
    "strings.json": json.dumps(PLAIN | {"hidden_size": "64"}).encode(),
    "booleans.json": json.dumps(PLAIN | {"num_attention_heads": True}).encode(),
    "negative.json": json.dumps(PLAIN | {"num_key_value_heads": -2}).encode(),
    "huge.json": json.dumps(PLAIN | {"num_hidden_layers": 10**9}).encode(),
    "text.json": json.dumps({"model_type": "x", "text_config": "abc"}).encode(),
    "short.json": json.dumps(PLAIN | {"layer_types": ["full_attention"]}).encode(),
    "types.json": json.dumps(PLAIN | {"layer_types": [1, 2, {}, None]}).encode(),
    "odd.json": json.dumps(PLAIN | {"num_key_value_heads": 3}).encode(),
    "family.json": json.dumps(PLAIN | {"model_type": ["llama"]}).encode(),
    "latent.json": json.dumps(PLAIN | {"kv_lora_rank": 8}).encode(),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_sentence_with_its_name(tmp_path, name):
    (tmp_path / name).write_bytes(BROKEN[name])
    with pytest.raises(ValueError, match=name) as refusal:
        from_hf_config(tmp_path / name)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 500


def test_a_byte_order_mark_is_no_fault(tmp_path):
    (tmp_path / "bom.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(PLAIN).encode())
    assert from_hf_config(tmp_path / "bom.json").num_layers == 4


def test_a_model_is_called_as_its_file_and_not_as_the_path_in_it(tmp_path):
    (tmp_path / "mine").mkdir()
    text = json.dumps(PLAIN | {"_name_or_path": "/home/somebody/llama"})
    for name in ("mine/config.json", "acme--small.json"):
        (tmp_path / name).write_text(text)
    assert from_hf_config(tmp_path / "mine").name == "mine"
    assert from_hf_config(tmp_path / "mine" / "config.json").name == "mine"
    assert from_hf_config(tmp_path / "acme--small.json").name == "acme--small"
    assert "somebody" not in repr(from_hf_config(tmp_path / "mine"))


def answer(config):
    try:
        return from_hf_config(config).name
    except ValueError as refusal:
        return str(refusal)


JUNK = (None, True, -1, 0, 2.5, math.inf, "", "x", [], [1], [[]], {}, {"a": 1}, 10**12, [None] * 4)


@pytest.mark.parametrize(
    "name",
    [
        "Qwen--Qwen3.5-122B-A10B",
        "google--gemma-4-26B-A4B",
        "kimi-linear-48b",
        "nvidia--MiniMax-M3-NVFP4",
        "zai-org--GLM-5.2",
        "nvidia--Llama-3_3-Nemotron-Super-49B-v1",
        "byt5-small",
        "mpt-mqa",
    ],
)
def test_whatever_a_key_holds_the_answer_is_a_config_or_one_sentence(name):
    config = ROWS[name]["config"]
    inner = next(
        (k for k in ("text_config", "llm_config") if isinstance(config.get(k), dict)), None
    )
    for key in config[inner] if inner else config:
        for value in JUNK:
            part = (config[inner] if inner else config) | {key: value}
            assert "\n" not in answer(config | {inner: part} if inner else part)


# Found by independent testers


LLAMA = PLAIN | {"model_type": "llama"}


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (LLAMA | {"total_ut_steps": 4}, "total_ut_steps=4 is not understood"),
        (LLAMA | {"num_loops": 2}, "num_loops=2 is not understood"),
        (LLAMA | {"num_meta_tokens": 128}, "num_meta_tokens=128 is not understood"),
        (LLAMA | {"num_kv_heads": 4}, "say different things"),
        (LLAMA | {"n_layer": 6}, "say different things"),
        (LLAMA | {"num_key_value_groups": 4}, "num_key_value_groups=4 is not understood"),
        ({"model_type": "llava", "text_config": LLAMA, "kv_ratio": 8}, "kv_ratio=8 is not"),
        ({"text_config": LLAMA, "cross_attn_every_n_layers": 4}, "cross_attn_every_n_layers=4"),
        (LLAMA | {"model_type": "deepseek_v2", "use_mla": False}, "use_mla=False"),
        (LLAMA | {"is_causal": False}, "an encoder"),
        (LLAMA | {"use_bidirectional_attention": True}, "an encoder"),
        (LLAMA | {"architectures": ["T5EncoderModel"]}, "an encoder"),
        ({"model_type": "siglip", "text_config": LLAMA}, "an encoder"),
        (LLAMA | {"model_type": "rembert"}, "an encoder"),
        ({"model_type": "zamba2"}, "leaves hybrid_layer_ids to its class"),
        ({"model_type": "mllama_text_model"}, "leaves cross_attention_layers to its class"),
        ({"model_type": "dbrx"}, "leaves attn_config to its class"),
        (
            {
                "model_type": "mpt",
                "n_layers": 2,
                "n_heads": 4,
                "d_model": 64,
                "attn_config": {
                    "attn_type": "grouped_query_attention",
                    "kv_n_heads": 2,
                    "sliding_window_size": 1024,
                },
            },
            "sliding_window_size=1024 in attn_config",
        ),
        (
            LLAMA
            | {
                "model_type": "nemotron-nas",
                "num_hidden_layers": 1,
                "block_configs": [{"attention": {"n_heads_in_group": 3}}],
            },
            "n_heads_in_group=3 should be a divisor",
        ),
    ],
)
def test_what_testers_got_a_silent_number_for_is_refused(keys, told):
    with pytest.raises(ValueError, match=told):
        from_hf_config(keys)


def test_megatrons_name_for_kv_heads():
    keys = {k: v for k, v in LLAMA.items() if k != "num_key_value_heads"}
    assert from_hf_config(keys | {"num_query_groups": 2}).num_kv_heads == 2


def test_dbrx_without_a_count_has_its_classs_one():
    sizes = {"n_layers": 2, "n_heads": 4, "d_model": 64, "attn_config": {"clip_qkv": 8}}
    assert from_hf_config({"model_type": "dbrx", **sizes}).num_kv_heads == 1


def test_flat_sizes_beside_an_empty_text_part_are_read():
    config = from_hf_config({**LLAMA, "text_config": {}})
    assert (config.num_layers, config.num_kv_heads, config.d_model) == (4, 2, 64)


def test_a_decoder_for_another_task_is_no_encoder():
    assert from_hf_config(LLAMA | {"architectures": ["LlamaForSequenceClassification"]}).num_layers


@pytest.mark.parametrize(
    ("keys", "longest"),
    [
        ({"max_position_embeddings": 4096}, 4096),
        ({}, None),
        ({"max_position_embeddings": 4096, "rope_scaling": {"type": "linear", "factor": 8}}, 32768),
        (
            {
                "max_position_embeddings": 32768,
                "rope_scaling": {
                    "rope_type": "yarn",
                    "factor": 4.0,
                    "original_max_position_embeddings": 32768,
                },
            },
            131072,
        ),
        (
            {
                "max_position_embeddings": 131072,
                "rope_scaling": {
                    "rope_type": "llama3",
                    "factor": 8.0,
                    "original_max_position_embeddings": 8192,
                },
            },
            131072,
        ),
        (
            {"model_type": "cohere", "max_position_embeddings": 8192, "model_max_length": 131072},
            131072,
        ),
        ({"model_type": "t5", "n_positions": 512}, None),
    ],
)
def test_the_longest_context_that_a_file_says(keys, longest):
    assert from_hf_config(LLAMA | keys).max_context == longest


def test_the_decoder_of_an_encoder_decoder_in_parts_keeps_cross_attention():
    config = from_hf_config({"is_encoder_decoder": True, "decoder": LLAMA})
    assert cost.cross_cache_bytes(config, [1], 2) == 4 * 2 * 2 * 8 * 2
    assert cost.cross_cache_bytes(config.with_kv_heads(1), [1], 2) == 4 * 2 * 8 * 2


# Files of families without a class in transformers, with the keys that they are published with

PUBLISHED = {
    "ChatGLM3-6B": (
        {
            "model_type": "chatglm",
            "add_qkv_bias": True,
            "apply_query_key_layer_scaling": True,
            "attention_softmax_in_fp32": True,
            "ffn_hidden_size": 13696,
            "hidden_size": 4096,
            "kv_channels": 128,
            "multi_query_attention": True,
            "multi_query_group_num": 2,
            "num_attention_heads": 32,
            "num_layers": 28,
            "original_rope": True,
            "padded_vocab_size": 65024,
            "post_layer_norm": True,
            "seq_length": 8192,
        },
        28,
    ),
    "Baichuan2-13B": (
        {
            "model_type": "baichuan",
            "tokenizer_class": "BaichuanTokenizer",
            "hidden_size": 5120,
            "intermediate_size": 13696,
            "model_max_length": 4096,
            "num_attention_heads": 40,
            "num_hidden_layers": 40,
            "z_loss_weight": 0,
        },
        800,
    ),
    "InternLM2-20B": (
        {
            "model_type": "internlm2",
            "attn_implementation": "eager",
            "hidden_size": 6144,
            "num_attention_heads": 48,
            "num_hidden_layers": 48,
            "num_key_value_heads": 8,
            "rope_scaling": {"factor": 3.0, "type": "dynamic"},
        },
        192,
    ),
    "Qwen-7B": (
        {
            "model_type": "qwen",
            "attn_dropout_prob": 0.0,
            "hidden_size": 4096,
            "kv_channels": 128,
            "num_attention_heads": 32,
            "num_hidden_layers": 32,
            "rotary_emb_base": 10000,
            "rotary_pct": 1.0,
            "scale_attn_weights": True,
            "seq_length": 8192,
            "tokenizer_class": "QWenTokenizer",
            "use_dynamic_ntk": True,
            "use_flash_attn": "auto",
            "use_logn_attn": True,
        },
        512,
    ),
    "SantaCoder": (
        {
            "model_type": "gpt2",
            "attention_head_type": "multiquery",
            "n_embd": 2048,
            "n_head": 16,
            "n_layer": 24,
            "n_positions": 2048,
        },
        12,
    ),
    "StarCoder": (
        {
            "model_type": "gpt_bigcode",
            "multi_query": True,
            "n_embd": 6144,
            "n_head": 48,
            "n_layer": 40,
            "pad_key_length": True,
            "scale_attention_softmax_in_fp32": True,
        },
        20,
    ),
    "Falcon-H1-7B": (
        {
            "model_type": "falcon_h1",
            "num_hidden_layers": 44,
            "num_attention_heads": 12,
            "num_key_value_heads": 2,
            "head_dim": 128,
            "hidden_size": 3072,
            "mamba_d_conv": 4,
            "mamba_d_head": 128,
            "mamba_d_ssm": 3072,
            "mamba_d_state": 256,
            "mamba_n_groups": 1,
            "mamba_n_heads": 24,
            "mamba_use_mlp": True,
            "attn_layer_indices": None,
        },
        44,
    ),
    "Command-R7B": (
        {
            "model_type": "cohere2",
            "head_dim": 128,
            "hidden_size": 4096,
            "layer_switch": 4,
            "num_attention_heads": 32,
            "num_hidden_layers": 32,
            "num_key_value_heads": 8,
            "order_of_interleaved_layers": "local_attn_first",
            "sliding_window": 4096,
            "position_embedding_type": "rope_gptj",
            "use_embedding_sharing": True,
            "use_parallel_block": True,
        },
        128,
    ),
    "DeciLM": (
        {
            "model_type": "deci",
            "hidden_size": 4096,
            "num_attention_heads": 32,
            "num_hidden_layers": 4,
            "num_key_value_heads_per_layer": [1, 2, 4, 4],
        },
        5.5,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_file_as_its_family_publishes_it(name):
    keys, kib = PUBLISHED[name]
    assert cost.kv_cache_bytes(from_hf_config(keys), [64], 2) == 64 * kib * KIB
