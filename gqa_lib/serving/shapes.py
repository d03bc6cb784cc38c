"""Shapes of models as they are served: of one rank, and against one whose kernels were timed."""

from __future__ import annotations

from dataclasses import replace

from gqa_lib.arguments import check_whole
from gqa_lib.configs import ModelConfig, Weights
from gqa_lib.cost import kv_bytes_per_token
from gqa_lib.cost.blocks import stored_layers


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


def rank_config(config: ModelConfig, ranks: int) -> ModelConfig:
    """Return the shape of what one rank holds.

    Query heads, the feed-forward blocks, experts and the vocabulary are divided, norms too, which
    are too small to matter. KV heads are divided as far as there are any and then copied, so that
    each rank has max(1, num_kv_heads / ranks), with their projections; so is a latent. Constant
    states are divided.

    Args:
        config: the whole model's shape.
        ranks: that it is divided over.

    Raises:
        ValueError: heads that cannot be divided so.

    Source: vLLM 0.19, `QKVParallelLinear`; Shoeybi et al. 2019 (arXiv 1909.08053), section 3.
    """
    check_whole(ranks=ranks)
    if ranks == 1:
        return config
    stored_layers(config, 2, 16, ranks)  # refuses heads that cannot be divided
    latent = config.kv_lora_rank is not None
    heads = config.num_heads // ranks
    layers = config.layers and tuple(
        replace(
            layer,
            num_kv_heads=layer.num_kv_heads
            if layer.kind in ("none", "latent")
            else max(1, layer.num_kv_heads // ranks),
            state_bytes=-(-layer.state_bytes // ranks),
        )
        for layer in config.layers
    )
    weights = config.weights and _rank_weights(config, config.weights, ranks)
    whole = config.weight_bytes
    return replace(
        config,
        num_heads=heads,
        num_kv_heads=heads if latent else max(1, config.num_kv_heads // ranks),
        d_ff=config.d_ff and -(-config.d_ff // ranks),
        vocab_size=config.vocab_size and -(-config.vocab_size // ranks),
        layers=layers,
        weights=weights,
        weight_bytes=2 * weights.total if weights else whole and whole // ranks,
    )


def _rank_weights(config: ModelConfig, weights: Weights, ranks: int) -> Weights:
    copied = 0  # parameters of K and V projections that other ranks have too
    for layer in config.kv_layers:
        if layer.kind not in ("none", "latent") and layer.shares is None:
            more = max(1, layer.num_kv_heads // ranks) - layer.num_kv_heads / ranks
            copied += round(more * config.d_model * (layer.k_dim + layer.v_dim))
    return replace(
        weights,
        dense=-(-weights.dense // ranks) + copied,
        embedding=-(-weights.embedding // ranks),
        expert=-(-weights.expert // ranks),
    )
