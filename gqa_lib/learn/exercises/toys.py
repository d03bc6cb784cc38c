"""Toy model configs, given or drawn, and their caches counted layer by layer."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from gqa_lib.configs import ModelConfig


def toy(
    L, Hq, Hkv, D, d_model, windows=None, shared=0, latent=None, rope=None, name=""
) -> ModelConfig:
    """Return a small config whose name spells its sizes, for the learner to type again."""
    rest = [
        f"{key}={value}"
        for key, value in (
            ("windows", windows),
            ("shared_kv_layers", shared or None),
            ("kv_lora_rank", latent),
            ("rope_head_dim", rope),
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
    )


def drawn(generator, windows=False, shared=False, latent=False) -> dict:
    """Return drawn sizes of a toy config, no two of them standing in for each other."""

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


def drawn_bytes(generator) -> float:
    return (4, 2, 1, 0.5, 0.75)[int(torch.randint(5, (1,), generator=generator))]


def drawn_lengths(generator) -> list[int]:
    count = int(torch.randint(2, 6, (1,), generator=generator))
    return torch.randint(1, 41, (count,), generator=generator).tolist()


def plain(result):
    """Return a NumPy number as Python's own: a sum over an array is as good as one in a loop."""
    return result.item() if isinstance(result, np.generic) else result


def call(yours, *arguments):
    return plain(yours(*arguments))


def no_window(config, layer):
    return None


def window_of(config, layer):
    return None if config.windows is None else config.windows[layer]


def cached_elements(config: ModelConfig) -> int:
    if config.kv_lora_rank is not None and config.rope_head_dim is not None:
        return config.kv_lora_rank + config.rope_head_dim
    return 2 * config.num_kv_heads * config.head_dim


def cache_bytes(
    config: ModelConfig,
    lengths: list[int],
    b: float,
    *,
    window: Callable = window_of,
    layers: Callable = lambda c: range(c.num_layers - c.shared_kv_layers),
    elements: Callable = cached_elements,
    cut: Callable = min,
) -> float:
    """Return the cache's bytes, counted layer by layer; each decision can be taken wrongly."""
    total = Fraction(0)
    for layer in layers(config):
        for length in lengths:
            limit = window(config, layer)
            kept = length if limit is None else cut(length, limit)
            total += kept * elements(config) * Fraction(b)
    return float(total)
