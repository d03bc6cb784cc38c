"""Lesson 06: the least time of a whole decoding step."""

from gqa_lib.configs import ModelConfig
from gqa_lib.hardware import Hardware

from .exercise import Exercise, Mistake
from .lesson06 import count_flops, integers

_LESSON = "06-decode-is-bandwidth-bound"


def _step(generator, Hq=0, Hkv=0, D=0, L=0, B=1, T=0, b=2, weights=0.0, flops_per_s=1e12, draw=0):
    bandwidth = 1e11
    for _ in range(draw):
        Hkv, shared, D, L, B, T = integers(generator, 8, 8, 130, 40, 60, 9000)
        Hq, b = Hkv * shared, (4, 2, 1)[draw % 3]
        weights = 1e6 * integers(generator, 3000)[0]
        flops_per_s = bandwidth * (1, 5, 60, 300)[draw % 4]
    sizes = {"num_layers": L, "num_heads": Hq, "num_kv_heads": Hkv, "head_dim": D}
    sizes["d_model"] = Hq * D + 64
    spelled = ", ".join(f"{name}={size}" for name, size in sizes.items())
    config = ModelConfig(f"ModelConfig('a model', {spelled})", **sizes)
    return config, Hardware("a machine", flops_per_s, bandwidth, 8e10, "made up"), B, T, b, weights


def _step_time(config, hardware, B, T, b, weights, *, combine=max, **changed):
    """Seconds of reading and of multiplying, summed over layers and sequences, then combined."""
    sizes = {"layers": config.num_layers, "kv_heads": config.num_kv_heads, "kv_reads": B}
    sizes |= {"width": config.head_dim, "weight_reads": 1, "answers": B, "kinds": 2} | changed
    one_layer = sizes["kinds"] * sizes["kv_heads"] * T * sizes["width"] * b
    moved = sizes["weight_reads"] * weights + sizes["kv_reads"] * sizes["layers"] * one_layer
    per_layer = count_flops(1, config.num_heads, config.head_dim, 1, T, False)
    flops = sizes["answers"] * 2 * weights / b + B * config.num_layers * per_layer
    return float(combine((moved / hardware.bandwidth_bytes_per_s, flops / hardware.flops_per_s)))


def _stepped(**changed):
    """Return the step time with sizes changed, each given by a function of config and batch."""
    return lambda config, hardware, B, *rest: _step_time(
        config, hardware, B, *rest, **{name: value(config, B) for name, value in changed.items()}
    )


DECODE_STEP_TIME = Exercise(
    name="decode_step_time",
    lesson=_LESSON,
    make=_step,
    oracle=_step_time,
    cases=(
        {"Hq": 6, "Hkv": 2, "D": 80, "L": 3, "B": 4, "T": 700, "weights": 5e6, "flops_per_s": 5e13},
        {"Hq": 6, "Hkv": 2, "D": 80, "L": 3, "B": 4, "T": 700, "weights": 5e6, "flops_per_s": 1e11},
        {"Hq": 32, "Hkv": 8, "D": 128, "L": 32, "B": 1, "T": 1024, "weights": 1.6e10},
        {"Hq": 8, "Hkv": 1, "D": 64, "L": 5, "B": 64, "T": 90, "weights": 3e8, "b": 4},
        {"Hq": 12, "Hkv": 12, "D": 64, "L": 7, "B": 32, "T": 4000, "weights": 1e8, "b": 1},
        {
            "Hq": 64,
            "Hkv": 1,
            "D": 64,
            "L": 8,
            "B": 2,
            "T": 9000,
            "weights": 1e6,
            "flops_per_s": 3e8,
        },
    ),
    mistakes=(
        Mistake(
            "the two times are added. Reading and multiplying overlap: the longer one counts.",
            lambda *a: _step_time(*a, combine=sum),
        ),
        Mistake(
            "the shorter of the two times is taken. The step waits for the longer one.",
            lambda *a: _step_time(*a, combine=min),
        ),
        Mistake(
            "only the bytes are counted: FLOPs over peak may take longer.",
            lambda *a: _step_time(*a, combine=lambda times: times[0]),
        ),
        Mistake(
            "the weights are left out: a step reads them all.",
            lambda config, hardware, B, T, b, weights: _step_time(config, hardware, B, T, b, 0.0),
        ),
        Mistake(
            "the cache is left out: each sequence's is read in every step.",
            _stepped(kv_reads=lambda config, B: 0),
        ),
        Mistake(
            "the weights are read once per sequence. One reading serves the whole batch.",
            _stepped(weight_reads=lambda config, B: B),
        ),
        Mistake(
            "the cache is read once for the whole batch. Every sequence has its own.",
            _stepped(kv_reads=lambda config, B: 1),
        ),
        Mistake(
            "the layers are forgotten: each has a cache of its own.",
            _stepped(layers=lambda config, B: 1),
        ),
        Mistake(
            "the cache is counted with the query heads. It holds num_kv_heads.",
            _stepped(kv_heads=lambda config, B: config.num_heads),
        ),
        Mistake(
            "only one of K and V is read: the other is as large.",
            _stepped(kinds=lambda config, B: 1),
        ),
        Mistake(
            "head_dim is derived from d_model. Read config.head_dim.",
            _stepped(width=lambda config, B: config.d_model // config.num_heads),
        ),
        Mistake(
            "a parameter's multiply and add are counted as one. They are 2 FLOP.",
            _stepped(answers=lambda config, B: B / 2),
        ),
        Mistake(
            "the weights' FLOPs do not grow with the batch. Each sequence needs 2 per parameter.",
            _stepped(answers=lambda config, B: 1),
        ),
    ),
)

EXERCISES = [DECODE_STEP_TIME]
