"""What latent attention keeps of a token: one latent and one rotary key for all heads."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gqa_lib.arguments import check_kind, check_whole
from gqa_lib.kernels.checks import check_tensor

from .checks import check_room, counts_of, refuse_trace
from .gradients import is_lost, refuse_gradient
from .newest import attend_newest
from .row_lengths import RowLengths
from .rows import are_alike, on_cpu, own_tokens


class LatentCache(RowLengths):
    """Latents and rotary keys of past tokens, allocated once: there is no K and no V.

    It reads as one KV head of kv_lora_rank + rope_head_dim elements whose values are the first
    kv_lora_rank of its keys: the same memory. Rows of the batch may differ in length. What lies
    behind a row's tokens means nothing.

    Args:
        batch_size, max_seq_len: the block, (B, max_seq_len, kv_lora_rank + rope_head_dim).
        kv_lora_rank: elements of a latent.
        rope_head_dim: elements of a rotary key, 0 for none.
        dtype: of both.
        device: of both; None is torch's default device.

    Raises:
        ValueError: a size is not a whole number, or a token would keep nothing.

    Source: DeepSeek-AI 2024, "DeepSeek-V2" (arXiv 2405.04434), section 2.1.
    """

    def __init__(
        self,
        batch_size: int,
        max_seq_len: int,
        kv_lora_rank: int,
        rope_head_dim: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ):
        check_whole(0, batch_size=batch_size)
        super().__init__(batch_size, max_seq_len)
        check_whole(kv_lora_rank=kv_lora_rank)
        check_whole(0, rope_head_dim=rope_head_dim)
        check_kind(torch.dtype, "Pass one such as torch.bfloat16.", dtype=dtype)
        self.kv_lora_rank, self.rope_head_dim = kv_lora_rank, rope_head_dim
        shape = (batch_size, max_seq_len, kv_lora_rank + rope_head_dim)
        self._memory = torch.empty(shape, dtype=dtype, device=device)

    @property
    def lengths(self) -> Tensor:
        """Tokens of each row, (B,) int64 on the cache's device."""
        return on_cpu(self._lengths).to(self._memory.device, non_blocking=True)

    @property
    def nbytes(self) -> int:
        """Bytes allocated, whatever the lengths."""
        return self._memory.nbytes

    @property
    def memory(self) -> Tensor:
        """Latents and rotary keys, (B, max_seq_len, kv_lora_rank + rope_head_dim)."""
        return self._memory

    def append(
        self, latent: Tensor, rope_key: Tensor, num_new: Sequence[int] | Tensor | None = None
    ) -> Tensor:
        """Return all that is cached, the new tokens last.

        Args:
            latent: of the new tokens, after its norm, (B, T, kv_lora_rank).
            rope_key: of the new tokens, turned, (B, T, rope_head_dim).
            num_new: how many of the T tokens each row has, (B,): its own come first, then padding,
                which is not cached. None is T for all.

        Returns:
            (B, length, kv_lora_rank + rope_head_dim), a view. A row that is shorter than `length`
            ends with what means nothing.

        Raises:
            ValueError: latent, rope_key or num_new does not fit the cache, or there is no room for
                the new tokens. The cache is then as it was before.
        """
        self._check_new(latent, rope_key)
        B, T, _ = latent.shape
        counts = counts_of(num_new, B, T)
        check_room(self._lengths, counts, self.max_seq_len)
        new = torch.cat((latent.detach(), rope_key.detach()), -1)
        all_new = counts.count(T) == B
        if all_new and are_alike(self._lengths):
            self._memory[:, self.length : self.length + T] = new
        else:
            rows, tokens, slots = own_tokens(self._lengths, counts, T)
            self._memory[rows, slots] = new[rows, tokens]
        self._lengths = [length + n for length, n in zip(self._lengths, counts, strict=True)]
        self._num_new = None if all_new else counts
        self._lost = self._lost or is_lost(latent, rope_key)
        return self._memory[:, : self.length]

    def attend(
        self,
        q: Tensor,
        backend: str = "auto",
        *,
        causal: bool = True,
        window: int | None = None,
        expand: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None,
    ) -> Tensor:
        """Return attention of the tokens appended last over all tokens of their rows.

        Without `expand` what is cached is read where it is, as one KV head: of the latent each
        query's average is the output, and what the rotary keys add to it is cut off.

        Args:
            q: their queries, brought to the latent, (B, Hq, T, kv_lora_rank + rope_head_dim),
                scaled so that their products times (kv_lora_rank + rope_head_dim)^-1/2 are the
                scores. With `expand` (B, Hq, T, D) for its keys.
            backend, causal, window: as in `Cache.attend`.
            expand: from what is cached, (B, S, kv_lora_rank + rope_head_dim), to keys and values
                that are made of it and read in its place, (B, Hkv, S, D) each.

        Returns:
            (B, Hq, T, kv_lora_rank), with `expand` (B, Hq, T, D); zeros for padding.

        Raises:
            ValueError: q does not fit the cache, or the backend cannot run the call.
        """
        cached = self._memory[:, : self.length]  # (B, S, rank + rope)
        k, v = expand(cached) if expand else (cached[:, None], cached[:, None])
        out = attend_newest(q, k, v, self._lengths, self._num_new, backend, causal, window)
        out = out if expand else out[..., : self.kv_lora_rank]
        return refuse_gradient(out) if self._lost else out

    def reorder(self, index: Sequence[int] | Tensor) -> None:
        """Let row b be what row index[b] was, as beam search does; rows that change are copied.

        Args:
            index: (B,), each from 0 to B - 1; a row may be taken several times or not at all.

        Raises:
            ValueError: it is not a row's number for each row. The cache is then as it was before.
        """
        sources, changed, moved = self._sources(index)
        self._memory[changed, : self.length] = self._memory[moved, : self.length]
        self._count_as(sources)

    def _check_new(self, latent: Tensor, rope_key: Tensor) -> None:
        refuse_trace()
        B, widths = len(self._lengths), (self.kv_lora_rank, self.rope_head_dim)
        for name, new, width in zip(
            ("latent", "rope_key"), (latent, rope_key), widths, strict=True
        ):
            check_tensor(new, name)
            if new.dim() != 3 or (new.shape[0], new.shape[2]) != (B, width):
                raise ValueError(
                    f"{name} has shape {tuple(new.shape)} but the cache takes ({B}, T, {width}): a "
                    "token of another shape has no place in it. Make the cache with the layer's "
                    "batch_size, kv_lora_rank and rope_head_dim, or with its new_cache."
                )
            if new.dtype != self._memory.dtype or new.device != self._memory.device:
                raise ValueError(
                    f"{name} is {new.dtype} on {new.device} but the cache is {self._memory.dtype} "
                    f"on {self._memory.device}: converting every step would hide a cost. Make the "
                    "cache with the layer's dtype and device."
                )
        if latent.shape[1] != rope_key.shape[1]:
            raise ValueError(
                f"latent has {latent.shape[1]} new tokens and rope_key has {rope_key.shape[1]}: "
                "each latent needs its key. Append those of the same tokens."
            )
