"""Shapes of models as they are served, and against one whose kernels were timed."""

from __future__ import annotations

from dataclasses import replace

from gqa_lib.configs import ModelConfig
from gqa_lib.cost import kv_bytes_per_token


def with_vocabulary(config: ModelConfig) -> ModelConfig:
    """Return a shape with the vocabulary's size, where the number of parameters says it.

    An input embedding of its own has a row of d_model for each token. The table of models does
    not have the size; one with a tied output head, or a table of positions, stays as it is.

    Args:
        config: the model's shape.
    """
    weights = config.weights
    if config.vocab_size is not None or weights is None or not weights.embedding:
        return config
    rows, rest = divmod(weights.embedding, config.d_model)
    if rest or rows <= (config.max_context or 0) <= 4096:  # a table of positions
        return config
    return replace(config, vocab_size=rows)


def without_idle_windows(config: ModelConfig) -> ModelConfig:
    """Return a shape without windows that are as long as the longest context: they hide nothing.

    Args:
        config: the model's shape.
    """
    most = config.max_context
    if most is None:
        return config
    windows = config.windows and tuple(
        None if window is None or window >= most else window for window in config.windows
    )
    layers = config.layers and tuple(
        replace(
            layer, kind="full" if layer.kind in ("window", "chunk") else layer.kind, window=None
        )
        if layer.window and layer.window >= most and layer.kind != "compressed"
        else layer
        for layer in config.layers
    )
    return replace(config, windows=windows if windows and any(windows) else None, layers=layers)


def kv_scale(timed: ModelConfig, served: ModelConfig, bytes_per_element: float) -> float:
    """Return the bytes of a cached token over those of the model whose kernels were timed.

    Args:
        timed: the shape whose kernels were timed, with 2 bytes a cached number.
        served: the shape that is served.
        bytes_per_element: of a cached number of it.
    """
    return kv_bytes_per_token(served, bytes_per_element) / kv_bytes_per_token(timed, 2)


def qkv_scale(timed: ModelConfig, served: ModelConfig) -> float:
    """Return the parameters of the projections to Q, K and V over those of the timed model.

    Args:
        timed, served: both shapes, which differ in their KV heads only.
    """
    one, other = (config.num_heads + 2 * config.num_kv_heads for config in (served, timed))
    return one / other
