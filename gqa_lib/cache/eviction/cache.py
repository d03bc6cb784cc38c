"""A KV cache that keeps a budget of rows for each KV head and evicts the others."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gqa_lib.kernels.checks import check_tensors, check_window
from gqa_lib.kernels.dispatch import check_backend
from gqa_lib.kernels.traced import untraced

from ..checks import check_new, check_sizes, counts_of, one_per_row
from ..gradients import is_lost, refuse_gradient
from ..protocol import Cache
from ..rows import next_positions, on_cpu
from .attending import attend_groups
from .checks import check_fresh, check_masked, check_rope, check_truncation
from .keep import check_budget, ratio_removed, rows_to_evict
from .places import Turns, turned_back, turned_by_places
from .protocol import EvictionPolicy
from .store import Group, RowStore, added, groups_of
from .watching import Watcher, one_by_one


class EvictingCache(Cache):
    """K and V of a budget of tokens for each KV head, chosen by a policy.

    New tokens attend to all that is kept and to themselves; only then are rows evicted. Tokens keep
    their true positions: `lengths` and `positions` count the evicted ones too. The KV heads of a
    row keep the same number of rows, each its own.

    Args:
        batch_size: B, the rows of the batch.
        num_kv_heads, head_dim: of the keys and values, Hkv and D.
        budget: rows that each KV head keeps of each row of the batch; `rows_to_keep` gives it for a
            ratio that is removed.
        policy: which rows are worth most; None is `SlidingWindow()`.
        dtype: of K and V.
        device: of both; None is torch's default device.
        num_sinks: the first tokens whose rows stay whatever the policy says.
        recent: the newest ones that do; None is as many as the policy looks at, 1 at least.
        interval: how many rows over the budget are too many: with one token at a time, rows are
            evicted every `interval` steps, and the memory has room for as many more.
        rope: None to leave keys turned by their true positions. The layer's `Rope` to turn keys and
            queries by their places among the rows that are kept, whose distances then stay as
            short as the cache: keys are turned back when they are cached, and turned again at each
            call, which costs time and, in half precision, two roundings.

    Raises:
        ValueError: a size is not a whole number, the budget is below what must stay (a
            SinkWindow's sinks included), or rope is for another head_dim.

    Source: turning by places is Xiao et al. 2023 (arXiv 2309.17453), section 3.2.
    """

    def __init__(
        self,
        batch_size: int,
        num_kv_heads: int,
        budget: int,
        head_dim: int,
        policy: EvictionPolicy | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
        *,
        num_sinks: int = 0,
        recent: int | None = None,
        interval: int = 1,
        rope: Turns | None = None,
    ):
        check_sizes(batch_size, num_kv_heads, head_dim, dtype)
        self._watcher = Watcher(policy, batch_size)
        recent = max(1, self.policy.window) if recent is None else recent
        check_budget(budget, num_sinks, recent, self.policy, interval)
        check_rope(rope, head_dim)
        self.budget, self.interval, self.rope = budget, interval, rope
        self.num_sinks, self.recent = num_sinks, recent
        sizes = batch_size, num_kv_heads, budget + interval, head_dim
        self._store = RowStore(*sizes, self.policy.decay is not None, dtype, device)
        self._lengths, self._held, self._fresh = ([0] * batch_size for _ in range(3))
        self._num_new: list[int] | None = None  # of each row at the last append; None if all had T
        self._attended = False  # whether the tokens appended last have
        self._lost = False  # whether something was cached that needed a gradient

    @property
    def policy(self) -> EvictionPolicy:
        """By which rows are chosen."""
        return self._watcher.policy

    @property
    def lengths(self) -> Tensor:
        """Tokens of each row, the evicted ones included, (B,) int64 on the cache's device."""
        return on_cpu(self._lengths).to(self._store.k.device, non_blocking=True)

    @property
    def nbytes(self) -> int:
        """Bytes allocated: K and V, positions, and what the policy has observed."""
        return self._store.nbytes + self._watcher.nbytes

    @property
    def num_kept(self) -> list[int]:
        """Rows that each KV head holds, for each row of the batch."""
        return list(self._held)

    @property
    def ratios_removed(self) -> list[float]:
        """Which share of its tokens each row of the batch has lost."""
        return [ratio_removed(*pair) for pair in zip(self._lengths, self._held, strict=True)]

    @property
    def kept(self) -> list[Tensor]:
        """Where the tokens that are kept stand, ascending: for each row, (Hkv, kept) int32."""
        return [self._store.positions[b, :, :n].sort(-1).values for b, n in enumerate(self._held)]

    @untraced
    def positions(self, num_new: int) -> Tensor:
        """Return where the next `num_new` tokens stand: (T,), or (B, T) where rows differ."""
        return next_positions(self._lengths, num_new)

    @untraced
    def append(self, k: Tensor, v: Tensor, num_new: Sequence[int] | Tensor | None = None) -> None:
        """Take in the keys and values of new tokens; none is evicted before `attend`.

        Where they have no room in what is allocated, more is, until the next eviction; an eighth
        of budget + interval more may stay.

        The cache is for inference: gradients do not flow into it, and where k or v needs one,
        backward through `attend` is an error.

        Args:
            k, v: of the new tokens, (B, Hkv, T, D), in the cache's dtype on its device.
            num_new: how many of the T tokens each row has, (B,): its own come first, then padding,
                which is not cached. None is T for all.

        Raises:
            ValueError: k, v or num_new does not fit the cache. It is then as it was before.
        """
        check_new(k, v, self._store.k)
        B, T = len(self._lengths), k.shape[2]
        counts = counts_of(num_new, B, T)
        held = added(self._held, counts)
        self._store.make_room(max(held, default=0), max(self._held, default=0))
        for group in groups_of(self._held, self._lengths, counts):
            rows, n = group.rows, group.num_new
            keys = turned_back(self.rope, k[rows, :, :n].detach(), group.length + n)
            self._store.write(group, keys, v[rows, :, :n].detach())
        self._lengths, self._held = added(self._lengths, counts), held
        self._fresh = added(self._fresh, counts)
        self._num_new = None if counts.count(T) == B else counts
        self._attended = False
        self._lost = self._lost or is_lost(k, v)

    @untraced
    def attend(
        self, q: Tensor, backend: str = "auto", *, causal: bool = True, window: int | None = None
    ) -> Tensor:
        """Return attention of the tokens appended last over the rows that are kept of theirs.

        Then, the first time after an append, the policy observes, and rows beyond the budget go.

        Args:
            q: their queries, (B, Hq, T, D), padded as k and v were; without padding T may be less
                than it was then, and the queries are those of each row's newest tokens.
            backend, causal, window: as in `gqa_lib.attention.grouped_query_attention`; a window
                counts true positions, and takes auto or fold_sdpa, as what it hides differs from
                head to head. Policies score rows as if all later queries saw them.

        Returns:
            (B, Hq, T, D) in q's dtype, zeros for padding.

        Raises:
            ValueError: q does not fit the cache, the backend cannot run the call, rows were evicted
                since these tokens attended, or the policy's scores are not one per KV head and row.
        """
        none = self._store.k[:, :, :0]
        check_tensors(q, none, none)
        check_window(window, causal)
        check_backend(backend)
        check_masked(backend, window)
        num_new = [q.shape[2]] * len(self._held) if self._num_new is None else self._num_new
        check_fresh(q.shape[2], self._fresh, num_new)
        groups = groups_of(self._held, self._lengths, num_new)
        out = attend_groups(q, groups, self._store, self.rope, backend, causal, window)
        if not self._attended:
            with torch.no_grad():
                self._observe_and_evict(q, groups, window)
            self._attended = True
        return refuse_gradient(out) if self._lost else out

    def _turned(self, q: Tensor, group: Group) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """Queries, turned back if keys are, and all that their rows hold, each at its place."""
        return turned_by_places(self.rope, q, self._store.held(group), group)

    def _observe_and_evict(self, q: Tensor, groups: list[Group], window: int | None) -> None:
        for group in groups:
            if not group.num_new:
                continue
            own = turned_back(self.rope, q[group.rows, :, : group.num_new], group.length)
            self._watcher.keep_queries(group, own)
            if self.policy.decay is not None:
                self._watcher.observe(self._store.observed(group), group, *self._turned(own, group))
            if group.held >= self.budget + self.interval:
                alone = one_by_one(group, len(self._held)) if self.policy.window else [group]
                for one in alone:
                    self._evict(one, own, window)
        self._store.give_back(self.budget + self.interval, max(self._held, default=0))

    def _evict(self, group: Group, q: Tensor, window: int | None) -> None:
        """Bring some rows down to the budget."""
        if self.policy.decay is None:
            queries = self._watcher.queries_of(group, q)
            scores = self._watcher.scores(*self._turned(queries, group))
        else:
            scores = self._watcher.observed_scores(self._store.observed(group))
        positions, num = self._store.held(group)[2], group.held - self.budget
        stay = {"num_sinks": self.num_sinks, "recent": self.recent}
        evicted = rows_to_evict(scores, positions, num, **stay, window=window)
        self._store.drop(group, evicted)
        for b in range(*group.rows.indices(len(self._held))):
            self._held[b], self._fresh[b] = self.budget, 0

    def reorder(self, index: Sequence[int] | Tensor) -> None:
        """Let row b be what row index[b] was, as beam search does.

        Args:
            index: (B,), each from 0 to B - 1; a row may be taken several times or not at all.

        Raises:
            ValueError: it is not a row's number for each row. The cache is then as it was before.
        """
        B = len(self._lengths)
        sources = one_per_row(index, "index", B, most=B - 1)
        self._store.reorder(sources, max(self._held, default=0))
        self._watcher.reorder(sources)
        numbers = self._lengths, self._held, self._fresh
        self._lengths, self._held, self._fresh = ([one[b] for b in sources] for one in numbers)
        self._num_new = self._num_new and [self._num_new[b] for b in sources]

    def truncate(self, length: int | Sequence[int] | Tensor) -> None:
        """Forget all but the first `length` tokens of each row; a shorter row stays as it is.

        Rows that were evicted do not come back, and what was observed of forgotten tokens stays:
        only tokens whose rows all KV heads still hold can be forgotten, or else all tokens.

        Args:
            length: one number for all rows or (B,).

        Raises:
            ValueError: it is neither, or some KV heads have evicted a token that is to be forgotten
                and others have not. The cache is then as it was before.
        """
        for b, end in enumerate(self.check_truncate(length)):
            self._forget(b, end)
        self._num_new = None

    def check_truncate(self, length: int | Sequence[int] | Tensor) -> list[int]:
        """Return the tokens that `truncate` would leave each row; nothing changes.

        Args:
            length: as in `truncate`.

        Raises:
            ValueError: as in `truncate`.
        """
        B = len(self._lengths)
        most = one_per_row(length, "length", B, most=2**31 - 1, one_for_all=True)
        wanted = [min(pair) for pair in zip(self._lengths, most, strict=True)]
        for b, (n, end) in enumerate(zip(self._held, wanted, strict=True)):
            if 0 < end < self._lengths[b] != n:
                check_truncation(self._store.positions[b, :, :n], self._lengths[b], end, b)
        return wanted

    def _forget(self, b: int, end: int) -> None:
        """Drop the rows of a batch row's tokens from a position on, which all KV heads hold."""
        num, held = self._lengths[b] - end, self._held[b]
        if num and end:
            group = Group(slice(b, b + 1), held, self._lengths[b], 0)
            newest = self._store.held(group)[2].topk(num, -1).indices
            self._store.drop(group, newest.sort(-1).values)
        self._lengths[b], self._held[b] = end, held - num if end else 0
        self._fresh[b] = max(0, self._fresh[b] - num)
        self._watcher.truncate(b, end)

    def reset(self) -> None:
        """Forget every token; the memory stays allocated."""
        self.truncate(0)
        self._lost = False
