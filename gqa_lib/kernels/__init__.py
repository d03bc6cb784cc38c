"""Attention backends and the one place that chooses among them.

A backend takes q (B, Hq, T, D) and k, v (B, Hkv, S, D) as they are, query head h reading KV head
h // q_per_kv, and returns (B, Hq, T, D). A new one is an entry in `BACKENDS` and a line in the
rules below.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

import torch

from .mask import causal_mask
from .operator import sdpa_operator
from .pytorch import (
    flash_takes,
    fold_matmul,
    fold_sdpa,
    loop_sdpa,
    sdpa_gqa,
    sdpa_gqa_unsupported,
    split_kv,
    split_kv_unsupported,
)
from .reference import attention_reference

__all__ = [
    "BACKENDS",
    "Backend",
    "attend",
    "attention_reference",
    "available_backends",
    "causal_mask",
    "choose_backend",
    "sdpa_operator",
]


def _runs_anywhere(q, k, v, causal):
    return None


class Backend(NamedTuple):
    """One way to compute attention; `unsupported` returns why a call must not use it, or None."""

    name: str
    fn: Callable
    summary: str
    unsupported: Callable = _runs_anywhere


BACKENDS = {
    backend.name: backend
    for backend in (
        Backend(
            "sdpa_gqa",
            sdpa_gqa,
            "PyTorch's operator with enable_gqa",
            sdpa_gqa_unsupported,
        ),
        Backend("fold_sdpa", fold_sdpa, "query heads folded into rows, plain SDPA"),
        Backend("fold_matmul", fold_matmul, "query heads folded into rows, two matrix products"),
        Backend("loop_sdpa", loop_sdpa, "plain SDPA for one query head of each KV head at a time"),
        Backend(
            "split_kv",
            split_kv,
            "keys split over threads, merged by log-sum-exp (CPU, one new token)",
            split_kv_unsupported,
        ),
    )
}


def attend(q, k, v, causal=True, backend="auto"):
    """Return attention of q over k and v, (B, Hq, T, D); arguments are taken as valid.

    Args:
        q: queries, (B, Hq, T, D).
        k, v: keys and values, (B, Hkv, S, D).
        causal: query i of T sees keys up to S - T + i.
        backend: a name in `BACKENDS`, or "auto" for `choose_backend`'s.

    Returns:
        (B, Hq, T, D) in q's dtype.

    Raises:
        ValueError: no such backend, or it cannot run this call.
    """
    name = choose_backend(q, k, v, causal) if backend == "auto" else backend
    if name not in BACKENDS:
        raise ValueError(
            f"backend {name!r} does not exist, so nothing can run this call. "
            f"Choose from auto, {', '.join(BACKENDS)}."
        )
    if reason := BACKENDS[name].unsupported(q, k, v, causal):
        raise ValueError(
            f"backend {name!r} cannot run q {tuple(q.shape)} over k {tuple(k.shape)}, {q.dtype} "
            f"on {q.device}: {reason}. "
            f"Choose from auto, {', '.join(available_backends(q, k, v, causal))}."
        )
    return BACKENDS[name].fn(q, k, v, causal)


def available_backends(q, k, v, causal=True):
    """Return the names of the backends that can run this call, in the order of `BACKENDS`."""
    return [name for name, b in BACKENDS.items() if b.unsupported(q, k, v, causal) is None]


def choose_backend(q, k, v, causal=True):
    """Return the backend that "auto" runs: the environment's GQA_BACKEND, or the fastest known."""
    name = os.environ.get("GQA_BACKEND", "auto")
    if name != "auto":
        return name
    return (_choose_on_cpu if q.device.type == "cpu" else _choose_on_gpu)(q, k, v, causal)


def _choose_on_cpu(q, k, v, causal):
    """The fastest in measurements with and without AVX-512; the numbers are where curves cross."""
    T, S = q.shape[2], k.shape[2]
    tasks = k.shape[0] * k.shape[1]  # what folded SDPA spreads over threads when T is 1
    rows = q.shape[1] // k.shape[1] * T
    if T == 1:
        worth_splitting = tasks < torch.get_num_threads() and k.nbytes + v.nbytes >= 2 * 2**20
        if worth_splitting and not split_kv_unsupported(q, k, v, causal):
            return "split_kv"
        return "fold_matmul" if rows <= 16 and _onednn_multiplies(q.dtype) else "fold_sdpa"
    # sdpa_gqa re-reads K per query head but skips hidden keys: right once reading is not the limit.
    compute_bound = (causal and T == S) or rows > 256
    return "sdpa_gqa" if compute_bound and flash_takes(q, k, v, causal) else "fold_sdpa"


def _choose_on_gpu(q, k, v, causal):
    """Flash where it runs; elsewhere a way whose K and V stay as they are."""
    if flash_takes(q, k, v, causal):
        return "sdpa_gqa"
    if q.shape[2] == 1:
        return "fold_matmul"  # without flash, SDPA gives each KV head to a single multiprocessor
    # Causal SDPA skips hidden keys, but folded rows need a mask, which skips nothing.
    return "loop_sdpa" if causal and q.shape[2] == k.shape[2] else "fold_sdpa"


def _onednn_multiplies(dtype):
    """Return whether oneDNN multiplies this half type here; PyTorch's own loop is 10x slower."""
    if dtype not in (torch.bfloat16, torch.float16) or not torch.backends.mkldnn.is_available():
        return False
    ops = torch.ops.mkldnn
    known = (
        ops._is_mkldnn_bf16_supported if dtype == torch.bfloat16 else ops._is_mkldnn_fp16_supported
    )
    return known()
