"""A plan that is quick to make: few requests, on ceilings that are made up."""

from typing import Any

import numpy as np

from gqa_lib.configs import ModelConfig, Weights
from gqa_lib.hardware import Hardware
from gqa_lib.serving.plan import benchmark_plan
from gqa_lib.serving.scenario import Scenario
from gqa_lib.serving.traffic import Trace

CARD = Hardware("test card", 5e12, 0.02e12, 0.3e9, "made up")
MODEL = ModelConfig(
    "Test-8",
    num_layers=4,
    num_heads=8,
    num_kv_heads=2,
    head_dim=64,
    d_model=512,
    vocab_size=1000,
    weights=Weights(dense=100_000_000, embedding=512_000),
)


def scenario(**flags):
    return Scenario(model=MODEL, hardware=CARD, **flags)


def trace(num=300, seed=0, **more):
    draw = np.random.default_rng(seed)
    prompts = draw.lognormal(5, 0.6, num).astype(int) + 1
    outputs = draw.geometric(0.05, num)
    return Trace(np.cumsum(draw.exponential(0.1, num)), prompts, outputs, **more)


def plan(**asked):
    wanted: dict[str, Any] = {
        "goodput": {"ttft": 500.0, "tpot": 50.0},
        "relative_error": 0.4,
        "percentile": 50.0,
        "num_seeds": 2,
        "rehearsed": False,
    }
    given = asked.pop("trace", None)
    flags = asked.pop("flags", {})
    engine = asked.pop("of", None) or scenario(**flags)
    return benchmark_plan(given or trace(), engine, **(wanted | asked))
