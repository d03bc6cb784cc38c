"""Lesson 05: the number of KV heads from the weights themselves."""

from functools import partial
from itertools import pairwise

import torch

from .exercise import Exercise, Mistake
from .toys import call

_LESSON = "05-kv-footprint"


def _weight(generator, heads=0, copies=1, D=0, d_model=0, alike="", dtype="float32", draw=0):
    """Return k_proj's weight with `copies` equal neighbours of each head, and head_dim.

    `copies` is a number, or one for each head. `alike`: what different heads have in common all the
    same: their first row, their last row, the numbers they consist of in another order, all numbers
    but one, or that one up to its last bit ("bit"; it grows or shrinks, in any row).
    """
    for _ in range(draw):
        numbers = torch.randint(0, 10**6, (5,), generator=generator).tolist()
        heads, copies = 1 + numbers[0] % 6, 1 + numbers[1] % 4
        D, d_model = 2 + numbers[2] % 5, 8 + numbers[3] % 20
        alike = ("", "first", "last", "order", "one", "bit")[numbers[4] % 6]
        if numbers[4] % 2:
            copies = torch.randint(1, 5, (heads,), generator=generator).tolist()
    rows = torch.randn((heads, D, d_model), generator=generator, dtype=torch.float64)
    rows = (rows * 8).round() / 8  # exact in any dtype and any order of summing
    if alike == "first":
        rows[:, 0] = rows[0, 0].clone()
    elif alike == "last":
        rows[:, -1] = rows[0, -1].clone()
    elif alike == "order":
        for head in range(1, heads):
            rows[head] = rows[head - 1].roll(1, dims=-1)
    elif alike == "one":
        rows[:] = rows[0].clone()
        rows[:, -1, -1] += torch.arange(heads) / 8
    rows = rows.to(getattr(torch, dtype))
    if alike == "bit":
        rows[:] = 1.0
        for head in range(1, heads):
            step = torch.finfo(rows.dtype).eps * (1 if head % 2 else -1)
            rows[head] = rows[head - 1]
            rows[head, (head - 1) % D, head % d_model] += step
    counts = [copies] * heads if isinstance(copies, int) else copies
    return torch.cat([rows[h] for h, count in enumerate(counts) for _ in range(count)]), D


def _distinct(weight: torch.Tensor, head_dim: int) -> int:
    count, before = 0, None
    for start in range(0, weight.shape[0], head_dim):
        head = weight[start : start + head_dim].tolist()
        count += head != before
        before = head
    return count


def _nearly(weight: torch.Tensor, head_dim: int, tolerance: float) -> int:
    heads = _heads(weight, head_dim)
    near = (torch.allclose(a, b, tolerance, tolerance) for a, b in pairwise(heads))
    return 1 + sum(not one for one in near)


def _heads(weight: torch.Tensor, head_dim: int) -> torch.Tensor:
    return weight.cpu().double().reshape(-1, head_dim, weight.shape[1])


KV_HEADS_IN_WEIGHTS = Exercise(
    name="kv_heads_in_weights",
    lesson=_LESSON,
    make=_weight,
    oracle=_distinct,
    call=call,
    cases=(
        {"heads": 4, "copies": 2, "D": 3, "d_model": 14},
        {"heads": 5, "D": 4, "d_model": 26},
        {"heads": 3, "copies": 4, "D": 2, "d_model": 10, "dtype": "float16"},
        {"heads": 1, "copies": 6, "D": 5, "d_model": 9},
        {"heads": 4, "copies": 2, "D": 3, "d_model": 7, "alike": "first"},
        {"heads": 5, "copies": 3, "D": 3, "d_model": 7, "alike": "last"},
        {"heads": 6, "copies": 2, "D": 2, "d_model": 9, "alike": "order", "dtype": "float64"},
        {"heads": 5, "copies": 2, "D": 4, "d_model": 6, "alike": "one"},
        {"heads": 5, "copies": (1, 3, 2, 1, 2), "D": 3, "d_model": 8},
        {"heads": 6, "copies": 2, "D": 3, "d_model": 7, "alike": "bit"},
        {
            "heads": 3,
            "copies": (2, 1, 1),
            "D": 4,
            "d_model": 5,
            "alike": "bit",
            "dtype": "float16",
        },
        {"draw": 3},
    ),
    mistakes=(
        Mistake(
            "every head is counted, copies included: neighbouring heads that are equal are one "
            "KV head, kept twice for sharding.",
            lambda k, D: k.shape[0] // D,
        ),
        Mistake(
            "distinct rows are counted and divided by head_dim. Two different heads may have a "
            "row in common: compare whole heads, head_dim rows each.",
            lambda k, D: int(torch.unique(k.cpu().double(), dim=0).shape[0]) // D,
        ),
        Mistake(
            "rows are counted, not heads: a head is head_dim rows.",
            lambda k, D: int(torch.unique(k.cpu().double(), dim=0).shape[0]),
        ),
        Mistake(
            "only the first row of each head is compared: heads that begin alike may differ "
            "further on.",
            lambda k, D: int(torch.unique(_heads(k, D)[:, 0], dim=0).shape[0]),
        ),
        Mistake(
            "only the last row of each head is compared: heads that end alike may differ before.",
            lambda k, D: int(torch.unique(_heads(k, D)[:, -1], dim=0).shape[0]),
        ),
        Mistake(
            "heads are compared by a sum: different heads may have the same sum.",
            lambda k, D: int(torch.unique(_heads(k, D).sum((1, 2))).shape[0]),
        ),
        *(
            Mistake(
                "heads that are nearly equal are taken for copies. A copy is equal in every "
                "number.",
                partial(_nearly, tolerance=tolerance),
            )
            for tolerance in (0.2, 1e-3, 1e-5)
        ),
        Mistake(
            "only heads whose numbers grow are taken for new ones: a number may shrink as well.",
            lambda k, D: 1 + int((_heads(k, D)[1:] > _heads(k, D)[:-1]).flatten(1).any(1).sum()),
        ),
        Mistake(
            "the columns are counted: d_model is what goes in. The heads lie along the first "
            "axis, (num_kv_heads * head_dim, d_model).",
            lambda k, D: k.shape[1] // D,
        ),
        Mistake(
            "the copies of the first head are counted, not the heads.",
            lambda k, D: int((_heads(k, D) == _heads(k, D)[0]).all(-1).all(-1).sum()),
        ),
        Mistake(
            "the heads are halved once their first two are equal: there may be more than two "
            "copies.",
            lambda k, D: (
                len(_heads(k, D)) // 2
                if len(_heads(k, D)) > 1 and torch.equal(*_heads(k, D)[:2])
                else len(_heads(k, D))
            ),
        ),
    ),
)

EXERCISES = [KV_HEADS_IN_WEIGHTS]
