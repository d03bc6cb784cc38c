"""Stacks of layers that differ, drawn as text in the notation of the shipped table."""

from collections.abc import Callable, Iterable
from dataclasses import fields
from itertools import groupby

import torch

from gqa_lib.configs import LayerKV

Between = Callable[[int, int], int]  # a whole number from the first to the second


def between(generator: torch.Generator) -> Between:
    """Return a function that draws a whole number from a range, both ends included.

    Args:
        generator: what draws.
    """
    return lambda low, high: int(torch.randint(low, high + 1, (1,), generator=generator))


def spell_layers(layers: Iterable[LayerKV]) -> str:
    """Return the layers as a learner would type them, equal neighbours once with a factor.

    Args:
        layers: of one model.
    """
    runs = []
    for layer, run in groupby(layers):
        sizes = [
            f"{field.name}={getattr(layer, field.name)}"
            for field in fields(layer)[1:]
            if getattr(layer, field.name) != field.default
        ]
        count = len(list(run))
        one = f"(LayerKV({', '.join([repr(layer.kind), *sizes])}),)"
        runs.append(one if count == 1 else f"{one} * {count}")
    return " + ".join(runs)


def drawn_stack(
    generator: torch.Generator, kind: str, shared: bool = False, latent: bool = False
) -> dict:
    """Return drawn sizes of a toy whose layers differ.

    Args:
        generator: what draws.
        kind: "mix" for made-up layers; "gemma" for windows and full layers with head sizes of their
            own, "qwen" for linear layers and full ones, in the order of Gemma 4 and Qwen3.5.
        shared: some layers read the cache of another.
        latent: layers with a latent are among them, and none with full heads.

    Returns:
        Arguments of `toy`.
    """
    draw = between(generator)
    sizes = {"Hq": 12, "Hkv": (2, 3, 4, 6)[draw(0, 3)], "D": 2 * draw(2, 12) + 1}
    sizes["d_model"] = 12 * (sizes["D"] + draw(1, 9)) + draw(0, 3)
    if kind == "gemma":
        heads, dim = draw(1, 2), draw(3, 9)
        local = f"5*window heads={3 * heads} k={dim} v={dim} window={draw(2, 12)}"
        layers = f"{local}, full heads={heads} k={2 * dim} v={2 * dim}"
        return sizes | {"L": 6 * draw(1, 2), "layers": layers}
    if kind == "qwen":
        layers = f"3*none state={draw(50, 5000)}, full"
        return sizes | {"L": 4 * draw(1, 3), "layers": layers}
    entries = _mixed(draw, latent)
    if shared:
        entries = _sharing(draw, entries)
    if latent:
        sizes["Hkv"] = 12
    return sizes | {"L": len(entries), "layers": ", ".join(entries)}


def _mixed(draw: Between, latent: bool) -> list[str]:
    """Entries of a stack with every kind of layer that is asked for, the first with a cache."""
    kinds = ["latent", "latent", "none"] if latent else ["window", "chunk", "full", "none"]
    kinds += [kinds[draw(0, len(kinds) - 1)] for _ in range(draw(1, 4))]
    first = kinds.pop(draw(0, 1))
    order = [kinds.pop(draw(0, len(kinds) - 1)) for _ in range(len(kinds))]
    return [_entry(draw, kind) for kind in (first, *order)]


def _entry(draw: Between, kind: str) -> str:
    if kind == "none":
        return "none" if draw(0, 2) == 0 else f"none state={draw(50, 5000)}"
    if kind == "latent":
        rope = draw(2, 5)
        window = f" window={draw(2, 12)}" if draw(0, 2) == 0 else ""
        return f"latent k={rope + draw(6, 30)} rope={rope}{window}"
    k_dim = draw(2, 12)
    v_dim = k_dim if draw(0, 1) else draw(2, 12)
    window = "" if kind == "full" else f" window={draw(2, 12)}"
    return f"{kind} heads={(1, 2, 3, 4, 6)[draw(0, 4)]} k={k_dim} v={v_dim}{window}"


def _sharing(draw: Between, entries: list[str]) -> list[str]:
    """The entries with layers in between and at the end that read an earlier layer's cache."""
    stack: list[str] = []
    for entry in entries:
        stack.append(entry)
        owners = [
            i for i, one in enumerate(stack) if "shares" not in one and one.split()[0] != "none"
        ]
        if draw(0, 1) or len(stack) == 1:
            owner = 0 if len(stack) == 1 else owners[draw(0, len(owners) - 1)]
            stack.append(f"{stack[owner]} shares={owner}")
    return stack
