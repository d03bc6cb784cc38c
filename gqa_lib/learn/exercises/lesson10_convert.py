"""Lesson 10: a state dict whose attention gets fewer KV heads."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from .conversions import METHODS, OUT, State, convert, first_head, first_of_each, what_it_does
from .exercise import Complaint, Exercise, Mistake
from .lesson06 import integers
from .lesson10 import pool
from .lesson10_align import MOST_LOST
from .modules import PROJECTIONS
from .variants import draw

_LESSON = "10-uptraining"
_PREFIXES = ("model.layers.0.self_attn.", "model.layers.1.self_attn.", "model.layers.10.self_attn.")


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
    shapes: dict[str, tuple[int, ...]] = {}
    if others:
        shapes["model.embed_tokens.weight"] = (17, d_model)
    for prefix in prefixes:
        if others:
            shapes |= {prefix.removesuffix("self_attn.") + "input_norm.weight": (d_model,)}
        shapes |= {f"{prefix}{name}.weight": (H * D, d_model) for name in PROJECTIONS[:3]}
        shapes[f"{prefix}o_proj.weight"] = (d_model, H * D)
        if others:
            shapes |= {prefix.removesuffix("self_attn.") + "mlp.up_proj.weight": (13, d_model)}
            shapes[f"{prefix}k_proj.weight_scale"] = (H * D,)  # no projection, for all its name
    if draws % 2:
        shapes = dict(sorted(shapes.items()))  # as files have them: k, o, q, v
    scale, lost = d_model**-0.5, torch.inf
    while lost > MOST_LOST:
        state = {
            name: (draw(generator, *shape) * scale).to(getattr(torch, dtype))
            for name, shape in shapes.items()
        }
        lost = _condition(state, H, Hkv) if method == "aligned" else 0.0
    return (state, H, Hkv) if method is None else (state, H, Hkv, method)


def _condition(state: State, H: int, Hkv: int) -> float:
    """The worst condition of a head's product with the one that it is turned to."""
    first = first_of_each(H, Hkv)
    heads = [
        weight.double().unflatten(0, (H, -1))
        for name, weight in state.items()
        if name.endswith(("k_proj.weight", "v_proj.weight"))
    ]
    products = torch.cat([one[first] @ one.mT for one in heads])
    return float(torch.linalg.cond(products).max())


def _right(state_dict, num_heads, num_kv_heads, method="mean"):
    new = convert(state_dict, num_heads, num_kv_heads, method)
    return what_it_does(new, state_dict, num_heads, method)


def _call(yours: Callable, state: State, num_heads: int, num_kv_heads: int, *method: str) -> Any:
    """Call a learner's function, and look at the entries that it returns."""
    before = dict(state)
    new = yours(state, num_heads, num_kv_heads, *method)
    if method and method[0] not in METHODS:
        raise Complaint(f"It took method={method[0]!r}, which it does not know: raise ValueError.")
    if not isinstance(new, dict):
        raise Complaint(f"It returned a {type(new).__name__}; a dictionary of tensors is expected.")
    for what, names in (
        ("has no", [name for name in before if name not in new]),
        ("has one entry too many,", [name for name in new if name not in before]),
    ):
        if names:
            raise Complaint(
                f"Its result {what} {names[0]!r}. All entries come back under their names, and "
                "those that are no projection of attention as they were."
            )
    for name, old in before.items():
        kv = name.endswith(("k_proj.weight", "v_proj.weight"))
        rows = len(old) * num_kv_heads // num_heads if kv else len(old)
        _check_entry(name, new[name], old, (rows, *old.shape[1:]))
    return what_it_does(dict(new), before, num_heads, *method)


def _check_entry(name: str, new: Any, old: torch.Tensor, shape: tuple[int, ...]) -> None:
    if not isinstance(new, torch.Tensor):
        raise Complaint(f"{name} is a {type(new).__name__}; a tensor is expected.")
    if new.shape != shape:
        why = ""
        if new.shape == old.shape:
            why = " Keys and values get fewer heads, in every layer."
        elif name.endswith(("q_proj.weight", OUT)):
            why = " All query heads stay: q_proj and o_proj keep their shapes."
        raise Complaint(f"{name} has shape {tuple(new.shape)}; expected {shape}.{why}")
    if new.dtype != old.dtype:
        raise Complaint(f"{name} is {new.dtype}; it was {old.dtype}, and stays that.")


# What goes wrong


def _wrong(default: str = "mean", use: Callable[[str], str] = lambda method: method, **steps: Any):
    """A conversion with other steps, another default, or another method than asked for."""

    def wrong(state_dict, num_heads, num_kv_heads, *method):
        done = use(method[0] if method else default)
        new = convert(state_dict, num_heads, num_kv_heads, done, **steps)
        return what_it_does(new, state_dict, num_heads, *method)

    return wrong


def _strided_first(num_heads: int, num_kv_heads: int) -> list[int]:
    return [head % num_kv_heads for head in range(num_heads)]


def _sum(weight, num_heads, num_kv_heads, **how):
    return pool(weight, num_heads, num_kv_heads, **{"make": sum} | how)


def _first_ones(weight, num_heads, num_kv_heads, **how):
    """The model's first heads, where "first" is asked for."""
    if how.get("make") is first_head:
        return weight[: len(weight) * num_kv_heads // num_heads]
    return pool(weight, num_heads, num_kv_heads, **how)


def _but(asked: str, done: str) -> Callable[[str], str]:
    return lambda method: done if method == asked else method


_TURNED = (  # what q, k, v, o get wrong, from K's turns, V's, and none
    (
        "queries do not absorb what turned their keys: scores change. Turn head h of q_proj by the "
        "rotation of key head h.",
        lambda of_k, of_v, none: (none, of_k, of_v, of_v),
    ),
    (
        "o_proj does not absorb what turned the values. Its columns of head h become o_h @ R.T.",
        lambda of_k, of_v, none: (of_k, of_k, of_v, none),
    ),
    (
        "keys and values are turned and nothing absorbs it: queries must turn with keys, and "
        "o_proj's columns with values.",
        lambda of_k, of_v, none: (none, of_k, of_v, none),
    ),
    (
        "queries and o_proj are turned, but the heads that are pooled are the old ones.",
        lambda of_k, of_v, none: (of_k, none, none, of_v),
    ),
    (
        "o_proj absorbs the transposed rotation. (o_h @ R.T) @ (R @ v) is o_h @ v again.",
        lambda of_k, of_v, none: (of_k, of_k, of_v, of_v.mT),
    ),
    (
        "queries absorb the transposed rotation. (R @ q) and (R @ k) have the old product.",
        lambda of_k, of_v, none: (of_k.mT, of_k, of_v, of_v),
    ),
    (
        "queries absorb V's rotations, and o_proj K's. It is the other way round.",
        lambda of_k, of_v, none: (of_v, of_k, of_v, of_k),
    ),
    (
        "queries absorb V's rotations. They meet the keys: they need K's.",
        lambda of_k, of_v, none: (of_v, of_k, of_v, of_v),
    ),
    (
        "o_proj absorbs K's rotations. It meets the values: it needs V's.",
        lambda of_k, of_v, none: (of_k, of_k, of_v, of_k),
    ),
    (
        "values are turned by K's rotations. Keys and values have bases of their own: align each.",
        lambda of_k, of_v, none: (of_k, of_k, of_k, of_k),
    ),
    (
        "only keys are aligned. Values are, too, and o_proj absorbs that.",
        lambda of_k, of_v, none: (of_k, of_k, none, none),
    ),
    (
        "only values are aligned. Keys are, too, and queries absorb that.",
        lambda of_k, of_v, none: (none, none, of_v, of_v),
    ),
)

CONVERT_TO_GQA = Exercise(
    name="convert_to_gqa",
    lesson=_LESSON,
    make=_state,
    oracle=_right,
    call=_call,
    cases=(
        {"H": 6, "Hkv": 2, "D": 3, "d_model": 10, "method": None},
        {"H": 6, "Hkv": 2, "D": 3, "d_model": 11, "method": "first"},
        {"H": 6, "Hkv": 2, "D": 3, "d_model": 10, "method": "aligned"},
        {"H": 4, "Hkv": 2, "D": 5, "d_model": 13, "method": "aligned", "prefixes": ("",)},
        {"H": 3, "Hkv": 1, "D": 2, "d_model": 9, "method": "aligned", "dtype": "float64"},
        {"H": 3, "Hkv": 3, "D": 4, "d_model": 7, "method": "aligned", "others": False},
        {"H": 6, "Hkv": 3, "D": 2, "d_model": 8, "dtype": "bfloat16", "prefixes": _PREFIXES},
        {"H": 4, "Hkv": 2, "D": 3, "d_model": 8, "method": "median"},
    ),
    mistakes=(
        *(Mistake(says, _wrong(turns=turns)) for says, turns in _TURNED),
        Mistake(
            "heads that lie num_kv_heads apart are pooled. Neighbours read one KV head.",
            _wrong(pooled=partial(pool, strided=True), towards=_strided_first),
        ),
        Mistake("heads are added up. Take their mean.", _wrong(pooled=_sum)),
        Mistake(
            '"first" keeps the model\'s first heads. Keep the first of each set of neighbours.',
            _wrong(pooled=_first_ones),
        ),
        Mistake('"first" keeps the last head of each set.', _wrong(first=lambda heads: heads[-1])),
        Mistake(
            '"aligned" keeps the first head and drops those that were turned to it. Take the mean '
            "of all.",
            _wrong(then=first_head),
        ),
        Mistake(
            "all heads are turned to the model's first head. Turn each to the first of its set.",
            _wrong(towards=lambda num_heads, num_kv_heads: [0] * num_heads),
        ),
        Mistake(
            "heads are turned to the last of their set. The first one stays as it is, the others "
            "are turned to it.",
            _wrong(
                towards=lambda num_heads, num_kv_heads: [
                    head + num_heads // num_kv_heads - 1
                    for head in first_of_each(num_heads, num_kv_heads)
                ]
            ),
        ),
        Mistake(
            "the method is not looked at: heads are averaged always.",
            _wrong(use=lambda method: "mean"),
        ),
        Mistake('"aligned" does what "mean" does.', _wrong(use=_but("aligned", "mean"))),
        Mistake('"first" does what "mean" does.', _wrong(use=_but("first", "mean"))),
        Mistake('the default is "aligned". It is "mean".', _wrong("aligned")),
        Mistake('the default is "first". It is "mean".', _wrong("first")),
    ),
)

EXERCISES = [CONVERT_TO_GQA]
