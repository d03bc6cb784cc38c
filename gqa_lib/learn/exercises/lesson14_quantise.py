"""Lesson 14: keys and values as small whole numbers, with a scale for each slice, and back."""

from collections.abc import Callable

import torch

from .exercise import Exercise, Mistake
from .lesson06 import integers

_LESSON = "14-beyond-gqa"
Stored = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # codes, scale, low


def _stored(generator: torch.Generator, B, H, S, D, bits, dim, flat=False) -> tuple:
    """Return codes, scales and lows of slices, and where each slice has a 0 and a largest code."""
    shape, top = (B, H, S, D), 2**bits - 1
    codes = torch.randint(0, top + 1, shape, generator=generator)
    order = torch.rand(shape, generator=generator).argsort(dim)
    codes[order == 0], codes[order == 1] = 0, top
    small = list(shape)
    small[dim] = 1
    scale = 0.1 + torch.rand(small, generator=generator, dtype=torch.float64)
    low = 3 * torch.randn(small, generator=generator, dtype=torch.float64)
    if flat:
        codes[0, 0], scale[0, 0] = 0, 0.0
    return codes, scale, low, order < 2


def _kv(generator, B=0, H=0, S=0, D=0, bits=0, dim=None, flat=False, dtype="float32", draw=0):
    """Return the arguments (kv, bits, dim) of a case; no number is near the middle of two codes."""
    for _ in range(draw):
        B, H, S, D, bits = integers(generator, 3, 4, 12, 20, 8)
        S, D = S + 2, D + 2
    axis = -1 if dim is None else dim
    codes, scale, low, exact = _stored(generator, B, H, S, D, bits, axis, flat)
    aside = 0.8 * torch.rand(codes.shape, generator=generator, dtype=torch.float64) - 0.4
    aside = torch.where(codes == 0, aside.abs(), aside)
    aside = torch.where(codes == 2**bits - 1, -aside.abs(), aside).masked_fill(exact, 0.0)
    kv = (low + scale * (codes + aside)).to(getattr(torch, dtype))
    return (kv, bits) if dim is None else (kv, bits, dim)


def quantised(
    kv: torch.Tensor,
    bits: int,
    dim: int = -1,
    *,
    ends: Callable[..., tuple] = lambda kv, dim: (kv.amin(dim, True), kv.amax(dim, True)),
    steps: Callable[[int], int] = lambda bits: 2**bits - 1,
    to_whole: Callable[[torch.Tensor], torch.Tensor] = torch.round,
    largest: Callable[[int], float] = lambda bits: torch.inf,
) -> Stored:
    """Return (codes, scale, low), the last two in float64.

    Args:
        kv: (B, H, S, D).
        bits: of a code.
        dim: the axis along which numbers share a scale and a low.
        ends: of kv and dim to the smallest and the largest number of each slice.
        steps: of bits to the steps between those.
        to_whole: how a number of steps becomes a code.
        largest: of bits to the code at which larger ones are cut off.
    """
    wide = kv.double().cpu()
    low, high = ends(wide, dim)
    scale = (high - low) / steps(bits)
    codes = to_whole((wide - low) / torch.where(scale == 0, 1.0, scale))
    return codes.clamp(max=largest(bits)).to(torch.uint8), scale, low


def _other(**steps):
    return lambda kv, bits, dim=-1: quantised(kv, bits, dim, **steps)


def _upside_down(kv, bits, dim=-1):
    codes, scale, low = quantised(kv, bits, dim)
    return torch.where(scale == 0, codes, 2**bits - 1 - codes), scale, low


def _of_all(kv, dim):
    return tuple(end.expand_as(kv.amin(dim, True)) for end in (kv.amin(), kv.amax()))


def _symmetric(kv, dim):
    largest = kv.abs().amax(dim, True)
    return -largest, largest


QUANTIZE_KV = Exercise(
    name="quantize_kv",
    lesson=_LESSON,
    make=_kv,
    oracle=lambda kv, bits, dim=-1: quantised(kv, bits, dim),
    cases=(
        {"B": 2, "H": 3, "S": 5, "D": 7, "bits": 2},
        {"B": 2, "H": 3, "S": 5, "D": 7, "bits": 4, "dim": -1},
        {"B": 2, "H": 3, "S": 5, "D": 7, "bits": 3, "dim": -2},
        {"B": 1, "H": 2, "S": 6, "D": 16, "bits": 8},
        {"B": 1, "H": 2, "S": 9, "D": 4, "bits": 8, "dim": -2},
        {"B": 2, "H": 1, "S": 4, "D": 6, "bits": 1},
        {"B": 2, "H": 2, "S": 4, "D": 5, "bits": 3, "flat": True},
        {"B": 1, "H": 3, "S": 4, "D": 8, "bits": 5, "dim": 2, "dtype": "float64"},
    ),
    mistakes=(
        Mistake(
            "numbers are rounded down to the code below. Take the nearest: torch.round.",
            _other(to_whole=lambda steps: (steps + 1e-4).floor()),
        ),
        Mistake(
            "numbers are rounded up to the code above. Take the nearest.",
            _other(to_whole=lambda steps: (steps - 1e-4).ceil()),
        ),
        Mistake(
            "the range has as many steps as there are codes. Between 2 ** bits codes there are "
            "2 ** bits - 1 steps, or the largest number gets a code that does not exist.",
            _other(steps=lambda bits: 2**bits, to_whole=torch.round),
        ),
        Mistake(
            "the range has 2 ** bits steps and the largest code is cut off.",
            _other(steps=lambda bits: 2**bits, largest=lambda bits: 2**bits - 1),
        ),
        Mistake(
            "one scale is taken for all. Each slice along dim has its own.", _other(ends=_of_all)
        ),
        Mistake(
            "slices run along the other axis: take the minimum over dim, which then has size 1.",
            lambda kv, bits, dim=-1: quantised(kv, bits, -1 if dim % 4 == 2 else -2),
        ),
        Mistake(
            "dim is not used: with dim=-2 a channel's numbers share a scale.",
            lambda kv, bits, dim=-1: quantised(kv, bits, -1),
        ),
        Mistake(
            "the range is taken symmetric around 0. It is from the smallest to the largest number.",
            _other(ends=_symmetric),
        ),
        Mistake(
            "codes are the other way round: the smallest number has code 0.",
            _upside_down,
        ),
        Mistake(
            "low comes before scale. The order is codes, scale, low.",
            lambda kv, bits, dim=-1: tuple(quantised(kv, bits, dim)[place] for place in (0, 2, 1)),
        ),
        Mistake(
            "the highest number comes back in place of the lowest.",
            lambda kv, bits, dim=-1: (
                *quantised(kv, bits, dim)[:2],
                kv.double().cpu().amax(dim, True),
            ),
        ),
    ),
)


# And back


def _codes(generator, B=0, H=0, S=0, D=0, bits=8, dim=-1, dtype="float32", draw=0):
    for _ in range(draw):
        B, H, S, D, bits = integers(generator, 3, 4, 12, 20, 8)
        S, D = S + 2, D + 2
    codes, scale, low, _ = _stored(generator, B, H, S, D, bits, dim)
    return codes.to(torch.uint8), scale.to(getattr(torch, dtype)), low.to(getattr(torch, dtype))


def _restored(codes, scale, low):
    """Look each code up in the list of the numbers that its slice can hold."""
    steps = torch.arange(256, dtype=torch.float64)
    scale, low = (t.double().cpu().expand(codes.shape) for t in (scale, low))
    return low + scale * steps[codes.long().cpu()]


DEQUANTIZE_KV = Exercise(
    name="dequantize_kv",
    lesson=_LESSON,
    make=_codes,
    oracle=_restored,
    cases=(
        {"B": 2, "H": 3, "S": 5, "D": 7, "bits": 2},
        {"B": 2, "H": 3, "S": 5, "D": 7, "bits": 8},
        {"B": 1, "H": 2, "S": 6, "D": 4, "bits": 4, "dim": -2},
        {"B": 1, "H": 2, "S": 5, "D": 6, "bits": 8, "dim": -2, "dtype": "float64"},
    ),
    mistakes=(
        Mistake(
            "low is added before the scale is applied. It is a number of kv, not of codes.",
            lambda codes, scale, low: (codes.double() + low.double()) * scale.double(),
        ),
        Mistake(
            "low is missing: code 0 stands for it.",
            lambda codes, scale, low: codes.double() * scale.double(),
        ),
        Mistake(
            "low is subtracted.",
            lambda codes, scale, low: codes.double() * scale.double() - low.double(),
        ),
        Mistake(
            "codes are divided by the scale. A code counts steps, and scale is the size of one.",
            lambda codes, scale, low: codes.double() / scale.double() + low.double(),
        ),
        Mistake(
            "half a step is added. A code stands for its number, not for an interval above it.",
            lambda codes, scale, low: (codes.double() + 0.5) * scale.double() + low.double(),
        ),
        Mistake(
            "codes above 127 are taken for negative ones. They are unsigned.",
            lambda codes, scale, low: codes.to(torch.int8).double() * scale.double() + low.double(),
        ),
        Mistake(
            "scale and low are swapped.",
            lambda codes, scale, low: codes.double() * low.double() + scale.double(),
        ),
        Mistake(
            "codes are taken from 1. They begin at 0.",
            lambda codes, scale, low: (codes.double() - 1) * scale.double() + low.double(),
        ),
    ),
)

EXERCISES = [QUANTIZE_KV, DEQUANTIZE_KV]
