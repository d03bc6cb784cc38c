"""Lesson 02: rotary positions."""

from functools import partial

import torch

from .exercise import Complaint, Exercise, Mistake
from .variants import draw

_LESSON = "02-kv-cache"


def _tokens(generator, shape, start=None, scattered=False, dtype="float32", extreme=False):
    T = shape[-2]
    if scattered:
        positions = torch.randperm(40, generator=generator)[:T]
    else:
        first = torch.randint(1, 40, (), generator=generator) if start is None else start
        positions = torch.arange(T) + first
    return draw(generator, *shape, dtype=dtype, extreme=extreme), positions


def _any_tokens(generator, sizes=None, **case):
    if sizes is None:
        return _tokens(generator, **case)
    B, H, T, pairs = torch.randint(1, 6, (sizes, 4), generator=generator)[-1].tolist()
    return _tokens(generator, (B, H, T + 1, 2 * pairs + 4), scattered=sizes % 2 == 0)


def _turned(x, positions, *, base=10000.0, exponent=2.0, sign=1.0, neighbours=False, angle=None):
    """Return x with its pairs turned, as complex numbers in float64; each decision is open."""
    wide, D = x.double().cpu(), x.shape[-1]
    first, second = (wide[..., ::2], wide[..., 1::2]) if neighbours else wide.chunk(2, -1)
    pairs = torch.arange(D // 2, dtype=torch.float64)
    angles = positions.cpu().double()[:, None] * base ** (-exponent * pairs / D)
    angles = angles if angle is None else angle(angles)
    turned = torch.complex(first, second) * torch.exp(1j * sign * angles)
    if neighbours:
        return torch.view_as_real(turned).flatten(-2)
    return torch.cat((turned.real, turned.imag), -1)


def _rotated(yours, x, positions):
    """Return the learner's result.

    Raises:
        Complaint: it is right in float32 and far from that in bfloat16.
    """
    got = yours(x, positions)
    if x.dtype == torch.bfloat16 and isinstance(got, torch.Tensor) and got.dtype == x.dtype:
        wide, right = yours(x.float(), positions), _turned(x, positions)
        if _near(wide, right) and not _near(got, right):
            raise Complaint(
                "It is right for float32 and wrong for bfloat16: the angles are computed in the "
                "dtype of x. bfloat16 has 8 significant bits, so position "
                f"{positions[0].item()} becomes {positions[0].bfloat16().item():.0f}. Compute "
                "positions, speeds and angles in float32, and convert the result."
            )
    return got


def _near(got, right) -> bool:
    """Return whether they agree as far as bfloat16 can tell."""
    return got.shape == right.shape and torch.allclose(got.double().cpu(), right, rtol=0, atol=0.1)


ROTATE = Exercise(
    name="rotate",
    lesson=_LESSON,
    make=_any_tokens,
    oracle=lambda x, positions: _turned(x, positions),
    call=_rotated,
    cases=(
        {"shape": (2, 3, 7, 10), "start": 5},
        {"shape": (2, 3, 4, 6), "start": 0},
        {"shape": (3, 2, 1, 8), "start": 11},
        {"shape": (5, 8), "scattered": True},
        {"shape": (2, 1, 3, 12), "start": 3001, "dtype": "bfloat16"},
    ),
    trains=True,
    mistakes=(
        Mistake(
            "the positions restart at 0. Use the positions you are given: with a cache the new "
            "tokens do not begin at 0.",
            lambda x, positions: _turned(x, torch.arange(x.shape[-2])),
        ),
        Mistake(
            "neighbours are paired (0 with 1, 2 with 3 ...). Pair the two halves: i with i + D/2.",
            partial(_turned, neighbours=True),
        ),
        Mistake(
            "the pairs turn the wrong way: check the sign of sin in each half.",
            partial(_turned, sign=-1.0),
        ),
        Mistake(
            "the speed of pair i is base ** (-i / D). There are D/2 pairs, so it is "
            "base ** (-2 * i / D).",
            partial(_turned, exponent=1.0),
        ),
        Mistake("the base is not 10000.", partial(_turned, base=500000.0)),
        Mistake("the base is not 10000.", partial(_turned, base=1000.0)),
        Mistake(
            "every pair turns at the same speed: pair i turns by position * 10000 ** (-2 * i / D).",
            partial(_turned, exponent=0.0),
        ),
        Mistake(
            "every token is turned by the first position: each token has its own.",
            lambda x, positions: _turned(x, positions[:1].expand(x.shape[-2])),
        ),
        Mistake(
            "the positions are taken one too high.",
            lambda x, positions: _turned(x, positions + 1),
        ),
        Mistake(
            "the angles are in degrees; torch.cos and torch.sin take radians.",
            partial(_turned, angle=torch.deg2rad),
        ),
    ),
)

EXERCISES = [ROTATE]
