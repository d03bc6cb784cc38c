"""A linear layer, which at a few tokens does nothing but read its weights."""

from torch import Tensor
from torch.nn import functional as F


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x times the weights, plus the bias.

    Args:
        x: (..., in_features).
        weight: (out_features, in_features).
        bias: (out_features,), None for none.

    Returns:
        (..., out_features).
    """
    return F.linear(x, weight, bias)
