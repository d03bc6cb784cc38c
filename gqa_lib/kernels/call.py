"""A call of attention, described once for every backend and rule that is asked about it."""

from functools import cached_property

import torch
from torch import Tensor
from torch.backends.cuda import SDPAParams, can_use_flash_attention
from torch.nn.attention import SDPBackend

_FLASH = SDPBackend.FLASH_ATTENTION.value


class Call:
    """The tensors of one call and the facts by which a backend is chosen.

    Args:
        q: queries, (B, Hq, T, D).
        k, v: keys and values, (B, Hkv, S, D); pages of them where a backend is asked about its own
            `decode`.
        causal: query i of T sees keys up to S - T + i.
        window: it sees the last `window` of these only; None is all of them.

    Attributes:
        B, T, S, D, Hkv: sizes; R is the query heads of a KV head.
        dtype, on_cpu: of all three.
        square: the queries are those of all keys, and PyTorch's causal flag says all there is.
    """

    def __init__(
        self, q: Tensor, k: Tensor, v: Tensor, causal: bool = True, window: int | None = None
    ):
        self.q, self.k, self.v, self.causal, self.window = q, k, v, causal, window
        self.B, Hq, self.T, self.D = q.shape
        _, self.Hkv, self.S, _ = k.shape
        self.R = Hq // self.Hkv
        self.dtype, self.on_cpu = q.dtype, q.is_cpu
        self.square = causal and window is None and self.T == self.S

    @property
    def packed(self) -> bool:
        """Whether the elements of a head lie next to each other in q, k and v."""
        return self.q.stride()[3] == self.k.stride()[3] == self.v.stride()[3] == 1

    @property
    def needs_grad(self) -> bool:
        """Whether a gradient may be asked for."""
        q, k, v = self.q, self.k, self.v
        return torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)

    @cached_property
    def flash(self) -> bool:
        """Whether PyTorch's flash kernel of this device takes these heads as they are."""
        q, k, v = self.q, self.k, self.v
        if self.on_cpu:
            return torch._fused_sdp_choice(q, k, v, enable_gqa=True) == _FLASH
        if not q.is_cuda or self.window is not None:  # no mask but a causal one
            return False
        # For 1 < T < S the causal flag is sdpa_gqa's bias, which asks PyTorch with is_causal=False.
        return can_use_flash_attention(SDPAParams(q, k, v, None, 0.0, self.square, True))
