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
TURNING = ("aligned", "subspace")  # methods that turn heads, which others must absorb


def pool(
    heads: AttentionHeads,
    num_kv_heads: int,
    method: str,
    *,
    rotary_dim: int,
    key_signs: bool = False,
    root: Tensor | None = None,
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
        key_signs: whether of keys only signs may turn, one for each pair of RoPE: where they are
            normalised afterwards by weights of their elements. Both methods then take their mean.
        root: of the second moments of what comes in and a 1, (E + 1, E + 1): heads are alike where
            what they make of it is. None is alike in their weights.
        generator: for "random".

    Raises:
        ValueError: num_kv_heads does not divide the KV heads, or no such method.
    """
    check_choice(METHODS, method=method)
    check_fewer(len(heads.k), num_kv_heads)
    if method in TURNING:
        heads = turned(
            heads, num_kv_heads, method, rotary_dim=rotary_dim, key_signs=key_signs, root=root
        )
    if method == "random":
        k, v = (_random(one, num_kv_heads, heads.biased, generator) for one in (heads.k, heads.v))
    else:
        k, v = (_one_of_each(one, num_kv_heads, method) for one in (heads.k, heads.v))
    norm = heads.k_norm
    if norm is not None:
        norms = norm.unflatten(0, (num_kv_heads, -1))
        norm = norms[:, 0] if method == "first" else norms.mean(1)
    return replace(heads, k=k, v=v, k_norm=norm)


def turned(
    heads: AttentionHeads,
    num_kv_heads: int,
    method: str = "aligned",
    *,
    rotary_dim: int,
    key_signs: bool = False,
    root: Tensor | None = None,
) -> AttentionHeads:
    """Return a layer's heads as a method turns them before their mean; others absorb the turns.

    As "aligned" turns them the layer stays the same function.

    Args:
        heads, num_kv_heads, rotary_dim, key_signs, root: as in `pool`.
        method: "aligned" or "subspace".
    """
    check_fewer(len(heads.k), num_kv_heads)
    how: dict[str, Any] = {"num_kv_heads": num_kv_heads, "method": method, "root": root}
    k, q = _turned(heads.k, heads.q, rotary_dim=rotary_dim, signs=key_signs, **how)
    v, o = _turned(heads.v, heads.o, rotary_dim=0, signs=False, **how)
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
            f"are: some would be merged from more heads than others. Choose from {', '.join(divisors)}."
        )


def _turned(
    kv: Tensor,
    partners: Tensor,
    *,
    num_kv_heads: int,
    method: str,
    rotary_dim: int,
    signs: bool,
    root: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Heads (Hkv, D, E + 1), turned within their groups, and partners that absorb the turns."""
    groups, partner_groups = (one.unflatten(0, (num_kv_heads, -1)) for one in (kv, partners))
    made, absorbed = [], []
    for group, partner in zip(groups, partner_groups, strict=True):
        seen = group if root is None else group @ root
        if method == "aligned" or signs:
            turns = align(seen, rotary_dim, signs)
        else:
            turns = [one * len(group) ** 0.5 for one in share(seen, rotary_dim)]  # as large as I
        made.append(apply(turns, group))
        absorbed.append(apply(turns, partner))
    return torch.cat(made), torch.cat(absorbed)


def _one_of_each(kv: Tensor, num_kv_heads: int, method: str) -> Tensor:
    """One head of each group of (Hkv, D, E + 1): its first, or its mean."""
    groups = kv.unflatten(0, (num_kv_heads, -1))
    if method == "first":
        return groups[:, 0]
    mean = groups.mean(1)
    if method != "norm_mean":
        return mean
    length = mean.norm(dim=(1, 2))
    wanted = groups.norm(dim=(2, 3)).mean(1)
    return mean * torch.where(length > 0, wanted / length, 1.0)[:, None, None]


def _random(
    kv: Tensor, num_kv_heads: int, biased: bool, generator: torch.Generator | None
) -> Tensor:
    """Heads that are drawn, as large as those there are; biases are 0."""
    _, D, inputs = kv.shape
    drawn = torch.randn(num_kv_heads, D, inputs, generator=generator, dtype=kv.dtype)
    drawn *= kv[..., :-1].std()
    drawn[..., -1] = 0
    return drawn


def root_of(moments: Tensor) -> Tensor:
    """Return the symmetric root of second moments, (E + 1, E + 1).

    Args:
        moments: such as one of `second_moments`.
    """
    values, vectors = torch.linalg.eigh(moments.double())
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T
