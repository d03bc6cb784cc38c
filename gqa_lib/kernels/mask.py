"""Which keys a query may attend to."""

import torch


def causal_mask(num_queries, num_keys, device=None):
    """Return the causal mask, aligned bottom-right: query i of T sees keys up to S - T + i.

    The last query sees every key, as it must when the keys before the new tokens come from a cache.

    Args:
        num_queries: T, the new tokens.
        num_keys: S >= T, cached and new tokens.
        device: where the mask is made; None is torch's default device.

    Returns:
        (T, S) bool, True where a query may attend.

    Source: FlashAttention's README, section 2.1, aligns its mask like this too. PyTorch's
    `is_causal` is aligned to the top left instead, as its documentation shows.
    """
    everything = torch.ones(num_queries, num_keys, dtype=torch.bool, device=device)
    return everything.tril(num_keys - num_queries)
