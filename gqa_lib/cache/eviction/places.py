"""Rows turned by their place in the cache, where that is not the position they were turned by."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from gqa_lib.kernels import turn

from .store import Group


class Turns(Protocol):
    """How a layer turns queries and keys: what an evicting cache needs of `Rope`."""

    head_dim: int

    def cos_sin(self, positions: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cosines and sines of some positions.

        Args:
            positions, like: as in `gqa_lib.attention.Rope.cos_sin`.
        """
        ...


def turned_back(rope: Turns | None, x: Tensor, end: int) -> Tensor:
    """Return what was turned into x by the positions of the last tokens.

    In half precision x was rounded when it was turned, and is again here.

    Args:
        rope: how it was; None is not at all.
        x: queries or keys of the last T tokens, (B, H, T, D).
        end: the position after the last one's.
    """
    T = x.shape[2]
    if rope is None or not T:
        return x
    cos, sin = rope.cos_sin(torch.arange(end - T, end, device="cpu"), x)
    size = cos.square() + sin.square()  # 1, except where a scaling makes heads larger
    return turn(x, cos / size, -sin / size)


def turned_by_places(
    rope: Turns | None, q: Tensor, held: tuple[Tensor, Tensor, Tensor], group: Group
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Return the newest queries, and what their rows hold, turned by places from 0.

    Args:
        rope: how; None leaves everything as it is.
        q: (B, Hq, T, D), the last of them the newest token's.
        held: keys, values and positions of the rows, (B, Hkv, S, ..).
        group: the rows.
    """
    if rope is None:
        return q, held
    k, v, positions = held
    S, T = k.shape[2], q.shape[2]
    cos, sin = rope.cos_sin(torch.arange(S, device="cpu"), k)  # (S, pairs)
    q = turn(q, cos[S - T :], sin[S - T :]) if T else q
    if group.held == group.length:  # none has been evicted: they are in order
        return q, (turn(k, cos, sin), v, positions)
    places = positions.argsort(-1).argsort(-1).flatten(0, 1)  # (B*Hkv, S)
    alone = k.flatten(0, 1)[:, None]  # (B*Hkv, 1, S, D): each head turns in its own way
    return q, (turn(alone, cos[places], sin[places])[:, 0].view(k.shape), v, positions)
