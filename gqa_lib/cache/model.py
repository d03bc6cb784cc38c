"""The caches of all layers of a model, moved together."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from gqa_lib.arguments import several

from .protocol import Cache


class ModelCache:
    """Past tokens of a model: a cache for each of its layers, all with the same rows.

    Args:
        layers: of each layer, the first layer's first.

    Raises:
        ValueError: there is none.
    """

    def __init__(self, layers: Sequence[Cache]):
        self.layers = tuple(several(layers, "layers", "caches"))
        if not self.layers:
            raise ValueError("layers=(): a model has a layer or more. Give a cache for each.")

    @property
    def lengths(self) -> Tensor:
        """Tokens of each row, (B,) int64 on the caches' device."""
        return self.layers[0].lengths

    @property
    def nbytes(self) -> int:
        """Bytes that all of them occupy."""
        return sum(cache.nbytes for cache in self.layers)

    def reorder(self, index: Sequence[int] | Tensor) -> None:
        """Let row b be what row index[b] was.

        Args:
            index: as in `Cache.reorder`.
        """
        for cache in self.layers:
            cache.reorder(index)

    def truncate(self, length: int | Sequence[int] | Tensor) -> None:
        """Forget all but the first `length` tokens of each row.

        Args:
            length: as in `Cache.truncate`.
        """
        for cache in self.layers:
            cache.truncate(length)
