"""A model over several ranks: what each holds of it, and what they send each other."""

from __future__ import annotations

from dataclasses import replace

from gqa_lib.arguments import check_number, check_whole
from gqa_lib.configs import ModelConfig, Weights

from .blocks import heads_of_rank, stored_layers
from .positive import require_model


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
            else heads_of_rank(layer.num_kv_heads, ranks),
            state_bytes=-(-layer.state_bytes // ranks),
        )
        for layer in config.layers
    )
    weights = config.weights and _rank_weights(config, config.weights, ranks)
    whole = config.weight_bytes
    return replace(
        config,
        num_heads=heads,
        num_kv_heads=heads if latent else heads_of_rank(config.num_kv_heads, ranks),
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
            more = heads_of_rank(layer.num_kv_heads, ranks) - layer.num_kv_heads / ranks
            copied += round(more * config.d_model * (layer.k_dim + layer.v_dim))
    return replace(
        weights,
        dense=-(-weights.dense // ranks) + copied,
        embedding=-(-weights.embedding // ranks),
        expert=-(-weights.expert // ranks),
    )


def most_ranks(config: ModelConfig) -> int:
    """Return over how many ranks the cache of a model can be divided by heads before it is copied.

    Args:
        config: the model's shape.

    Returns:
        The fewest KV heads that a layer keeps; 1 where one keeps a latent, which every rank needs
        all of.
    """
    require_model(config)
    return min(
        1 if layer.kind == "latent" else layer.num_kv_heads
        for layer in config.kv_layers
        if layer.kind != "none" and layer.shares is None
    )


def sharing(config: ModelConfig, ranks: int) -> str:
    """Return in a sentence what ranks do to the cache of each.

    Args:
        config: the whole model's shape.
        ranks: that it is divided over by heads.
    """
    check_whole(ranks=ranks)
    most = most_ranks(config)
    if any(layer.kind == "latent" for layer in config.kv_layers):
        return "Every rank holds the whole latent: more ranks do not shrink its cache."
    heads = f"{most} KV head{'s' * (most > 1)}"
    if ranks <= most:
        return (
            f"Each of {ranks} ranks holds {most // ranks} of {heads}: past {most} ranks a rank's "
            "cache shrinks no further."
        )
    return (
        f"{ranks} ranks share {heads}, and {ranks // most} of them hold the same one: past "
        f"{most} rank{'s' * (most > 1)} a rank's cache shrinks no further."
    )


def tensor_parallel_bytes(
    config: ModelConfig, num_ranks: int, bytes_per_element: float = 2
) -> float:
    """Bytes that each rank sends per token and layer where heads are split over ranks.

    A layer adds up the ranks' parts twice, after attention and after the feed-forward block: two
    all-reduces of d_model numbers. In a ring each rank sends 2 (n - 1) / n of them. What the output
    head and a norm over all heads send comes on top.

    Args:
        config: the whole model's shape.
        num_ranks: n, that its heads are divided over.
        bytes_per_element: bytes of one number that is sent.

    Returns:
        Bytes; 0 with one rank. What is received is as much.

    Source: Shoeybi et al. 2019 (arXiv 1909.08053), section 3; Patarasuk and Yuan 2009 (J. Parallel
    Distrib. Comput. 69), section 3.
    """
    require_model(config)
    check_whole(num_ranks=num_ranks)
    check_number(above=0, bytes_per_element=bytes_per_element)
    return 2 * 2 * (num_ranks - 1) / num_ranks * config.d_model * bytes_per_element


def sequence_parallel_bytes(
    config: ModelConfig, num_ranks: int, bytes_per_element: float = 4
) -> float:
    """Bytes that each rank sends per decoded token and layer where a sequence's keys are split.

    Every rank has all query heads, and a partial output of head_dim numbers and a log-sum-exp for
    each, over its own keys. In a ring each rank sends n - 1 ranks' worth of them, so that all can
    merge. It does not depend on the length of the sequence, nor on num_kv_heads.

    Args:
        config: the model's shape.
        num_ranks: n, that the keys are divided over.
        bytes_per_element: bytes of one number that is sent; partial outputs are float32.

    Returns:
        Bytes; 0 with one rank. What is received is as much.

    Source: derived; the merge is that of Dao et al. 2023, "Flash-Decoding for long-context
    inference".
    """
    require_model(config)
    check_whole(num_ranks=num_ranks)
    check_number(above=0, bytes_per_element=bytes_per_element)
    return (num_ranks - 1) * config.num_heads * (config.head_dim + 1) * bytes_per_element
