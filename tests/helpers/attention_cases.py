"""Inputs of attention, how near its outputs must come, and the memory that a call takes."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gqa_lib.kernels.tolerances import ELEMENTWISE

# Half precision and float32: what "auto" may be given.
TOLERANCE = {d: ELEMENTWISE[d] for d in (torch.float32, torch.bfloat16, torch.float16)}


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
