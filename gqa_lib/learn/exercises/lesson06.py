"""Lesson 06: FLOPs, bytes, and which of them a kernel waits for."""

from math import prod

import torch

from gqa_lib.hardware import Hardware

from .exercise import Exercise, Mistake

_LESSON = "06-decode-is-bandwidth-bound"


def integers(generator: torch.Generator, *most: int) -> list[int]:
    """Return a random whole number from 1 up to each of `most`."""
    return [int(torch.randint(1, top + 1, (), generator=generator)) for top in most]


# FLOPs


def _flops_sizes(generator, B=0, H=0, D=0, T=0, S=0, causal: bool | None = False, draw=0):
    """Return the sizes given or drawn; with causal=None the argument is left out."""
    for _ in range(draw):
        B, H, D, T, more = integers(generator, 9, 40, 130, 60, 900)
        S = T + more
    return (B, H, D, T, S) if causal is None else (B, H, D, T, S, causal)


def count_flops(B: int, H: int, D: int, T: int, S: int, causal: bool = False) -> int:
    """Count pair by pair: a score is D multiplies and D adds, and its weighted value as many."""
    pairs = sum(1 for i in range(T) for j in range(S) if not causal or j <= S - T + i)
    return B * H * pairs * (2 * D + 2 * D)


def _wrong_pairs(count):
    return lambda B, H, D, T, S, causal=False: 4 * B * H * D * (count(T, S) if causal else T * S)


ATTENTION_FLOPS = Exercise(
    name="attention_flops",
    lesson=_LESSON,
    make=_flops_sizes,
    oracle=count_flops,
    cases=(
        {"B": 2, "H": 6, "D": 5, "T": 3, "S": 7},
        {"B": 2, "H": 6, "D": 5, "T": 3, "S": 7, "causal": True},
        {"B": 1, "H": 4, "D": 16, "T": 9, "S": 9, "causal": True},
        {"B": 3, "H": 8, "D": 64, "T": 1, "S": 500, "causal": True},
        {"B": 2, "H": 3, "D": 7, "T": 4, "S": 6, "causal": None},
    ),
    mistakes=(
        Mistake(
            "half is counted. A multiply and an add are 2 FLOP, and there are two products: q k^T "
            "and the weighted sum of v.",
            lambda *sizes: count_flops(*sizes) // 2,
        ),
        Mistake(
            "only the causal case is right: without a mask every query meets every key.",
            lambda B, H, D, T, S, causal=False: count_flops(B, H, D, T, S, True),
        ),
        Mistake(
            "the mask is not counted: with causal=True a query meets only the keys it may see.",
            lambda B, H, D, T, S, causal=False: count_flops(B, H, D, T, S, False),
        ),
        Mistake(
            "the mask is counted when causal is left out of the call: its default is False.",
            lambda B, H, D, T, S, causal=True: count_flops(B, H, D, T, S, causal),
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
            lambda B, H, D, T, S, causal=False: (
                count_flops(B, H, D, T, S, causal) + count_flops(B, H, 1, T, S, causal) // 4 * 5
            ),
        ),
    ),
)


# Bytes


def _bytes_sizes(generator, B=0, Hq=0, Hkv=0, D=0, T=0, S=0, b=2, draw=0):
    for _ in range(draw):
        B, Hkv, shared, D, T, more = integers(generator, 9, 8, 8, 130, 60, 900)
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
        Mistake(
            "only one of K and V is counted: the other is as large, and read as well.",
            _counted(v=0.0),
        ),
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
        flops, bytes_moved = (float(n) for n in integers(generator, 10**6, 10**6))
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
        flops_per_s, bandwidth = (1e9 * n for n in integers(generator, 10**5, 10**3))
        near = 0.505 + integers(generator, 100)[0] / 100  # never 1: rounding would decide
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
        {"near": 1.1, "flops_per_s": 7e10, "bandwidth": 4e10},  # both between 1 and 2
        {"intensity": 1.78, "flops_per_s": 7e10, "bandwidth": 4e10},  # 1.75 is not 1.8
        {"near": 3, "flops_per_s": 9e10, "bandwidth": 2e10},
        {"near": 1.0, "flops_per_s": 2.0**37, "bandwidth": 2.0**33},  # exact in any form
        {"intensity": 0.5, "flops_per_s": 4e10, "bandwidth": 1e10},  # below the ridge and below 1
        {"intensity": 0.2, "flops_per_s": 4e10, "bandwidth": 1e10},  # below the ridge upside down
        *(  # between what is easily compared with by mistake: a machine of a few FLOP and bytes
            {"intensity": intensity, "flops_per_s": 24, "bandwidth": 8, "memory": 12}
            for intensity in (2.5, 4, 10, 18, 30, 100, 200)
        ),
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
            "the intensity is compared with the bandwidth alone. The ridge is FLOP/s over bytes/s.",
            lambda intensity, hardware: intensity < hardware.bandwidth_bytes_per_s,
        ),
        Mistake(
            "the two rates are multiplied. The ridge is FLOP/s over bytes/s.",
            lambda intensity, hardware: (
                intensity < hardware.flops_per_s * hardware.bandwidth_bytes_per_s
            ),
        ),
        Mistake(
            "the size of the memory is taken for its speed.",
            lambda intensity, hardware: intensity < hardware.flops_per_s / hardware.memory_bytes,
        ),
    ),
)

EXERCISES = [ATTENTION_FLOPS, ATTENTION_BYTES, ARITHMETIC_INTENSITY, IS_MEMORY_BOUND]
