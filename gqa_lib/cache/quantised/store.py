"""Memory for one layer's tokens: the newest as they are, the others in runs of codes."""

from collections.abc import Iterator

import torch
from torch import Tensor

from .codes import wide_dtype
from .parts import Part
from .runs import Rows, Runs


class Store:
    """Runs of codes and the tokens after them; the caller knows how many there are of either.

    Rows that are named together must have the same number of tokens, and of codes among them.

    Args:
        runs: memory for codes.
        residual_length: newest tokens of a row that are never quantised.
        max_seq_len: tokens of a row at most.
        chunk_size: tokens of a row that are read at a time; a run at least.

    Attributes:
        runs: the memory for codes.
        residual_length: as given.
        k, v: of the tokens that are not codes, (B, Hkv, capacity, D), the oldest first.
    """

    def __init__(self, runs: Runs, residual_length: int, max_seq_len: int, chunk_size: int):
        self.runs, self.residual_length = runs, residual_length
        capacity = min(max_seq_len, residual_length + runs.run_size)
        self.k, self.v = (runs.new_empty(capacity) for _ in range(2))
        self._chunk_size = max(1, chunk_size // runs.run_size) * runs.run_size

    @property
    def nbytes(self) -> int:
        """Bytes allocated, whatever there is: codes, scales and zeros, and the newest tokens."""
        return self.runs.nbytes + self.k.nbytes + self.v.nbytes

    def append(self, rows: Rows, length: int, quantised: int, k: Tensor, v: Tensor) -> int:
        """Take in new tokens, and quantise each run that is older than the residual.

        Args:
            rows: of the batch.
            length, quantised: tokens of these rows before, and how many of them are codes.
            k, v: of the new tokens, (rows, Hkv, T, D).

        Returns:
            How many tokens of these rows are codes now.
        """
        done, T, capacity = 0, k.shape[2], self.k.shape[2]
        while done < T:
            start = length - quantised
            n = min(T - done, capacity - start)
            self.k[rows, :, start : start + n] = k[:, :, done : done + n]
            self.v[rows, :, start : start + n] = v[:, :, done : done + n]
            done, length = done + n, length + n
            quantised = self._quantise(rows, length, quantised)
        return quantised

    def _quantise(self, rows: Rows, length: int, quantised: int) -> int:
        """Make codes of each run that is older than the residual; return the tokens in codes."""
        size = self.runs.run_size
        while (run := quantised // size) < (length - self.residual_length) // size:
            old = quantised - run * size  # what was left of a run when it was cut
            n, end = size - old, length - quantised
            k, v = self.k[rows, :, :n], self.v[rows, :, :n]
            if old:
                kept = (_in(k.dtype, t[:, :, :old]) for t in self.runs.read(rows, run, run + 1))
                k, v = (torch.cat(pair, 2) for pair in zip(kept, (k, v), strict=True))
            self.runs.write(rows, run, k, v)
            for memory in (self.k, self.v):
                memory[rows, :, : end - n] = memory[rows, :, n:end].clone()
            quantised += n
        return quantised

    def parts(self, rows: Rows, quantised: int, first: int, end: int) -> Iterator[Part]:
        """Yield keys and values of some tokens, a chunk at a time, for `attend_parts`.

        Args:
            rows: of the batch.
            quantised: how many tokens of these rows are codes.
            first, end: the first position that is needed, and that after the last.
        """
        size, chunk = self.runs.run_size, self._chunk_size
        for start in range(max(0, first) // size * size, min(end, quantised), chunk):
            stop = min(start + chunk, quantised)
            k, v = self.runs.read(rows, start // size, -(-stop // size))
            yield start, k[:, :, : stop - start], v[:, :, : stop - start]
        wide = wide_dtype(self.k.dtype)
        for start in range(max(first, quantised), end, chunk):
            own = slice(start - quantised, min(start + chunk, end) - quantised)
            yield start, self.k[rows, :, own].to(wide), self.v[rows, :, own].to(wide)

    def copy_rows(self, sources: list[int], targets: list[int], quantised: int) -> None:
        """Copy rows of the batch over others, all at once.

        Args:
            sources, targets: numbers of rows.
            quantised: the most tokens in codes that a source has.
        """
        self.runs.copy_rows(sources, targets, -(-quantised // self.runs.run_size))
        for memory in (self.k, self.v):
            memory[targets] = memory[sources]


def _in(dtype: torch.dtype, numbers: Tensor) -> Tensor:
    """Numbers from codes in a dtype; a scale that was rounded up may take them out of its range."""
    info = torch.finfo(dtype)
    return numbers.clamp(info.min, info.max).to(dtype)
