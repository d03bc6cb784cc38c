"""What is cached is detached: whoever asks for a gradient of it is told so, and not given none."""

from typing import Any

import torch
from torch import Tensor

from gqa_lib.kernels.traced import is_traced


def is_lost(k: Tensor, v: Tensor) -> bool:
    """Return whether caching some keys and values loses a gradient that may be asked for.

    Args:
        k, v: of the new tokens.
    """
    return torch.is_grad_enabled() and (k.requires_grad or v.requires_grad)


def refuse_gradient(out: Tensor) -> Tensor:
    """Return attention over what is_lost told of: as it is, but backward through it is an error.

    A call that torch.compile traces is left alone, as it cannot trace what only raises.
    """
    if not torch.is_grad_enabled() or is_traced():
        return out
    anchor = torch.zeros((), device=out.device, requires_grad=True)  # out may need no gradient
    return _Refused.apply(out, anchor)


class _Refused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, out: Tensor, anchor: Tensor) -> Tensor:
        return out.view_as(out)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise RuntimeError(
            "backward through a KV cache: it keeps keys and values without their gradients, so "
            "that k_proj, v_proj and all below them would learn from a part of the loss, or from "
            "nothing. Train without a cache; to generate, wrap the calls in torch.no_grad()."
        )
