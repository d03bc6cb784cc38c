"""Measuring, comparing, drawing and deciding: what cannot be done is refused before it begins."""

import matplotlib.pyplot as plt
import pytest
import torch
from refusing import assert_refused

from gqa_lib import explore, measure, plots
from gqa_lib.compare import models as compared
from gqa_lib.compare import steps, timing
from gqa_lib.configs import ModelConfig
from gqa_lib.hardware import Hardware

NAN = float("nan")
MACHINE = Hardware("toy", 1e12, 1e11, 16e9, "made up")
CONFIG = ModelConfig("toy", 2, 6, 2, 8, 48)
ROWS_OF_TIMES = [
    {"arm": "a", "phase": "measure", "round": i, "value": 1.0, "quiet": True, "unit": "s"}
    for i in range(6)
]


def times(arms=None, **other):
    return measure.time_arms({"a": lambda call: None} if arms is None else arms, **other)


def buffers(make=lambda: None, nbytes=2**20, **other):
    return measure.rotating_buffers(make, nbytes, **other)


def estimate(config=CONFIG, hardware=MACHINE, **other):
    return explore.estimate(config, hardware, **other)


def roofline(points, hardware=MACHINE, **other):
    return plots.roofline(hardware, points, title="t", **other)


def bars(configs=(CONFIG,), *args, **other):
    return plots.kv_bytes_bar(configs, *args, title="t", **other)


def lines(configs=(CONFIG,), lengths=(1, 2), *args):
    return plots.kv_cache_lines(configs, lengths, *args, title="t")


POINT = timing.Point(1, 8, 2, 8)


def points(points=(POINT,), num_heads=4, dtype=torch.float32, **other):
    how = {"rounds": 1, "budget_s": 1.0} | other
    return timing.time_points(points, num_heads, dtype, torch.device("cpu"), arms, **how)


def arms(point, q, k, v):
    raise AssertionError("something was run before its arguments were checked")


def llama(**other):
    sizes = {"num_layers": 1, "num_heads": 4, "head_dim": 4, "d_model": 16, "d_ff": 8}
    return compared.llama_like(**({"num_kv_heads": 2, "vocab_size": 9} | sizes | other))


MEASURE = [
    ("0 arms", lambda: times({})),
    ("1 arms over 0 rounds", lambda: times(rounds=0)),
    ("rounds='20'", lambda: times(rounds="20")),
    ("rounds=1.5", lambda: times(rounds=1.5)),
    ("warmup=-1", lambda: times(warmup=-1)),
    ("warmup=None", lambda: times(warmup=None)),
    ("samples=0", lambda: times(samples=0)),
    ("samples='1'", lambda: times(samples="1")),
    ("budget_s=-1", lambda: times(budget_s=-1)),
    ("budget_s=nan", lambda: times(budget_s=NAN)),
    ("budget_s='1'", lambda: times(budget_s="1")),
    ("min_rounds=-1", lambda: times(min_rounds=-1)),
    ("quiet_samples=3 without", lambda: times(quiet_samples=3)),
    ("quiet_samples=-1", lambda: times(quiet_samples=-1)),
    ("arms=['a']", lambda: times(["a"])),
    ("arms['a']=7", lambda: times({"a": 7})),
    ("nbytes=0", lambda: buffers(nbytes=0)),
    ("nbytes='1M'", lambda: buffers(nbytes="1M")),
    ("make=7", lambda: buffers(make=7)),
    ("device 'tpu'", lambda: measure.pick_device("tpu")),
    ("override=7", lambda: measure.pick_device(7)),
    ("seconds=0", lambda: measure.measure_hardware("cpu", torch.float32, seconds=0)),
    ("seconds=nan", lambda: measure.measure_hardware("cpu", torch.float32, seconds=NAN)),
    ("dtype='float32'", lambda: measure.measure_hardware("cpu", "float32")),
    ("dtype=torch.int64", lambda: measure.measure_hardware("cpu", torch.int64)),
    ("device 'gpu'", lambda: measure.measure_hardware("gpu", torch.float32)),
    ("baseline 'b'", lambda: measure.ratios(ROWS_OF_TIMES, "b")),
    ("margin=-1", lambda: measure.ratios(ROWS_OF_TIMES, "a", margin=-1)),
    ("margin='5%'", lambda: measure.ratios(ROWS_OF_TIMES, "a", margin="5%")),
    ("rows=7", lambda: measure.summarise(7)),
    ("rows[0]", lambda: measure.summarise([{"arm": "a"}])),
    ("rows[1]='x'", lambda: measure.summarise([ROWS_OF_TIMES[0], "x"])),
]
COMPARE = [
    ("rounds=0", lambda: points(rounds=0)),
    ("budget_s=-1", lambda: points(budget_s=-1)),
    ("quiet_samples=-1", lambda: points(quiet_samples=-1)),
    ("num_heads=0", lambda: points(num_heads=0)),
    ("num_kv_heads=3", lambda: points([timing.Point(1, 8, 3, 8)])),
    ("batch_size=0", lambda: points([timing.Point(0, 8, 2, 8)])),
    ("context=-8", lambda: points([timing.Point(1, -8, 2, 8)])),
    ("head_dim='8'", lambda: points([timing.Point(1, 8, 2, "8")])),
    ("points[0]=7", lambda: points([7])),
    ("points=7", lambda: points(7)),
    ("num_queries=9", lambda: points([timing.Point(1, 8, 2, 8, 9)])),
    ("dtype='float32'", lambda: points(dtype="float32")),
    ("nbytes=0", lambda: timing.time_copy("cpu", 0)),
    ("batch_size=0", lambda: steps.row_lengths(0, 8)),
    ("context='8'", lambda: steps.row_lengths(2, "8")),
    ("context=-1", lambda: steps.row_lengths(2, -1, ragged=True)),
    ("rounds=0", lambda: steps.time_steps([], {}, rounds=0, budget_s=1)),
    ("models={}", lambda: steps.time_steps([], {}, rounds=1, budget_s=1)),
    ("num_kv_heads=3", lambda: llama(num_kv_heads=3)),
    ("num_layers=0", lambda: llama(num_layers=0)),
    ("d_ff='8'", lambda: llama(d_ff="8")),
    ("vocab_size=None", lambda: llama(vocab_size=None)),
]
DECIDE = [
    ("config='llama'", lambda: estimate("llama")),
    ("hardware='H100'", lambda: estimate(hardware="H100")),
    ("batch_size=0", lambda: estimate(batch_size=0)),
    ("batch_size='8'", lambda: estimate(batch_size="8")),
    ("context_length=0", lambda: estimate(context_length=0)),
    ("context_length='8k'", lambda: estimate(context_length="8k")),
    ("bytes_per_element=nan", lambda: estimate(bytes_per_element=NAN)),
    ("weight_bytes=-1", lambda: estimate(weight_bytes=-1)),
    ("weight_bytes='16GB'", lambda: estimate(weight_bytes="16GB")),
    ("bytes_per_parameter=0", lambda: estimate(bytes_per_parameter=0)),
    ("bytes_per_parameter='4bit'", lambda: estimate(bytes_per_parameter="4bit")),
    ("config=7", lambda: explore.explore(7)),
    ("hardware=7", lambda: explore.explore(CONFIG, 7)),
    ("'batch'", lambda: explore.explore(CONFIG, MACHINE, batch=3)),
    ("config=7", lambda: explore.alternatives(7)),
    ("found=[]", lambda: explore.finding([])),
    ("found=[]", lambda: explore.table([], MACHINE)),
    ("found=[]", lambda: explore.figure([], MACHINE)),
    ("points['a']=(0, 0)", lambda: roofline({"a": (0, 0)})),
    ("points['a']=(1, 0)", lambda: roofline({"a": (1, 0)})),
    ("points['a']=(nan, 1)", lambda: roofline({"a": (NAN, 1)})),
    ("points['a']=(1, inf)", lambda: roofline({"a": (1, float("inf"))})),
    ("points['a']=(-1, 1)", lambda: roofline({"a": (-1, 1)})),
    ("points['a']=7", lambda: roofline({"a": 7})),
    ("points['a']=('1', 2)", lambda: roofline({"a": ("1", 2)})),
    ("points=[(1, 2)]", lambda: roofline([(1, 2)])),
    ("hardware=None", lambda: roofline({"a": (1, 2)}, None)),
    ("hardware='H100'", lambda: roofline({"a": (1, 2)}, datasheet="H100")),
    ("configs=()", lambda: bars(())),
    ("configs=7", lambda: bars(7)),
    ("config='llama'", lambda: bars(("llama",))),
    ("bytes_per_element=0", lambda: bars((CONFIG,), 0)),
    ("configs=()", lambda: lines(())),
    ("context_lengths=()", lambda: lines((CONFIG,), ())),
    ("context_length=0", lambda: lines((CONFIG,), (0, 1))),
    ("context_lengths=7", lambda: lines((CONFIG,), 7)),
    ("configs=()", lambda: plots.kv_bytes_scatter((), title="t")),
    ("kib_per_token={}", lambda: plots.kv_bytes_ranking({}, {}, title="t")),
    ("factors=()", lambda: plots.cache_saving_bars((), title="t", claimed=(4, 8))),
    ("kept={}", lambda: plots.cache_per_rank({}, title="t", ylabel="KiB")),
    ("kept={}", lambda: plots.cache_per_rank({"MHA": {}}, title="t", ylabel="KiB")),
    ("measured={}", lambda: plots.decode_time_plot({}, {}, title="t")),
    ("times_ms={}", lambda: plots.step_time_lines({}, title="t")),
    ("measured_s={}", lambda: plots.step_time_dots({}, {}, title="t")),
    ("ratios={}", lambda: plots.predicted_over_measured({}, num_heads=4, title="t")),
    ("panels={}", lambda: plots.stacked_bars({}, (), title="t")),
    ("measured={}", lambda: plots.throughput_lines({}, {}, num_heads=4, title="t")),
    ("pieces={}", lambda: plots.thread_times({}, 2)),
    ("curves={}", lambda: plots.goodput_lines({}, num_heads=4, title="t")),
    ("runs={}", lambda: plots.occupancy_lines({}, num_heads=4, title="t")),
    ("num_kv_heads=4", lambda: plots.attention_arm(6, 4)),
    ("num_kv_heads=0", lambda: plots.attention_arm(6, 0)),
    ("num_heads='6'", lambda: plots.attention_arm("6", 2)),
    ("num_kv_heads=5", lambda: plots.head_map(None, num_heads=6, num_kv_heads=5)),
    ("alt=''", lambda: plots.show(None, "")),
    ("alt=None", lambda: plots.show(None, None)),
    ("fig=7", lambda: plots.show(7, "a figure")),
]
ROWS = MEASURE + COMPARE + DECIDE


@pytest.fixture(autouse=True)
def _no_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize(("phrase", "call"), ROWS)
def test_it_is_refused(phrase, call):
    assert_refused(call, phrase)
