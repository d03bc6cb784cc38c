"""Lesson 10: neighbouring heads pooled by their mean."""

from collections.abc import Callable

import torch

from .exercise import Exercise, Mistake
from .lesson06 import integers
from .variants import draw

_LESSON = "10-uptraining"
Heads = list[torch.Tensor]  # each (D, d_in), in float64


def cut(weight: torch.Tensor, num_heads: int) -> Heads:
    """Return the heads of a projection's weight, in float64.

    Args:
        weight: (num_heads * D, d_in).
        num_heads: how many there are.
    """
    D = len(weight) // num_heads
    wide = weight.double().cpu()
    return [wide[head * D : (head + 1) * D] for head in range(num_heads)]


def cut_interleaved(weight: torch.Tensor, num_heads: int) -> Heads:
    """Return what is cut out where channels are taken to come before heads.

    Args:
        weight: (num_heads * D, d_in).
        num_heads: how many there are.
    """
    return [weight.double().cpu()[head::num_heads] for head in range(num_heads)]


# The mean of neighbouring heads


def _weight(generator, H=0, Hkv=0, D=0, d_in=0, dtype="float32", draws=0):
    for _ in range(draws):
        Hkv, R, D, d_in = integers(generator, 4, 5, 6, 20)
        H = R * Hkv
    return draw(generator, H * D, d_in, dtype=dtype), H, Hkv


def _mean(heads: Heads) -> torch.Tensor:
    return sum(heads[1:], heads[0]) / len(heads)


def pool(
    weight: torch.Tensor,
    num_heads: int,
    num_kv_heads: int,
    *,
    cut: Callable[[torch.Tensor, int], Heads] = cut,
    strided: bool = False,
    make: Callable[[Heads], torch.Tensor] = _mean,
) -> torch.Tensor:
    """Return one head for each of num_kv_heads sets, (num_kv_heads * D, d_in) in float64.

    Args:
        weight: (num_heads * D, d_in).
        num_heads, num_kv_heads: before and after.
        cut: how heads are cut out of the weight.
        strided: whether heads that are num_kv_heads apart are pooled, and not neighbours.
        make: of some heads one.
    """
    heads, each = cut(weight, num_heads), num_heads // num_kv_heads
    places = (
        slice(one, None, num_kv_heads) if strided else slice(one * each, (one + 1) * each)
        for one in range(num_kv_heads)
    )
    return torch.cat([make(heads[place]) for place in places])


def _changed(**steps):
    return lambda weight, num_heads, num_kv_heads: pool(weight, num_heads, num_kv_heads, **steps)


def _repeated(heads: Heads) -> torch.Tensor:
    return torch.cat([_mean(heads)] * len(heads))


def _neighbouring_rows(weight, num_heads, num_kv_heads):
    """Rows that follow each other, not heads, become one."""
    return weight.double().cpu().unflatten(0, (-1, num_heads // num_kv_heads)).mean(1)


MEAN_POOL_HEADS = Exercise(
    name="mean_pool_heads",
    lesson=_LESSON,
    make=_weight,
    oracle=lambda weight, num_heads, num_kv_heads: pool(weight, num_heads, num_kv_heads),
    cases=(
        {"H": 6, "Hkv": 2, "D": 5, "d_in": 7},
        {"H": 8, "Hkv": 2, "D": 3, "d_in": 11},
        {"H": 6, "Hkv": 3, "D": 4, "d_in": 10},
        {"H": 6, "Hkv": 1, "D": 5, "d_in": 4},
        {"H": 6, "Hkv": 6, "D": 2, "d_in": 9},
        {"H": 4, "Hkv": 2, "D": 1, "d_in": 3},
        {"H": 12, "Hkv": 4, "D": 6, "d_in": 5, "dtype": "bfloat16"},
        {"H": 6, "Hkv": 2, "D": 3, "d_in": 8, "dtype": "float64"},
    ),
    mistakes=(
        Mistake(
            "heads that lie num_kv_heads apart are pooled. Query head h reads KV head h // "
            "q_per_kv, so neighbours must become one.",
            _changed(strided=True),
        ),
        Mistake(
            "heads are added up. A mean divides by how many they are, or scores and values become "
            "that much larger.",
            _changed(make=lambda heads: sum(heads[1:], heads[0])),
        ),
        Mistake(
            "channels come before heads. Head h is the rows from h * D to (h + 1) * D: unflatten "
            "the first axis to (num_heads, D).",
            _changed(cut=cut_interleaved),
        ),
        Mistake(
            "rows that follow each other are averaged. They are channels of one head: average row "
            "d of one head with row d of the next.",
            _neighbouring_rows,
        ),
        Mistake(
            "the first head of each set is kept. That is another method; here they are averaged.",
            _changed(make=lambda heads: heads[0]),
        ),
        Mistake(
            "the last head of each set is kept. They are to be averaged.",
            _changed(make=lambda heads: heads[-1]),
        ),
        Mistake(
            "the mean is repeated for each of the heads that it is made of. One of it is kept: "
            "that is what makes the cache smaller.",
            _changed(make=_repeated),
        ),
        Mistake(
            "num_kv_heads is taken for the number of heads that become one. It is how many are "
            "left.",
            lambda weight, num_heads, num_kv_heads: pool(
                weight, num_heads, num_heads // num_kv_heads
            ),
        ),
        Mistake(
            "the sum is divided by the square root of how many heads there are. A mean divides by "
            "their number.",
            _changed(make=lambda heads: _mean(heads) * len(heads) ** 0.5),
        ),
        Mistake(
            "the median is taken instead of the mean.",
            _changed(make=lambda heads: torch.stack(heads).median(0).values),
        ),
        Mistake(
            "all heads are averaged, each set gets the same.",
            lambda weight, num_heads, num_kv_heads: pool(weight, num_heads, 1).repeat(
                num_kv_heads, 1
            ),
        ),
    ),
)

EXERCISES = [MEAN_POOL_HEADS]
