"""What a layer does besides attention, on the compiled operators where they run and pay."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .native import native_turn, native_turn_runs, operators


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x times the weights, plus the bias.

    The compiled operator reads each weight once for a few tokens on a CPU, where torch reads it for
    several or lays it out anew first; for more tokens, and gradients, it is torch's.

    Args:
        x: (..., in_features).
        weight: (out_features, in_features).
        bias: (out_features,), None for none.

    Returns:
        (..., out_features).
    """
    ours = operators()
    return ours.linear(x, weight, bias) if ours else F.linear(x, weight, bias)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return x divided by its root mean square, times the weights.

    Args:
        x: (..., d).
        weight: (d,).
        eps: what is added to the mean square.

    Returns:
        (..., d) in x's dtype.

    Source: Zhang and Sennrich 2019 (arXiv 1910.07467), equation 4.
    """
    ours = operators()
    return ours.rms_norm(x, weight, eps) if ours else F.rms_norm(x, weight.shape, weight, eps)


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return x with the pair (i, i + pairs) of each head turned by its angle.

    Args:
        x: queries or keys, (B, ..., T, D).
        cos, sin: of the angles, (T, pairs), or (B, T, pairs) where rows differ.

    Returns:
        (B, ..., T, D) in x's dtype; what is behind the pairs is as it was.
    """
    if native_turn_runs(x, cos):
        return native_turn(x, cos, sin)
    if cos.dim() == 3:
        cos, sin = (t[(slice(None), *(None,) * (x.dim() - 3))] for t in (cos, sin))
    pairs = cos.shape[-1]
    first, second = x[..., :pairs].to(cos.dtype), x[..., pairs : 2 * pairs].to(cos.dtype)
    turned = first * cos - second * sin, second * cos + first * sin
    return torch.cat((*(t.to(x.dtype) for t in turned), x[..., 2 * pairs :]), -1)
