"""The way to the compiled operator: what it takes, and why it cannot run."""

import torch
from torch import Tensor

from ..call import Call
from ..pieces import DecodeCall
from .library import DTYPES, problem


def native_decode(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    causal: bool = True,
    *,
    lengths: Tensor | None = None,
    num_splits: int = 0,
) -> Tensor:
    """Attention of one new token per sequence; K and V are read once, by all threads.

    Args:
        q: queries, (B, Hq, 1, D), float32 or bfloat16 on the CPU, D a multiple of 8.
        k, v: keys and values, (B, Hkv, S, D), with any strides but 1 for the last.
        causal: without effect, as the one query is the last token.
        lengths: (B,) whole numbers from 0 to S, the keys that each sequence has; None is S for
            all. What comes after them is not read. A sequence without keys gives zeros.
        num_splits: parts that the keys of a KV head are cut into at most, in whole blocks; 0
            chooses by the threads there are.

    Returns:
        (B, Hq, 1, D) in q's dtype.

    Raises:
        RuntimeError: the operator is not built, or cannot be used here.
        ValueError: shapes, dtypes, strides or lengths do not fit.

    Source: Dao et al. 2023, "Flash-Decoding for long-context inference".
    """
    if reason := problem():
        raise RuntimeError(f"the native operator cannot run: {reason}.")
    if lengths is not None:
        lengths = lengths.to("cpu", torch.int64).contiguous()
    return torch.ops.gqa_native.decode(q, k, v, lengths, num_splits)


def native_decode_cached(
    q: Tensor, k_cache: Tensor, v_cache: Tensor, lengths: Tensor | None, block_table: Tensor | None
) -> Tensor:
    """Decode over a cache, as `decode_attention` has it; lengths are read here, pages gathered.

    Args:
        q, k_cache, v_cache, lengths, block_table: as in `decode_attention`.
    """
    if block_table is not None:
        return DecodeCall(q, k_cache, v_cache, lengths, block_table).attend(native_decode)
    return native_decode(q, k_cache, v_cache, lengths=lengths)


def native_unsupported(call: Call) -> str | None:
    """Return why `native_decode` must not run a call, or None."""
    if not call.on_cpu:
        return "it runs on the CPU only"
    if call.T != 1:
        return f"it is for one new token, not {call.T}"
    if call.dtype not in DTYPES:
        return f"it takes float32 and bfloat16, not {str(call.dtype).removeprefix('torch.')}"
    if call.D % 8:
        return f"head_dim={call.D} is not a multiple of 8"
    if not call.packed:
        return "it needs the elements of a head next to each other"
    if call.needs_grad:
        return "it has no gradient"
    return problem()
