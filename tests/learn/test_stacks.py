"""Made-up stacks of layers, which hidden tests of lesson 05 draw from."""

from dataclasses import replace

import pytest
import torch

from gqa_lib import cost
from gqa_lib.configs import LayerKV, ModelConfig, load_model
from gqa_lib.learn.exercises.lesson05_bytes import KV_CACHE_BYTES, KV_CACHE_BYTES_MLA
from gqa_lib.learn.exercises.stacks import drawn_stack, spell_layers
from gqa_lib.learn.exercises.toys import cache_bytes, state_bytes, toy

STACKS = [
    ("mix", {}, {"window", "chunk", "full", "none"}),
    ("mix", {"shared": True}, {"window", "chunk", "full", "none"}),
    ("mix", {"latent": True}, {"latent", "none"}),
    ("mix", {"latent": True, "shared": True}, {"latent", "none"}),
    ("gemma", {}, {"window", "full"}),
    ("qwen", {}, {"none", "full"}),
]


@pytest.mark.parametrize(("kind", "more", "expected"), STACKS)
def test_a_drawn_stack_is_a_model_that_oracle_and_library_agree_on(kind, more, expected):
    for seed in range(30):
        config = toy(**drawn_stack(torch.Generator().manual_seed(seed), kind, **more))
        assert {layer.kind for layer in config.kv_layers} == expected
        assert any(layer.shares == 0 for layer in config.kv_layers) == bool(more.get("shared"))
        lengths = [1, 7, 40]
        assert cache_bytes(config, lengths, 0.75) == cost.kv_cache_bytes(config, lengths, 0.75)
        assert state_bytes(config) == cost.state_bytes(config)


def test_the_name_of_a_toy_makes_the_same_model_when_typed():
    config = toy(**drawn_stack(torch.Generator().manual_seed(3), "mix", shared=True))
    typed = eval(config.name, {"ModelConfig": ModelConfig, "LayerKV": LayerKV})
    assert replace(typed, name=config.name) == config


def test_equal_neighbours_are_spelled_once():
    none, full = LayerKV("none", state_bytes=96), LayerKV("full", 2, 5, 5)
    assert spell_layers([none, none, full]) == (
        "(LayerKV('none', state_bytes=96),) * 2"
        " + (LayerKV('full', num_kv_heads=2, k_dim=5, v_dim=5),)"
    )


def test_the_two_hybrids_by_hand():
    """16 of 64 layers of 4 x (256 + 256), and 50 windows of 1,024 with 10 full layers."""
    qwen, gemma = load_model("Qwen3.5-27B"), load_model("Gemma-4-31B")
    assert KV_CACHE_BYTES.oracle(qwen, [5000, 64], 0.5) == 5064 * 16 * 4 * 512 * 0.5
    local, full = 50 * 16 * 512, 10 * 4 * 1024
    assert KV_CACHE_BYTES.oracle(gemma, [3000, 700], 1) == 1724 * local + 3700 * full


@pytest.mark.parametrize("exercise", [KV_CACHE_BYTES, KV_CACHE_BYTES_MLA], ids=lambda e: e.name)
def test_hidden_tests_draw_from_models_that_list_their_layers(exercise):
    told = {"latent_draw": exercise is KV_CACHE_BYTES_MLA}
    drawn = [
        exercise.make(torch.Generator().manual_seed(n), draw=n, **told)[0] for n in range(1, 11)
    ]
    assert {config.layers is None for config in drawn} == {True, False}
