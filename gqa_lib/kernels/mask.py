"""Which keys a query may attend to."""

import torch
from torch import Tensor

from gqa_lib.arguments import check_whole


def causal_mask(
    num_queries: int,
    num_keys: int,
    device: torch.device | str | None = None,
    window: int | None = None,
) -> Tensor:
    """Return the causal mask, aligned bottom-right: query i of T sees keys up to S - T + i.

    The last query sees every key, as it must when the keys before the new tokens come from a cache.

    Args:
        num_queries: T, the new tokens.
        num_keys: S >= T, cached and new tokens.
        device: where the mask is made; None is torch's default device.
        window: how many keys a query sees at most, itself included; None is all up to itself.

    Returns:
        (T, S) bool, True where a query may attend.

    Raises:
        ValueError: there are fewer keys than queries, or a number is not a whole one.

    Source: FlashAttention's README, section 2.1, aligns its mask like this too. PyTorch's
    `is_causal` is aligned to the top left instead, as its documentation shows. The window: Jiang
    et al. 2023, "Mistral 7B" (arXiv 2310.06825), section 2.
    """
    if not torch.jit.is_tracing():
        _check(num_queries, num_keys, window)
    last = torch.arange(num_queries, device=device)[:, None] + (num_keys - num_queries)  # (T, 1)
    keys = torch.arange(num_keys, device=device)  # (S,)
    mask = keys <= last
    return mask if window is None else mask & (keys > last - window)


def _check(num_queries: int, num_keys: int, window: int | None) -> None:
    if not torch.compiler.is_compiling():
        check_whole(0, num_queries=num_queries, num_keys=num_keys)
        if window is not None:
            check_whole(window=window)
    if num_keys < num_queries:
        raise ValueError(
            f"num_keys={num_keys} for num_queries={num_queries}: the queries are those of the last "
            "keys, so that the first would see none. Count cached and new tokens as keys."
        )
