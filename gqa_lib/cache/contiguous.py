"""A KV cache in one preallocated block."""

import torch


class KVCache:
    """K and V of past tokens, allocated once; `append` returns views, never copies.

    Args:
        batch_size, num_kv_heads, max_seq_len, head_dim: the block, (B, Hkv, max_seq_len, D) each
            for K and V.
        dtype: of both.
        device: of both; None is torch's default device.
    """

    def __init__(
        self, batch_size, num_kv_heads, max_seq_len, head_dim, dtype=torch.float32, device=None
    ):
        shape = (batch_size, num_kv_heads, max_seq_len, head_dim)
        self._k, self._v = (torch.empty(shape, dtype=dtype, device=device) for _ in range(2))
        self.length = 0

    @property
    def max_seq_len(self):
        return self._k.shape[2]

    @property
    def nbytes(self):
        """Bytes allocated, whatever the length."""
        return self._k.nbytes + self._v.nbytes

    def reset(self):
        """Forget every token; the memory stays allocated."""
        self.length = 0

    def append(self, k, v):
        """Return all cached keys and values, the T new ones last.

        The cache is for inference: gradients do not flow into it.

        Args:
            k, v: of the new tokens, (B, Hkv, T, D), in the cache's dtype on its device.

        Returns:
            (k_all, v_all), each (B, Hkv, length, D): views that the next append leaves as they are.

        Raises:
            ValueError: k or v does not fit the cache, or T more tokens do not. The
                cache is then as it was before.
        """
        self._check(k, "k")
        self._check(v, "v")
        if k.shape != v.shape:
            raise ValueError(
                f"k has {k.shape[2]} new tokens and v has {v.shape[2]}: each key needs its value. "
                "Append the k and v of the same tokens."
            )
        start, end = self.length, self.length + k.shape[2]
        if end > self.max_seq_len:
            raise ValueError(
                f"the cache holds {start} tokens and {k.shape[2]} more make {end}, over "
                f"max_seq_len={self.max_seq_len}: old tokens would be lost. "
                f"Make the cache with max_seq_len={end} or more, or reset() it."
            )
        self._k[:, :, start:end] = k.detach()
        self._v[:, :, start:end] = v.detach()
        self.length = end
        return self._k[:, :, :end], self._v[:, :, :end]

    def _check(self, new, name):
        B, Hkv, _, D = self._k.shape
        if new.dim() != 4 or (*new.shape[:2], new.shape[3]) != (B, Hkv, D):
            raise ValueError(
                f"{name} has shape {tuple(new.shape)} but the cache takes ({B}, {Hkv}, T, {D}): "
                "a token of another shape does not fit. "
                "Make the cache with the model's batch_size, num_kv_heads and head_dim."
            )
        if (new.dtype, new.device) != (self._k.dtype, self._k.device):
            raise ValueError(
                f"{name} is {new.dtype} on {new.device} but the cache is {self._k.dtype} on "
                f"{self._k.device}: converting every step would hide a cost. "
                "Make the cache with the model's dtype and device."
            )
