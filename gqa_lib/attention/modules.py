"""The modules that a layer is made of, on this library's kernels."""

from torch import Tensor, nn

from gqa_lib.kernels import linear


class Linear(nn.Linear):
    """torch's Linear; a few tokens on a CPU are multiplied at the speed of reading its weights."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x times the weights, plus the bias: (..., in_features) -> (..., out_features)."""
        return linear(x, self.weight, self.bias)


class RMSNorm(nn.RMSNorm):
    """torch's RMSNorm."""
