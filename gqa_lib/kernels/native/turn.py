"""The way to the compiled rotation: what it takes."""

import torch
from torch import Tensor

from .library import DTYPES, problem


def native_turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return x with its first pairs turned, as many as there are cosines, in one pass.

    Args:
        x: (B, H, T, D), float32 or bfloat16 on the CPU.
        cos, sin: (T, pairs) or (B, T, pairs), float32.

    Returns:
        (B, H, T, D) in x's dtype.
    """
    return torch.ops.gqa_native.turn(x, cos.contiguous(), sin.contiguous())


def native_turn_runs(x: Tensor, cos: Tensor) -> bool:
    """Whether `native_turn` can run a call.

    Args:
        x, cos: as in `native_turn`.
    """
    return (
        x.is_cpu
        and x.dtype in DTYPES
        and cos.dtype == torch.float32
        and x.dim() == 4
        and x.stride(3) == 1
        and not (torch.is_grad_enabled() and x.requires_grad)
        and problem() is None
    )
