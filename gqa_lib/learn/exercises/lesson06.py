"""Lesson 06: FLOPs, bytes, and which of them decoding waits for."""

from math import prod

import torch

from gqa_lib.configs import ModelConfig
from gqa_lib.hardware import Hardware

from .exercise import Exercise, Mistake

_LESSON = "06-decode-is-bandwidth-bound"


def _integers(generator, *most: int) -> list[int]:
    """Return a random whole number from 1 up to each of `most`."""
    return [int(torch.randint(1, top + 1, (), generator=generator)) for top in most]


# FLOPs


def _flops_sizes(generator, B=0, H=0, D=0, T=0, S=0, causal=False, draw=0):
    for _ in range(draw):
        B, H, D, T, more = _integers(generator, 9, 40, 130, 60, 900)
        S = T + more
    return B, H, D, T, S, causal


def _count_flops(B, H, D, T, S, causal):
    """Pair by pair: a score is D multiplies and D adds, and its weighted value as many."""
    pairs = sum(1 for i in range(T) for j in range(S) if not causal or j <= S - T + i)
    return B * H * pairs * (2 * D + 2 * D)


def _wrong_pairs(count):
    return lambda B, H, D, T, S, causal: 4 * B * H * D * (count(T, S) if causal else T * S)


ATTENTION_FLOPS = Exercise(
    name="attention_flops",
    lesson=_LESSON,
    make=_flops_sizes,
    oracle=_count_flops,
    cases=(
        {"B": 2, "H": 6, "D": 5, "T": 3, "S": 7},
        {"B": 2, "H": 6, "D": 5, "T": 3, "S": 7, "causal": True},
        {"B": 1, "H": 4, "D": 16, "T": 9, "S": 9, "causal": True},
        {"B": 3, "H": 8, "D": 64, "T": 1, "S": 500, "causal": True},
    ),
    mistakes=(
        Mistake(
            "a multiply and an add are counted as one. They are 2 FLOP.",
            lambda *sizes: _count_flops(*sizes) // 2,
        ),
        Mistake(
            "only the causal case is right: without a mask every query meets every key.",
            lambda B, H, D, T, S, causal: _count_flops(B, H, D, T, S, True),
        ),
        Mistake(
            "the mask is not counted: with causal=True a query meets only the keys it may see.",
            lambda B, H, D, T, S, causal: _count_flops(B, H, D, T, S, False),
        ),
        Mistake(
            "causal takes half of all pairs. Query i sees S - T + i + 1 keys: the mask hides only "
            "T * (T - 1) / 2 of the T * S pairs.",
            _wrong_pairs(lambda T, S: T * S // 2),
        ),
        Mistake(
            "the mask is aligned to the top left: query 0 sees S - T + 1 keys, not 1.",
            _wrong_pairs(lambda T, S: T * (T + 1) // 2),
        ),
        Mistake(
            "a query does not see its own key: the mask hides T * (T - 1) / 2 pairs.",
            _wrong_pairs(lambda T, S: T * S - T * (T + 1) // 2),
        ),
        Mistake(
            "the softmax is counted, too. Count only scores and weighted values.",
            lambda B, H, D, T, S, causal: (
                _count_flops(B, H, D, T, S, causal) + _count_flops(B, H, 1, T, S, causal) // 4 * 5
            ),
        ),
    ),
)


# Bytes


def _bytes_sizes(generator, B=0, Hq=0, Hkv=0, D=0, T=0, S=0, b=2, draw=0):
    for _ in range(draw):
        B, Hkv, shared, D, T, more = _integers(generator, 9, 8, 8, 130, 60, 900)
        Hq, S, b = Hkv * shared, T + more, (4, 2, 1, 0.5)[draw % 4]
    return B, Hq, Hkv, D, T, S, b


def _count_bytes(B, Hq, Hkv, D, T, S, b, *, q=1.0, k=1.0, v=1.0, out=1.0):
    """Tensor by tensor, each read or written so many times."""
    shapes = ((q, (B, Hq, T, D)), (k, (B, Hkv, S, D)), (v, (B, Hkv, S, D)), (out, (B, Hq, T, D)))
    return float(sum(times * prod(shape) for times, shape in shapes) * b)


def _counted(**times):
    return lambda *sizes: _count_bytes(*sizes, **times)


ATTENTION_BYTES = Exercise(
    name="attention_bytes",
    lesson=_LESSON,
    make=_bytes_sizes,
    oracle=_count_bytes,
    cases=(
        {"B": 2, "Hq": 6, "Hkv": 2, "D": 5, "T": 3, "S": 7, "b": 4},
        {"B": 1, "Hq": 32, "Hkv": 8, "D": 128, "T": 1, "S": 4096},
        {"B": 3, "Hq": 6, "Hkv": 6, "D": 16, "T": 4, "S": 4, "b": 1},
        {"B": 2, "Hq": 8, "Hkv": 1, "D": 7, "T": 2, "S": 9, "b": 0.5},
    ),
    mistakes=(
        Mistake("q or the output is left out: one is read, the other written.", _counted(out=0.0)),
        Mistake("only K is counted: V is as large, and read as well.", _counted(v=0.0)),
        Mistake("q and the output are left out: small, but not nothing.", _counted(q=0.0, out=0.0)),
        Mistake(
            "K and V are counted with the query heads. They have only num_kv_heads.",
            lambda B, Hq, Hkv, D, T, S, b: _count_bytes(B, Hq, Hq, D, T, S, b),
        ),
        Mistake(
            "q and the output are counted with the KV heads. They have num_heads.",
            lambda B, Hq, Hkv, D, T, S, b: _count_bytes(B, Hkv, Hkv, D, T, S, b),
        ),
        Mistake(
            "elements are counted, not bytes: multiply by bytes_per_element.",
            lambda B, Hq, Hkv, D, T, S, b: _count_bytes(B, Hq, Hkv, D, T, S, 1),
        ),
        Mistake(
            "bits are counted: bytes_per_element is bytes already.",
            lambda B, Hq, Hkv, D, T, S, b: _count_bytes(B, Hq, Hkv, D, T, S, 8 * b),
        ),
        Mistake(
            "K and V are counted for the new tokens only. Attention reads all num_keys.",
            lambda B, Hq, Hkv, D, T, S, b: _count_bytes(B, Hq, Hkv, D, T, T, b),
        ),
    ),
)


# Intensity


def _two(generator, flops=0.0, bytes_moved=0.0, draw=0):
    for _ in range(draw):
        flops, bytes_moved = (float(n) for n in _integers(generator, 10**6, 10**6))
    return flops, bytes_moved


ARITHMETIC_INTENSITY = Exercise(
    name="arithmetic_intensity",
    lesson=_LESSON,
    make=_two,
    oracle=lambda flops, moved: float(flops) / float(moved),
    cases=({"flops": 24, "bytes_moved": 64}, {"flops": 3e12, "bytes_moved": 2e9}),
    mistakes=(
        Mistake(
            "the ratio is upside down. Intensity is FLOPs per byte, not bytes per FLOP.",
            lambda flops, moved: moved / flops,
        ),
        Mistake(
            "the fraction is cut off: / divides, // cuts off.", lambda flops, moved: flops // moved
        ),
        Mistake("the two are multiplied.", lambda flops, moved: flops * moved),
        Mistake("the bytes are subtracted.", lambda flops, moved: flops - moved),
    ),
)


def _machine(
    generator, intensity=0.0, flops_per_s=1.0, bandwidth=1.0, memory=1e9, near=0.0, draw=0
):
    for _ in range(draw):
        flops_per_s, bandwidth = (1e9 * n for n in _integers(generator, 10**5, 10**3))
        near = 0.505 + _integers(generator, 100)[0] / 100  # never 1: rounding would decide
    if near:  # a multiple of the ridge
        intensity = near * flops_per_s / bandwidth
    return float(intensity), Hardware("a machine", flops_per_s, bandwidth, memory, "made up")


def _waits_for_memory(intensity, hardware):
    """One byte's work: does its FLOP or its journey take longer?"""
    return intensity / hardware.flops_per_s < 1 / hardware.bandwidth_bytes_per_s


IS_MEMORY_BOUND = Exercise(
    name="is_memory_bound",
    lesson=_LESSON,
    make=_machine,
    oracle=_waits_for_memory,
    cases=(
        {"intensity": 4, "flops_per_s": 989e12, "bandwidth": 3.35e12, "memory": 80e9},
        {"intensity": 500, "flops_per_s": 989e12, "bandwidth": 3.35e12, "memory": 80e9},
        {"intensity": 16, "flops_per_s": 2e11, "bandwidth": 2e10},
        {"intensity": 2, "flops_per_s": 2e11, "bandwidth": 2e10, "memory": 4e11},
        {"near": 0.8, "flops_per_s": 7e10, "bandwidth": 4e10},
        {"near": 1.2, "flops_per_s": 7e10, "bandwidth": 4e10},
        {"near": 3, "flops_per_s": 9e10, "bandwidth": 2e10},
        {"near": 1.0, "flops_per_s": 2.0**37, "bandwidth": 2.0**33},  # exact in any form
    ),
    mistakes=(
        Mistake(
            "the comparison is the wrong way round: below the ridge a kernel waits for memory.",
            lambda intensity, hardware: (
                intensity > hardware.flops_per_s / hardware.bandwidth_bytes_per_s
            ),
        ),
        Mistake(
            "the ridge is upside down. It is FLOP/s over bytes/s.",
            lambda intensity, hardware: (
                intensity < hardware.bandwidth_bytes_per_s / hardware.flops_per_s
            ),
        ),
        Mistake(
            "the peak is doubled, as a sheet headlines it with sparsity. The ridge is flops_per_s "
            "over bandwidth_bytes_per_s as they stand.",
            lambda intensity, hardware: (
                intensity < 2 * hardware.flops_per_s / hardware.bandwidth_bytes_per_s
            ),
        ),
        Mistake(
            "work exactly at the ridge is counted, too. There both take equally long, so moving "
            "the bytes does not take longer.",
            lambda intensity, hardware: (
                intensity <= hardware.flops_per_s / hardware.bandwidth_bytes_per_s
            ),
        ),
        Mistake(
            "the intensity is compared with FLOP/s alone. Divide by the bandwidth first.",
            lambda intensity, hardware: intensity < hardware.flops_per_s,
        ),
        Mistake(
            "the size of the memory is taken for its speed.",
            lambda intensity, hardware: intensity < hardware.flops_per_s / hardware.memory_bytes,
        ),
    ),
)


# A whole step


def _step(generator, Hq=0, Hkv=0, D=0, L=0, B=1, T=0, b=2, weights=0.0, flops_per_s=1e12, draw=0):
    bandwidth = 1e11
    for _ in range(draw):
        Hkv, shared, D, L, B, T = _integers(generator, 8, 8, 130, 40, 60, 9000)
        Hq, b = Hkv * shared, (4, 2, 1)[draw % 3]
        weights = 1e6 * _integers(generator, 3000)[0]
        flops_per_s = bandwidth * (1, 5, 60, 300)[draw % 4]
    config = ModelConfig(
        "a model", num_layers=L, num_heads=Hq, num_kv_heads=Hkv, head_dim=D, d_model=Hq * D + 64
    )
    return config, Hardware("a machine", flops_per_s, bandwidth, 8e10, "made up"), B, T, b, weights


def _step_time(config, hardware, B, T, b, weights, *, combine=max, **changed):
    """Seconds of reading and of multiplying, summed over layers and sequences, then combined."""
    sizes = {"layers": config.num_layers, "kv_heads": config.num_kv_heads, "kv_reads": B}
    sizes |= {"width": config.head_dim, "weight_reads": 1, "answers": B, "kinds": 2} | changed
    one_layer = sizes["kinds"] * sizes["kv_heads"] * T * sizes["width"] * b
    moved = sizes["weight_reads"] * weights + sizes["kv_reads"] * sizes["layers"] * one_layer
    per_layer = _count_flops(1, config.num_heads, config.head_dim, 1, T, False)
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
            "only K is read: V is as large.",
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

EXERCISES = [
    ATTENTION_FLOPS,
    ATTENTION_BYTES,
    ARITHMETIC_INTENSITY,
    IS_MEMORY_BOUND,
    DECODE_STEP_TIME,
]
