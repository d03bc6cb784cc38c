"""The memory of a device, divided as engines do."""

from dataclasses import replace

import pytest

from gqa_lib.configs import LayerKV, ModelConfig, Weights, load_model
from gqa_lib.cost import kv_bytes_per_token, kv_projection_params
from gqa_lib.hardware import datasheet
from gqa_lib.serving.ledger import at_num_kv_heads, ledger
from gqa_lib.serving.simulator import ENGINES

LLAMA = load_model("Llama-3.1-8B")
# Of vLLM 0.19 on that card: activations, CUDA context and graphs, by what its blocks leave.
REAL_OTHER_BYTES = 1.2376e9


@pytest.mark.parametrize("engine", ["vllm", "tensorrt-llm", "sglang"])
def test_the_parts_are_the_memory(engine):
    held = ledger(LLAMA, 80e9, engine=engine, activation_bytes=4e9)
    parts = held.weight_bytes + held.activation_bytes + held.reserve_bytes + held.kv_bytes
    assert parts == pytest.approx(80e9)
    assert held.num_blocks == held.kv_bytes // held.block_bytes
    assert held.tokens == held.num_blocks * 16 <= held.ideal_tokens < held.tokens + 16


def test_one_fraction_means_three_things():
    def kv_gb(engine):
        return ledger(LLAMA, 80e9, engine=engine, activation_bytes=4e9).kv_bytes / 1e9

    weights = LLAMA.weight_bytes / 1e9
    assert kv_gb("vllm") == pytest.approx(0.9 * 80 - weights - 4)
    assert kv_gb("tensorrt-llm") == pytest.approx(0.9 * (80 - weights - 4))
    assert kv_gb("sglang") == pytest.approx(0.9 * 80 - weights)


def test_a_real_engine_has_the_blocks_that_its_activations_leave():
    real = ENGINES["rtx4090-llama-3.1-8b"].num_blocks
    card = datasheet("RTX 4090").memory_bytes
    assert ledger(LLAMA, card, activation_bytes=REAL_OTHER_BYTES).num_blocks == real
    assert ledger(LLAMA, card).num_blocks == pytest.approx(1.23 * real, rel=0.005)


def test_vllm_keeps_a_block_empty():
    held = ledger(LLAMA, 80e9)
    assert held.usable_blocks == held.num_blocks - 1
    held = ledger(LLAMA, 80e9, engine="sglang")
    assert held.usable_blocks == held.num_blocks


def test_ranks_divide_heads_and_copy_what_cannot_be_divided():
    one = ledger(LLAMA, 80e9)
    eight = ledger(LLAMA, 80e9, tensor_parallel=8)
    assert eight.block_bytes == one.block_bytes / 8
    assert eight.weight_bytes == LLAMA.weight_bytes / 8
    shared = at_num_kv_heads(LLAMA, 2)
    copied = ledger(shared, 80e9, tensor_parallel=8)
    assert copied.block_bytes == eight.block_bytes  # a head in each rank, either way
    assert copied.weight_bytes == eight.weight_bytes
    assert copied.ideal_tokens == pytest.approx(4 * copied.tokens, rel=1e-4)


def test_weights_of_another_size_are_taken_as_given():
    held = ledger(LLAMA, 24e9, weight_bytes=5e9, bytes_per_element=1)
    assert held.kv_bytes == pytest.approx(0.9 * 24e9 - 5e9)
    assert held.block_bytes == 16 * kv_bytes_per_token(LLAMA, 1)


def test_layers_of_two_kinds_share_the_blocks():
    held = ledger(load_model("gpt-oss-20b"), 80e9)
    assert held.num_groups == 2
    assert held.tokens == held.num_blocks // 2 * held.block_size


@pytest.mark.parametrize("num_kv_heads", [1, 4, 8, 32])
def test_weights_follow_the_projections(num_kv_heads):
    changed = at_num_kv_heads(LLAMA, num_kv_heads)
    assert changed.num_kv_heads == num_kv_heads
    per_layer = [kv_projection_params(4096, n, 128) for n in (num_kv_heads, 8)]
    more = 32 * (per_layer[0] - per_layer[1])
    assert changed.weights.dense - LLAMA.weights.dense == more
    assert changed.weight_bytes - LLAMA.weight_bytes == 2 * more
    assert at_num_kv_heads(changed, 8) == LLAMA


def test_the_same_heads_are_the_same_model_where_weights_are_not_known():
    small = ModelConfig("small", 2, 8, 4, 16, 128)
    assert at_num_kv_heads(small, 4) == small
    assert at_num_kv_heads(small, 2).weight_bytes is None
    known = replace(small, weight_bytes=1_000_000)
    assert at_num_kv_heads(known, 2).weight_bytes == 1_000_000 - 2 * 2 * 2 * 128 * 2 * 16


def test_a_layer_that_reads_anothers_cache_has_no_projections_of_it():
    own = LayerKV("full", 4, 16, 16)
    config = ModelConfig(
        "two", 2, 8, 4, 16, 128, layers=(own, replace(own, shares=0)), weights=Weights(10**6)
    )
    assert at_num_kv_heads(config, 8).weights.dense == 10**6 + kv_projection_params(128, 4, 16)


def test_text_has_the_parts_and_the_engines_name_of_the_fraction():
    text = str(ledger(LLAMA, 80e9, engine="sglang", activation_bytes=4e9, tensor_parallel=2))
    assert "mem_fraction_static=0.9, each of 2 ranks" in text
    assert "8.03 GB   10.0%" in text
    assert "tokens reserved" in text
    assert "ideally" in text
    assert text.endswith(
        "\nEach of 2 ranks holds 4 of 8 KV heads: past 8 ranks a rank's cache shrinks no further."
    )
    assert "ranks" not in str(ledger(LLAMA, 80e9))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            {"memory_bytes": 16e9},
            r"16\.06 GB of weights.*takes 17\.85 GB.*--bytes-per-param.*larger",
        ),
        (
            {"memory_bytes": 24e9, "engine": "sglang", "activation_bytes": 5e9},
            r"leave 2\.40 GB.*activations do not fit.*smaller mem_fraction_static",
        ),
        ({"memory_bytes": 80e9, "tensor_parallel": 3}, "cannot be divided over"),
        ({"memory_bytes": 80e9, "tensor_parallel": 0}, "tensor_parallel=0"),
        ({"memory_bytes": 80e9, "engine": "orca"}, "engine='orca' is not known"),
        ({"memory_bytes": 80e9, "memory_fraction": 90}, "share of the memory"),
        ({"memory_bytes": 80e9, "weight_bytes": 0}, "weight_bytes=0"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        ledger(LLAMA, **call)


@pytest.mark.parametrize("engine", ["vllm", "tensorrt-llm", "sglang"])
def test_the_memory_that_a_refusal_asks_for_is_enough(engine):
    given = {"engine": engine, "memory_fraction": 0.8, "weight_bytes": 10e9}
    with pytest.raises(ValueError, match="takes") as refused:
        ledger(LLAMA, 10e9, **given)
    least = float(str(refused.value).split("takes ")[1].split(" GB")[0])
    assert ledger(LLAMA, least * 1e9 + 1e7, **given).usable_blocks >= 1
    with pytest.raises(ValueError, match="takes"):
        ledger(LLAMA, least * 1e9 - 2e7, **given)


def test_weights_that_are_not_known_are_asked_for():
    with pytest.raises(ValueError, match="give weight_bytes"):
        ledger(ModelConfig("small", 2, 8, 4, 16, 128), 1e9)


def test_latents_have_no_number_of_heads():
    with pytest.raises(ValueError, match="caches a latent"):
        at_num_kv_heads(load_model("DeepSeek-V3"), 8)
    assert at_num_kv_heads(load_model("DeepSeek-V3"), 128) == load_model("DeepSeek-V3")
