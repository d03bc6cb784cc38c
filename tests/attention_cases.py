"""Inputs of attention, how near its outputs must come, and the memory that a call takes."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# Inputs are rounded to the dtype before the oracle sees them. fp32: sums of up to 64 terms. Half
# precision: scores of up to about 4 and the softmax's weights may each be rounded once, and so is
# the output; a wrong head or mask is off by about 1.
TOLERANCE = {
    torch.float32: 1e-5,
    torch.bfloat16: 4 * torch.finfo(torch.bfloat16).eps,
    torch.float16: 4 * torch.finfo(torch.float16).eps,
}


def draw(B, Hq, Hkv, T, S, D, dtype=torch.float32, device="cpu"):
    """Random q (B, Hq, T, D) and k, v (B, Hkv, S, D)."""
    q = torch.randn(B, Hq, T, D, device=device).to(dtype)
    k, v = (torch.randn(B, Hkv, S, D, device=device).to(dtype) for _ in range(2))
    return q, k, v


def assert_near(out, expected, name="attention"):
    """Check an output against the oracle's, element by element."""
    tolerance = TOLERANCE[out.dtype]
    torch.testing.assert_close(
        out.double(), expected, rtol=tolerance, atol=tolerance, msg=lambda text: f"{name}: {text}"
    )


class Allocations(TorchDispatchMode):
    """Every tensor made that has memory of its own: neither an input's nor a view."""

    def __init__(self, *inputs):
        super().__init__()
        self.known = {t.untyped_storage().data_ptr() for t in inputs}
        self.made = []  # kept alive, so that no address is used twice

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for t in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(t, torch.Tensor) and t.untyped_storage().data_ptr() not in self.known:
                self.known.add(t.untyped_storage().data_ptr())
                self.made.append(t)
        return result

    @property
    def sizes(self):
        """Their sizes in elements."""
        return [t.untyped_storage().nbytes() // t.itemsize for t in self.made]

    def count(self, at_least):
        return sum(size >= at_least for size in self.sizes)
