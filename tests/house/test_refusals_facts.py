"""Arguments that no figure can be worked out from: each is refused by name, none by accident."""

from pathlib import Path

import pytest
from refusing import assert_refused

from gqa_lib import configs, cost, hardware, heads
from gqa_lib.configs import LayerKV, ModelConfig, Weights
from gqa_lib.hardware import Hardware

NAN, INF = float("nan"), float("inf")
MACHINE = Hardware("toy", 1e12, 1e11, 16e9, "made up")
SIZES = {"num_layers": 2, "num_heads": 6, "num_kv_heads": 2, "head_dim": 8, "d_model": 48}
MODEL = ModelConfig("toy", **SIZES)


def model(**other):
    return ModelConfig("toy", **(SIZES | other))


def machine(**other):
    sizes = {"flops_per_s": 1e12, "bandwidth_bytes_per_s": 1e11, "memory_bytes": 16e9}
    return Hardware("toy", **(sizes | other), provenance="made up")


def flops(**other):
    sizes = {"batch_size": 1, "num_heads": 6, "head_dim": 8, "num_queries": 2, "num_keys": 5}
    return cost.attention_flops(**(sizes | other))


def moved(**other):
    sizes = {"batch_size": 1, "num_heads": 6, "num_kv_heads": 2, "head_dim": 8, "num_queries": 2}
    return cost.attention_bytes(**(sizes | {"num_keys": 5, "bytes_per_element": 2} | other))


def step(**other):
    sizes = {"batch_size": 1, "context_length": 9, "bytes_per_element": 2, "weight_bytes": 0}
    return cost.decode_step_work(MODEL, **(sizes | other))


def capacity(**other):
    sizes = {"memory_bytes": 16e9, "context_length": 9, "weight_bytes": 0, "bytes_per_element": 2}
    return cost.max_concurrent_sequences(MODEL, **(sizes | other))


def longest(**other):
    sizes = {"memory_bytes": 16e9, "num_sequences": 1, "weight_bytes": 0, "bytes_per_element": 2}
    return cost.max_context_length(MODEL, **(sizes | other))


def memory(**other):
    sizes = {"memory_bytes": 16e9, "weight_bytes": 1e9, "fraction": 0.9, "engine": "vllm"}
    return cost.kv_memory(**(sizes | other))


def reserved(lengths=(9,), **other):
    return cost.reserved_bytes(MODEL, lengths, **({"bytes_per_element": 2} | other))


def projection(**other):
    return cost.kv_projection_params(**({"d_model": 48, "num_kv_heads": 2, "head_dim": 8} | other))


SHAPES = [
    ("num_layers=0", lambda: model(num_layers=0)),
    ("num_layers=True", lambda: model(num_layers=True)),
    ("num_heads=-6", lambda: model(num_heads=-6)),
    ("num_heads='6'", lambda: model(num_heads="6")),
    ("num_kv_heads=4", lambda: model(num_kv_heads=4)),
    ("num_kv_heads=2.0", lambda: model(num_kv_heads=2.0)),
    ("head_dim=None", lambda: model(head_dim=None)),
    ("d_model=[48]", lambda: model(d_model=[48])),
    ("d_ff=0", lambda: model(d_ff=0)),
    ("vocab_size='32k'", lambda: model(vocab_size="32k")),
    ("max_context=-1", lambda: model(max_context=-1)),
    ("weight_bytes='16GB'", lambda: model(weight_bytes="16GB")),
    ("weight_bytes=-1", lambda: model(weight_bytes=-1)),
    ("weight_bytes=nan", lambda: model(weight_bytes=NAN)),
    ("weights=7", lambda: model(weights=7)),
    ("shared_kv_layers=2", lambda: model(shared_kv_layers=2)),
    ("shared_kv_layers='1'", lambda: model(shared_kv_layers="1")),
    ("shared_kv_layers=0.5", lambda: model(shared_kv_layers=0.5)),
    ("windows has 1 entries", lambda: model(windows=(4,))),
    ("windows=4", lambda: model(windows=4)),
    ("windows entry=0", lambda: model(windows=(0, None))),
    ("layers has 1 entries", lambda: model(layers=(LayerKV("full", 2, 8, 8),))),
    ("layers=2", lambda: model(layers=2)),
    ("layers[0]='full'", lambda: model(layers=("full", "full"))),
    ("kv_lora_rank=4 with", lambda: model(kv_lora_rank=4)),
    ("name=7", lambda: ModelConfig(7, **SIZES)),
    ("name=None", lambda: ModelConfig(None, **SIZES)),
    ("num_kv_heads=5", lambda: MODEL.with_kv_heads(5)),
    ("num_kv_heads='2'", lambda: MODEL.with_kv_heads("2")),
    ("kind='ful'", lambda: LayerKV("ful")),
    ("kind=['full']", lambda: LayerKV(["full"])),
    ("k_dim=-8", lambda: LayerKV("full", 2, -8, 8)),
    ("window='4'", lambda: LayerKV("window", 2, 8, 8, window="4")),
    ("dense=-1", lambda: Weights(-1)),
    ("dense='7B'", lambda: Weights("7B")),
    ("experts_per_token=3", lambda: Weights(1, num_experts=2, experts_per_token=3)),
    ("num_tokens=-1", lambda: Weights(1, num_experts=2, experts_per_token=1).touched(-1)),
    ("num_tokens='8'", lambda: Weights(1, num_experts=2, experts_per_token=1).touched("8")),
    ("no-such-model", lambda: configs.load_model("no-such-model")),
    ("name=8", lambda: configs.load_model(8)),
    ("name=None", lambda: configs.load_model(None)),
    ("called ''", lambda: configs.load_model("")),
    ("type int", lambda: configs.from_hf_config(7)),
    ("type NoneType", lambda: configs.from_hf_config(None)),
    ("lacks num_layers", lambda: configs.from_hf_config({})),
    ("names=None", lambda: configs.find_models(None)),
    ("names='llama'", lambda: configs.find_models("llama")),
    ("names[0]=3", lambda: configs.find_models([3])),
    ("cannot read ''", lambda: configs.expand_windows("", 3)),
    ("cannot read 'x'", lambda: configs.expand_windows("x", 3)),
    ("pattern=7", lambda: configs.expand_windows(7, 3)),
    ("num_layers=-1", lambda: configs.expand_windows("full", -1)),
    ("num_layers='3'", lambda: configs.expand_windows("full", "3")),
    ("num_heads=0", lambda: heads.kv_head_choices(0)),
    ("num_heads='6'", lambda: heads.kv_head_choices("6")),
    ("num_heads=0", lambda: heads.check_heads(0, 1)),
    ("num_kv_heads=None", lambda: heads.check_heads(6, None)),
    ("num_heads=6.0", lambda: heads.check_heads(6.0, 2)),
    ("flops_per_s=0", lambda: machine(flops_per_s=0)),
    ("flops_per_s=nan", lambda: machine(flops_per_s=NAN)),
    ("bandwidth_bytes_per_s='3 TB/s'", lambda: machine(bandwidth_bytes_per_s="3 TB/s")),
    ("bandwidth_bytes_per_s=None", lambda: machine(bandwidth_bytes_per_s=None)),
    ("memory_bytes='80GB'", lambda: machine(memory_bytes="80GB")),
    ("memory_bytes=-1", lambda: machine(memory_bytes=-1)),
    ("memory_bytes=True", lambda: machine(memory_bytes=True)),
    ("'H1000'", lambda: hardware.datasheet("H1000")),
    ("name=100", lambda: hardware.datasheet(100)),
    ("name=None", lambda: hardware.datasheet(None)),
]
COSTS = [
    ("bytes_per_element=0", lambda: cost.kv_bytes_per_token(MODEL, 0)),
    ("bytes_per_element=-2", lambda: cost.kv_bytes_per_token(MODEL, -2)),
    ("bytes_per_element=nan", lambda: cost.kv_bytes_per_token(MODEL, NAN)),
    ("bytes_per_element=inf", lambda: cost.kv_bytes_per_token(MODEL, INF)),
    ("bytes_per_element='bf16'", lambda: cost.kv_bytes_per_token(MODEL, "bf16")),
    ("bytes_per_element=None", lambda: cost.kv_bytes_per_token(MODEL, None)),
    ("bytes_per_element=(1, 2, 3)", lambda: cost.kv_bytes_per_token(MODEL, (1, 2, 3))),
    ("bytes_per_element=(1, '2')", lambda: cost.kv_bytes_per_token(MODEL, (1, "2"))),
    ("bytes_per_element=True", lambda: cost.split_bytes(True)),
    ("config='llama'", lambda: cost.kv_bytes_per_token("llama", 2)),
    ("config=None", lambda: cost.kv_cache_bytes(None, [9], 2)),
    ("context_length=0", lambda: cost.kv_bytes_per_token(MODEL, 2, 0)),
    ("context_length='4k'", lambda: cost.kv_bytes_per_token(MODEL, 2, "4k")),
    ("context_length=2.5", lambda: cost.kv_cache_bytes(MODEL, [2.5], 2)),
    ("context_length=-4", lambda: cost.kv_cache_bytes(MODEL, [-4], 2)),
    ("context_length=nan", lambda: cost.kv_cache_bytes(MODEL, [NAN], 2)),
    ("context_length=inf", lambda: cost.kv_cache_bytes(MODEL, [INF], 2)),
    ("context_length='9'", lambda: cost.kv_cache_bytes(MODEL, ["9"], 2)),
    ("context_length=None", lambda: cost.kv_cache_bytes(MODEL, [None], 2)),
    ("context_lengths=9", lambda: cost.kv_cache_bytes(MODEL, 9, 2)),
    ("context_lengths='9'", lambda: cost.kv_cache_bytes(MODEL, "9", 2)),
    ("num_sequences=-1", lambda: cost.state_bytes(MODEL, -1)),
    ("num_sequences='2'", lambda: cost.state_bytes(MODEL, "2")),
    ("config={}", lambda: cost.state_bytes({})),
    ("source_lengths=9", lambda: cost.cross_cache_bytes(MODEL, 9, 2)),
    ("context_length=0", lambda: capacity(context_length=0)),
    ("context_length=[9]", lambda: capacity(context_length=[9])),
    ("memory_bytes=inf", lambda: capacity(memory_bytes=INF)),
    ("memory_bytes='16GB'", lambda: capacity(memory_bytes="16GB")),
    ("weight_bytes=None", lambda: capacity(weight_bytes=None)),
    ("weight_bytes=-1", lambda: capacity(weight_bytes=-1)),
    ("num_sequences=0", lambda: longest(num_sequences=0)),
    ("num_sequences=1.5", lambda: longest(num_sequences=1.5)),
    ("memory_bytes=nan", lambda: longest(memory_bytes=NAN)),
    ("memory_bytes=None", lambda: longest(memory_bytes=None)),
    ("weight_bytes='1'", lambda: longest(weight_bytes="1")),
    ("d_model=0", lambda: projection(d_model=0)),
    ("head_dim='8'", lambda: projection(head_dim="8")),
    ("num_kv_heads=2.5", lambda: projection(num_kv_heads=2.5)),
    ("batch_size=0", lambda: flops(batch_size=0)),
    ("num_heads=-6", lambda: flops(num_heads=-6)),
    ("head_dim=0", lambda: flops(head_dim=0)),
    ("num_queries='2'", lambda: flops(num_queries="2")),
    ("num_keys=1", lambda: flops(num_keys=1, causal=True)),
    ("num_keys=None", lambda: flops(num_keys=None)),
    ("num_kv_heads=4", lambda: moved(num_kv_heads=4)),
    ("num_kv_heads=0", lambda: moved(num_kv_heads=0)),
    ("bytes_per_element='2'", lambda: moved(bytes_per_element="2")),
    ("bytes_per_element=0", lambda: moved(bytes_per_element=0)),
    ("num_queries=-1", lambda: moved(num_queries=-1)),
    ("hardware='H100'", lambda: cost.attention_time("H100", 1, 6, 2, 8, 1, 5, 2)),
    ("bytes_moved=0", lambda: cost.arithmetic_intensity(1, 0)),
    ("flops=-1", lambda: cost.arithmetic_intensity(-1, 1)),
    ("flops=nan", lambda: cost.arithmetic_intensity(NAN, 1)),
    ("hardware=None", lambda: cost.ridge_point(None)),
    ("intensity=nan", lambda: cost.is_memory_bound(NAN, MACHINE)),
    ("intensity='1'", lambda: cost.is_memory_bound("1", MACHINE)),
    ("intensity=-1", lambda: cost.is_memory_bound(-1, MACHINE)),
    ("flops=nan", lambda: cost.roofline_time(NAN, 1, MACHINE)),
    ("bytes_moved=nan", lambda: cost.roofline_time(1, NAN, MACHINE)),
    ("bytes_moved=-1", lambda: cost.roofline_time(1, -1, MACHINE)),
    ("flops='1e9'", lambda: cost.roofline_time("1e9", 1, MACHINE)),
    ("hardware=1000000000000.0", lambda: cost.roofline_time(1, 1, 1e12)),
    ("batch_size=0", lambda: step(batch_size=0)),
    ("context_length=-4", lambda: step(context_length=-4)),
    ("context_length=None", lambda: step(context_length=None)),
    ("weight_bytes=-1", lambda: step(weight_bytes=-1)),
    ("weight_bytes='16GB'", lambda: step(weight_bytes="16GB")),
    ("active_parameters=nan", lambda: step(active_parameters=NAN)),
    ("active_parameters='7B'", lambda: step(active_parameters="7B")),
    ("hardware='H100'", lambda: cost.decode_step_time(MODEL, "H100", 1, 9, 2, 0)),
    ("context_length='1'", lambda: cost.decode_intensity(MODEL, 2, "1")),
    ("context_length=0", lambda: cost.decode_intensity(MODEL, 2, 0)),
    ("fraction=1.5", lambda: memory(fraction=1.5)),
    ("fraction='90%'", lambda: memory(fraction="90%")),
    ("weight_bytes=-1", lambda: memory(weight_bytes=-1)),
    ("weight_bytes=nan", lambda: memory(weight_bytes=NAN)),
    ("other_bytes=None", lambda: memory(other_bytes=None)),
    ("engine='tgi'", lambda: memory(engine="tgi")),
    ("engine=['vllm']", lambda: memory(engine=["vllm"])),
    ("block_size=0", lambda: reserved(block_size=0)),
    ("block_size=16.5", lambda: reserved(block_size=16.5)),
    ("tensor_parallel=4", lambda: reserved(tensor_parallel=4)),
    ("tensor_parallel='2'", lambda: reserved(tensor_parallel="2")),
    ("prefill_tokens=None", lambda: reserved(prefill_tokens=None)),
    ("context_length=-1", lambda: reserved((-1,))),
    ("context_length='9'", lambda: reserved(("9",))),
    ("context_lengths=9", lambda: reserved(9)),
    ("state_copies=0", lambda: reserved(state_copies=0)),
]


@pytest.mark.parametrize(("phrase", "call"), SHAPES + COSTS)
def test_it_is_refused(phrase, call):
    assert_refused(call, phrase)


def test_a_file_that_is_not_there():
    with pytest.raises(FileNotFoundError, match="no such file"):
        configs.from_hf_config(Path("no-such-folder", "config.json"))
