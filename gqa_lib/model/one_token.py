"""One new token of each row through a whole layer in one call, where all of it is compiled.

`decode_layer` gives what `Layer.forward` gives, by the same operators. What it saves is the way
through Python between them: a third of a decode step of a small model on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from gqa_lib.attention import GroupedQueryAttention
from gqa_lib.attention.modules import Linear, RMSNorm
from gqa_lib.cache import Cache, KVCache
from gqa_lib.kernels.dispatch import preset
from gqa_lib.kernels.native import operators
from gqa_lib.kernels.native.library import DTYPES
from gqa_lib.kernels.tuned import native_is_fastest


def runs_in_one_call(
    cache: Cache | None,
    x: Tensor,
    num_new: Sequence[int] | Tensor | None,
    attention: GroupedQueryAttention,
) -> TypeGuard[KVCache]:
    """Whether `decode_layer` can take this call of a layer.

    Args:
        cache, x, num_new: as in `GroupedQueryAttention.forward`.
        attention: the layer's.
    """
    if not isinstance(cache, KVCache) or x.shape[1] != 1 or num_new is not None:
        return False
    memory, window = cache.memory[0], attention.window
    B, Hkv, _, D = memory.shape
    return (
        (B, Hkv, D) == (x.shape[0], attention.num_kv_heads, attention.head_dim)
        and memory.dtype == x.dtype
        and x.is_cpu
        and x.dtype in DTYPES
        and x.numel() > 0
        and (attention.backend, preset()) == ("auto", "")
        and native_is_fastest()
        and D % 8 == 0
        and (window is None or cache.length < window)
        and not torch.is_grad_enabled()
        and operators() is not None
        and _get_current_dispatch_mode() is None
    )


def decode_layer(
    x: Tensor,
    cache: KVCache,
    cos_sin: tuple[Tensor, Tensor] | None,
    attention: GroupedQueryAttention,
    norms: tuple[RMSNorm, RMSNorm],
    gate_up_proj: Linear,
    down_proj: Linear,
) -> Tensor:
    """Return x, (B, 1, d_model), after a layer, whose cache is a token longer then.

    Args:
        x: one token of each row.
        cache: of the tokens before.
        cos_sin: of the new tokens' positions; None if they are not turned.
        attention: with one projection for queries, keys and values.
        norms: before attention, and before the feed-forward block.
        gate_up_proj, down_proj: of that block, without bias.

    Raises:
        ValueError: the cache has no room, or is another model's.
    """
    cos, sin = cos_sin or (None, None)
    of_heads = attention.qk_norm == "head"
    return torch.ops.gqa_native.decode_layer(
        x,
        *cache.memory,
        cache.extend(),
        cos,
        sin,
        norms[0].weight,
        attention.qkv_proj.weight,
        attention.qkv_proj.bias,
        attention.q_norm.weight if of_heads else None,
        attention.k_norm.weight if of_heads else None,
        attention.o_proj.weight,
        attention.o_proj.bias,
        norms[1].weight,
        gate_up_proj.weight,
        down_proj.weight,
        norms[0].eps,
    )
