"""Calls that torch follows to write them down or to map them: torch.compile, export, vmap, trace.

What is followed must not depend on the tensors' numbers, nor on how PyTorch would choose a kernel
for them, and runs in operators for which PyTorch knows both.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

# Looked up once: a decode call asks several times, and takes microseconds.
_is_compiling = torch.compiler.is_compiling
_transforms = torch._C._functorch.peek_interpreter_stack
_jit_trace = torch._C._get_tracing_state


def is_traced() -> bool:
    """Return whether torch.compile, export, a torch.func transform or jit.trace is at work."""
    return _is_compiling() or _transforms() is not None or _jit_trace() is not None


def untraced(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that torch.compile leaves out of its graph, with all that it calls.

    torch.compiler.disable does that too, and imports torch.compile, which takes two seconds, even
    where nothing is compiled.
    """

    @wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return torch.compiler.disable(fn)(*args, **kwargs)
        return fn(*args, **kwargs)

    return call


def decode_with_mask(
    q: Tensor, k_cache: Tensor, v_cache: Tensor, lengths: Tensor | None, block_table: Tensor | None
) -> Tensor:
    """Decode over a cache whose lengths nobody may look at: all of it is copied, and masked.

    Args:
        q, k_cache, v_cache, lengths, block_table: as in `decode_attention`.

    Returns:
        (B, Hq, 1, D) in q's dtype, zeros for a sequence of length 0.
    """
    k, v = k_cache, v_cache
    if block_table is not None:
        pages = block_table.clamp(0, k_cache.shape[0] - 1).long()
        k, v = (cache[pages].transpose(1, 2).flatten(2, 3) for cache in (k_cache, v_cache))
    B, Hkv, S, D = k.shape
    seen = None
    if lengths is not None:
        seen = torch.arange(S, device=q.device) < lengths[:, None]  # (B, S)
        unseen = ~seen[:, None, :, None]
        k, v = k.masked_fill(unseen, 0), v.masked_fill(unseen, 0)  # there may be NaN
        seen = seen[:, None, None]
    rows = q.reshape(B, Hkv, -1, D)  # (B, Hq, 1, D) -> (B, Hkv, R, D)
    out = scaled_dot_product_attention(rows, k, v, attn_mask=seen).reshape(q.shape)
    return out if lengths is None else out.masked_fill((lengths <= 0)[:, None, None, None], 0)
