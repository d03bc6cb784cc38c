"""The caches of all layers of a model, moved together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from gqa_lib.arguments import several, shown

from .checks import one_per_row
from .protocol import Cache


class ModelCache:
    """Past tokens of a model: a cache for each of its layers, all with the same rows.

    Args:
        layers: of each layer, the first layer's first.

    Raises:
        ValueError: there is none, one is not a cache, or one is there twice.
    """

    def __init__(self, layers: Sequence[Cache]):
        self.layers = tuple(several(layers, "layers", "caches"))
        if not self.layers:
            raise ValueError("layers=(): a model has a layer or more. Give a cache for each.")
        _check_layers(self.layers)

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

        Raises:
            ValueError: it is not a row's number for each row of each layer. All layers are then as
                they were before.
        """
        B = len(self.lengths)
        sources = one_per_row(index, "index", B, most=B - 1)
        for i, cache in enumerate(self.layers):
            if (rows := len(cache.lengths)) != B:
                raise ValueError(
                    f"layers[{i}] has {rows} rows and layers[0] has {B}: rows of a model move "
                    "together. Make all caches with one batch_size."
                )
        for cache in self.layers:
            cache.reorder(sources)

    def truncate(self, length: int | Sequence[int] | Tensor) -> None:
        """Forget all but the first `length` tokens of each row.

        Args:
            length: as in `Cache.truncate`.

        Raises:
            ValueError: a layer's cache refuses it. All layers are then as they were before.
        """
        most = one_per_row(length, "length", len(self.lengths), most=2**31 - 1, one_for_all=True)
        for cache in self.layers:
            if hasattr(cache, "check_truncate"):  # one of your own may not have it
                cache.check_truncate(most)
        for cache in self.layers:
            cache.truncate(most)


def _check_layers(layers: Sequence[Any]) -> None:
    seen: dict[int, int] = {}
    for i, cache in enumerate(layers):
        if not all(hasattr(cache, name) for name in ("append", "attend")):
            raise ValueError(
                f"layers[{i}]={shown(cache)} is not a cache: past tokens of a layer would be "
                "lost. Give one of gqa_lib.cache, such as a KVCache, or your own that inherits "
                "from Cache."
            )
        if id(cache) in seen:
            raise ValueError(
                f"layers[{i}] is layers[{seen[id(cache)]}]: one cache would take in the tokens of "
                "both, and each layer attend to the other's. Make one for each, such as "
                "[KVCache(...) for _ in model.layers]."
            )
        seen[id(cache)] = i
