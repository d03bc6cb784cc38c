"""Lesson 07: merging softmax over parts of the keys, and the decode kernel that needs it."""

import math
from functools import partial

import torch

from gqa_lib.kernels.reference import attention_reference

from ..watch import watching
from .exercise import Complaint, Exercise, Mistake
from .lesson07_kernels import in_parts
from .toys import plain
from .variants import draw, draw_qkv

_LESSON = "07-decode-kernel"


# merge_partials


def _two_parts(generator, shape, D, offset=0.0, gap=0.0, empty="", dtype="float32", extreme=False):
    """Return two parts' outputs and log-sum-exps; what an empty part holds means nothing.

    Args:
        offset: added to both log-sum-exps; exp of it overflows from 89 on, in float32.
        gap: added to the second one alone.
        empty: "a", "b", "ab", or "mixed" where another part is empty in each place.
        extreme: the first output begins with numbers that a share must not change into others.
    """
    outs = [draw(generator, *shape, D, dtype=dtype, extreme=extreme) for _ in range(2)]
    outs[1].copy_(outs[1].flip(-1) if extreme else outs[1])
    lses = [draw(generator, *shape, dtype=dtype) + offset for _ in range(2)]
    lses[1] += gap
    places = torch.arange(lses[0].numel()).view(shape)
    for side, name in enumerate("ab"):
        gone = places % 4 >= 2 if side else places % 2 == 1
        gone = gone if empty == "mixed" else torch.full(shape, name in empty)
        lses[side] = lses[side].masked_fill(gone, -torch.inf)
        outs[side] = outs[side].masked_fill(gone.unsqueeze(-1), torch.inf)
    return outs[0], lses[0], outs[1], lses[1]


def _merge(out_a, lse_a, out_b, lse_b):
    """Return the merged pair in float64, one place after the other."""
    out = torch.zeros_like(out_a, dtype=torch.float64)
    lse = torch.full_like(lse_a, -torch.inf, dtype=torch.float64)
    for place in range(lse_a.numel()):
        parts = [
            (o.reshape(-1, o.shape[-1])[place].double(), s.reshape(-1)[place].double())
            for o, s in ((out_a, lse_a), (out_b, lse_b))
        ]
        parts = [(o, s) for o, s in parts if s > -torch.inf]
        if parts:
            top = max(s for _, s in parts)
            total = torch.stack([torch.exp(s - top) for _, s in parts]).sum()
            mean = sum(torch.exp(s - top) / total * o for o, s in parts)
            out.view(-1, out.shape[-1])[place] = mean
            lse.view(-1)[place] = top + torch.log(total)
    return out, lse


def _weighed(weigh):
    """Return merging where part a counts `weigh(lse_a, lse_b)` and part b the rest."""

    def wrong(out_a, lse_a, out_b, lse_b):
        share = weigh(lse_a.double(), lse_b.double()).unsqueeze(-1)
        out = share * out_a.double() + (1 - share) * out_b.double()
        return out, torch.logaddexp(lse_a.double(), lse_b.double())

    return wrong


def _naive(out_a, lse_a, out_b, lse_b):
    a, b = lse_a.exp(), lse_b.exp()
    out = (a.unsqueeze(-1) * out_a + b.unsqueeze(-1) * out_b) / (a + b).unsqueeze(-1)
    return out, torch.log(a + b)


def _with_lse(lse):
    def wrong(out_a, lse_a, out_b, lse_b):
        out, _ = _merge(out_a, lse_a, out_b, lse_b)
        return out, lse(lse_a.double(), lse_b.double())

    return wrong


MERGE_PARTIALS = Exercise(
    name="merge_partials",
    lesson=_LESSON,
    make=_two_parts,
    oracle=_merge,
    call=lambda yours, *arguments: _pair(yours(*arguments)),
    cases=(
        {"shape": (2, 3), "D": 5},
        {"shape": (4,), "D": 3, "gap": 2.0, "dtype": "float64"},
        {"shape": (3, 2), "D": 4, "offset": 200.0},
        {"shape": (3, 2), "D": 4, "offset": -200.0, "gap": 1.0},
        {"shape": (2, 1, 3), "D": 4, "empty": "a"},
        {"shape": (2, 3), "D": 4, "empty": "b"},
        {"shape": (2, 2), "D": 3, "empty": "ab"},
        {"shape": (2, 4), "D": 3, "empty": "mixed"},
        {"shape": (3, 3), "D": 4, "gap": -6.0},
        {"shape": (2, 3), "D": 4, "offset": -3000.0, "dtype": "float64"},
    ),
    mistakes=(
        Mistake(
            "both parts count half. A part counts as much as its share of the sum of exponentials, "
            "exp(its lse - the merged lse).",
            _weighed(lambda a, b: torch.full_like(a, 0.5)),
        ),
        Mistake(
            "the outputs are added. They are averages already: their weights must add up to 1.",
            lambda out_a, lse_a, out_b, lse_b: (
                out_a.double() + out_b.double(),
                torch.logaddexp(lse_a.double(), lse_b.double()),
            ),
        ),
        Mistake(
            "the parts are weighted by lse itself. It is a logarithm: exp(lse) are the weights.",
            _weighed(lambda a, b: a / (a + b)),
        ),
        Mistake(
            "the weights are swapped: a is given what belongs to b.",
            _weighed(lambda a, b: torch.sigmoid(b - a)),
        ),
        Mistake(
            "exponentials are taken of lse as it is, which overflow (exp(89) is too large for "
            "float32) or vanish. Subtract the larger one first, or the merged lse.",
            _naive,
        ),
        Mistake(
            "the output is right and the returned lse is the larger of the two: it is the "
            "logarithm of the *sum* of both parts' exponentials.",
            _with_lse(torch.maximum),
        ),
        Mistake(
            "the output is right and the returned lse is the sum of the two logarithms, the "
            "logarithm of a product. Add the exponentials, then take the logarithm.",
            _with_lse(torch.add),
        ),
        Mistake(
            "the output is right and the returned lse is in base 2. It is a natural logarithm.",
            _with_lse(lambda a, b: torch.logaddexp(a, b) / math.log(2)),
        ),
    ),
)


def _pair(result):
    return tuple(result) if isinstance(result, list) else result


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
    given = tuple(x.clone() for x in (q, k, v))
    with watching(yours, given=given, parts=True) as watch:
        result = yours(*given, num_splits)
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

EXERCISES = [MERGE_PARTIALS, SPLIT_KV_DECODE, TILE_ROWS]
