"""Lesson 10: a state dict whose attention gets fewer KV heads."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from .exercise import Complaint, Exercise, Mistake
from .lesson06 import integers
from .lesson10 import Heads, cut, pool
from .lesson10_align import align
from .variants import draw

_LESSON = "10-uptraining"
_METHODS = ("mean", "first", "aligned")
_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")
_PREFIXES = ("model.layers.0.self_attn.", "model.layers.1.self_attn.", "model.layers.10.self_attn.")
State = Mapping[str, torch.Tensor]


def _state(
    generator,
    H=0,
    Hkv=0,
    D=0,
    d_model=0,
    method: str | None = "mean",
    prefixes: Sequence[str] = _PREFIXES[:2],
    others=True,
    dtype="float32",
    draws=0,
):
    """A model's weights; method None leaves the argument out."""
    for _ in range(draws):
        Hkv, R, D, extra = integers(generator, 3, 4, 5, 9)
        H, d_model = R * Hkv, D + extra
    shapes = {"model.embed_tokens.weight": (17, d_model)} if others else {}
    for prefix in prefixes:
        if others:
            shapes |= {prefix.removesuffix("self_attn.") + "input_norm.weight": (d_model,)}
        shapes |= {f"{prefix}{name}.weight": (H * D, d_model) for name in _PROJECTIONS[:3]}
        shapes[f"{prefix}o_proj.weight"] = (d_model, H * D)
        if others:
            shapes |= {prefix.removesuffix("self_attn.") + "mlp.up_proj.weight": (13, d_model)}
    scale = d_model**-0.5
    state = {
        name: (draw(generator, *shape) * scale).to(getattr(torch, dtype))
        for name, shape in shapes.items()
    }
    return (state, H, Hkv) if method is None else (state, H, Hkv, method)


# What is right, and how it is seen


def _convert(
    state: State,
    num_heads: int,
    num_kv_heads: int,
    method: str = "mean",
    layer: Callable[..., dict[str, torch.Tensor]] | None = None,
    layers: slice = slice(None),
) -> dict[str, torch.Tensor]:
    """Return the weights after the conversion in float64; how a layer is converted is open."""
    if method not in _METHODS:
        raise ValueError(f"method={method!r} is none of {', '.join(_METHODS)}.")
    new = {name: one.double() for name, one in state.items()}
    prefixes = [name.removesuffix("o_proj.weight") for name in state if name.endswith("o_proj.weight")]
    for prefix in prefixes[layers]:
        weights = [new[f"{prefix}{name}.weight"] for name in _PROJECTIONS]
        made = (layer or _layer)(*weights, num_heads, num_kv_heads, method)
        new |= {f"{prefix}{name}.weight": one for name, one in made.items()}
    return new


def _first_of_each(num_heads: int, num_kv_heads: int) -> list[int]:
    each = num_heads // num_kv_heads
    return [head - head % each for head in range(num_heads)]


def _turn(weight: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    heads = zip(turns, cut(weight, len(turns)), strict=True)
    return torch.cat([turn @ one for turn, one in heads])


def _layer(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    o: torch.Tensor,
    num_heads: int,
    num_kv_heads: int,
    method: str,
    *,
    towards: Callable[[int, int], list[int]] = _first_of_each,
    of_q: Callable = lambda k_turns, v_turns: k_turns,
    of_o: Callable = lambda k_turns, v_turns: v_turns,
    pooled: Callable = pool,
    aligned: Callable | None = None,
) -> dict[str, torch.Tensor]:
    """Return a layer's weights; what turns what, and what heads are turned to, is open."""
    first = {"make": lambda heads: heads[0]} if method == "first" else {}
    if method == "aligned":
        places = towards(num_heads, num_kv_heads)
        (k, k_turns), (v, v_turns) = (_aligned(one, places) for one in (k, v))
        q, o = _turn(q, of_q(k_turns, v_turns)), _turn(o.T, of_o(k_turns, v_turns)).T
        pooled = aligned or pooled
    k, v = (pooled(one, num_heads, num_kv_heads, **first) for one in (k, v))
    return dict(zip(_PROJECTIONS, (q, k, v, o), strict=True))


def _aligned(weight: torch.Tensor, places: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Heads turned to those at some places of the same weight."""
    heads: Heads = cut(weight, len(places))
    return align(weight, torch.cat([heads[place] for place in places]), len(places))


def _seen(new: State, old: State, num_heads: int, method: str) -> dict[str, torch.Tensor]:
    """What is compared: weights, or where a turn of all heads of a set may differ, what they do.

    That is, for each query head, what scores are made of, q^T k, and what its values become, o v.
    """
    if method != "aligned":
        return dict(new)
    seen = dict(new)
    for name in old:
        if name.endswith("o_proj.weight"):
            prefix = name.removesuffix("o_proj.weight")
            q, k, v, o = (seen.pop(f"{prefix}{one}.weight") for one in _PROJECTIONS)
            D = len(q) // num_heads
            q, o = q.unflatten(0, (num_heads, D)), o.unflatten(1, (num_heads, D)).transpose(0, 1)
            k, v = (
                one.unflatten(0, (-1, D)).repeat_interleave(num_heads * D // len(one), 0)
                for one in (k, v)
            )
            seen[f"{prefix}q_proj and k_proj, q.T @ k of each query head"] = q.mT @ k
            seen[f"{prefix}v_proj and o_proj, o @ v of each query head"] = o @ v
    return seen


def _call(yours: Callable, state: State, num_heads: int, num_kv_heads: int, *method: str) -> Any:
    """Call a learner's function and look at what it returns."""
    new = yours(state, num_heads, num_kv_heads, *method)
    if not isinstance(new, Mapping):
        raise Complaint(f"It returned a {type(new).__name__}; a dictionary of tensors is expected.")
    for what, names in (
        ("has no", [name for name in state if name not in new]),
        ("has an entry more,", [name for name in new if name not in state]),
    ):
        if names:
            raise Complaint(
                f"Its result {what} {names[0]!r}. Every entry of the state dict comes back, those "
                "that are no projection of attention as they are."
            )
    for name, old in state.items():
        kv = name.endswith(("k_proj.weight", "v_proj.weight"))
        rows = len(old) * num_kv_heads // num_heads if kv else len(old)
        _check_tensor(name, new[name], (rows, *old.shape[1:]), old.dtype)
    return _seen(new, state, num_heads, *method or ("mean",))


def _check_tensor(name: str, new: Any, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    if not isinstance(new, torch.Tensor):
        raise Complaint(f"{name} is a {type(new).__name__}; a tensor is expected.")
    if new.shape != shape:
        raise Complaint(f"{name} has shape {tuple(new.shape)}; expected {shape}.")
    if new.dtype != dtype:
        raise Complaint(f"{name} is {new.dtype}; it was {dtype}, and stays that.")
