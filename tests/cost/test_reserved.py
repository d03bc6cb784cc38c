"""What an engine reserves, against its sources: by hand, and against engines' logs."""

import json
import random
from dataclasses import replace
from math import ceil, prod
from pathlib import Path

import pytest

from gqa_lib import cost
from gqa_lib.configs import LayerKV, ModelConfig, load_model

GIB = 2**30
LOG = json.loads((Path(__file__).parents[1] / "data" / "vllm_rtx4090.json").read_text())
LLAMA = load_model("Llama-3.1-8B")
GPT_OSS = load_model("gpt-oss-20b")
WINDOW, FULL = LayerKV("window", 16, 256, 256, window=1024), LayerKV("full", 4, 512)
GEMMA_4 = ModelConfig("Gemma 4", 60, 32, 16, 256, 5376, layers=(*[WINDOW] * 5, FULL) * 10)
GATED = LayerKV("none", state_bytes=48 * 128 * 128 * 4 + 3 * 10_240 * 2)  # fp32, and 3 x conv
QWEN = ModelConfig(
    "Qwen3.5", 64, 24, 4, 256, 5120, layers=(*[GATED] * 3, LayerKV("full", 4, 256, 256)) * 16
)
ODD = ModelConfig("odd", 3, 6, 2, 5, 30)  # a row of 2 x 2 x 5 numbers in each of 3 layers


def parts(reserved):
    return (
        reserved.ideal_bytes,
        reserved.replica_bytes,
        reserved.value_bytes,
        reserved.rounding_bytes,
        reserved.window_bytes,
        reserved.page_bytes,
    )


def logged_tokens(memory_bytes, reserved):
    """The "GPU KV cache size" that vLLM logs up to 0.20: an equal share of blocks to each group."""
    blocks = int(memory_bytes // reserved.block_bytes)
    sizes = [group.block_tokens for group in reserved.groups if group.block_tokens]
    return blocks // len(reserved.groups) * min(sizes)


def test_the_reported_6_and_12_gib_of_gpt_oss_20b():
    """alvarobartt/hf-mem#70: 32 sequences of 8,192 tokens in bf16, before and after the change."""
    off = cost.reserved_bytes(GPT_OSS, [8192] * 32, 2, hybrid_manager=False)
    assert off.ideal_bytes / GIB == pytest.approx(6.09, abs=0.005)
    assert off.total_bytes / GIB == 12.0
    assert off.window_bytes == 12 * (8192 - 128) * 32 * 2048


def test_with_its_hybrid_manager_the_engine_lies_between():
    """A window of 128 holds 127 + 2,048 tokens while prefilling: 136 blocks, and one more."""
    on = cost.reserved_bytes(GPT_OSS, [8192] * 32, 2)
    assert [(g.kind, g.layers, g.padding, g.blocks) for g in on.groups] == [
        ("window", 12, 0, 32 * 137),
        ("full", 12, 0, 32 * 512),
    ]
    assert on.block_bytes == 12 * 16 * 2048
    assert on.total_bytes / GIB == pytest.approx(7.605, abs=0.001)


@pytest.mark.parametrize(
    ("config", "gib", "tokens", "resolution"),
    [
        (load_model("Qwen3-4B"), 11.47, 83_488, 0.0005),  # vLLM docs, quantized_kvcache.md
        (load_model("gpt-oss-120b"), 5.38, 78_384, 0.001),  # hf-mem#60
        (GEMMA_4, 24.54, 26_800, 0.0005),  # hf-mem#61
    ],
)
def test_tokens_that_engines_logged(config, gib, tokens, resolution):
    """Memory is logged to 0.01 GiB, which is the resolution."""
    reserved = cost.reserved_bytes(config, [8192], 2)
    assert logged_tokens(gib * GIB, reserved) == pytest.approx(tokens, rel=resolution)


def test_blocks_of_a_hybrid_with_states_as_logged():
    """vllm-project/vllm#40691, Qwen3.5-27B: 290,864 tokens, 33.04 sequences of 32,768 tokens."""
    reserved = cost.reserved_bytes(QWEN, [32_768], 2)
    assert [(g.kind, g.layers, g.block_tokens, g.blocks) for g in reserved.groups] == [
        *[("state", 16, 0, 1)] * 3,
        ("full", 16, 784, 42),
    ]
    blocks = [n for n in range(2000) if n // 4 * 784 == 290_864]
    assert round(max(blocks) / reserved.blocks, 2) == 33.04
    padded = 48 * (784 * 4096 - GATED.state_bytes)
    assert reserved.page_bytes == padded + 16 * (42 * 784 - 32_768) * 4096 - reserved.rounding_bytes


def test_a_block_grows_to_the_size_of_a_state():
    """16 linear heads, in a Qwen3.5: 1,085,440 bytes ask for 544 tokens of 2,048 bytes."""
    state = LayerKV("none", state_bytes=16 * 128 * 128 * 4 + 3 * 6144 * 2)
    layers = (*[state] * 3, LayerKV("full", 2, 256, 256)) * 6
    small = ModelConfig("small", 24, 8, 2, 256, 1024, layers=layers)
    assert state.state_bytes == 1_085_440
    assert cost.reserved_bytes(small, [1], 2).groups[-1].block_tokens == 544
    assert cost.reserved_bytes(small, [1], 2, block_size=1024).groups[-1].block_tokens == 1024


def test_the_pool_of_a_real_log():
    """2,588 blocks of 16 tokens are 41,408 tokens; what 90 % leaves beside them is 1.24 GB."""
    pool, reserved = LOG["meta"]["kv_cache"], cost.reserved_bytes(LLAMA, [16], 2)
    assert pool["num_gpu_blocks"] * 16 == pool["num_kv_tokens"]
    assert reserved.block_bytes == 16 * 131_072
    memory, share = LOG["meta"]["device_total_memory_bytes"], pool["gpu_memory_utilization"]
    left = cost.kv_memory(memory, 16.06e9, share, "vllm", other_bytes=1.238e9)
    assert left // reserved.block_bytes == pool["num_gpu_blocks"]


def test_blocks_that_running_sequences_took_in_a_real_log():
    """How far each is between its first and last token is not logged: the pace is taken as even."""
    for row in LOG["timeseries"]:
        lengths = []
        for request in LOG["requests"]:
            first, last = request["first_token_s"], request["last_token_s"]
            if first <= row["t"] < last:
                done = (request["output_toks"] - 1) * (row["t"] - first) / (last - first)
                lengths.append(request["input_toks"] + 1 + int(done))
        assert len(lengths) == row["running"]
        used = row["kv_cache_pct"] / 100 * LOG["meta"]["kv_cache"]["num_gpu_blocks"]
        assert cost.reserved_bytes(LLAMA, lengths, 2).blocks == pytest.approx(used, rel=0.03)


def test_blocks_are_rounded_up_for_each_sequence():
    reserved = cost.reserved_bytes(ODD, [1, 16, 17], 2)
    assert reserved.blocks == 1 + 1 + 2
    assert reserved.total_bytes == 4 * 16 * 3 * 40
    assert parts(reserved) == (34 * 120, 0, 0, 30 * 120, 0, 0)


def test_ranks_hold_a_head_each_at_least():
    """2 KV heads over 6 ranks: 3 copies of each; and a latent on every rank."""
    reserved = cost.reserved_bytes(ODD, [16], 2, tensor_parallel=6)
    assert reserved.rank_bytes == 16 * 3 * 20
    assert reserved.replica_bytes == 2 * 16 * 3 * 40
    assert cost.reserved_bytes(ODD, [16], 2, tensor_parallel=2).replica_bytes == 0
    v3 = cost.reserved_bytes(load_model("DeepSeek-V3"), [1024], 2, tensor_parallel=8)
    assert v3.rank_bytes == v3.ideal_bytes == 1024 * 61 * 576 * 2
    assert v3.total_bytes == 8 * v3.ideal_bytes


def test_values_that_are_the_keys_are_stored_all_the_same():
    keys_only = replace(ODD, layers=(LayerKV("full", 2, 5),) * 3)
    reserved = cost.reserved_bytes(keys_only, [16], 2)
    assert parts(reserved) == (16 * 60, 0, 16 * 60, 0, 0, 0)


def test_groups_are_filled_up_with_empty_layers():
    """By the rarest kind, 4 of 10; but 5 of one kind and 4 of another become 5 and 5."""
    full, window = LayerKV("full", 2, 5, 5), LayerKV("window", 2, 5, 5, window=8)
    ten = replace(ODD, num_layers=14, layers=(full,) * 4 + (window,) * 10)
    groups = cost.reserved_bytes(ten, [100], 2, block_size=4, prefill_tokens=1).groups
    assert [(g.kind, g.layers, g.padding, g.blocks) for g in groups] == [
        ("full", 4, 0, 25),
        ("window", 4, 0, 3),
        ("window", 3, 1, 3),
        ("window", 3, 1, 3),
    ]
    nine = replace(ODD, num_layers=9, layers=(full,) * 4 + (window,) * 5)
    reserved = cost.reserved_bytes(nine, [100], 2, block_size=4, prefill_tokens=1)
    assert [(g.layers, g.padding) for g in reserved.groups] == [(4, 1), (5, 0)]
    assert reserved.total_bytes == (25 + 3) * 5 * 4 * 40
    assert parts(reserved) == (4 * 4000 + 5 * 320, 0, 0, 0, 5 * 160, 4000)


def test_a_chunk_has_no_block_to_spare():
    chunk = replace(ODD, layers=(LayerKV("chunk", 2, 5, 5, window=8),) * 3)
    assert cost.reserved_bytes(chunk, [100], 2, block_size=4, prefill_tokens=2).blocks == 3


def test_prefix_caching_keeps_a_second_state():
    once, twice = (cost.reserved_bytes(QWEN, [784], 2, state_copies=n) for n in (1, 2))
    assert twice.total_bytes - once.total_bytes == 48 * 784 * 4096


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (ODD, {"tensor_parallel": 4}, "num_heads=6 cannot be divided over tensor_parallel=4"),
        (replace(ODD, num_heads=12, num_kv_heads=6), {"tensor_parallel": 4}, "6 KV heads cannot"),
        (QWEN, {"hybrid_manager": False}, "without the hybrid manager"),
        (ODD, {"block_size": 0}, "block_size=0"),
        (ODD, {"prefill_tokens": -1}, "prefill_tokens=-1"),
    ],
)
def test_layouts_that_the_engine_refuses(config, options, message):
    with pytest.raises(ValueError, match=message):
        cost.reserved_bytes(config, [100], 2, **options)


def test_layouts_that_are_not_known_are_refused():
    compressed = LayerKV("compressed", 1, 512, window=128, ratio=4)
    with pytest.raises(ValueError, match=r"layer 0: .* compressed entries is not known"):
        cost.reserved_bytes(replace(ODD, layers=(compressed,) * 3), [100], 2)
    uneven = (LayerKV("full", 2, 5, 5), LayerKV("window", 2, 7, 7, window=8)) * 2
    with pytest.raises(ValueError, match="56 bytes in one layer and 40 in another"):
        cost.reserved_bytes(replace(ODD, num_layers=4, layers=uneven), [100], 2)


def drawn(random_):
    """A mix of layers whose tokens take 40, 80 or 160 bytes, so that blocks can be made equal."""
    rows, window = [5, 10, 20], random_.randint(1, 60)
    kinds = random_.sample(["full", "window", "chunk", "none"], random_.randint(1, 4))
    layers = [LayerKV("full", 4, 5, 5)]
    for _ in range(random_.randint(0, 12)):
        kind, size = random_.choice(kinds), random_.choice(rows)
        if kind == "none":
            layers.append(LayerKV("none", state_bytes=random_.randint(0, 9999)))
        else:
            same = {} if random_.random() < 0.2 else {"v_dim": size}
            width = {} if kind == "full" else {"window": window}
            layers.append(LayerKV(kind, 4, size if same else 2 * size, **same, **width))
    random_.shuffle(layers)
    return ModelConfig("drawn", len(layers), 8, 4, 5, 30, layers=tuple(layers))


@pytest.mark.parametrize("seed", range(150))
def test_parts_are_never_negative_and_add_up(seed):
    random_ = random.Random(seed)
    config, ranks = drawn(random_), random_.choice([1, 2, 4, 8])
    lengths = [random_.randint(0, 300) for _ in range(random_.randint(1, 5))]
    reserved = cost.reserved_bytes(
        config,
        lengths,
        random_.choice([2, 1, 0.5]),
        block_size=random_.choice([1, 4, 16]),
        tensor_parallel=ranks,
        prefill_tokens=random_.randint(1, 100),
        state_copies=random_.randint(1, 2),
    )
    assert min(parts(reserved)) >= 0
    assert reserved.total_bytes >= reserved.ideal_bytes
    assert reserved.total_bytes == pytest.approx(sum(parts(reserved)))
    assert reserved.total_bytes == ranks * reserved.rank_bytes
    assert len({group.layers + group.padding for group in reserved.groups}) == 1


@pytest.mark.parametrize("seed", range(20))
def test_blocks_of_one_token_in_one_rank_cost_nothing(seed):
    random_ = random.Random(seed)
    heads, layers = random_.choice([1, 2, 4, 8]), random_.randint(1, 9)
    config = ModelConfig("even", layers, 8, heads, random_.randint(1, 64), 30)
    lengths = [random_.randint(0, 300) for _ in range(4)]
    reserved = cost.reserved_bytes(config, lengths, 2, block_size=1)
    assert reserved.total_bytes == reserved.ideal_bytes == cost.kv_cache_bytes(config, lengths, 2)
    by_hand = prod((2, layers, heads, config.head_dim, 2)) * 16
    whole = cost.reserved_bytes(config, lengths, 2).total_bytes
    assert whole == by_hand * sum(ceil(length / 16) for length in lengths)


@pytest.mark.parametrize(
    ("engine", "gb"), [("vllm", 72 - 16 - 4), ("tensorrt-llm", 0.9 * 60), ("sglang", 72 - 16)]
)
def test_one_fraction_means_three_things(engine, gb):
    assert cost.kv_memory(80e9, 16e9, 0.9, engine, 4e9) == pytest.approx(gb * 1e9)
    assert cost.kv_memory(80e9, 90e9, 0.9, engine) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ((80e9, 16e9, 0.9, "llama.cpp"), "'llama.cpp'.*vllm, tensorrt-llm, sglang"),
        ((80e9, 16e9, 1.1, "vllm"), "fraction=1.1"),
        ((80e9, 16e9, 0, "vllm"), "fraction=0"),
        ((80e9, -1, 0.9, "vllm"), "weight_bytes=-1"),
        ((0, 1, 0.9, "vllm"), "memory_bytes=0"),
    ],
)
def test_fractions_that_mean_nothing_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        cost.kv_memory(*call)
