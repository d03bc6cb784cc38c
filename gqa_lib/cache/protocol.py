"""What attention asks of a KV cache."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Cache(Protocol):
    """Past tokens of one layer, B rows whose lengths may differ.

    A forward pass asks for the new tokens' positions, appends their K and V and has their queries
    attend. Where and in what form the past is kept is the cache's own business.

    B batch, T new tokens, Hq query heads, Hkv KV heads, D elements of a head.
    """

    @property
    def lengths(self) -> Tensor:
        """Tokens of each row, (B,) int64 on the cache's device."""

    @property
    def nbytes(self) -> int:
        """Bytes that the cache occupies."""

    def positions(self, num_new: int) -> Tensor:
        """Return where the next `num_new` tokens of each row stand.

        Args:
            num_new: T.

        Returns:
            (T,) if it is the same in all rows, else (B, T); int64 on the CPU, where it is known
            without waiting for a GPU.
        """

    def append(self, k: Tensor, v: Tensor, num_new: Sequence[int] | Tensor | None = None) -> object:
        """Take in the keys and values of new tokens.

        Args:
            k, v: (B, Hkv, T, D).
            num_new: how many of the T tokens each row has, (B,), its own first and then padding,
                which is not kept; None is T for all.

        Raises:
            ValueError: k, v or num_new does not fit, or there is no room. Nothing has changed then.
        """

    def attend(
        self, q: Tensor, backend: str = "auto", *, causal: bool = True, window: int | None = None
    ) -> Tensor:
        """Return attention of the tokens appended last over all tokens of their rows.

        Args:
            q: their queries, (B, Hq, T, D).
            backend: a name in `gqa_lib.kernels.BACKENDS`, or "auto" for the fastest known.
            causal: a token sees itself and those before it, else all of its row.
            window: it sees the last `window` of these only; None is all of them.

        Returns:
            (B, Hq, T, D), zeros for padding.

        Raises:
            ValueError: q does not fit the cache, or the backend cannot run the call.
        """

    def reorder(self, index: Sequence[int] | Tensor) -> None:
        """Let row b be what row index[b] was, as beam search does.

        Args:
            index: (B,), each from 0 to B - 1; a row may be taken several times or not at all.

        Raises:
            ValueError: it is not a row's number for each row.
        """

    def truncate(self, length: int | Sequence[int] | Tensor) -> None:
        """Forget all but the first `length` tokens of each row; a shorter row stays as it is.

        Args:
            length: one number for all rows or (B,).

        Raises:
            ValueError: it is neither.
        """

    def check_truncate(self, length: int | Sequence[int] | Tensor) -> object:
        """Raise ValueError where `truncate` would; nothing changes.

        A cache that can refuse what `one_per_row` accepts has its own, so that the layers of a
        model are truncated together or not at all.

        Args:
            length: as in `truncate`.
        """
        return None
