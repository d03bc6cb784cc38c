"""Maps of a head's elements that change nothing else: what one side turns, the other absorbs.

A score is q . k, so a map of keys is undone by one of queries; an output is o . v, so one of values
by one of o. Values may be turned in any way. Keys that RoPE turns may only be turned as it turns
them, pair by pair: element i and i + rotary_dim / 2 as the two parts of a complex number, times a
complex number. Keys that are normalised after their projection meet a weight for each element: only
signs may change, one for each pair.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_ROUNDS = 20  # of turning all heads to their mean; it is found to a millionth in fewer
_CLOSE = 1e-9


def align(heads: Tensor, rotary_dim: int, signs: bool = False) -> list[Tensor]:
    """Return for each head the rotation that brings it closest to what all of them then average.

    Generalised Procrustes: all are turned to the first, then, round by round, to their mean.

    Args:
        heads: (r, D, X), of one group.
        rotary_dim: elements of a head that RoPE turns, its first ones; of values 0.
        signs: whether only signs may change.

    Returns:
        Rotations (D, D), r of them, orthogonal; within what RoPE turns one of each pair.

    Source: Gower 1975, Generalized Procrustes Analysis; Schönemann 1966 for one head.
    """
    towards = heads[0]
    before = -1.0
    turns = []
    for _ in range(_ROUNDS):
        turns = [_rotation(one, towards, rotary_dim, signs) for one in heads]
        towards = torch.stack([turn @ one for turn, one in zip(turns, heads, strict=True)]).mean(0)
        length = float(towards.norm())
        if length <= before * (1 + _CLOSE):
            break
        before = length
    return turns


def share(heads: Tensor, rotary_dim: int) -> list[Tensor]:
    """Return for each head the map by which its part of a single head is computed, their sum.

    That one is the head from which all of the group come back best, by the transposed maps: a
    projection on what they have in common, not a mean of them.

    Args:
        heads: (r, D, X), of one group.
        rotary_dim: as in `align`.

    Returns:
        Maps (D, D), r of them. What comes back for head i is maps[i].T @ the single head.

    Source: Eckart and Young 1936.
    """
    r, D, _ = heads.shape
    down = heads.new_zeros(r, D, D)
    if rotary_dim:
        _share_pairs(heads, rotary_dim, down)
    if rotary_dim < D:
        rest, width = heads[:, rotary_dim:], D - rotary_dim
        left, _, _ = torch.linalg.svd(rest.flatten(0, 1), full_matrices=False)
        basis = heads.new_zeros(r * width, width)
        basis[:, : left.shape[1]] = left[:, :width]
        down[:, rotary_dim:, rotary_dim:] = basis.unflatten(0, (r, width)).mT
    return list(down)


def likeness(one: Tensor, other: Tensor, rotary_dim: int, signs: bool = False) -> float:
    """Return the inner product of two heads after the best rotation of one of them.

    Args:
        one, other: (D, X).
        rotary_dim, signs: as in `align`.
    """
    if signs:
        return float((_signs(one, other, rotary_dim) * (one * other).sum(-1)).sum())
    pairs = float((_pairs(one, rotary_dim) * _pairs(other, rotary_dim).conj()).sum(-1).abs().sum())
    rest = one[rotary_dim:] @ other[rotary_dim:].T
    return pairs + (float(torch.linalg.matrix_norm(rest, "nuc")) if rest.numel() else 0.0)


def apply(turns: Sequence[Tensor], heads: Tensor) -> Tensor:
    """Return heads (n r, D, X) of a group of r turns: each is turned by its own KV head's.

    Args:
        turns: (D, D), one for each KV head.
        heads: of the KV heads themselves, or of the query heads that share them, in their order.
    """
    each = len(heads) // len(turns)
    matrices = torch.stack(list(turns)).repeat_interleave(each, 0)
    return matrices @ heads


def _rotation(head: Tensor, towards: Tensor, rotary_dim: int, signs: bool) -> Tensor:
    """The rotation of one head (D, X) that brings it closest to another."""
    if signs:
        return _signs(head, towards, rotary_dim).diag()
    turn = head.new_zeros(len(head), len(head))
    if rotary_dim:
        product = (_pairs(towards, rotary_dim) * _pairs(head, rotary_dim).conj()).sum(-1)
        size = product.abs()
        unit = torch.where(size > 0, product / size.clamp_min(1e-300), torch.ones_like(product))
        _put(turn, unit, rotary_dim)
    if rotary_dim < len(head):
        left, _, right = torch.linalg.svd(towards[rotary_dim:] @ head[rotary_dim:].T)
        turn[rotary_dim:, rotary_dim:] = left @ right
    return turn


def _signs(head: Tensor, towards: Tensor, rotary_dim: int) -> Tensor:
    """The signs (D,) of a head's elements that bring it closest to another, one for each pair."""
    inner = (head * towards).sum(-1)
    half = rotary_dim // 2
    inner[:half] += inner[half:rotary_dim]
    inner[half:rotary_dim] = inner[:half]
    return torch.where(inner < 0, -1.0, 1.0).to(head.dtype)


def _share_pairs(heads: Tensor, rotary_dim: int, down: Tensor) -> None:
    """For each pair the best single complex number of all heads': a singular vector."""
    stacked = _pairs(heads, rotary_dim).transpose(0, 1)  # (pairs, r, X)
    left, _, _ = torch.linalg.svd(stacked, full_matrices=False)
    for head, weight in enumerate(left[:, :, 0].conj().T):  # (pairs,) of each head
        _put(down[head], weight, rotary_dim)


def _pairs(heads: Tensor, rotary_dim: int) -> Tensor:
    """The pairs that RoPE turns as complex numbers: (..., D, X) -> (..., rotary_dim / 2, X)."""
    half = rotary_dim // 2
    return torch.complex(heads[..., :half, :], heads[..., half:rotary_dim, :])


def _put(matrix: Tensor, numbers: Tensor, rotary_dim: int) -> None:
    """Write the product with complex numbers, one a pair, into a matrix (D, D)."""
    half = rotary_dim // 2
    first = torch.arange(half)
    second = first + half
    matrix[first, first] = matrix[second, second] = numbers.real
    matrix[first, second], matrix[second, first] = -numbers.imag, numbers.imag
