"""Policies that look at positions alone: they keep the same rows whatever the tokens are."""

import torch
from torch import Tensor

from gqa_lib.arguments import check_whole

from .protocol import EvictionPolicy


class SlidingWindow(EvictionPolicy):
    """Keep the newest rows.

    A token sees the rows that are kept and itself: of the newest W tokens, where the budget is
    W - 1 and the interval 1.

    Source: Jiang et al. 2023 (arXiv 2310.06825), section 2.
    """

    def score(self, keys: Tensor, values: Tensor, queries: Tensor, positions: Tensor) -> Tensor:
        """Return the positions.

        Args:
            keys, values, queries, positions: as in `EvictionPolicy.score`.
        """
        return positions.double()


class SinkWindow(EvictionPolicy):
    """Keep the first few rows, on which attention rests when nothing else matters, and the newest.

    Args:
        num_sinks: how many of the first rows.

    Raises:
        ValueError: it is not a whole number from 1.

    Source: Xiao et al. 2023 (arXiv 2309.17453), section 3.2.
    """

    def __init__(self, num_sinks: int = 4):
        check_whole(num_sinks=num_sinks)
        self.num_sinks = num_sinks

    def score(self, keys: Tensor, values: Tensor, queries: Tensor, positions: Tensor) -> Tensor:
        """Return the positions, infinity for sinks.

        Args:
            keys, values, queries, positions: as in `EvictionPolicy.score`.
        """
        return positions.double().masked_fill(positions < self.num_sinks, torch.inf)


class Oldest(EvictionPolicy):
    """Keep the oldest rows: a control, which what matters late must fail."""

    def score(self, keys: Tensor, values: Tensor, queries: Tensor, positions: Tensor) -> Tensor:
        """Return the positions, negative.

        Args:
            keys, values, queries, positions: as in `EvictionPolicy.score`.
        """
        return -positions.double()


class Random(EvictionPolicy):
    """Keep rows that are drawn, of each KV head its own: a control for what a policy finds.

    The seed, the KV head and the position give a row its score for good. Rows drawn anew at each
    eviction would die out with age; these are a fair sample of all tokens at any time.

    Args:
        seed: a whole number from 0 and below 2^31.

    Raises:
        ValueError: it is not.
    """

    def __init__(self, seed: int = 0):
        check_whole(0, seed=seed)
        if seed >= 2**31:
            raise ValueError(
                f"seed={seed} is 2^31 or more: only 31 bits are mixed, so that it would draw what "
                f"a smaller seed draws. Give one up to {2**31 - 1}."
            )
        self.seed = seed

    def score(self, keys: Tensor, values: Tensor, queries: Tensor, positions: Tensor) -> Tensor:
        """Return numbers from 0 to 1.

        Args:
            keys, values, queries, positions: as in `EvictionPolicy.score`.
        """
        heads = torch.arange(positions.shape[1], device=positions.device)[:, None]
        mixed = _mixed(_mixed(_mixed(self.seed + torch.zeros_like(heads)) + heads) + positions)
        return mixed.double() / 2**31


def _mixed(x: Tensor) -> Tensor:
    """Whole numbers as others from 0 to 2^31 - 1 that look unrelated: xor-shifts and products."""
    x = (x + 0x1E3779B9) & 0x7FFFFFFF  # without a number added, 0 would stay 0
    for factor in (0x2C1B3C6D, 0x297A2D39):
        x = ((x ^ (x >> 15)) * factor) & 0x7FFFFFFF  # the product is below 2^61
    return x ^ (x >> 15)
