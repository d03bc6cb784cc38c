"""Which KV heads form a group: those that are most alike."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import torch
from torch import Tensor

from .heads import AttentionHeads
from .maps import likeness
from .pool import check_fewer


def grouping(
    heads: AttentionHeads,
    num_kv_heads: int,
    *,
    rotary_dim: int,
    key_signs: bool = False,
    root: Tensor | None = None,
) -> list[int]:
    """Return an order of KV heads in which neighbours are alike, num_kv_heads groups of equal size.

    Groups grow head by head from the least alike ones, then heads change places as long as that
    helps. Keys and values count the same.

    Args:
        heads: of the layer.
        num_kv_heads: groups, a divisor of the KV heads.
        rotary_dim: elements of a key that RoPE turns.
        key_signs: whether of keys only signs may turn, as in `pool`.
        root: root of the second moments of what comes in, (E + 1, E + 1); None is 1.

    Raises:
        ValueError: num_kv_heads does not divide the KV heads.
    """
    check_fewer(len(heads.k), num_kv_heads)
    k, v = (one if root is None else one @ root for one in (heads.k, heads.v))
    alike = _likenesses(v, 0) + _likenesses(k, rotary_dim, key_signs)
    groups = _grown(alike, num_kv_heads)
    while _swapped(groups, alike):
        pass
    return [head for group in sorted(sorted(one) for one in groups) for head in group]


def reordered(heads: AttentionHeads, order: list[int]) -> AttentionHeads:
    """Return a layer's heads in another order of the KV heads: the same function.

    Args:
        heads: of the layer.
        order: the KV heads that come first, second, ...
    """
    kv = torch.tensor(order)
    q = (kv[:, None] * heads.q_per_kv + torch.arange(heads.q_per_kv)).flatten()
    return replace(
        heads,
        q=heads.q[q],
        k=heads.k[kv],
        v=heads.v[kv],
        o=heads.o[q],
        q_norm=None if heads.q_norm is None else heads.q_norm[q],
        k_norm=None if heads.k_norm is None else heads.k_norm[kv],
    )


def _likenesses(heads: Tensor, rotary_dim: int, signs: bool = False) -> Tensor:
    """How alike each two heads are, as a share of their sizes, (Hkv, Hkv)."""
    H = len(heads)
    sizes = heads.flatten(1).norm(dim=1).clamp_min(1e-150)  # two multiply; of zeros 0 is left
    alike = torch.zeros(H, H, dtype=torch.float64)
    for i, j in combinations(range(H), 2):
        inner = likeness(heads[i], heads[j], rotary_dim, signs)
        alike[i, j] = alike[j, i] = inner / float(sizes[i] * sizes[j])
    return alike


def _grown(alike: Tensor, num_groups: int) -> list[list[int]]:
    """Groups that begin with heads unlike each other, and take in turn what is most like them."""
    H = len(alike)
    firsts = [0]
    while len(firsts) < num_groups:
        left = [head for head in range(H) if head not in firsts]
        firsts.append(min(left, key=lambda head: float(alike[head, firsts].max())))
    groups = [[head] for head in firsts]
    left = [head for head in range(H) if head not in firsts]
    while left:
        free = [group for group in groups if len(group) < H // num_groups]
        head, group = max(
            ((head, group) for head in left for group in free),
            key=lambda pair: float(alike[pair[0], pair[1]].mean()),
        )
        group.append(head)
        left.remove(head)
    return groups


def _swapped(groups: list[list[int]], alike: Tensor) -> bool:
    """Let the two heads change places whose groups gain most; whether any gain."""
    best, change = 1e-12, None
    for one, other in combinations(groups, 2):
        for a in one:
            for b in other:
                rest, other_rest = [h for h in one if h != a], [h for h in other if h != b]
                gain = float(
                    alike[b, rest].sum()
                    + alike[a, other_rest].sum()
                    - alike[a, rest].sum()
                    - alike[b, other_rest].sum()
                )
                if gain > best:
                    best, change = gain, (one, other, a, b)
    if change is None:
        return False
    one, other, a, b = change
    one[one.index(a)], other[other.index(b)] = b, a
    return True
