"""Costs against figures published by others, or worked out by hand."""

from dataclasses import replace

import pytest

from gqa_lib import cost
from gqa_lib.configs import ModelConfig, load_model
from gqa_lib.hardware import Hardware, datasheet

KIB, GIB = 2**10, 2**30
# Five different sizes: a formula that mixes two of them up cannot come out right.
ODD = ModelConfig("odd", num_layers=3, num_heads=6, num_kv_heads=2, head_dim=5, d_model=32)
LLAMA = load_model("Llama-3-8B")


@pytest.mark.parametrize(
    ("name", "kib", "kib_as_mha"),
    [
        ("Llama-3-8B", 128, 512),
        ("Llama-3-70B", 320, 2560),
        ("Llama-3.1-405B", 504, 504 * 16),
        ("Command-R-v01", 1280, 1280),
        ("Command-R-08-2024", 160, 1280),
        ("Qwen3-0.6B", 112, 224),
        ("Qwen2.5-7B", 56, 392),
    ],
)
def test_cache_per_token_of_real_models(name, kib, kib_as_mha):
    config = load_model(name)
    as_mha = replace(config, num_kv_heads=config.num_heads)
    assert cost.kv_bytes_per_token(config, 2) == kib * KIB
    assert cost.kv_bytes_per_token(as_mha, 2) == kib_as_mha * KIB


def test_opt_13b_takes_the_800_kb_of_the_pagedattention_paper():
    opt = ModelConfig("OPT-13B", 40, 40, 40, head_dim=128, d_model=5120)
    assert cost.kv_bytes_per_token(opt, 2) == 819_200


def test_mla_caches_the_latent_whatever_the_number_of_heads():
    v3 = load_model("DeepSeek-V3")
    assert cost.kv_bytes_per_token(v3, 2) / KIB == pytest.approx(68.6, abs=0.05)
    assert cost.kv_bytes_per_token(v3, 2) == cost.kv_bytes_per_token(load_model("Kimi-K2"), 2)
    assert cost.kv_cache_bytes(v3, [10, 1], 2) == 11 * 61 * 576 * 2


def test_tokens_that_vllm_reports_for_qwen3_4b():
    """11.47 GiB hold 83,488 tokens in bfloat16 and 166,992 in fp8, to the last block of 16."""
    config = load_model("Qwen3-4B")
    for tokens, bytes_per_element in ((83_488, 2), (166_992, 1)):
        nbytes = cost.kv_bytes_per_token(config, bytes_per_element) * tokens
        assert nbytes / GIB == pytest.approx(11.47, abs=0.01)


def test_windows_of_gemma_3_27b():
    config = load_model("Gemma-3-27B")
    everywhere = replace(config, windows=None)
    for context, factor in ((131_072, 5.96), (32_768, 5.33)):
        full = cost.kv_cache_bytes(everywhere, [context], 2)
        assert full / cost.kv_cache_bytes(config, [context], 2) == pytest.approx(factor, abs=0.005)
    assert cost.kv_cache_bytes(everywhere, [131_072], 2) / GIB == pytest.approx(62.0, abs=0.05)
    assert cost.kv_cache_bytes(config, [131_072], 2) / GIB == pytest.approx(10.4, abs=0.05)


def test_windows_of_gpt_oss_120b():
    config = load_model("gpt-oss-120b")
    assert cost.kv_cache_bytes(config, [131_072], 2) / GIB == pytest.approx(4.5, abs=0.01)
    assert cost.kv_bytes_per_token(config, 2) * 131_072 == 9 * GIB


def test_cache_of_a_batch_by_hand():
    windowed = replace(ODD, windows=(4, None, 9))
    assert cost.kv_cache_bytes(ODD, [7, 2], 4) == 9 * 3 * 2 * 2 * 5 * 4
    assert cost.kv_cache_bytes(windowed, [7, 2], 4) == ((4 + 7 + 7) + 3 * 2) * 2 * 2 * 5 * 4
    assert cost.kv_cache_bytes(ODD, [], 4) == 0


def test_layers_that_share_cache_nothing_but_are_still_read():
    shared = replace(ODD, shared_kv_layers=1)
    assert cost.kv_cache_bytes(shared, [7], 4) == cost.kv_cache_bytes(ODD, [7], 4) * 2 / 3
    assert cost.kv_bytes_per_token(shared, 4) == cost.kv_bytes_per_token(ODD, 4)
    slow = Hardware("slow memory", 1e12, 1.0, 1, "made up")
    times = [cost.decode_step_time(c, slow, 1, 7, 4, 100) for c in (ODD, shared)]
    assert times[0] == times[1] == 100 + cost.kv_cache_bytes(ODD, [7], 4)


def test_a_shared_layer_outside_the_window_part_is_the_last_one():
    shared = replace(ODD, windows=(4, None, 9), shared_kv_layers=1)
    assert cost.kv_cache_bytes(shared, [100], 1) == (4 + 100) * 2 * 2 * 5


@pytest.mark.parametrize(
    ("num_kv_heads", "tokens", "sequences"), [(32, 106_697, 13), (8, 426_788, 52), (1, None, 416)]
)
def test_sequences_that_fit_beside_llama_3_8b_on_80_gb(num_kv_heads, tokens, sequences):
    config = replace(LLAMA, num_kv_heads=num_kv_heads)
    memory, weights = 0.9 * 80e9, 16.06e9
    assert cost.max_concurrent_sequences(config, memory, 8192, weights, 2) == sequences
    if tokens:
        assert cost.max_concurrent_sequences(config, memory, 1, weights, 2) == tokens


def test_nothing_fits_beside_weights_that_fill_the_memory():
    assert cost.max_concurrent_sequences(LLAMA, 10e9, 1, 16e9, 2) == 0


def test_kv_projection_parameters_of_llama():
    counts = [cost.kv_projection_params(4096, heads, 128) for heads in (32, 8, 1)]
    assert counts == [33_554_432, 8_388_608, 1_048_576]
    assert 32 * (counts[0] - counts[1]) == pytest.approx(805e6, rel=1e-3)
    assert 32 * (counts[1] - counts[2]) / 8.03e9 == pytest.approx(0.029, abs=5e-4)
    wide = [cost.kv_projection_params(8192, heads, 128) * 80 for heads in (64, 8, 1)]
    assert wide[0] - wide[1] == pytest.approx(9.4e9, rel=1e-2)
    assert wide[1] - wide[2] == pytest.approx(1.17e9, rel=1e-2)


def test_attention_flops_by_counting_pairs():
    pairs = sum(1 for query in range(3) for key in range(7) if key <= 7 - 3 + query)
    assert cost.attention_flops(2, 6, 5, 3, 7) == 2 * 6 * 3 * 7 * 5 * 4
    assert cost.attention_flops(2, 6, 5, 3, 7, causal=True) == 2 * 6 * pairs * 5 * 4
    assert cost.attention_flops(2, 6, 5, 1, 7, causal=True) == cost.attention_flops(2, 6, 5, 1, 7)


def test_causal_needs_the_new_tokens_among_the_keys():
    with pytest.raises(ValueError, match="num_keys=2 is less than num_queries=3"):
        cost.attention_flops(1, 1, 1, 3, 2, causal=True)


def test_attention_bytes_by_adding_up_tensors():
    q, k = 2 * 6 * 3 * 5, 2 * 2 * 7 * 5
    assert cost.attention_bytes(2, 6, 2, 5, 3, 7, 4) == (2 * q + 2 * k) * 4


@pytest.mark.parametrize("context", [4096, 65_536])
@pytest.mark.parametrize(
    ("num_kv_heads", "bytes_per_element", "intensity"),
    [(32, 2, 1), (8, 2, 4), (1, 2, 32), (8, 1, 8), (8, 0.5, 16), (32, 4, 0.5)],
)
def test_decode_intensity_is_twice_the_sharing_by_the_bytes(
    num_kv_heads, bytes_per_element, intensity, context
):
    flops = cost.attention_flops(3, 32, 128, 1, context)
    moved = cost.attention_bytes(3, 32, num_kv_heads, 128, 1, context, bytes_per_element)
    assert cost.arithmetic_intensity(flops, moved) == pytest.approx(intensity, rel=0.01)


@pytest.mark.parametrize(
    ("name", "ridge"),
    [("T4", 203), ("A100 80GB SXM", 153), ("H100 SXM", 295), ("H200 SXM", 206), ("L4", 403)],
)
def test_ridge_points(name, ridge):
    assert cost.ridge_point(datasheet(name)) == pytest.approx(ridge, abs=0.6)


def test_memory_bound_below_the_ridge():
    hardware = Hardware("made up", 100.0, 10.0, 1, "made up")
    assert cost.is_memory_bound(9.9, hardware)
    assert not cost.is_memory_bound(10.1, hardware)


@pytest.mark.parametrize(
    ("batch_size", "context", "milliseconds"),
    [
        (1, 1024, (4.95, 4.83, 4.80)),
        (1, 131_072, (25.3, 9.9, 5.4)),
        (32, 8192, (45.8, 15.1, 6.1)),
        (128, 1024, (25.3, 9.9, 5.4)),
    ],
)
def test_decode_step_of_llama_8b_on_an_h100(batch_size, context, milliseconds):
    h100 = datasheet("H100 SXM")
    for num_kv_heads, expected in zip((32, 8, 1), milliseconds, strict=True):
        config = replace(LLAMA, num_kv_heads=num_kv_heads)
        step_s = cost.decode_step_time(config, h100, batch_size, context, 2, 16.06e9)
        assert step_s * 1e3 == pytest.approx(expected, rel=0.011)


def test_a_large_batch_of_short_sequences_is_bound_by_flops():
    hardware = Hardware("slow arithmetic", 1.0, 1e12, 1, "made up")
    linear, attention = 2 * 5 * 100 / 4, 3 * cost.attention_flops(5, 6, 5, 1, 7)
    assert cost.decode_step_time(ODD, hardware, 5, 7, 4, 100) == linear + attention


def test_absorbed_mla_does_242_flop_per_byte():
    """With 128 heads; so its decoding nears the ridge points that GQA stays far below."""
    v3 = load_model("DeepSeek-V3")
    fast, slow = (
        Hardware("made up", flops, bandwidth, 1, "made up")
        for flops, bandwidth in ((1e30, 1.0), (1.0, 1e30))
    )
    bytes_moved = cost.decode_step_time(v3, fast, 1, 1000, 2, 0)
    flops = cost.decode_step_time(v3, slow, 1, 1000, 2, 0)
    assert flops / bytes_moved == pytest.approx(242, abs=0.5)


def test_attention_time_is_the_slower_of_bytes_and_flops():
    shape = {"batch_size": 2, "num_heads": 6, "head_dim": 5, "num_queries": 3, "num_keys": 7}
    moved = cost.attention_bytes(**shape, num_kv_heads=2, bytes_per_element=4)
    memory = Hardware("slow memory", 1e12, 10.0, 1, "made up")
    arithmetic = Hardware("slow arithmetic", 10.0, 1e12, 1, "made up")
    call = {**shape, "num_kv_heads": 2, "bytes_per_element": 4, "causal": True}
    assert cost.attention_time(memory, **call) == moved / 10
    assert (
        cost.attention_time(arithmetic, **call) == cost.attention_flops(**shape, causal=True) / 10
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda: cost.kv_bytes_per_token(ODD, 0),
        lambda: cost.kv_cache_bytes(ODD, [3, -1], 2),
        lambda: cost.max_concurrent_sequences(ODD, 1e9, 0, 0, 2),
        lambda: cost.kv_projection_params(8, 0, 4),
        lambda: cost.arithmetic_intensity(1, 0),
        lambda: cost.decode_step_time(ODD, datasheet("T4"), 0, 1, 2, 1),
    ],
)
def test_sizes_that_mean_nothing_are_refused(call):
    with pytest.raises(ValueError, match=r"=-?\d"):
        call()
