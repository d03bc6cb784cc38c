"""What a checkpoint's weights say, where its config file says something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def kv_heads_in_weights(k_proj_weight: torch.Tensor, head_dim: int) -> int:
    """Return how many different KV heads a key projection holds.

    Some files store each KV head several times, once for every device or query head that reads it;
    equal neighbours are such copies.

    Args:
        k_proj_weight: the projection's weight, (heads * head_dim, d_model).
        head_dim: channels of a head.

    Returns:
        The number of KV heads, copies of one counted once.

    Raises:
        ValueError: the rows are not a whole number of heads.
    """
    rows = k_proj_weight.shape[0]
    if rows == 0 or rows % head_dim:
        raise ValueError(
            f"{rows} rows are not a whole number of heads of head_dim={head_dim}, so they cannot "
            "be cut into heads. Is it the weight of K alone, stored as (out, in)?"
        )
    heads = k_proj_weight.reshape(-1, head_dim, k_proj_weight.shape[1])
    return 1 + int((heads[1:] != heads[:-1]).flatten(1).any(1).sum())
