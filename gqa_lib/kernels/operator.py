"""Which operator PyTorch's scaled_dot_product_attention runs: it does not say unless asked."""

from typing import Any

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode


def sdpa_operator(q: Tensor, k: Tensor, v: Tensor, **kwargs: Any) -> str:
    """Return the name of the operator that `scaled_dot_product_attention` runs for this call.

    Args:
        q: queries, (B, Hq, T, D).
        k, v: keys and values, (B, Hkv, S, D).
        kwargs: the call's other arguments, such as `enable_gqa` and `attn_mask`.

    Returns:
        The operator's name, such as "_scaled_dot_product_flash_attention"; "math" when PyTorch
        takes it apart into products and a softmax, which expands shared K and V first.
    """
    with _Operators() as seen:
        scaled_dot_product_attention(q, k, v, **kwargs)
    return next((name for name in seen.names if "scaled_dot_product" in name), "math")


class _Operators(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))
