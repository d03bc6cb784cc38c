"""What a policy needs to have seen: the newest queries, or a sum of scores for each row."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gqa_lib.arguments import check_kind, check_number, check_whole, shown

from .keep import check_scores
from .policies import SlidingWindow
from .protocol import EvictionPolicy
from .store import Group


class Watcher:
    """A policy, with what it is given of a batch's past.

    Args:
        policy: as in `EvictingCache`.
        batch_size: B, the rows.

    Raises:
        ValueError: it is not a policy, or what it says of itself is out of range.
    """

    def __init__(self, policy: EvictionPolicy | None, batch_size: int):
        self.policy = SlidingWindow() if policy is None else policy
        _check_policy(self.policy)
        self._queries: list[Tensor | None] = [None] * batch_size  # the newest, (Hq, some, D)
        self._ends = [0] * batch_size  # the position after each row's last query

    @property
    def nbytes(self) -> int:
        """Bytes of the queries that are kept."""
        return sum(q.shape.numel() * q.itemsize for q in self._queries if q is not None)

    def keep_queries(self, group: Group, q: Tensor) -> None:
        """Keep the newest queries of some rows, if the policy looks at them.

        Args:
            group: the rows.
            q: those of the newest tokens, (rows, Hq, num_new, D).
        """
        window = self.policy.window
        if not window:
            return
        for own, b in zip(q.detach(), _numbers(group, self._queries), strict=True):
            old = self._queries[b]
            if old is not None and self._ends[b] == group.length - group.num_new:
                own = torch.cat((old, own), 1)
            self._queries[b] = own[:, -window:].clone()  # not a view of a long prompt's
            self._ends[b] = group.length

    def queries_of(self, group: Group, q: Tensor) -> Tensor:
        """Return the queries that the policy is given for a row, (1, Hq, W, D).

        Args:
            group: the row alone, or any rows where the policy looks at no queries.
            q: queries of its newest tokens.
        """
        kept = self._queries[group.rows.start]
        return q[:, :, :0] if kept is None else kept[None]

    def scores(self, q: Tensor, held: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Return the policy's scores, (rows, Hkv, held).

        Args:
            q: queries, (rows, Hq, W, D).
            held: keys, values and positions of the rows.

        Raises:
            ValueError: they are not one for each KV head and row.
        """
        keys, values, positions = held
        scores = self.policy.score(keys, values, q, positions)
        return check_scores(scores, keys, q, type(self.policy).__name__)

    def observe(
        self,
        observed: tuple[Tensor, Tensor],
        group: Group,
        q: Tensor,
        held: tuple[Tensor, Tensor, Tensor],
    ) -> None:
        """Add the scores of new queries to the sums of rows, and to the counts how many saw them.

        Args:
            observed: sums and counts, (rows, Hkv, held) each.
            group: the rows.
            q: queries of the newest tokens, (rows, Hq, num_new, D).
            held: keys, values and positions of the rows.

        Raises:
            ValueError: as in `scores`.
        """
        scores, (sums, counts), decay = self.scores(q, held), observed, self._decay
        T = group.num_new
        saw = (group.length - held[2]).clamp(max=T).float()  # queries that came with a row or later
        sums.mul_(decay**T).add_(scores)
        counts.mul_(decay**T).add_(saw if decay == 1 else (1 - decay**saw) / (1 - decay))

    def observed_scores(self, observed: tuple[Tensor, Tensor]) -> Tensor:
        """Return scores by what was observed, (rows, Hkv, held).

        Args:
            observed: sums and counts.
        """
        sums, counts = observed
        return sums / counts if self.policy.mean else sums

    def reorder(self, sources: Sequence[int]) -> None:
        """Let row b be what row sources[b] was."""
        self._queries = [self._queries[b] for b in sources]
        self._ends = [self._ends[b] for b in sources]

    def truncate(self, row: int, length: int) -> None:
        """Forget the queries of a row's tokens from a position on.

        Args:
            row: of the batch.
            length: the position.
        """
        kept, end = self._queries[row], self._ends[row]
        if kept is not None and end > length:
            left = kept.shape[1] - (end - length)
            self._queries[row] = kept[:, :left].clone() if left > 0 else None
            self._ends[row] = length

    @property
    def _decay(self) -> float:
        assert self.policy.decay is not None
        return self.policy.decay


def one_by_one(group: Group, batch_size: int) -> list[Group]:
    """Return the rows of a group as groups of their own.

    Args:
        group: some rows.
        batch_size: B.
    """
    numbers = range(*group.rows.indices(batch_size))
    return [group._replace(rows=slice(b, b + 1)) for b in numbers]


def _numbers(group: Group, rows: Sequence[object]) -> range:
    return range(*group.rows.indices(len(rows)))


def _check_policy(policy: EvictionPolicy) -> None:
    how = "Give SlidingWindow(), HeavyHitter() or another of gqa_lib.cache.eviction, or your own "
    if isinstance(policy, type):
        raise ValueError(
            f"policy={shown(policy)} is a class: it has no settings yet. Give "
            f"{policy.__name__}() instead."
        )
    check_kind(EvictionPolicy, how + "that inherits from EvictionPolicy.", policy=policy)
    check_whole(0, window=policy.window)
    if policy.decay is not None:
        check_number(0, decay=policy.decay)
        if policy.decay > 1 or policy.window:
            raise ValueError(
                f"{type(policy).__name__} has decay={policy.decay} and window={policy.window}: "
                "what is observed at every call counts less with time, and needs no queries kept. "
                "Give a decay of at most 1 with window=0, or decay=None."
            )
