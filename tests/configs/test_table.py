"""The shipped table: enough models, each with its source, and layers as its notation says."""

import json
import random
from pathlib import Path

import pytest

from gqa_lib import cost
from gqa_lib.configs import LayerKV, all_models, from_hf_config, load_model
from gqa_lib.configs.notation import describe_layers, expand_layers

REAL = Path(__file__).parents[1] / "data" / "configs" / "real.jsonl"
ROWS = {row["name"]: row for row in map(json.loads, REAL.read_text(encoding="utf-8").splitlines())}


def test_there_are_at_least_140_models_each_with_a_source_and_how_it_was_checked():
    models = all_models()
    assert len(models) >= 140
    assert len({config.name.lower() for config in models}) == len(models)
    assert [config.name for config in models if not config.source or not config.checked] == []


def test_contexts_are_missing_only_where_a_model_has_no_limit_or_none_was_published():
    without = {config.name for config in all_models() if config.max_context is None}
    assert without <= {
        "T5.1.1-XXL",
        "ByT5-small",
        "BLOOM-7b1",
        "BLOOM-560m",
        "Phi-4-mini-flash",
        "Hunyuan-Large",
    }


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("Qwen3.5-122B-A10B", "Qwen--Qwen3.5-122B-A10B"),
        ("Gemma-4-31B", "nvidia--Gemma-4-31B-IT-NVFP4"),
        ("gpt-oss-20b", "openai--gpt-oss-20b"),
        ("Llama-4-Maverick", "meta-llama--Llama-4-Maverick-17B-128E-Instruct"),
        ("Kimi-Linear-48B-A3B", "kimi-linear-48b"),
        ("MiniMax-M3", "nvidia--MiniMax-M3-NVFP4"),
        ("GLM-5.2", "zai-org--GLM-5.2"),
        ("Llama-3.3-Nemotron-Super-49B", "nvidia--Llama-3_3-Nemotron-Super-49B-v1"),
        ("Nemotron-3-Ultra-550B-A55B", "nvidia--NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16"),
        ("DeepSeek-R1", "deepseek-ai--DeepSeek-R1"),
        ("Hunyuan-Large", "hunyuan-large"),
        ("Llama-3.2-11B-Vision", "llama3_2_11b_vision"),
        ("MiniMax-Text-01", "minimax-text-01"),
        ("Qwen3-8B", "Qwen--Qwen3-8B"),
        ("Gemma-2-9B", "gemma2_9b"),
    ],
)
def test_rows_keep_what_their_config_files_keep(name, file):
    assert load_model(name).kv_layers == from_hf_config(ROWS[file]["config"]).kv_layers


@pytest.mark.parametrize(
    ("name", "gib_at_131072"),
    [
        ("MiMo-V2-Flash", 2.84),  # findings: 2.84 GiB where a uniform stack gave 18 MiB
        ("Kimi-K3", 27 * 131072 / 2**20),
        ("Qwen3.5-27B", 8.0),  # 16 of 64 layers x 2 x 4 heads x 256 x 2 B
        ("gpt-oss-20b", 3.0),
    ],
)
def test_hybrids_at_131072_tokens(name, gib_at_131072):
    gib = cost.kv_cache_bytes(load_model(name), [131_072], 2) / 2**30
    assert gib == pytest.approx(gib_at_131072, rel=2e-3)


# Notation


def test_entries_repeat_and_take_the_models_heads_unless_they_say_other():
    layers = expand_layers("3*none state=7, window heads=4 k=16 v=16 window=9, full", 7, 2, 8)
    state, window, full = (
        LayerKV("none", state_bytes=7),
        LayerKV("window", 4, 16, 16, window=9),
        None,
    )
    full = LayerKV("full", 2, 8, 8)
    assert layers == (state, state, state, window, full, state, state)


def test_groups_repeat_together():
    text = "2*(2*none, full), latent k=24 rope=8"
    kinds = [layer.kind for layer in expand_layers(text, 7, 1, 8)]
    assert kinds == ["none", "none", "full", "none", "none", "full", "latent"]


@pytest.mark.parametrize(
    "text",
    [
        "fulll",
        "full heads=x",
        "full=3",
        "3*",
        "(full",
        "full spin=1",
        "none k=3",
        "",
        "window",
        "2*(full, window=3)",
    ],
)
def test_what_cannot_be_read_is_told(text):
    with pytest.raises(ValueError, match="cannot read"):
        expand_layers(text, 4, 2, 8)


def test_every_row_and_mixes_made_up_come_back_from_their_text():
    generator = random.Random(0)
    kinds = [
        LayerKV("full", 2, 8, 8),
        LayerKV("window", 4, 16, 8, window=9),
        LayerKV("none", state_bytes=12),
        LayerKV("latent", 1, 24, rope_dim=8, index_dim=4, index_topk=7),
        LayerKV("compressed", 1, 8, window=3, ratio=4),
    ]
    stacks = [generator.choices(kinds, k=generator.randrange(1, 12)) * 2 for _ in range(100)]
    stacks += [list(config.kv_layers) for config in all_models()]
    for stack in stacks:
        text = describe_layers(stack, 2, 8)
        assert expand_layers(text, len(stack), 2, 8) == tuple(stack)
