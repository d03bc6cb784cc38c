"""Nothing of a figure is cut off: its left and right edges, and its top, are free of ink."""

import inspect

import matplotlib.pyplot as plt
import numpy as np
import pytest

from gqa_lib import plots
from gqa_lib.configs import all_models, load_model
from gqa_lib.explore import alternatives, estimate, figure
from gqa_lib.hardware import Hardware, datasheet

LONG = "Against MHA with 32 KV heads, GQA folded: 2.6 to 3.1 times as fast (noisy); expanded: 0.38"
LLAMA, CPU = load_model("Llama-3-8B"), Hardware("a CPU of 2 threads", 70e9, 75e9, 16e9, "made up")
HEADS = (32, 16, 8, 4, 2, 1)
STEP = {"median": 0.0123, "low": 0.0120, "high": 0.0131}
MODELS = [load_model(name) for name in ("Llama-3.1-8B", "Gemma-4-31B", "Qwen3.5-27B")]
KIB = {c.name: 1.0 + place for place, c in enumerate(all_models()[:67])}
KINDS = {c.name: c.attention_type for c in all_models()[:67]}
RATIOS = {(n, c): 0.9 for n in HEADS for c in (4096, 8192, 16_384)}
WORK = {f"{arm} decode": (x, 6e9) for arm, x in (("MHA", 0.5), ("GQA", 2.0), ("MQA", 16.0))}
PARTS = {"MHA": [67.1, 67.1, 134.2], "GQA": [67.1, 16.8, 33.6], "MQA": [67.1, 2.1, 4.2]}
PIECES = [(1, 0.0, 0.004), (2, 0.0, 0.0041)]
DESIGNS = {"MHA: 8 KV heads": (128, [0.96]), "MHA, heads of 1": (16, [0.1]), "MQA: 1": (16, [0.9])}
FIGURES = {
    "accuracy_by_bits": lambda: plots.accuracy_by_bits(
        {"MHA: 8 KV heads": {1024: 0.98, 512: 0.9}, "GQA: 4": {512: 0.9, 130: 0.1}},
        chance=0.06, title=LONG, note="scales of 16 bits",
    ),
    "accuracy_by_cache": lambda: plots.accuracy_by_cache(
        DESIGNS, chance=0.06, title=LONG, guesses={128: 1.0, 16: 0.0}, note="three seeds"
    ),
    "budget_lines": lambda: plots.budget_lines(
        {"recency": {8: 1.0, 64: 1.0}, "needle first": {8: 0.1, 64: 0.99}}, title=LONG,
        metric="answers that are right", known={"chance": 0.06}, note="100 streams",
        guesses={"recency": (8, 0.9)},
    ),
    "cache_saving_bars": lambda: plots.cache_saving_bars([4, 8, 2, 29], title=LONG, claimed=(4, 8)),
    "cache_per_rank": lambda: plots.cache_per_rank(
        {"MHA: 32 KV heads": {1: 512.0, 32: 16.0}, "MQA by tokens": {1: 16.0, 32: 0.5}},
        title=LONG, ylabel="cache on each rank (KiB per token)", note="16 bits",
    ),
    "concurrency_bars": lambda: plots.concurrency_bars(
        {32: {"safe": 0, "mean_rule": 3}, 8: {"safe": 13, "mean_rule": 21},
         1: {"safe": 163, "mean_rule": 189}},
        num_heads=32, title=LONG, note="modelled",
    ),
    "decode_time_plot": lambda: plots.decode_time_plot(
        dict.fromkeys(HEADS, STEP), dict.fromkeys(HEADS, 0.01), title=LONG, note="15 samples"
    ),
    "difference_intervals": lambda: plots.difference_intervals(
        {"GQA-8 · Llama 2, HumanEval": (-0.6, -6.3, 5.1), "MQA": (0.1, -7.3, 7.5)},
        title=LONG, xlabel="score minus MHA's (points)", margin=1, reported={"+0.003": 0.003},
        note="95 % intervals",
    ),
    "interval_dots": lambda: plots.interval_dots(
        {"decode-latency, num_kv_heads=8, context=16384": (1.1, 2.0, 2.3), LONG: (9.0, 21.5, 26.0)},
        title=LONG, xlabel="time per step (ms)", note="median and 95 % interval of 20 samples",
    ),
    "interval_lines": lambda: plots.interval_lines(
        {LONG: [(4096, 1.9, 2.0, 2.2), (1024, 0.9, 1.0, 1.1)], "1": [(16_384, 90, 110, 140)]},
        title=LONG, xlabel="context (tokens)", ylabel="time per step (ms)", note="20 samples",
    ),
    "goodput_lines": lambda: plots.goodput_lines(
        {32: {1.0: 0.1, 4.0: 0.0}, 8: {1.0: 1.0, 4.0: 3.3}, 4: {1.0: 1.0, 4.0: 3.9}},
        num_heads=32, title=LONG, note="ttft:2000 tpot:50",
    ),
    "gain_lines": lambda: plots.gain_lines(
        {"azure-conv-2023": {4.0: 5.1, 109.0: 4.2}, "azure-code-2023": {4.0: 6.4, 109.0: 4.5}},
        xlabel="memory for KV (GB)", ylabel="times as many", title=LONG, log=True,
        expected={"4 times smaller": 4}, note="1 % overflow",
    ),
    "head_maps": lambda: plots.head_maps(8, (8, 2, 1)),
    "kernel_grid": lambda: plots.kernel_grid(
        ["sequence 0, KV head 1"] * 4, length=75, room=96, tile=16, num_splits=3, title=LONG
    ),
    "kv_bytes_bar": lambda: plots.kv_bytes_bar(all_models()[:14], title=LONG, note="bf16"),
    "kv_bytes_ranking": lambda: plots.kv_bytes_ranking(KIB, KINDS, title=LONG + LONG),
    "kv_bytes_scatter": lambda: plots.kv_bytes_scatter(
        [c for c in all_models() if c.attention_type == "GQA" and c.layers is None],
        title=LONG,
        named={"Falcon-180B": "right", "Qwen2.5-7B": "left"},
    ),
    "kv_cache_lines": lambda: plots.kv_cache_lines(
        MODELS, [2**n * 1024 for n in range(8)], title=LONG, log=False
    ),
    "memory_shares": lambda: plots.memory_shares(
        {"reserved: the longest, 8,192": {"used": 0.1, "reserved": 0.9, "internal": 0.0},
         "blocks of 16": {"used": 0.994, "reserved": 0.0, "internal": 0.006}},
        title=LONG, guess=1.0,
    ),
    "occupancy_lines": lambda: plots.occupancy_lines(
        {32: ([0, 1.5, 90], [0.9, 1.0, 0.2]), 8: ([0, 50, 60], [0.4, 0.5, 0.5]),
         4: ([0, 61], [0.2, 0.5])},
        num_heads=32, title=LONG, until_s=60, note="4 requests/s",
    ),
    "predicted_over_measured": lambda: plots.predicted_over_measured(
        {"from the ceilings": RATIOS, "from two measurements": RATIOS}, num_heads=32, title=LONG
    ),
    "roofline": lambda: plots.roofline(
        CPU, WORK | {"weights, 64 tokens": (31, 60e9)}, title=LONG, datasheet=datasheet("H100 SXM")
    ),
    "saving_bars": lambda: plots.saving_bars(
        {"Kimi-Linear-48B-A3B": {"heads": 0.07, "layers": 0.26, "tokens": 1.0},
         "Llama-3.3-Nemotron-Super-49B": {"heads": 1.0, "layers": 1.0, "tokens": 1.0}},
        {"Kimi-Linear-48B-A3B": 0.01, "Llama-3.3-Nemotron-Super-49B": 1.0},
        title=LONG, xlabel="times halved", note="at 32k tokens",
    ),
    "speed_against_latency": lambda: plots.speed_against_latency(
        {32: (37.9, 66.0), 8: (136.0, 140.0), 4: (201.0, 153.0), 1: (193.0, 160.0)},
        num_heads=32, title=LONG, measured={8: (130.0, 150.0)}, note="all at once",
    ),
    "stacked_bars": lambda: plots.stacked_bars(
        {"MB read per token, one attention layer": PARTS, "MFLOP per token, one layer": PARTS},
        ["q_proj, o_proj", "k_proj, v_proj", "cache: scores, values"],
        title=LONG,
    ),
    "step_time_dots": lambda: plots.step_time_dots(
        {"MHA": 0.0123, "MQA, broadcasting": 2.76, "MQA, yours": 0.0009},
        {"MHA": 0.011, "MQA, broadcasting": 0.0004, "MQA, yours": 0.0004},
        title=LONG,
    ),
    "step_time_lines": lambda: plots.step_time_lines(
        {"without a cache": {128: 9.1, 2048: 1234.0}, "with a cache": {128: 0.2, 2048: 1.1}},
        title=LONG,
        log=True,
    ),
    "recovery_lines": lambda: plots.recovery_lines(
        {"aligned": [{0: 0.7, 120: 0.86}] * 2, "subspace": [{0: 0.71, 120: 0.862}] * 2},
        {"from scratch, 4 KV heads": 0.9}, metric="accuracy (share of right answers)",
        title=LONG, note="3 seeds",
    ),
    "running_lines": lambda: plots.running_lines(
        {"48 blocks": [(16, 0), (12, 4), (3, 1)], "3 at a time": [(3, 0)] * 5}, title=LONG,
        note="16 requests",
    ),
    "seed_results": lambda: plots.seed_results(
        {"MHA 8": [1.6, 1.61], "MQA 1": [1.59, 1.62]}, {"MQA 1": (0.001, -0.03, 0.03)},
        margin=0.01, metric="loss (nats per held-out byte)", title=LONG, note="3 seeds",
        known={"3-gram": 1.5},
    ),
    "thread_times": lambda: plots.thread_times({LONG: PIECES, "two": PIECES}, 2, note="best of 20"),
    "throughput_latency": lambda: plots.throughput_latency(
        {32: (304, 28.9), 8: (1071, 31.9), 1: (3050, 47.0)}, num_heads=32, title=LONG,
        guess=(1200, 7.0), note="modelled",
    ),
    "throughput_lines": lambda: plots.throughput_lines(
        {32: {1: 40.0, 64: 300.0}, 8: {1: 42.0, 256: 1083.0}},
        {32: {1: 50.0, 64: 400.0}, 8: {1: 60.0, 256: 1400.0}},
        num_heads=32, title=LONG, note="Llama-3-8B",
    ),
    "tile_product": lambda: plots.tile_product(
        ["q: ROWS x D", "K, turned: D x KEYS", "scores: ROWS x KEYS"],
        size=16, rows=6, keys=11, title=LONG, note="Hatched: loaded as 0 and not read from memory.",
    ),
    "time_bars": lambda: plots.time_bars(
        {"MHA": 10.2, "GQA, expanded": 2510.0, "GQA, yours": 3.1},
        bound_ms=2.5, bound="a quarter of MHA", xlabel="time per step", title=LONG,
    ),
    "time_line": lambda: plots.time_line({1: 6.1, 32: 24.3}, xlabel="heads", title=LONG),
    "times_read_bars": lambda: plots.times_read_bars(
        {"query heads in one tile": [1, 1], "query heads one by one": [1, 8]}, (1, 8), title=LONG
    ),
    "explore": lambda: figure([estimate(arm, CPU) for arm in alternatives(LLAMA)], CPU),
}  # fmt: skip


def ink(fig):
    """Return how many pixels of the left, right and top edges are not white."""
    fig.canvas.draw()
    drawn = np.asarray(fig.canvas.buffer_rgba())[..., :3].min(axis=-1) < 200
    return {"left": drawn[:, :2].sum(), "right": drawn[:, -2:].sum(), "top": drawn[:2].sum()}


def test_every_function_that_draws_a_figure_is_looked_at():
    made = [getattr(plots, name) for name in plots.__all__]
    drawing = {
        one.__name__
        for one in made
        if inspect.isfunction(one) and inspect.signature(one).return_annotation == "Figure"
    }
    assert drawing == FIGURES.keys() - {"explore"}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figures_edges_are_free_of_ink(name):
    assert ink(FIGURES[name]()) == {"left": 0, "right": 0, "top": 0}


def test_ink_at_an_edge_is_seen():
    fig, ax = plt.subplots(figsize=(3, 2))
    ax.set_title(LONG)
    assert ink(fig)["right"] > 0
