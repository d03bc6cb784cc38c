"""The ways to make one KV head of several."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gqa_lib.arguments import check_choice, check_whole, shown

from .heads import AttentionHeads
from .maps import align, apply, share

METHODS = ("aligned", "subspace", "mean", "norm_mean", "first", "random")
_TURNS = ("aligned", "subspace")  # methods that turn heads, which others must absorb


def pool(
    heads: AttentionHeads,
    num_kv_heads: int,
    method: str,
    *,
    rotary_dim: int,
    turn_keys: bool = True,
    moments: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> AttentionHeads:
    """Return a layer's heads with fewer KV heads; neighbours form a group.

    Args:
        heads: of the layer.
        num_kv_heads: to be left, a divisor of those there are.
        method: "aligned": the mean, after each head of a group is turned to it (`maps.align`);
            "subspace": what a group has most in common (`maps.share`); "mean"; "norm_mean": the
            mean, as long as its heads are; "first": of each group; "random": none of them.
        rotary_dim: elements of a key that RoPE turns, its first ones.
        turn_keys: whether keys may be turned: not where they are normalised afterwards by weights
            of their elements. They are then pooled by the mean.
        moments: second moments of what comes in and a 1, (E + 1, E + 1): heads are alike where
            what they make of it is. None is alike in their weights.
        generator: for "random".

    Raises:
        ValueError: num_kv_heads does not divide the KV heads, or no such method.
    """
    check_choice(METHODS, method=method)
    check_fewer(len(heads.k), num_kv_heads)
    if method == "random":
        k, v = (_random(one, num_kv_heads, heads.biased, generator) for one in (heads.k, heads.v))
        return replace(heads, k=k, v=v, k_norm=_mean_of(heads.k_norm, num_kv_heads))
    root = None if moments is None else root_of(moments)
    of_keys = method if turn_keys or method not in _TURNS else "mean"
    k, q = _pooled(heads.k, heads.q, num_kv_heads, of_keys, rotary_dim, root)
    v, o = _pooled(heads.v, heads.o, num_kv_heads, method, 0, root)
    k_norm = heads.k_norm
    if k_norm is not None:
        first = k_norm.unflatten(0, (num_kv_heads, -1))[:, 0]
        k_norm = first if method == "first" else _mean_of(k_norm, num_kv_heads)
    return replace(heads, q=q, k=k, v=v, o=o, k_norm=k_norm)


def turned(
    heads: AttentionHeads, num_kv_heads: int, *, rotary_dim: int, turn_keys: bool = True
) -> AttentionHeads:
    """Return a layer's heads as "aligned" turns them, before it pools: the same function.

    Args:
        heads, num_kv_heads, rotary_dim, turn_keys: as in `pool`.
    """
    check_fewer(len(heads.k), num_kv_heads)
    k, q = (heads.k, heads.q)
    if turn_keys:
        k, q = _turned(k, q, num_kv_heads, rotary_dim)
    v, o = _turned(heads.v, heads.o, num_kv_heads, 0)
    return replace(heads, q=q, k=k, v=v, o=o)


def check_fewer(there: int, num_kv_heads: int) -> None:
    """Refuse a number of KV heads that heads cannot be pooled to.

    Args:
        there: KV heads that there are.
        num_kv_heads: to be left.

    Raises:
        ValueError: it is no whole number, or does not divide them.
    """
    check_whole(num_kv_heads=num_kv_heads)
    if there % num_kv_heads:
        divisors = [str(n) for n in range(1, there + 1) if there % n == 0]
        raise ValueError(
            f"num_kv_heads={shown(num_kv_heads)} does not divide the {there} KV heads that there "
            f"are: groups would differ in size. Choose from {', '.join(divisors)}."
        )


def _pooled(
    kv: Tensor,
    partners: Tensor,
    num_kv_heads: int,
    method: str,
    rotary_dim: int,
    root: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Pooled heads (num_kv_heads, D, E + 1), and the partners that absorb what turned them."""
    groups, partner_groups = (one.unflatten(0, (num_kv_heads, -1)) for one in (kv, partners))
    made, absorbed = [], []
    for group, partner in zip(groups, partner_groups, strict=True):
        seen = group if root is None else group @ root
        if method == "aligned":
            turns = align(seen, rotary_dim)
            made.append(apply(turns, group).mean(0))
        elif method == "subspace":
            turns = [one * len(group) ** 0.5 for one in share(seen, rotary_dim)]  # as large as I
            made.append(apply(turns, group).mean(0))
        else:
            turns = None
            made.append(_plain(group, method))
        absorbed.append(partner if turns is None else apply(turns, partner))
    return torch.stack(made), torch.cat(absorbed)


def _turned(
    kv: Tensor, partners: Tensor, num_kv_heads: int, rotary_dim: int
) -> tuple[Tensor, Tensor]:
    pairs = []
    for group, partner in zip(
        kv.unflatten(0, (num_kv_heads, -1)), partners.unflatten(0, (num_kv_heads, -1)), strict=True
    ):
        turns = align(group, rotary_dim)
        pairs.append((apply(turns, group), apply(turns, partner)))
    return tuple(torch.cat(one) for one in zip(*pairs, strict=True))  # type: ignore[return-value]


def _plain(group: Tensor, method: str) -> Tensor:
    """One head of a group (r, D, E + 1), nothing turned."""
    if method == "first":
        return group[0]
    mean = group.mean(0)
    if method == "mean":
        return mean
    length = float(mean.norm())
    return mean * (float(group.flatten(1).norm(dim=1).mean()) / length) if length else mean


def _random(
    kv: Tensor, num_kv_heads: int, biased: bool, generator: torch.Generator | None
) -> Tensor:
    """Heads that are drawn, as large as those there are; biases are 0."""
    _, D, inputs = kv.shape
    drawn = torch.randn(num_kv_heads, D, inputs, generator=generator, dtype=kv.dtype)
    drawn *= kv[..., :-1].std()
    drawn[..., -1] = 0
    return drawn


def _mean_of(norm: Tensor | None, num_kv_heads: int) -> Tensor | None:
    return None if norm is None else norm.unflatten(0, (num_kv_heads, -1)).mean(1)


def root_of(moments: Tensor) -> Tensor:
    """Return the symmetric root of second moments, (E + 1, E + 1).

    Args:
        moments: as in `pool`.
    """
    values, vectors = torch.linalg.eigh(moments.double())
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T


def sequences(value: Any, number: int, name: str) -> list[Any]:
    """Return one value for each layer.

    Args:
        value: one whole number for all, or one for each.
        number: of layers.
        name: of the argument.

    Raises:
        ValueError: there are more or fewer.
    """
    values = [value] * number if isinstance(value, int) else list(value)
    if len(values) != number:
        raise ValueError(
            f"{name} has {len(values)} entries for {number} layers of attention. Give one for each."
        )
    return values
