"""Attention in plain PyTorch: several ways to share K and V among query heads, none expands them.

Every function takes q (B, Hq, T, D) and k, v (B, Hkv, S, D) and returns (B, Hq, T, D). The
`*_unsupported` functions return why a backend must not run a call, or None.
"""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from .call import Call
from .mask import causal_mask
from .traced import is_traced


def sdpa_gqa(
    q: Tensor, k: Tensor, v: Tensor, causal: bool = True, window: int | None = None
) -> Tensor:
    """Attention by PyTorch's operator with its own `enable_gqa`.

    Args:
        q, k, v, causal, window: as in `gqa_lib.kernels.attend`.
    """
    T, S = q.shape[2], k.shape[2]
    mask, shared = None, q.shape[1] != k.shape[1]
    if masked := _is_masked(T, S, causal, window):
        flag = q.is_cuda and window is None
        mask = _lower_right(T, S) if flag else causal_mask(T, S, q.device, window)
    square = causal and T == S and not masked
    return scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=square, enable_gqa=shared
    )


def _is_masked(T: int, S: int, causal: bool, window: int | None) -> bool:
    """Whether PyTorch's causal flag says too little.

    It aligns top-left: with T < S the last query would not see the last keys.
    """
    return causal and T > 1 and (T < S or window is not None)


def _lower_right(T, S):
    """The mask that flash takes as a flag; it takes no other."""
    from torch.nn.attention.bias import causal_lower_right  # imports torch.compile: two seconds

    return causal_lower_right(T, S)


def sdpa_gqa_unsupported(call: Call) -> str | None:
    """Return why `sdpa_gqa` cannot run a call, or None."""
    if call.R == 1 or is_traced() or call.flash:  # traced, nobody can say
        return None
    return (
        "PyTorch's flash kernel does not take shared heads here, and its math path expands K and V "
        "to every query head"
    )


def fold_sdpa(
    q: Tensor, k: Tensor, v: Tensor, causal: bool = True, window: int | None = None
) -> Tensor:
    """Attention with the R query heads of a KV head as R*T rows of one head: K is read once.

    Args:
        q, k, v, causal, window: as in `gqa_lib.kernels.attend`.
    """
    T, S = q.shape[2], k.shape[2]
    rows = fold(q, k)
    R = rows.shape[2] // T
    mask = None
    if causal and (T > 1 or window is not None or torch.jit.is_tracing()):  # T may change later
        mask = causal_mask(T, S, q.device, window).repeat(R, 1)
    if R * T == 1 and q.is_cpu and q.dtype.itemsize == 2:
        # One row of half precision misses PyTorch's fast product: two rows take half the time.
        out = scaled_dot_product_attention(rows.expand(-1, -1, 2, -1), k, v, attn_mask=mask)
        return out[:, :, :1]
    out = scaled_dot_product_attention(rows, k, v, attn_mask=mask)
    return out.unflatten(2, (R, T)).flatten(1, 2)  # (B, Hkv, R*T, D) -> (B, Hq, T, D)


def fold(q: Tensor, k: Tensor) -> Tensor:
    """Return q as (B, Hkv, R*T, D): the rows that share a KV head, head after head.

    Args:
        q: queries, (B, Hq, T, D).
        k: keys, (B, Hkv, S, D).
    """
    return q.reshape(q.shape[0], k.shape[1], -1, q.shape[3])


def fold_matmul(
    q: Tensor, k: Tensor, v: Tensor, causal: bool = True, window: int | None = None
) -> Tensor:
    """Attention by two matrix products over folded rows, softmax in fp32 or better.

    Args:
        q, k, v, causal, window: as in `gqa_lib.kernels.attend`.
    """
    T, S = q.shape[2], k.shape[2]
    scores = scaled_scores(fold(q, k), k)  # (B, Hkv, R*T, S)
    if causal and T > 1:
        hidden = ~causal_mask(T, S, q.device, window)
        scores = scores.unflatten(2, (-1, T)).masked_fill(hidden, -torch.inf).flatten(2, 3)
    wide = torch.float64 if q.dtype == torch.float64 else torch.float32
    weights = scores.softmax(-1, dtype=wide)
    if q.dtype == torch.float16:
        return _average(weights, v).view(q.shape)
    return (weights.to(q.dtype) @ v).view(q.shape)


def _average(weights: Tensor, v: Tensor) -> Tensor:
    """Average of fp16 values, (B, Hkv, R*T, D), finite where these are.

    Rounded weights add up to a little more than 1, and for the largest values that is too much:
    half of each is multiplied, and their own sum divided by.
    """
    halves = (weights / 2).half()
    summed = halves @ v
    total = halves.sum(-1, keepdim=True, dtype=torch.float32)
    average = summed / total.clamp(min=2**-24)  # without keys it is 0
    largest = torch.finfo(torch.float16).max
    return torch.where(summed.isinf(), summed, average.clamp(-largest, largest)).half()


def scaled_scores(rows: Tensor, k: Tensor) -> Tensor:
    """Return scaled products of queries and keys, (B, Hkv, R*T, S).

    A product is rounded to its factors' dtype. Those of large fp16 queries and keys would be over
    its largest number, 65504; a query that is divided by twice the sum of its elements' sizes
    stays under half of that with any key.

    Args:
        rows: queries as `fold` gives them, (B, Hkv, R*T, D).
        k: keys, (B, Hkv, S, D).
    """
    scale = rows.shape[3] ** -0.5
    if rows.dtype != torch.float16:
        return (rows * scale) @ k.mT
    size = rows.detach().abs().sum(-1, keepdim=True, dtype=torch.float32)
    size = (2 * size).clamp(min=1)  # (B, Hkv, R*T, 1)
    return ((rows / size).half() @ k.mT) * (size * scale)


def loop_sdpa(
    q: Tensor, k: Tensor, v: Tensor, causal: bool = True, window: int | None = None
) -> Tensor:
    """Attention by R plain SDPA calls, each for one query head of every KV head.

    Args:
        q, k, v, causal, window: as in `gqa_lib.kernels.attend`.
    """
    T, S = q.shape[2], k.shape[2]
    masked = _is_masked(T, S, causal, window)
    mask = causal_mask(T, S, q.device, window) if masked else None
    square = causal and T == S and not masked
    members = q.unflatten(1, (k.shape[1], -1)).unbind(2)  # (B, Hq, T, D) -> R x (B, Hkv, T, D)
    outs = [
        scaled_dot_product_attention(member, k, v, attn_mask=mask, is_causal=square)
        for member in members
    ]
    return torch.stack(outs, 2).flatten(1, 2)  # (B, Hkv, R, T, D) -> (B, Hq, T, D)


def split_kv(q: Tensor, k: Tensor, v: Tensor, causal: bool = True) -> Tensor:
    """Attention of one new token, keys split so that every thread has some (flash-decoding).

    Each part gives its own softmax-weighted output and log-sum-exp; the whole is their average
    weighted by softmax(log-sum-exp).

    Args:
        q, k, v, causal: as in `gqa_lib.kernels.attend`.

    Source: Dao et al. 2023, "Flash-Decoding for long-context inference".
    """
    attend_part = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    S = k.shape[2]
    rows = fold(q, k).flatten(0, 1).unsqueeze(1)  # (B, Hkv, R, D) -> (B*Hkv, 1, R, D)
    k, v = (t.view(-1, 1, S, t.shape[3]) for t in (k, v))  # (B*Hkv, 1, S, D)
    num_parts = min(num_splits(rows.shape[0]), S)
    even = S - S % num_parts
    parts = [t[:, 0, :even].unflatten(1, (num_parts, -1)) for t in (k, v)]  # (.., parts, keys, D)
    out, lse = attend_part(rows.expand(-1, num_parts, -1, -1), *parts)
    if even < S:
        out_rest, lse_rest = attend_part(rows, k[:, :, even:], v[:, :, even:])
        out, lse = torch.cat((out, out_rest), 1), torch.cat((lse, lse_rest), 1)
    return merge(out, lse, 1).to(q.dtype).view(q.shape)


def merge(outs: Tensor, lses: Tensor, dim: int) -> Tensor:
    """Return the average of partial outputs, weighted by softmax of their log-sum-exps.

    Args:
        outs: of parts along a dimension, (..., D).
        lses: log-sum-exps, (...), fp32 or better.
        dim: that dimension.
    """
    return (outs * lses.softmax(dim).unsqueeze(-1)).sum(dim)


def num_splits(num_tasks: int) -> int:
    """Return in how many parts to cut the keys of each of `num_tasks` KV heads.

    Two parts for each thread, so that a late thread costs half its share.
    """
    return -(-2 * torch.get_num_threads() // num_tasks)


def split_kv_unsupported(call: Call) -> str | None:
    """Return why `split_kv` cannot run a call, or None."""
    if not call.on_cpu:
        return "it runs on the CPU only; GPU kernels split the keys themselves"
    if call.T != 1:
        return f"it is for one new token, not {call.T}"
    if not call.S:
        return "there is no key to split"
    if call.needs_grad:
        return "PyTorch has no gradient of the log-sum-exp it merges by"
    if not call.packed:
        return "PyTorch's CPU kernel needs the elements of a head next to each other"
    if min(call.B, call.Hkv) > 1 and any(
        t.stride(0) != call.Hkv * t.stride(1) for t in (call.k, call.v)
    ):
        return "batch and heads of K and V do not merge into one dimension without a copy"
    return None
