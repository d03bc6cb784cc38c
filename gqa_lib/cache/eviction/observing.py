"""Policies that look at attention: what queries gave to each row."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from gqa_lib.arguments import check_choice, check_number, check_whole

from .protocol import EvictionPolicy

QUERIES_AT_ONCE = 64  # their probabilities over all rows are in memory together


class HeavyHitter(EvictionPolicy):
    """Keep the rows that got most attention from a query, on average over those that saw them.

    A plain sum grows with the number of queries: rows of early tokens, which all queries saw, then
    stay for good, whatever later queries look at. `mean=False, decay=1.0` is that sum.

    Args:
        decay: what older observations are multiplied by at each new query, above 0 and at most 1.
        mean: whether the sum of a row is divided by its observations.
        over_heads: what the R query heads of a KV head are brought together by.

    Raises:
        ValueError: decay is out of range, or there is no such way.

    Source: Zhang et al. 2023 (arXiv 2306.14048), section 4, which sums; the mean is NVIDIA
    kvpress's ObservedAttentionPress.
    """

    def __init__(
        self,
        decay: float = 0.99,
        mean: bool = True,
        over_heads: Literal["mean", "max"] = "mean",
    ):
        check_number(above=0, decay=decay)
        if decay > 1:
            raise ValueError(
                f"decay={decay} is above 1: the oldest attention would count most, and without "
                "end. Give a number up to 1, which forgets nothing."
            )
        check_choice((True, False), mean=mean)
        check_choice(("mean", "max"), over_heads=over_heads)
        self.decay, self.mean, self.over_heads = decay, mean, over_heads

    def score(self, keys: Tensor, values: Tensor, queries: Tensor, positions: Tensor) -> Tensor:
        """Return the attention that each row got, summed over queries.

        Args:
            keys, values, queries, positions: as in `EvictionPolicy.score`.
        """
        assert self.decay is not None
        W = queries.shape[2]
        total = torch.zeros(positions.shape, device=keys.device)
        for first, weights in attention_weights(keys, queries, positions):
            ages = W - 1 - first - torch.arange(weights.shape[3], device=keys.device)
            total += _added_up(weights, self.decay ** ages.float(), self.over_heads)
        return total


class Snap(EvictionPolicy):
    """Keep the rows that the newest queries look at, and the neighbours of these.

    Rows of the queries' own tokens, which the cache keeps anyway, lend nothing to neighbours.

    Made for a prompt that goes through the model at once: its last queries choose what is kept of
    it. Later evictions go by the newest queries then, and attend once more with all of these: give
    the cache an interval.

    Args:
        window: how many queries; the cache keeps these, and their rows, too.
        kernel: rows over which attention is averaged, an odd number; 1 leaves it as it is.
        over_heads: what the R query heads of a KV head are brought together by.

    Raises:
        ValueError: a number is not whole or too small, kernel is even, or there is no such way.

    Source: Li et al. 2024 (arXiv 2404.14469), section 4; the sizes are NVIDIA kvpress's.
    """

    def __init__(
        self, window: int = 64, kernel: int = 5, over_heads: Literal["mean", "max"] = "mean"
    ):
        check_whole(window=window, kernel=kernel)
        if kernel % 2 == 0:
            raise ValueError(
                f"kernel={kernel} is even: a row would be averaged with more neighbours on one "
                f"side than on the other. Give an odd number, such as {kernel + 1}."
            )
        check_choice(("mean", "max"), over_heads=over_heads)
        self.window, self.kernel, self.over_heads = window, kernel, over_heads

    def score(self, keys: Tensor, values: Tensor, queries: Tensor, positions: Tensor) -> Tensor:
        """Return the attention that each row and its neighbours got, summed over queries.

        Args:
            keys, values, queries, positions: as in `EvictionPolicy.score`.
        """
        total = torch.zeros(positions.shape, device=keys.device)
        for _, weights in attention_weights(keys, queries, positions):
            total += _added_up(weights, weights.new_ones(weights.shape[3]), self.over_heads)
        order = positions.argsort(-1)
        before = positions <= positions.amax(-1, keepdim=True) - queries.shape[2]
        counts = before.gather(2, order).float()
        given, near = (
            F.avg_pool1d(x, self.kernel, 1, self.kernel // 2)
            for x in (total.gather(2, order) * counts, counts)
        )
        pooled = torch.empty_like(total).scatter_(2, order, given / near)
        return torch.where(before, pooled, total)


def attention_weights(
    keys: Tensor, queries: Tensor, positions: Tensor
) -> Iterator[tuple[int, Tensor]]:
    """Yield the probabilities with which queries attend to rows, some queries at a time.

    Args:
        keys, queries, positions: as in `EvictionPolicy.score`. A query sees the rows up to its own
            position.

    Yields:
        The number of the first query of the part, and (B, Hkv, R, some, S) in float32.
    """
    (B, _, W, D), Hkv = queries.shape, keys.shape[1]
    newest = positions.amax(-1, keepdim=True)[:, :, None, None]  # (B, Hkv, 1, 1, 1)
    if keys.dtype == torch.float16:  # products could be over its largest number
        keys, queries = keys.float(), queries.float()
    for first in range(0, W, QUERIES_AT_ONCE):
        rows = queries[:, :, first : first + QUERIES_AT_ONCE]
        some = rows.shape[2]
        scores = rows.reshape(B, Hkv, -1, D) @ keys.mT / D**0.5  # (B, Hkv, R*some, S)
        scores = scores.unflatten(2, (-1, some))
        if W > 1:
            behind = W - 1 - first - torch.arange(some, device=keys.device)[:, None]  # the newest
            hidden = positions[:, :, None, None] > newest - behind  # (B, Hkv, 1, some, S)
            scores = scores.masked_fill(hidden, -torch.inf)
        yield first, scores.softmax(-1, dtype=torch.float32)


def _added_up(weights: Tensor, factors: Tensor, how: Literal["mean", "max"]) -> Tensor:
    """(B, Hkv, R, W, S) to (B, Hkv, S): over heads that share a row, and queries times factors."""
    if how == "max":
        weights = weights.amax(2, keepdim=True)
    R = weights.shape[2]
    return (factors / R).repeat(R) @ weights.flatten(2, 3)
