"""The numbers of the quiz bank, computed again: the right option has it, and no other."""

import re
from dataclasses import replace
from math import ceil, prod, sqrt

import pytest
import torch

from gqa_lib import cost
from gqa_lib.cache.eviction import rows_to_keep
from gqa_lib.configs import ModelConfig, load_model
from gqa_lib.hardware import Hardware, datasheet
from gqa_lib.serving.traffic import Trace, residency_weighted
from gqa_lib.train import Corpus, Heads, TextTask, pairs_needed
from grading.quiz.bank import facts, load_bank

BY_ID = {one.id: one for one in load_bank()}
UNIT = ModelConfig("unit", num_layers=1, num_heads=8, num_kv_heads=1, head_dim=1, d_model=8)
LLAMA = load_model("Llama-3-8B")
LLAMA_MHA = replace(LLAMA, num_kv_heads=LLAMA.num_heads)
GEMMA = load_model("Gemma-3-27B")
H100 = datasheet("H100 SXM")
BYTES_ONLY = Hardware("no FLOP takes time", 1e30, 1e9, 1e12, "made up")
WINDOWED = ModelConfig("windowed", 4, 2, 2, 8, 16, windows=(100, 100, 100, None))
GIB = 2**30
ZEROS = torch.zeros(999, dtype=torch.uint8)
TEXT = Corpus(ZEROS, ZEROS, "made up", 1, 1, "")


def per_token(config):
    return cost.kv_bytes_per_token(config, 2)


def step_s(weight_bytes, kv_bytes):
    """Return the seconds of a step that only reads, from a memory of 1 GB/s."""
    return cost.roofline_time(0, weight_bytes + kv_bytes, BYTES_ONLY)


def rate(config, batch_size):
    """Return tokens per second of a full server on an H100."""
    return batch_size / cost.decode_step_time(config, H100, batch_size, 8192, 2, 16e9)


def all_three():
    before = ModelConfig("before", 4, 8, 8, 8, 64)
    after = replace(before, num_kv_heads=2, windows=(50, 50, 50, 50))
    return cost.kv_cache_bytes(before, [100], 2) / cost.kv_cache_bytes(after, [100], 1)


SLOW = Hardware("slow", 400e9, 50e9, 1e9, "made up")
MLA = load_model("DeepSeek-V3")
NUMBERS = {
    "Q01": lambda: cost.roofline_time(0.4e9, 120e6, SLOW) * 1e3,
    "Q04": lambda: cost.attention_flops(1, 1, 1, 3, 7, causal=True) / 4,
    "Q07": lambda: sum(cost.kv_cache_bytes(UNIT, [100 + n], 0.5) for n in (1, 2, 3, 4)),
    "Q14": lambda: 1 + 2 * per_token(replace(UNIT, num_kv_heads=8)) / per_token(UNIT),
    "Q16": lambda: cost.kv_cache_bytes(WINDOWED, [1000], 2),
    "Q20": lambda: step_s(10e9, 30e9) / step_s(10e9, 30e9 / 8),
    "Q22": lambda: (1 * 10 + 3 * 20) / (1 + 3),
    "Q24": lambda: 8 * 16,
    "Q31": lambda: per_token(load_model("Llama-3-70B")) / 2**10,
    "Q34": lambda: 11.47 * GIB / per_token(load_model("Qwen3-4B")),
    "Q35": lambda: cost.max_concurrent_sequences(LLAMA, 40 * GIB, 8192, 0, 2),
    "Q36": lambda: (
        cost.kv_cache_bytes(replace(GEMMA, windows=None), [131_072], 2)
        / cost.kv_cache_bytes(GEMMA, [131_072], 2)
    ),
    "Q37": lambda: 4096 / 128,
    "Q38": lambda: cost.decode_intensity(load_model("Llama-3-70B"), 1),
    "Q41": lambda: 250e9 / 1e9 / step_s(8e9, 1e9),
    "Q42": lambda: cost.arithmetic_intensity(1, 0.004),
    "Q44": lambda: step_s(80, 20) / step_s(80, 0),
    "Q47": lambda: rate(LLAMA, 52) / rate(LLAMA_MHA, 13),
    "Q50": lambda: 2.00 / (500 * 3600) * 1e6,
    "Q53": lambda: 64_000 // 8000,
    "Q55": lambda: 12 * 5 * 2000,
    "Q56": lambda: 100 * 900 / (100 + 900),
    "Q57": lambda: (1 / 0.05) ** 2,
    "Q60": lambda: (
        100
        * (per_token(LLAMA_MHA) - per_token(LLAMA))
        / (per_token(LLAMA_MHA) - per_token(replace(LLAMA, num_kv_heads=1)))
    ),
    "Q76": lambda: 100 * 32 * cost.kv_projection_params(4096, 8 - 1, 128) / 8.03e9,
    "Q86": lambda: sqrt(4) / 4,
    "Q93": all_three,
    "Q94": lambda: (MLA.kv_lora_rank + MLA.rope_head_dim) / (2 * 128),
    "Q98": lambda: 15 * per_token(LLAMA) / 2**10,
    "Q102": lambda: 800 * pairs_needed(0.5, 0.01) / pairs_needed(1, 0.01),
    "Q103": lambda: (
        TextTask(TEXT, d_model=512, d_ff=999, equal_params=True).config(Heads(8, 2, 64)).d_ff - 999
    ),
    "Q127": lambda: (
        cost.kv_cache_bytes(replace(UNIT, num_heads=32, num_kv_heads=32, head_dim=128), [1000], 2)
        / 1e6
    ),
    "Q130": lambda: rows_to_keep(20_000, 0.9),
    "Q138": lambda: residency_weighted(Trace(None, [100, 20], [10, 90])).mean,
    "Q141": lambda: ceil((1.96 * 1.5 / 0.1) ** 2),
    "Q144": lambda: 1.80 / (1250 * 3600) * 1e6,
}


def numbers(text):
    return [word.replace(",", "") for word in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def agrees(printed, value):
    """Return whether a printed number is this value, as exactly as it is printed."""
    half_a_unit = 0.5 * 10 ** -len(printed.partition(".")[2])
    return abs(float(printed) - value) <= max(half_a_unit, 1e-3 * value)


@pytest.mark.parametrize("id", NUMBERS)
def test_the_right_option_alone_has_the_number(id):
    value, one = NUMBERS[id](), BY_ID[id]
    fitting = [o.text for o in one.options if any(agrees(n, value) for n in numbers(o.text)[:1])]
    if id == "Q35":  # its options are pairs
        second = cost.max_concurrent_sequences(LLAMA_MHA, 40 * GIB, 8192, 0, 2)
        fitting = [text for text in fitting if agrees(numbers(text)[1], second)]
    assert fitting == [one.right.text]


def test_numbers_that_are_near_are_told_apart():
    assert agrees("2.9", 40 / 13.75)
    assert not agrees("3.0", 40 / 13.75)
    assert agrees("83,500".replace(",", ""), 83_521)
    assert not agrees("77800", 83_521)


@pytest.mark.parametrize(
    ("id", "stated"),
    [
        ("Q16", per_token(WINDOWED) / 4),  # 64 bytes in a layer
        ("Q34", per_token(load_model("Qwen3-4B"))),
        ("Q18", per_token(GEMMA) / 2**10),
        ("Q18", per_token(load_model("Qwen3-0.6B")) / 2**10),
        ("Q31", per_token(load_model("Llama-3-70B"))),
    ],
)
def test_numbers_that_are_stated_in_passing(id, stated):
    one = BY_ID[id]
    texts = [one.stem, *(o.why for o in one.options)]
    assert any(agrees(n, stated) for text in texts for n in numbers(text))


def test_where_attention_is_compute_bound():
    cpu = Hardware("CPU", 600e9, 40e9, 1e9, "made up")
    bound = []
    for num_kv_heads in (1, 2, 4, 8, 16, 32):
        flops = cost.attention_flops(1, 32, 128, 1, 65_536)
        moved = cost.attention_bytes(1, 32, num_kv_heads, 128, 1, 65_536, 4)
        if not cost.is_memory_bound(cost.arithmetic_intensity(flops, moved), cpu):
            bound.append(num_kv_heads)
    assert [str(n) for n in bound] == numbers(BY_ID["Q19"].right.text)


def test_the_traffic_that_gains_most():
    def gain(text):
        batch, context = map(int, numbers(text))
        mha, gqa = (
            cost.decode_step_time(c, H100, batch, context, 2, 16e9) for c in (LLAMA_MHA, LLAMA)
        )
        return mha / gqa

    one = BY_ID["Q43"]
    assert max(one.options, key=lambda o: gain(o.text)) is one.right
    assert len({prod(map(int, numbers(o.text))) for o in one.options}) > 1


def test_one_option_divides_the_query_heads():
    one = BY_ID["Q59"]
    fitting = []
    for text in (o.text for o in one.options):
        try:
            ModelConfig("layer", 1, 40, int(text), 128, 5120)
        except ValueError:
            continue
        fitting.append(text)
    assert fitting == [one.right.text]


def test_predicted_times_turn_flat():
    machine = Hardware("made up", 4 * 32 * 128 * 1e6 / 1e-3, 2 * 4 * 128 * 2e6 / 1e-3, 1, "")
    times = [
        cost.attention_time(machine, 1, 32, n, 128, 1, 1_000_000, 2) for n in (32, 16, 8, 4, 2, 1)
    ]
    assert [round(1e3 * t) for t in times] == [8, 4, 2, 1, 1, 1]
    assert "8, 4, 2, 1, 1 and 1 ms" in BY_ID["Q83"].stem


def test_the_parts_of_sharded_heads():
    parts = [f"1/{4 // max(1, 4 // devices)}" for devices in (2, 4, 8)]
    assert ", ".join(parts) == BY_ID["Q62"].right.text


def test_speeds_of_the_published_table():
    mha, gqa, mqa = map(float, re.findall(r"\d\.\d\d", facts()["F50"].text))
    _, _, gqa_gain, _, mqa_gain = numbers(BY_ID["Q65"].right.text)  # the first is GQA-8's 8
    assert agrees(gqa_gain, mha / gqa)
    assert agrees(mqa_gain, mha / mqa)


def test_the_noise_of_164_problems():
    error = 100 * sqrt(0.079 * 0.921 / 164)
    assert agrees("2", error)
    assert "about 2 points" in BY_ID["Q67"].right.text


def test_averages_of_the_published_table():
    printed = {"MHA": 47.2, "GQA-8": 47.1, "MQA": 46.6}
    scores = [
        float(one) for one in re.findall(r"\d\d\.\d", facts()["F50"].text.split("by task")[1])
    ]
    mqa, gqa = sum(scores[:7]) / 7, sum(scores[7:]) / 7
    assert (round(mqa, 2), round(gqa, 2)) == (46.76, 47.16)
    assert "average 46.76, and 46.6 is printed" in BY_ID["Q106"].stem
    assert mqa - printed["MQA"] > printed["MHA"] - printed["GQA-8"]


def test_the_heads_of_the_recall_question_cache_as_many_numbers():
    mha, wide, mqa = Heads(8, 8, 8), Heads(1, 1, 64), Heads(8, 1, 8)
    assert mha.cached_numbers == wide.cached_numbers == 8 * mqa.cached_numbers == 128
