"""Lesson 07: merging the softmax of two parts of the keys."""

import math

import torch

from .exercise import Exercise, Mistake
from .variants import draw

_LESSON = "07-decode-kernel"


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


EXERCISES = [MERGE_PARTIALS]
