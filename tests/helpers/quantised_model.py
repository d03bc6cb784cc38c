"""The plainest cache with codes: every row's numbers as attention is to see them, in full."""

import torch

from gqa_lib.cache.quantised import dequantise, quantise


class PlainRows:
    """For each row its k and v, (1, Hkv, S, D), of which the first `codes[b]` tokens were codes."""

    def __init__(self, B, Hkv, D, bits, run_size, residual_length, dtype=torch.float32):
        empty = torch.empty(1, Hkv, 0, D, dtype=dtype)
        self.bits, self.run_size, self.residual_length = bits, run_size, residual_length
        self.rows, self.codes = [(empty, empty)] * B, [0] * B

    @property
    def lengths(self):
        return [k.shape[2] for k, _ in self.rows]

    def append(self, k, v, num_new):
        for b, n in enumerate(num_new):
            new = k[b : b + 1, :, :n], v[b : b + 1, :, :n]
            k_all, v_all = (torch.cat(pair, 2) for pair in zip(self.rows[b], new, strict=True))
            self.rows[b] = k_all, v_all
            end = (k_all.shape[2] - self.residual_length) // self.run_size
            while self.codes[b] < end * self.run_size:
                run = self.codes[b] // self.run_size
                self._quantise(b, run * self.run_size, (run + 1) * self.run_size)

    def _quantise(self, b, start, end):
        made = []
        for memory, dim in zip(self.rows[b], (-2, -1), strict=True):
            memory = memory.clone()
            memory[:, :, start:end] = dequantise(quantise(memory[:, :, start:end], self.bits, dim))
            made.append(memory)
        self.rows[b], self.codes[b] = (made[0], made[1]), end

    def truncate(self, lengths):
        self.rows = [
            (k[:, :, :n], v[:, :, :n]) for (k, v), n in zip(self.rows, lengths, strict=True)
        ]
        self.codes = [min(c, n) for c, n in zip(self.codes, lengths, strict=True)]

    def reorder(self, index):
        self.rows, self.codes = [self.rows[b] for b in index], [self.codes[b] for b in index]
