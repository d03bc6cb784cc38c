"""Lesson 13: one sequence's keys on several ranks, and their outputs merged."""

import math
from collections.abc import Callable

import torch

from .exercise import Exercise, Mistake
from .variants import draw

_LESSON = "13-tensor-parallel"


def _parts(
    generator, ranks, shape, D, offset=0.0, gap=0.0, spread=0.0, empty=(), dtype="float32"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return outputs and log-sum-exps of ranks; what an empty rank's output holds means nothing.

    Args:
        generator: of the numbers.
        ranks, shape, D: the sizes of the outputs, (ranks, *shape, D).
        offset: added to all log-sum-exps; exp of it overflows from 89 on, in float32.
        gap: added to them once more with each rank.
        spread: added to them once more with each place along the last axis.
        empty: ranks without keys, in every second place.
        dtype: of both.
    """
    outs = draw(generator, ranks, *shape, D, dtype=dtype)
    lses = draw(generator, ranks, *shape, dtype=dtype) + offset
    lses += gap * torch.arange(ranks).view(-1, *[1] * len(shape))
    lses += spread * torch.arange(shape[-1])
    for rank in empty:
        lses[rank].view(-1)[::2] = -torch.inf
        outs[rank].view(-1, D)[::2] = torch.nan
    return outs, lses


def merged(
    outs: torch.Tensor,
    lses: torch.Tensor,
    *,
    weigh: Callable[[torch.Tensor], torch.Tensor] = lambda lses: lses.softmax(0),
) -> torch.Tensor:
    """Return the output over the keys of all ranks in float64.

    Args:
        outs: (P, ..., D), each over the keys of one rank.
        lses: (P, ...).
        weigh: of the log-sum-exps, what each output counts.
    """
    outs, lses = outs.double().cpu(), lses.double().cpu()
    outs = outs.masked_fill(lses.isneginf().unsqueeze(-1), 0.0)
    weights = weigh(lses).nan_to_num(nan=torch.nan, neginf=0.0)
    return (weights.unsqueeze(-1) * outs).sum(0)


def _other(weigh: Callable[[torch.Tensor], torch.Tensor]) -> Callable:
    return lambda outs, lses: merged(outs, lses, weigh=weigh)


def _not_shifted(outs, lses):
    weights = lses.cpu().exp()  # in its dtype, where it overflows
    return merged(outs, lses, weigh=lambda _: (weights / weights.sum(0)).double())


def _shifted_alike(outs, lses):
    weights = (lses.cpu() - lses.cpu().max()).exp()  # in its dtype, where it vanishes
    return merged(outs, lses, weigh=lambda _: (weights / weights.sum(0)).double())


def _with_empty(outs, lses):
    weights = lses.double().cpu().softmax(0)
    return (weights.unsqueeze(-1) * outs.double().cpu()).sum(0)


def _largest(lses):
    return (lses == lses.amax(0)).double()


MERGE_RANKS = Exercise(
    name="merge_ranks",
    lesson=_LESSON,
    make=_parts,
    oracle=lambda outs, lses: merged(outs, lses),
    cases=(
        {"ranks": 3, "shape": (2, 4), "D": 5},
        {"ranks": 2, "shape": (2, 3), "D": 7, "gap": 1.5},
        {"ranks": 4, "shape": (3, 2), "D": 6, "empty": (1, 3)},
        {"ranks": 1, "shape": (2, 2), "D": 3},
        {"ranks": 3, "shape": (1, 5), "D": 4, "offset": 100.0},
        {"ranks": 3, "shape": (2, 2), "D": 4, "offset": -120.0},
        {"ranks": 5, "shape": (2, 6), "D": 3, "empty": (0,), "dtype": "float64"},
        {"ranks": 2, "shape": (4,), "D": 8, "gap": 300.0, "dtype": "float64"},
        {"ranks": 3, "shape": (2, 5), "D": 4, "spread": 60.0},
    ),
    mistakes=(
        Mistake(
            "the ranks are averaged. A rank counts as much as its share of the sum of "
            "exponentials, exp(its lse - that of all keys).",
            _other(lambda lses: torch.full_like(lses, 1 / len(lses))),
        ),
        Mistake(
            "the outputs are added. Each is an average already: their weights must add up to 1.",
            _other(torch.ones_like),
        ),
        Mistake(
            "the ranks are weighted by lse itself. It is a logarithm: exp(lse) are the weights.",
            _other(lambda lses: lses / lses.sum(0)),
        ),
        Mistake(
            "the weights do not add up to 1: exponentials relative to the largest lse are right, "
            "and then they are divided by their sum.",
            _other(lambda lses: (lses - lses.amax(0)).exp()),
        ),
        Mistake(
            "the rank with the largest lse is taken for all. The others have keys, too.",
            _other(_largest),
        ),
        Mistake(
            "the output of one rank is returned. It has seen its own keys only.",
            lambda outs, lses: outs[0].double(),
        ),
        Mistake(
            "lse is taken for a logarithm in base 2. It is a natural one.",
            _other(lambda lses: (lses * math.log(2)).softmax(0)),
        ),
        Mistake(
            "the weights are the wrong way round: a large lse means that much attention is there.",
            _other(lambda lses: (-lses).softmax(0).masked_fill(lses.isneginf(), 0.0)),
        ),
        Mistake(
            "exponentials are taken of lse as it is, which overflow (exp(89) is too large for "
            "float32) or vanish. Subtract the largest one over the ranks first.",
            _not_shifted,
        ),
        Mistake(
            "the largest lse of all places is subtracted everywhere: where all ranks' are far "
            "below it, all exponentials vanish. Each place has its own: the maximum over axis 0.",
            _shifted_alike,
        ),
        Mistake(
            "what a rank without keys has in its output gets into the result: 0 times NaN is NaN. "
            "Leave it out with torch.where or masked_fill.",
            _with_empty,
        ),
    ),
)

EXERCISES = [MERGE_RANKS]
