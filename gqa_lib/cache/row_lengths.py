"""How many tokens the rows of a cache have, where each has room for equally many."""

from collections.abc import Sequence

from torch import Tensor

from gqa_lib.arguments import check_whole

from .checks import one_per_row
from .rows import next_positions


class RowLengths:
    """B rows with room for max_seq_len tokens each: what their caches count alike.

    Args:
        batch_size: B.
        max_seq_len: tokens that each row has room for.

    Raises:
        ValueError: max_seq_len is not a whole number.
    """

    def __init__(self, batch_size: int, max_seq_len: int):
        check_whole(0, max_seq_len=max_seq_len)
        self._max_seq_len = max_seq_len
        self._lengths = [0] * batch_size  # not on the device: a GPU would have to be waited for
        self._num_new: list[int] | None = None  # of each row at the last append; None if all had T
        self._lost = False  # whether something was cached that needed a gradient

    @property
    def max_seq_len(self) -> int:
        """Tokens that each row has room for."""
        return self._max_seq_len

    @property
    def length(self) -> int:
        """Tokens of the longest row."""
        return max(self._lengths) if self._lengths else 0  # torch.compile knows no default

    def positions(self, num_new: int) -> Tensor:
        """Return where the next `num_new` tokens stand: (T,), or (B, T) where rows differ."""
        return next_positions(self._lengths, num_new)

    def truncate(self, length: int | Sequence[int] | Tensor) -> None:
        """Forget all but the first `length` tokens of each row; a shorter row stays as it is.

        Args:
            length: from 0 to max_seq_len, one number for all rows or (B,).

        Raises:
            ValueError: it is neither. The cache is then as it was before.
        """
        most = self.check_truncate(length)
        self._lengths = [min(pair) for pair in zip(self._lengths, most, strict=True)]
        self._num_new = None

    def check_truncate(self, length: int | Sequence[int] | Tensor) -> list[int]:
        """Return the length of each row that `truncate` is asked for; nothing changes.

        Args:
            length: as in `truncate`.

        Raises:
            ValueError: as in `truncate`.
        """
        B = len(self._lengths)
        return one_per_row(length, "length", B, most=self.max_seq_len, one_for_all=True)

    def reset(self) -> None:
        """Forget every token; the memory stays allocated."""
        self.truncate(0)
        self._lost = False

    def _sources(self, index: Sequence[int] | Tensor) -> tuple[list[int], list[int], list[int]]:
        """Of `reorder`: what each row is to be, the rows that change, and what these are to be."""
        B = len(self._lengths)
        sources = one_per_row(index, "index", B, most=B - 1)
        changed = [b for b in range(B) if sources[b] != b]
        return sources, changed, [sources[b] for b in changed]

    def _count_as(self, sources: Sequence[int]) -> None:
        """Let row b have the tokens that row sources[b] had."""
        self._lengths = [self._lengths[b] for b in sources]
        self._num_new = self._num_new and [self._num_new[b] for b in sources]
