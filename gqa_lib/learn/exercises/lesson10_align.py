"""Lesson 10: heads turned to those of another weight."""

from collections.abc import Callable
from functools import partial

import torch

from .exercise import Exercise, Mistake
from .lesson06 import integers
from .lesson10 import Heads, cut, cut_interleaved

_LESSON = "10-uptraining"
MOST_LOST = 500.0  # condition of a product: by its square some ways of finding a rotation lose


def _two_weights(generator, H=0, D=0, d_in=0, noise=0.3, dtype="float32", draws=0, mirrored=False):
    """A weight, and a reference whose heads are its heads turned, every other one mirrored.

    No head is nearly lost in its product with the other: there a right way in float64 may be less
    exact than results must be.
    """
    for _ in range(draws):
        H, D, extra = integers(generator, 6, 6, 9)
        d_in = D + extra
    wanted = torch.tensor([-1.0, 1.0] * H)[:H] if not mirrored else -torch.ones(H)
    condition = torch.inf
    while condition > MOST_LOST:
        weight = torch.randn(H, D, d_in, generator=generator, dtype=torch.float64)
        other = torch.randn(H, D, d_in, generator=generator, dtype=torch.float64)
        turns = torch.linalg.qr(torch.randn(H, D, D, generator=generator, dtype=torch.float64)).Q
        turns[:, 0] *= (wanted * torch.linalg.det(turns))[:, None]
        reference = turns @ weight + noise * other
        condition = float(torch.linalg.cond(reference @ weight.mT).max())
    made = (one.flatten(0, 1).to(getattr(torch, dtype)) for one in (weight, reference))
    return *made, H


def closest(products: torch.Tensor) -> torch.Tensor:
    """Return the orthogonal matrices closest to regular ones, by Newton's iteration.

    Args:
        products: (..., D, D).

    Source: Higham 1986, Computing the Polar Decomposition.
    """
    size = partial(torch.linalg.matrix_norm, keepdim=True)
    near, moved = products / size(products), 1.0
    while moved > 1e-14:
        new = (near + torch.linalg.inv(near).mT) / 2
        near, moved = new, float((size(new - near) / size(new)).max())
    return near


def align(
    weight: torch.Tensor,
    reference: torch.Tensor,
    num_heads: int,
    *,
    cut: Callable[[torch.Tensor, int], Heads] = cut,
    towards: Callable[[Heads, int], torch.Tensor] = lambda heads, head: heads[head],
    rotation: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the turned weight (num_heads * D, d_in) and rotations (num_heads, D, D), in float64.

    Args:
        weight, reference: (num_heads * D, d_in).
        num_heads: how many there are.
        cut: how heads are cut out.
        towards: of the reference's heads and a number, the head that it is turned to.
        rotation: of a head and what it is turned to; None is the closest of all, at once.
    """
    heads, others = cut(weight, num_heads), cut(reference, num_heads)
    pairs = [(one, towards(others, head)) for head, one in enumerate(heads)]
    if rotation is None:
        turns = closest(torch.stack([other @ one.mT for one, other in pairs]))
    else:
        turns = torch.stack([rotation(*pair) for pair in pairs])
    return torch.cat([turn @ one for turn, one in zip(turns, heads, strict=True)]), turns


def _other(**steps):
    return lambda weight, reference, num_heads: align(weight, reference, num_heads, **steps)


def _turned_back(weight, reference, num_heads):
    """Rotations that are right, and heads turned by their transposes."""
    _, turns = align(weight, reference, num_heads)
    heads = zip(turns, cut(weight, num_heads), strict=True)
    return torch.cat([turn.mT @ one for turn, one in heads]), turns


def _proper(head, other):
    """The closest rotation that mirrors nothing."""
    left, _, right = torch.linalg.svd(other @ head.mT)
    left[:, -1] *= torch.linalg.det(left @ right)
    return left @ right


def _scaled(head, other):
    turn = closest(other @ head.mT)
    return turn * ((turn @ head) * other).sum() / head.square().sum()


def _centred(head, other):
    return closest((other - other.mean(1, True)) @ (head - head.mean(1, True)).mT)


def _one_for_all(weight, reference, num_heads):
    heads, others = cut(weight, num_heads), cut(reference, num_heads)
    products = [other @ head.mT for head, other in zip(heads, others, strict=True)]
    turn = closest(torch.stack(products).sum(0))
    return torch.cat([turn @ one for one in heads]), torch.stack([turn] * num_heads)


def _interleaved(weight, reference, num_heads):
    aligned, turns = align(weight, reference, num_heads, cut=cut_interleaved)
    return aligned.unflatten(0, (num_heads, -1)).transpose(0, 1).flatten(0, 1), turns


ALIGN_HEADS = Exercise(
    name="align_heads",
    lesson=_LESSON,
    make=_two_weights,
    oracle=lambda weight, reference, num_heads: align(weight, reference, num_heads),
    cases=(
        {"H": 4, "D": 3, "d_in": 7},
        {"H": 3, "D": 5, "d_in": 11},
        {"H": 2, "D": 4, "d_in": 9, "noise": 0.0},  # some rotation brings one exactly to the other
        {"H": 5, "D": 2, "d_in": 6, "noise": 1.0},
        {"H": 3, "D": 1, "d_in": 4},
        {"H": 1, "D": 6, "d_in": 13, "mirrored": True},
        {"H": 3, "D": 4, "d_in": 10, "dtype": "float64"},
    ),
    mistakes=(
        Mistake(
            "the rotations are transposed: they turn the reference's heads to yours. Take the SVD "
            "of reference_h @ weight_h.T.",
            _other(rotation=lambda head, other: closest(other @ head.mT).mT),
        ),
        Mistake(
            "the rotations are right and applied the wrong way: rotations[h] @ head h, not its "
            "transpose.",
            _turned_back,
        ),
        Mistake(
            "the heads are right and the rotations are transposed: rotations[h] @ head h must give "
            "head h of what you return.",
            lambda weight, reference, num_heads: (
                (right := align(weight, reference, num_heads))[0],
                right[1].mT,
            ),
        ),
        Mistake(
            "the reference is turned to the weight. The weight's heads are turned, the reference's "
            "stay.",
            lambda weight, reference, num_heads: align(reference, weight, num_heads),
        ),
        Mistake(
            "the rotations are found and not applied: the heads that come back are the old ones.",
            lambda weight, reference, num_heads: (
                weight.double(),
                align(weight, reference, num_heads)[1],
            ),
        ),
        Mistake(
            "the reference itself comes back. A rotation brings a head closer to it, not all the "
            "way.",
            lambda weight, reference, num_heads: (
                reference.double(),
                align(weight, reference, num_heads)[1],
            ),
        ),
        Mistake(
            "mirrors are taken out (determinant +1). Here they are allowed: U @ Vh as it comes.",
            _other(rotation=_proper),
        ),
        Mistake(
            "one rotation is used for all heads. Each has a basis of its own, and gets a rotation "
            "of its own.",
            _one_for_all,
        ),
        Mistake(
            "every head is turned to the reference's first one. Head h is turned to head h.",
            _other(towards=lambda heads, head: heads[0]),
        ),
        Mistake(
            "channels come before heads. Head h is the rows from h * D to (h + 1) * D.",
            _interleaved,
        ),
        Mistake(
            "the best map of any kind is taken (least squares). Only a rotation leaves the model "
            "as it was when queries absorb it.",
            _other(rotation=lambda head, other: other @ head.mT @ torch.linalg.inv(head @ head.mT)),
        ),
        Mistake(
            "the product itself is used. Its singular values have to go: U @ Vh, without S.",
            _other(rotation=lambda head, other: other @ head.mT),
        ),
        Mistake(
            "heads are scaled as well as turned. A rotation keeps their size.",
            _other(rotation=_scaled),
        ),
        Mistake(
            "heads are centred first, as Procrustes analysis of shapes does. Here nothing is "
            "subtracted.",
            _other(rotation=_centred),
        ),
    ),
)

EXERCISES = [ALIGN_HEADS]
