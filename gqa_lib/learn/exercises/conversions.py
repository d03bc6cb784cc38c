"""Attention with fewer KV heads in a state dict, each step of it open, to take one wrongly."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from .lesson10 import Heads, cut, pool
from .lesson10_align import align
from .modules import PROJECTIONS

METHODS = ("mean", "first", "aligned")
OUT = "o_proj.weight"
State = Mapping[str, torch.Tensor]


def convert(
    state: State, num_heads: int, num_kv_heads: int, method: str = "mean", **steps: Any
) -> dict[str, torch.Tensor]:
    """Return a state dict after the conversion, in float64.

    Args:
        state: weights, as `nn.Linear` stores them.
        num_heads, num_kv_heads: before and after.
        method: one of `METHODS`.
        steps: of a layer, to take one wrongly; `_layer` has the right ones.

    Raises:
        ValueError: there is no such method.
    """
    if method not in METHODS:
        raise ValueError(f"method={method!r} is none of {', '.join(METHODS)}.")
    new = {name: one.double() for name, one in state.items()}
    for name in state:
        if name.endswith(OUT):
            prefix = name.removesuffix(OUT)
            names = [f"{prefix}{one}.weight" for one in PROJECTIONS]
            q, k, v, o = (new[one] for one in names)
            made = _layer(q, k, v, o, num_heads, num_kv_heads, method, **steps)
            new |= dict(zip(names, made, strict=True))
    return new


def first_of_each(num_heads: int, num_kv_heads: int) -> list[int]:
    """Return for each head the first one of its set of neighbours.

    Args:
        num_heads, num_kv_heads: before and after.
    """
    each = num_heads // num_kv_heads
    return [head - head % each for head in range(num_heads)]


def first_head(heads: Heads) -> torch.Tensor:
    """Return the first of some heads."""
    return heads[0]


def _layer(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    o: torch.Tensor,
    num_heads: int,
    num_kv_heads: int,
    method: str,
    *,
    towards: Callable[[int, int], list[int]] = first_of_each,
    turns: Callable = lambda of_k, of_v, none: (of_k, of_k, of_v, of_v),
    pooled: Callable = pool,
    first: Callable[[Heads], torch.Tensor] = first_head,
    then: Callable | None = None,
) -> tuple[torch.Tensor, ...]:
    """Return a layer's weights: q, k, v, o.

    Open are what heads are turned to, which turns each of the four gets, how heads are pooled,
    which one "first" keeps, and how "aligned" makes one of those that were turned.
    """
    how = {"make": first} if method == "first" else {}
    if method == "aligned":
        places = towards(num_heads, num_kv_heads)
        of_k, of_v = (_turns(one, places) for one in (k, v))
        none = torch.eye(of_k.shape[-1], dtype=of_k.dtype).expand_as(of_k)
        q, k, v, o = map(_turn, (q, k, v, o.T), turns(of_k, of_v, none))
        o = o.T
        how = {"make": then} if then else {}
    return (
        q,
        pooled(k, num_heads, num_kv_heads, **how),
        pooled(v, num_heads, num_kv_heads, **how),
        o,
    )


def _turns(weight: torch.Tensor, places: list[int]) -> torch.Tensor:
    """Of each head, towards the one at its place in the list."""
    heads: Heads = cut(weight, len(places))
    return align(weight, torch.cat([heads[place] for place in places]), len(places))[1]


def _turn(weight: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    heads = zip(turns, cut(weight, len(turns)), strict=True)
    return torch.cat([turn @ one for turn, one in heads])


def what_it_does(
    new: State, old: State, num_heads: int, method: str = "mean"
) -> dict[str, torch.Tensor]:
    """Return what is compared: weights, or where the same may have other ones, what they do.

    That is, for each query head, what scores are made of, q.T @ k, and what becomes of values,
    o @ v: a turn of all heads of a set changes neither.

    Args:
        new: the weights that are looked at.
        old: those before.
        num_heads: query heads.
        method: of the conversion.
    """
    seen = dict(new)
    for name in old if method == "aligned" else ():
        if name.endswith(OUT):
            prefix = name.removesuffix(OUT)
            q, k, v, o = (seen.pop(f"{prefix}{one}.weight") for one in PROJECTIONS)
            D = len(q) // num_heads
            q, o = q.unflatten(0, (-1, D)), o.unflatten(1, (-1, D)).transpose(0, 1)
            k, v = (
                one.unflatten(0, (-1, D)).repeat_interleave(num_heads * D // len(one), 0)
                for one in (k, v)
            )
            seen[f"{prefix}q_proj and k_proj, of each query head q.T @ k"] = q.mT @ k
            seen[f"{prefix}v_proj and o_proj, of each query head o @ v"] = o @ v
    return seen
