"""Memory for the rows that are kept: their keys, values, positions, and what was observed."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..rows import are_alike

SPARE = 8  # one slot in so many may be more than needed, so that not every step moves all rows


class Group(NamedTuple):
    """Rows of the batch that are alike, so that one call serves them all.

    Attributes:
        rows: of the batch.
        held: rows that each KV head holds for each of them, the new tokens' included.
        length: tokens of each, the evicted ones included.
        num_new: how many of these are new, the last ones.
    """

    rows: slice
    held: int
    length: int
    num_new: int


def groups_of(held: Sequence[int], lengths: Sequence[int], num_new: Sequence[int]) -> list[Group]:
    """Return the rows of a batch as one group if they are alike, else each on its own.

    Args:
        held, lengths, num_new: of each row of the batch, as in `Group`.
    """
    if held and are_alike(held) and are_alike(lengths) and are_alike(num_new):
        return [Group(slice(0, len(held)), held[0], lengths[0], num_new[0])]
    each = zip(held, lengths, num_new, strict=True)
    return [Group(slice(b, b + 1), *numbers) for b, numbers in enumerate(each)]


def added(numbers: Sequence[int], more: Sequence[int]) -> list[int]:
    """Return the sums of numbers that belong to the same rows.

    Args:
        numbers, more: one for each row.
    """
    return [n + m for n, m in zip(numbers, more, strict=True)]


class RowStore:
    """Keys, values and positions in slots, the same number for each KV head.

    The slots in use are the first ones. What came last is last; the others are in no order, as the
    slots of rows that go are filled by others.

    Args:
        batch_size, num_kv_heads, capacity, head_dim: of the memory, (B, Hkv, capacity, D) each for
            keys and values.
        observes: whether each row has a sum of observations and their number.
        dtype: of keys and values.
        device: of all; None is torch's default device.
    """

    def __init__(
        self,
        batch_size: int,
        num_kv_heads: int,
        capacity: int,
        head_dim: int,
        observes: bool,
        dtype: torch.dtype,
        device: torch.device | str | None,
    ):
        shape = batch_size, num_kv_heads, capacity
        self.k, self.v = (torch.empty(*shape, head_dim, dtype=dtype, device=device) for _ in "kv")
        self.positions = torch.empty(shape, dtype=torch.int32, device=device)
        self.sums = torch.empty(shape if observes else 0, device=device)
        self.counts = torch.empty_like(self.sums)

    @property
    def capacity(self) -> int:
        """Slots of each KV head."""
        return self.k.shape[2]

    @property
    def nbytes(self) -> int:
        """Bytes of the memory, used or not."""
        return sum(memory.nbytes for memory in self._all())

    def make_room(self, wanted: int, used: int) -> None:
        """Have so many slots at least, and an eighth more than before where there are more.

        Args:
            wanted: slots.
            used: the first slots, which are copied.
        """
        if wanted > self.capacity:
            self.resize(max(wanted, self.capacity + self.capacity // SPARE), used)

    def give_back(self, wanted: int, used: int) -> None:
        """Have so many slots again, unless that frees less than an eighth of them.

        Args:
            wanted: slots.
            used: the first slots, which are copied.
        """
        if self.capacity > wanted + wanted // SPARE and used <= wanted:
            self.resize(wanted, used)

    def resize(self, capacity: int, used: int) -> None:
        """Move to a memory with so many slots.

        Args:
            capacity: slots.
            used: the first slots, which are copied.
        """
        with torch.inference_mode(False):  # what inference makes, nobody else may write to
            for name in ("k", "v", "positions", "sums", "counts"):
                old = getattr(self, name)
                if old.dim() > 1:
                    new = old.new_empty(*old.shape[:2], capacity, *old.shape[3:])
                    new[:, :, :used] = old[:, :, :used]
                    setattr(self, name, new)

    def write(self, group: Group, k: Tensor, v: Tensor) -> None:
        """Keep the new tokens of some rows behind what they hold.

        Args:
            group: the rows, before the tokens are theirs.
            k, v: (rows, Hkv, num_new, D).
        """
        slots = slice(group.held, group.held + group.num_new)
        self.k[group.rows, :, slots], self.v[group.rows, :, slots] = k, v
        positions = torch.arange(group.length, group.length + group.num_new, device="cpu")
        self.positions[group.rows, :, slots] = positions.to(self.k.device, non_blocking=True)
        if self.sums.numel():
            self.sums[group.rows, :, slots] = 0
            self.counts[group.rows, :, slots] = 0

    def held(self, group: Group) -> tuple[Tensor, Tensor, Tensor]:
        """Return keys, values and positions that some rows hold: views of (rows, Hkv, held, ..)."""
        k, v, positions = (m[group.rows, :, : group.held] for m in self._all()[:3])
        return k, v, positions

    def observed(self, group: Group) -> tuple[Tensor, Tensor]:
        """Return sums and counts of what some rows hold: views of (rows, Hkv, held)."""
        sums, counts = (m[group.rows, :, : group.held] for m in (self.sums, self.counts))
        return sums, counts

    def drop(self, group: Group, evicted: Tensor) -> None:
        """Free slots; the last ones that stay move into those that are not the last themselves.

        Args:
            group: the rows that hold them.
            evicted: the slots of each KV head, (rows, Hkv, E), ascending.
        """
        E, n = evicted.shape[-1], group.held
        goes = torch.zeros(*evicted.shape[:2], n, dtype=torch.bool, device=evicted.device)
        goes.scatter_(2, evicted, True)
        # Of the last E slots those that stay come first: as many as there are holes before them.
        movers = n - E + goes[:, :, n - E :].byte().argsort(dim=-1, stable=True)
        pairs = min(E, n - E)  # a slot that is paired with itself is behind the end, or nothing
        targets, sources = evicted[..., :pairs], movers[..., :pairs]
        for memory in self._all():
            if memory.dim() > 1:
                part = memory[group.rows]
                if part.dim() == 4:
                    to, of = (
                        i[..., None].expand(-1, -1, -1, part.shape[3]) for i in (targets, sources)
                    )
                    part.scatter_(2, to, part.gather(2, of))
                else:
                    part.scatter_(2, targets, part.gather(2, sources))

    def reorder(self, sources: Sequence[int], used: int) -> None:
        """Let row b be what row sources[b] was; rows that do not change are not copied.

        Args:
            sources: a row for each.
            used: the first slots, which are copied.
        """
        changed = [b for b, source in enumerate(sources) if source != b]
        for memory in self._all():
            if memory.dim() > 1:
                moved = memory[[sources[b] for b in changed], :, :used]
                memory[changed, :, :used] = moved

    def _all(self) -> tuple[Tensor, ...]:
        return self.k, self.v, self.positions, self.sums, self.counts
