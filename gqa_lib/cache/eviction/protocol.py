"""What an evicting cache asks of a policy."""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class EvictionPolicy(Protocol):
    """How much each row of each KV head is worth; a cache keeps the rows worth most.

    A policy holds no tokens: what it has seen of them is kept, moved and counted by the cache, so
    that layers and batches may share one policy. Write one by inheriting from this class.

    Attributes:
        window: how many of a row's newest queries `score` is given when rows are evicted; 0 is
            none, for a policy that does not look at queries.
        decay: None for scores that are worked out when rows are evicted. A number from 0 to 1 for
            scores that are observed at every call of `attend`, with all of its queries: the cache
            sums them up, and each later query multiplies what was there by `decay`.
        mean: whether the sum is divided by the queries that saw a row, decayed alike.

    B batch, Hq query heads, Hkv KV heads, W queries, S rows that are kept, D elements of a head.
    """

    window: int = 0
    decay: float | None = None
    mean: bool = True

    def score(self, keys: Tensor, values: Tensor, queries: Tensor, positions: Tensor) -> Tensor:
        """Return how much each row is worth.

        Args:
            keys, values: of the rows that are kept, in no order, (B, Hkv, S, D).
            queries: of the newest tokens, (B, Hq, W, D), the last of them the newest token's.
            positions: where each row's token stands in its sequence, (B, Hkv, S); the newest token
                is always among them.

        Returns:
            (B, Hkv, S) floating-point numbers, the larger the longer a row stays; which of equal
            ones goes first is not defined. For observed scores: the sum over the queries, query i
            of W times decay ** (W - 1 - i).
        """
        ...
