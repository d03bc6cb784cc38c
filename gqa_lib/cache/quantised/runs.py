"""Memory for quantised keys and values of one layer, in runs of tokens."""

import torch
from torch import Tensor

from .codes import Codes, dequantise, pack, packed_size, quantise, unpack

Rows = slice | list[int]


class Runs:
    """K and V as packed codes: a scale for each channel of a run of keys, and for each value.

    A run is written as a whole. What lies in runs that were never written means nothing.

    Args:
        shape: of keys and values, (B, Hkv, runs of a row, tokens of a run, D).
        bits: of a code, 8 or 4.
        dtype: of scales and zeros.
        device: of the memory; None is torch's default device.

    Source: Liu et al. 2024, "KIVI" (arXiv 2402.02750), section 3: keys per channel, values per
    token.
    """

    def __init__(
        self,
        shape: tuple[int, int, int, int, int],
        bits: int,
        dtype: torch.dtype,
        device: torch.device | str | None = None,
    ):
        *runs, run_size, head_dim = shape
        self.run_size, self.bits, self._head_dim = run_size, bits, head_dim
        row = packed_size(head_dim, bits)
        self._k, self._v = (
            torch.empty(*runs, run_size, row, dtype=torch.uint8, device=device) for _ in range(2)
        )
        self._k_scale, self._k_zero = (
            torch.empty(*runs, 1, head_dim, dtype=dtype, device=device) for _ in range(2)
        )
        self._v_scale, self._v_zero = (
            torch.empty(*runs, run_size, 1, dtype=dtype, device=device) for _ in range(2)
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all runs, written or not: codes, scales and zeros."""
        return sum(memory.nbytes for memory in self._memories)

    @property
    def bytes_per_token(self) -> float:
        """Bytes that a token of a full run takes, of all KV heads, its share of scales counted."""
        _, num_kv_heads, _, run_size, row = self._k.shape
        size = self._k_scale.dtype.itemsize
        return num_kv_heads * (2 * row + 2 * size * (1 + self._head_dim / run_size))

    def write(self, rows: Rows, run: int, k: Tensor, v: Tensor) -> None:
        """Quantise a run of keys and values.

        Args:
            rows: of the batch.
            run: its number, the same in all these rows.
            k, v: (rows, Hkv, run_size, D).
        """
        keys, values = quantise(k, self.bits, -2), quantise(v, self.bits, -1)
        parts = (*keys, *values)  # codes, scale, zero of each
        for memory, part in zip(self._memories, parts, strict=True):
            memory[rows, :, run] = pack(part, self.bits) if part.dtype == torch.uint8 else part

    def read(self, rows: Rows, first: int, end: int) -> tuple[Tensor, Tensor]:
        """Return keys and values of some runs.

        Args:
            rows: of the batch.
            first, end: the number of the first run, and of that after the last.

        Returns:
            (k, v), each (rows, Hkv, runs * run_size, D) in float32, or float64 if the scales are.
        """
        parts = [memory[rows, :, first:end] for memory in self._memories]
        keys, values = (
            dequantise(Codes(unpack(packed, self.bits, self._head_dim), *shared))
            for packed, *shared in (parts[:3], parts[3:])
        )
        return keys.flatten(2, 3), values.flatten(2, 3)

    def new_empty(self, num_tokens: int) -> Tensor:
        """Return memory for tokens as they are: (B, Hkv, num_tokens, D) in the scales' dtype."""
        return self._k_scale.new_empty(*self._k.shape[:2], num_tokens, self._head_dim)

    def copy_rows(self, sources: list[int], targets: list[int], end: int) -> None:
        """Copy rows of the batch over others, all at once.

        Args:
            sources, targets: numbers of rows.
            end: runs before this one are copied.
        """
        for memory in self._memories:
            memory[targets, :, :end] = memory[sources, :, :end]

    @property
    def _memories(self) -> tuple[Tensor, ...]:
        return self._k, self._k_scale, self._k_zero, self._v, self._v_scale, self._v_zero
