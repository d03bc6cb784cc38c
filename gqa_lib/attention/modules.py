"""The modules that a layer is made of, on this library's kernels."""

import torch
from torch import Tensor, nn

from gqa_lib.kernels import linear, rms_norm


class Linear(nn.Linear):
    """torch's Linear; a few tokens on a CPU are multiplied at the speed of reading its weights."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x times the weights, plus the bias: (..., in_features) -> (..., out_features)."""
        return linear(x, self.weight, self.bias)


class RMSNorm(nn.Module):
    """Division by the root mean square of the last dimension, as torch's, in one pass on a CPU.

    Args:
        size: of that dimension.
        eps: what is added to the mean square.
        device, dtype: of the weights.
    """

    def __init__(
        self,
        size: int,
        eps: float,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size, device=device, dtype=dtype))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return x, (..., size), divided and times the weights."""
        return rms_norm(x, self.weight, self.eps)
