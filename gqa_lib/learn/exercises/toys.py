"""Toy model configs, given or drawn, and their caches counted layer by layer."""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from gqa_lib.configs import LayerKV, ModelConfig
from gqa_lib.configs.notation import expand_layers

from .stacks import spell_layers


def toy(
    L: int,
    Hq: int,
    Hkv: int,
    D: int,
    d_model: int,
    windows: tuple[int | None, ...] | None = None,
    shared: int = 0,
    latent: int | None = None,
    rope: int | None = None,
    layers: str = "",
    name: str = "",
) -> ModelConfig:
    """Return a small config whose name spells its sizes, for the learner to type again.

    Args:
        L, Hq, Hkv, D, d_model: layers, query heads, KV heads, head_dim and hidden size.
        windows: tokens that each layer keeps, None where it keeps all.
        shared: layers that reuse another's K and V.
        latent, rope: numbers of MLA's latent and RoPE key.
        layers: what each layer keeps, where they differ in more than the window, as in the shipped
            table: "3*none state=96, full heads=2 k=4 v=4".
        name: another name than the sizes.
    """
    stack = expand_layers(layers, L, Hkv, D) if layers else None
    rest = [
        f"{key}={value}"
        for key, value in (
            ("windows", windows),
            ("shared_kv_layers", shared or None),
            ("kv_lora_rank", latent),
            ("rope_head_dim", rope),
            ("layers", stack and spell_layers(stack)),
        )
        if value is not None
    ]
    sizes = f"num_layers={L}, num_heads={Hq}, num_kv_heads={Hkv}, head_dim={D}, d_model={d_model}"
    return ModelConfig(
        name or f"ModelConfig('toy', {', '.join([sizes, *rest])})",
        num_layers=L,
        num_heads=Hq,
        num_kv_heads=Hkv,
        head_dim=D,
        d_model=d_model,
        windows=windows,
        shared_kv_layers=shared,
        kv_lora_rank=latent,
        rope_head_dim=rope,
        layers=stack,
    )


def drawn(
    generator: torch.Generator, windows: bool = False, shared: bool = False, latent: bool = False
) -> dict:
    """Return drawn sizes of a toy config, no two of them standing in for each other.

    Args:
        generator: what draws.
        windows, shared, latent: draw those, too.

    Returns:
        Arguments of `toy`.
    """

    def between(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (1,), generator=generator))

    L, Hkv, R = between(3, 9), between(2, 6), between(2, 6)
    sizes: dict[str, Any] = {"L": L, "Hq": Hkv * R, "Hkv": Hkv, "D": 2 * between(2, 12) + 1}
    sizes["d_model"] = Hkv * R * (sizes["D"] + between(1, 9)) + between(0, 3)
    if windows:
        choices = [None if between(0, 2) == 0 else between(2, 12) for _ in range(L)]
        sizes["windows"] = (between(2, 12), None, *choices[2:])
    if shared:
        sizes["shared"] = between(1, L - 2)
    if latent:
        sizes |= {"latent": between(6, 30), "rope": between(2, 5), "Hkv": Hkv * R}
    return sizes


def drawn_bytes(generator: torch.Generator) -> float:
    """Return drawn bytes per cached number, from 4 for float32 to 0.5 for 4 bits."""
    return (4, 2, 1, 0.5, 0.75)[int(torch.randint(5, (1,), generator=generator))]


def drawn_lengths(generator: torch.Generator) -> list[int]:
    """Return drawn tokens of two to six sequences, 1 to 40 each."""
    count = int(torch.randint(2, 6, (1,), generator=generator))
    return torch.randint(1, 41, (count,), generator=generator).tolist()


def plain(result: Any) -> Any:
    """Return a NumPy number as Python's own: a sum over an array is as good as one in a loop."""
    return result.item() if isinstance(result, np.generic) else result


def call(yours: Callable, *arguments) -> Any:
    """Return what the learner's function gives, as a plain number where it is one."""
    return plain(yours(*arguments))


def all_layers(config: ModelConfig) -> Iterable[LayerKV]:
    """Return every layer, sharing ones included: what they share is overlooked."""
    return config.kv_layers


def owners(config: ModelConfig) -> Iterable[LayerKV]:
    """Return the layers that have a cache of their own, or keep nothing at all."""
    return [layer for layer in config.kv_layers if layer.shares is None]


def no_window(config: ModelConfig, layer: LayerKV) -> None:
    """Return that a layer keeps all tokens: windows are overlooked."""
    return None


def window_of(config: ModelConfig, layer: LayerKV) -> int | None:
    """Return the tokens that a layer keeps at most, or None."""
    return layer.window


def cached_elements(config: ModelConfig, layer: LayerKV) -> int:
    """Return the numbers that a token keeps in one layer's cache."""
    numbers = 0
    for _head in range(layer.num_kv_heads):
        numbers += layer.k_dim
        numbers += layer.v_dim
    return numbers


def cache_bytes(
    config: ModelConfig,
    lengths: Sequence[float],
    b: float,
    *,
    window: Callable = window_of,
    layers: Callable = owners,
    elements: Callable = cached_elements,
    cut: Callable = min,
) -> float:
    """Return the cache's bytes, counted layer by layer; each decision can be taken wrongly.

    Args:
        config: the model's shape.
        lengths: tokens of each sequence.
        b: bytes of one cached number.
        window: (config, layer) to the tokens that the layer keeps at most, or None.
        layers: config to the layers that cache.
        elements: (config, layer) to the numbers of a token in that layer.
        cut: (length, window) to the tokens kept.
    """
    total = Fraction(0)
    for layer in layers(config):
        numbers, limit = elements(config, layer), window(config, layer)
        for length in lengths:
            kept = length if limit is None else cut(length, limit)
            total += kept * numbers * Fraction(b)
    return float(total)


def state_bytes(config: ModelConfig) -> int:
    """Return the bytes of one sequence's constant state in layers without a cache."""
    return sum(layer.state_bytes for layer in config.kv_layers)
