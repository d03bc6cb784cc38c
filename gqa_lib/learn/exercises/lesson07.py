"""Lesson 07: decoding part by part, and the tiles of the decode kernel."""

from functools import partial

import torch

from gqa_lib.kernels.reference import attention_reference

from ..watch import watching, where_seen
from .exercise import Complaint, Exercise, Mistake
from .lesson07_decode import in_parts
from .toys import plain
from .variants import draw_qkv

_LESSON = "07-decode-kernel"


# split_kv_decode


def _decode(generator, B, Hq, Hkv, S, D, parts, low=0.0, **case):
    """Return the arguments of a case; with `low` all scores are about as far below zero."""
    q, k, v = draw_qkv(generator, B, Hq, Hkv, 1, S, D, causal=None, **case)
    if low:
        q, k = 0.5 + q.abs(), -low * (0.5 + k.abs())
    return q, k, v, parts


def _run_split(yours, q, k, v, num_splits):
    """Return the learner's result, once it is seen to be computed in that many parts.

    Raises:
        Complaint: its parts have other sizes.
    """
    S, (largest, rest) = k.shape[2], divmod(k.shape[2], num_splits)
    largest += rest > 0
    if num_splits == 1:
        return yours(q, k, v, num_splits)
    there = where_seen(yours)
    with watching(there, given=(q, k, v), parts=True) as watch:
        result = there(q, k, v, num_splits)
    seen = watch.seen(result).keys_of_part
    if isinstance(result, torch.Tensor) and seen != largest and _near(result, q, k, v):
        raise Complaint(
            f"Its values are right. But with num_splits={num_splits} the {S} keys make parts of at "
            f"most {largest}, as even as they can be, and its softmax is taken over {seen} keys at "
            "once. Each part is to give an output and an lse of its own."
        )
    return yours(q, k, v, num_splits)


def _near(result, q, k, v):
    right = attention_reference(q, k, v)
    return result.shape == right.shape and torch.allclose(
        result.detach().cpu().double(), right.cpu(), rtol=0, atol=1e-2, equal_nan=True
    )


def _parts(S, num_splits):
    """Return the (start, end) of parts of equal size, the last one shorter, none empty."""
    size = -(-S // num_splits)
    return [(start, min(start + size, S)) for start in range(0, S, size)]


def _split(weigh, q, k, v, num_splits):
    """Return decoding where the parts' outputs are weighted by `weigh(lse (P, ...), sizes)`."""
    bounds = _parts(k.shape[2], num_splits)
    outs, lses = in_parts(q, k, v, bounds)
    weights = weigh(lses, [end - start for start, end in bounds])
    return (weights.unsqueeze(-1) * outs).sum(0)


def _dropped(q, k, v, num_splits):
    """Return decoding that leaves out the keys which do not fill a part."""
    kept = max(1, k.shape[2] // num_splits) * min(num_splits, k.shape[2])
    return attention_reference(q, k[:, :, :kept], v[:, :, :kept])


def _reading(kv_head):
    def wrong(q, k, v, num_splits):
        heads = [kv_head(h, q.shape[1], k.shape[1]) for h in range(q.shape[1])]
        return attention_reference(q, k[:, heads], v[:, heads])

    return wrong


SPLIT_KV_DECODE = Exercise(
    name="split_kv_decode",
    lesson=_LESSON,
    make=_decode,
    oracle=lambda q, k, v, num_splits: attention_reference(q, k, v),
    call=_run_split,
    cases=(
        {"B": 2, "Hq": 6, "Hkv": 2, "S": 11, "D": 5, "parts": 4},
        {"B": 2, "Hq": 6, "Hkv": 3, "S": 7, "D": 5, "parts": 1, "dtype": "float64"},
        {"B": 1, "Hq": 6, "Hkv": 1, "S": 9, "D": 4, "parts": 9},
        {"B": 2, "Hq": 4, "Hkv": 4, "S": 5, "D": 3, "parts": 8},
        {"B": 1, "Hq": 8, "Hkv": 2, "S": 13, "D": 5, "parts": 5, "sharp": 60.0},
        {"B": 2, "Hq": 4, "Hkv": 2, "S": 10, "D": 6, "parts": 3, "low": 1e5, "dtype": "float64"},
    ),
    copy_cases=(
        {"B": 2, "Hq": 12, "Hkv": 2, "S": 40, "D": 16, "parts": 1},
        {"B": 2, "Hq": 16, "Hkv": 1, "S": 64, "D": 32, "parts": 1},
        {"B": 2, "Hq": 12, "Hkv": 2, "S": 60, "D": 16, "parts": 4},
    ),
    peak_case={"B": 2, "Hq": 32, "Hkv": 2, "S": 4096, "D": 64, "parts": 1},
    mistakes=(
        Mistake(
            "the parts are averaged. Each has its own softmax, so a part of unimportant keys would "
            "count as much as the others: merge by log-sum-exp.",
            partial(_split, lambda lses, sizes: torch.ones_like(lses) / len(sizes)),
        ),
        Mistake(
            "the parts are weighted by their number of keys. What counts is the sum of their "
            "exponentials, exp(lse).",
            partial(
                _split,
                lambda lses, sizes: (
                    lses.new_tensor(sizes).view(-1, *[1] * (lses.dim() - 1)).expand_as(lses)
                    / sum(sizes)
                ),
            ),
        ),
        Mistake(
            "the parts are added up, each with a softmax of its own.",
            partial(_split, lambda lses, sizes: torch.ones_like(lses)),
        ),
        Mistake(
            "the last keys are left out when num_splits does not divide S.",
            _dropped,
        ),
        Mistake(
            "query heads read KV heads in turn (0 1 0 1 ...). Neighbours share: h // q_per_kv.",
            _reading(lambda h, Hq, Hkv: h % Hkv),
        ),
        Mistake(
            "the scores are not scaled by the square root of head_dim.",
            lambda q, k, v, num_splits: attention_reference(q * q.shape[-1] ** 0.5, k, v),
        ),
    ),
)


# tile_rows


def _heads(generator, q_per_kv=0, draw=0):
    """Return the number given, or the `draw`-th that the generator draws."""
    for _ in range(draw):
        q_per_kv = int(torch.randint(1, 129, (1,), generator=generator))
    return (q_per_kv,)


def _rows(q_per_kv):
    rows = 16
    while rows < q_per_kv:
        rows *= 2
    return rows


TILE_ROWS = Exercise(
    name="tile_rows",
    lesson=_LESSON,
    make=_heads,
    oracle=_rows,
    call=lambda yours, q_per_kv: plain(yours(q_per_kv)),
    cases=tuple({"q_per_kv": R} for R in (4, 7, 1, 16, 17, 32, 33, 40, 64)),
    mistakes=(
        Mistake(
            "only the power of two is looked for: tl.dot also wants at least 16 rows.",
            lambda R: 1 << (R - 1).bit_length(),
        ),
        Mistake(
            "the rows are rounded up to a multiple of 16. tl.arange takes powers of two only: 16, "
            "32, 64, ...",
            lambda R: -(-R // 16) * 16,
        ),
        Mistake("it is always 16: more than 16 query heads would not fit.", lambda R: 16),
        Mistake("there is no padding: it is q_per_kv or 16.", lambda R: max(16, R)),
        Mistake(
            "the power of two lies below q_per_kv: the last heads would be lost.",
            lambda R: max(16, 1 << (R.bit_length() - 1)),
        ),
    ),
)

EXERCISES = [SPLIT_KV_DECODE, TILE_ROWS]
