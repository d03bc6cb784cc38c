"""Decoding in C++, for the CPU it was compiled on: optional, made by `gqa build-native`.

`op.cpp` is the operator, `decode.h` the loops, `vectors.h` what they ask of the compiler.
"""

import torch

from ..decode import attend_pieces
from .library import problem

_DTYPES = (torch.float32, torch.bfloat16)


def native_decode(q, k, v, causal=True, *, lengths=None, num_splits=0):
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


def native_decode_cached(q, k_cache, v_cache, lengths, block_table):
    """Decode over a cache, as `decode_attention` has it; lengths are read here, pages gathered."""
    if block_table is not None:
        return attend_pieces(native_decode, q, k_cache, v_cache, lengths, block_table)
    return native_decode(q, k_cache, v_cache, lengths=lengths)


def native_unsupported(q, k, v, causal):
    """Return why `native_decode` must not run this call, or None."""
    if q.device.type != "cpu":
        return "it runs on the CPU only"
    if q.shape[2] != 1:
        return f"it is for one new token, not {q.shape[2]}"
    if q.dtype not in _DTYPES:
        return f"it takes float32 and bfloat16, not {str(q.dtype).removeprefix('torch.')}"
    if q.shape[3] % 8:
        return f"head_dim={q.shape[3]} is not a multiple of 8"
    if any(t.stride(-1) != 1 for t in (q, k, v)):
        return "it needs the elements of a head next to each other"
    if torch.is_grad_enabled() and any(t.requires_grad for t in (q, k, v)):
        return "it has no gradient"
    return problem()
