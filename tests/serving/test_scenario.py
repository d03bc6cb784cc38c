"""A model on hardware with an engine's flags: what a rank holds and sends, and what is modelled."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gqa_lib.configs import ModelConfig, Weights, load_model
from gqa_lib.cost import decode_step_time, rank_config, reserved_bytes, state_bytes
from gqa_lib.hardware import Hardware, datasheet
from gqa_lib.serving.basis import basis
from gqa_lib.serving.parallel import Link, ParallelStepTime
from gqa_lib.serving.scenario import Scenario
from gqa_lib.serving.shapes import with_vocabulary
from gqa_lib.serving.simulator import ENGINES, Work
from gqa_lib.serving.traffic import Trace

SHAPE = {"num_layers": 3, "num_heads": 8, "num_kv_heads": 2, "head_dim": 16, "d_model": 128}
TOY = ModelConfig("toy", **SHAPE, vocab_size=50, weights=Weights(800_000, 6400), max_context=1000)
SMALL = Hardware("small", 1e12, 1e9, 5e6, "made up")
CARD = "rtx4090-llama-3.1-8b"


def decode(num, context):
    return Work(num, num * context, context, (), num)


def trace(prompts, outputs, **more):
    return Trace(np.zeros(len(prompts)), np.array(prompts), np.array(outputs), **more)


def test_the_courses_engine_has_the_blocks_of_its_log():
    engine = ENGINES[CARD]
    scenario = Scenario(kernel_times=CARD)
    assert scenario.ledger().num_blocks == engine.num_blocks
    assert scenario.rules().num_blocks == engine.num_blocks - 1
    assert scenario.machine == datasheet("RTX 4090")
    assert 1.2e9 < scenario.reserved_bytes < 1.3e9
    # Half the cached bytes are twice the blocks, and what smaller projections leave.
    half = Scenario(kernel_times=CARD, num_kv_heads=4).rules().num_blocks
    assert 2 * 2588 < half < 2.12 * 2588
    assert Scenario(kernel_times=CARD, kv_cache_dtype="fp8").ledger().num_blocks == 2 * 2588
    assert Scenario(kernel_times=CARD, num_blocks=100).rules().num_blocks == 99


def test_a_step_by_ceilings_is_the_cost_models():
    scenario = Scenario(model=TOY, hardware=SMALL, bandwidth_efficiency=0.5, overhead_s=0.25)
    half = replace(SMALL, bandwidth_bytes_per_s=5e8)
    expected = decode_step_time(TOY, half, 4, 30, 2, 2 * 800_000)
    assert scenario.step_time()(decode(4, 30)) == pytest.approx(expected + 0.25)
    # A cache of one byte a number leaves the weights at two.
    eighth = Scenario(model=TOY, hardware=SMALL, kv_cache_dtype="fp8").step_time()(decode(4, 30))
    assert eighth == pytest.approx(decode_step_time(TOY, SMALL, 4, 30, 1, 2 * 800_000))


def test_a_rank_has_its_heads_and_copies_those_that_there_are_too_few_of():
    two = rank_config(TOY, 2)
    assert (two.num_heads, two.num_kv_heads, two.weights.dense) == (4, 1, 400_000)
    eight = rank_config(TOY, 8)
    projections = 3 * 2 * 128 * 16  # of one KV head in all layers
    # Of both heads' projections an even share would be a quarter of one; it has a whole one.
    assert (eight.num_heads, eight.num_kv_heads) == (1, 1)
    assert eight.weights.dense == 100_000 + projections * 3 // 4
    for ranks in (3, 16):
        with pytest.raises(ValueError, match=f"tensor_parallel={ranks}"):
            rank_config(TOY, ranks)
    scenario = Scenario(model=TOY, hardware=SMALL, tensor_parallel=8)
    assert scenario.ledger().weight_bytes == pytest.approx(eight.weight_bytes, rel=1e-6)


def test_an_all_reduce_moves_a_ring_of_parts():
    link = Link(2.0, 0.5)
    assert link.all_reduce_s(8, 4) == pytest.approx(2 * 3 / 4 * 8 / 2 + 0.5)
    assert link.all_reduce_s(8, 1) == 0
    step_time = ParallelStepTime(lambda work: 7.0, TOY, 4, link)
    tokens = 3 + 10 + 2
    each = link.all_reduce_s(tokens * 128 * 2, 4)
    assert step_time(Work(3, 30, 10, [(10, 0), (2, 5)], 4)) == pytest.approx(7 + 2 * 3 * each)
    assert step_time(Work(0, 0, 0, (), 0)) == 7.0


def test_two_ranks_take_half_and_what_they_send():
    whole = Scenario(model=TOY, hardware=SMALL).step_time()(decode(4, 30))
    link = Link(1e9, 1e-3)
    ranks = Scenario(model=TOY, hardware=SMALL, tensor_parallel=2, link=link)
    sent = 6 * link.all_reduce_s(4 * 128 * 2, 2)
    assert ranks.step_time()(decode(4, 30)) == pytest.approx(whole / 2 + sent)
    assert any("two a layer" in line for line in basis(ranks))
    assert any(line.startswith("Each of 2 ranks holds 1 of 2 KV heads") for line in basis(ranks))


def test_other_kv_heads_scale_what_decoding_reads_and_nothing_of_prompts():
    own, four, sixteen = (
        Scenario(kernel_times=CARD, num_kv_heads=heads).step_time() for heads in (None, 4, 16)
    )
    steps = {name: [f(decode(64, n)) for n in (16, 1024, 2048)] for name, f in
             (("own", own), ("four", four), ("sixteen", sixteen))}  # fmt: skip
    # From 1,024 to 2,048 tokens only the cache grows: its time by the ratio of bytes.
    grown = {name: times[2] - times[1] for name, times in steps.items()}
    assert grown["four"] == pytest.approx(grown["own"] / 2)
    assert grown["sixteen"] == pytest.approx(grown["own"] * 2)
    assert steps["four"][0] < steps["own"][0] < steps["sixteen"][0]  # the projections
    prompts = Work(0, 0, 0, [(512, 0)], 1)
    more = sixteen(prompts) / own(prompts)
    assert 1 < more < 1.1  # K and V's projections are twice as large, attention is not
    said = basis(Scenario(kernel_times=CARD, num_kv_heads=16))
    assert any("modelled" in line and "times 2" in line for line in said)
    assert not any("timed with" in line for line in basis(Scenario(kernel_times=CARD)))


def test_requests_over_a_limit_are_named_with_it():
    scenario = Scenario(model=TOY, hardware=SMALL, num_blocks=21)  # 320 tokens
    requests = trace([100, 300, 990, 20], [20, 22, 20, 20])
    found = scenario.too_long(requests)
    masks = {limit: mask.tolist() for limit, mask in found.items()}
    assert masks == {
        "20 blocks of 16 tokens": [False, True, True, False],
        "the model's context of 1000 tokens": [False, False, True, False],
    }
    with pytest.raises(ValueError, match="2 of 4 requests exceed 20 blocks of 16 tokens"):
        scenario.run(requests)
    assert scenario.run(requests.select([0, 3])).last_token_s.min() > 0
    assert not scenario.too_long(trace([300], [21]))
    lengths = Trace(None, np.array([5]), np.array([5]))
    with pytest.raises(ValueError, match="the trace has no arrivals"):
        scenario.run(lengths)


def test_prompts_share_what_a_trace_says_they_share():
    scenario = Scenario(model=TOY, hardware=SMALL, num_blocks=101)
    ids = np.empty(2, object)
    ids[:] = [[1, 2], [1, 3]]
    alike = Trace(
        np.array([0.0, 50.0]), np.array([130, 130]), np.array([5, 5]), ids, hash_block_tokens=64
    )
    assert scenario.run(alike).reused_tokens == 64


def test_the_vocabulary_is_that_of_an_embedding_of_its_own():
    assert with_vocabulary(load_model("Llama-3.1-8B")).vocab_size == 128_256
    for name in ("GPT-2-medium", "GPT-Neo-1.3B", "Llama-3.2-1B", "Qwen2-7B"):
        assert with_vocabulary(load_model(name)).vocab_size is None
    with pytest.raises(ValueError, match=r"config\.json"):
        Scenario(model="Llama-3.2-1B", hardware="RTX 4090").step_time()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "model=None"),
        ({"model": TOY}, "neither hardware nor kernel_times"),
        ({"model": TOY, "hardware": SMALL, "kernel_times": ["a.csv"]}, "has 1 files"),
        ({"kernel_times": "rtx5090"}, "kernel_times='rtx5090'"),
        ({"kernel_times": CARD, "model": TOY}, "not of toy"),
        ({"kernel_times": CARD, "tensor_parallel": 2}, "kernel_times of one rank"),
        ({"kernel_times": CARD, "flops_efficiency": 1.5}, "above 1"),
        ({"kernel_times": CARD, "num_blocks": 0}, "num_blocks=0"),
        ({"kernel_times": CARD, "activation_bytes": -1}, "activation_bytes=-1"),
        ({"kernel_times": CARD, "flops_efficiency": 0.5}, "flops_efficiency=0.5 with kernel_times"),
        ({"kernel_times": CARD, "bandwidth_efficiency": 0.5}, "Leave one of the two out"),
        ({"kernel_times": CARD, "bytes_per_parameter": 1}, "timed with 2 bytes a parameter"),
        ({"model": TOY, "hardware": SMALL, "bytes_per_parameter": 0}, "bytes_per_parameter=0"),
        ({"model": TOY, "hardware": SMALL, "skew": 0.5}, "skew=0.5 without kernel_times"),
        ({"model": TOY, "hardware": 5}, "hardware=5"),
        ({"model": TOY, "hardware": SMALL, "link": None}, "link=None"),
        ({"model": TOY, "kernel_times": Path("a.csv")}, "is one thing"),
        ({"model": TOY, "kernel_times": 5}, "is one thing"),
        ({"model": TOY, "kernel_times": [1, 2, 3]}, r"kernel_times\[0\]=1"),
    ],
)
def test_scenarios_that_say_too_little_are_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        Scenario(**settings)


def test_skew_is_a_share_of_the_way(tmp_path):
    files = [tmp_path / name for name in ("attention.csv", "dense.csv", "per_sequence.csv")]
    for skew in (-1, 1.5):
        with pytest.raises(ValueError, match=f"skew={skew}"):
            Scenario(model=TOY, kernel_times=files, skew=skew).step_time()


def test_what_is_no_trace_is_refused():
    with pytest.raises(ValueError, match="trace="):
        Scenario(model=TOY, hardware=SMALL).run([1])


def test_a_sequences_states_take_blocks_once():
    scenario = Scenario(model="Qwen3-Next-80B-A3B", hardware="H100 SXM", tensor_parallel=4)
    rules, config = scenario.rules(), scenario.config
    assert rules.num_blocks == scenario.ledger().usable_blocks
    for length in (1, 1000, 71_000):
        blocks = reserved_bytes(config, [length], 2, tensor_parallel=4).blocks
        assert rules.blocks_per_seq - (-length // rules.block_size) == blocks
    many = 60
    found = scenario.run(trace([63_000] * many, [8000] * many))
    each = reserved_bytes(config, [70_999], 2, tensor_parallel=4).blocks
    assert found.steps["running"].max() >= rules.num_blocks // each > 40
    assert found.steps["blocks_used"].max() <= rules.num_blocks
    assert any("3 blocks for its constant states" in line for line in basis(scenario))
    # Given blocks are laid out alike; states leave the rest.
    few = replace(scenario, num_blocks=11)
    assert (few.rules().num_blocks, few.rules().longest) == (10, 7 * rules.block_size)
    longest = few.rules().longest
    assert not few.too_long(trace([longest], [1]))
    assert "3 of them for its states" in str(few.too_long(trace([longest + 1], [1])))


def test_a_rank_has_its_share_of_a_state():
    config = load_model("Nemotron-H-56B")
    assert state_bytes(rank_config(config, 4)) == pytest.approx(state_bytes(config) / 4, rel=1e-6)


def test_windows_are_refused_unless_they_hide_nothing():
    windows = replace(TOY, windows=(None, 100, 100))
    files = ["attention.csv", "dense.csv", "per_sequence.csv"]
    with pytest.raises(ValueError, match=r"window \(16 tokens a block\)"):
        Scenario(model=windows, kernel_times=files, num_blocks=10).rules()
    wide = Scenario(model=replace(TOY, windows=(None, 1000, 4096)), hardware=SMALL)
    whole = Scenario(model=TOY, hardware=SMALL)
    assert wide.rules() == whole.rules()
    assert wide.step_time()(decode(4, 30)) == whole.step_time()(decode(4, 30))


def quantised(folder, **keys):
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096,
        "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 8192,
        "tie_word_embeddings": False,
    }  # fmt: skip
    path = folder / "config.json"
    path.write_text(json.dumps(config | keys))
    return path


def test_quantised_weights_are_not_taken_for_two_bytes(tmp_path):
    path = quantised(tmp_path, quantization_config={"quant_method": "awq", "bits": 4})
    with pytest.raises(ValueError, match=r"quantization_config says awq.*Give bytes_per_parameter"):
        Scenario(model=path, hardware="RTX 4090")
    given = Scenario(model=path, hardware="RTX 4090", bytes_per_parameter=0.6)
    assert given.ledger().weight_bytes == pytest.approx(0.6 * given.config.weights.total)
    step, plain = given.step_time(), Scenario(model="Llama-3.1-8B", hardware="RTX 4090").step_time()
    assert step(decode(1, 1)) == pytest.approx(0.3 * plain(decode(1, 1)), rel=1e-4)
    assert "4.82 GB of weights: 0.6 bytes a parameter (as given)." in basis(given)


def test_rows_of_a_table_that_are_not_used_are_counted():
    folder = Path(__file__).parents[1] / "data" / "vllm-rtxpro6000"
    files = [folder / f"{kind}.csv.gz" for kind in ("attention", "dense", "per_sequence")]
    said = basis(Scenario(model="Llama-3.1-8B", kernel_times=files, num_blocks=1000))
    assert any("90 of prompts alone, 8400 of both in one kernel" in line for line in said)


def test_blocks_as_given_are_held_against_the_memory():
    large = Scenario(model="Llama-3.1-70B", hardware="RTX 4090", num_blocks=1000)
    said = " ".join(basis(large))
    assert "141.11 GB of weights: 2 bytes a parameter (bfloat16)" in said
    assert "which they do not fit into" in said
    small = " ".join(basis(Scenario(model=TOY, hardware=SMALL, num_blocks=100)))
    assert "as given" in small
    assert "do not fit" not in small


def test_kernel_times_without_memory_need_a_number_of_blocks():
    files = ["attention.csv", "dense.csv", "per_sequence.csv"]
    with pytest.raises(ValueError, match="Give hardware, or num_blocks"):
        Scenario(model=TOY, kernel_times=files).rules()
    assert Scenario(model=TOY, kernel_times=files, num_blocks=10).rules().num_blocks == 9
