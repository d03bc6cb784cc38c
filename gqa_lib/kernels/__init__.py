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
from .native import native_decode, native_unsupported
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
        Backend(
            "native",
            native_decode,
            "compiled here by `gqa build-native` (CPU, one new token)",
            native_unsupported,
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
    return _fastest_known(q, k, v, causal) if name == "auto" else name


def _fastest_known(q, k, v, causal):
    """The rules, none of which expands K and V; those for the CPU are measured."""
    T, S = q.shape[2], k.shape[2]
    square = causal and T == S
    if q.device.type == "cpu":
        if T == 1:
            return _fastest_cpu_decode(q, k, v)
        # sdpa_gqa re-reads K for each query head, which many rows hide, but skips hidden keys.
        rows = q.shape[1] // k.shape[1] * T
        if T < rows <= 256 and not square:
            return "fold_sdpa"
    if flash_takes(q, k, v, causal):
        return "sdpa_gqa"
    if T == 1:
        return "fold_matmul"  # SDPA without flash leaves each KV head to one GPU multiprocessor
    # Only the causal flag skips hidden keys: folded rows need a mask, which hides them too late.
    return "loop_sdpa" if square else "fold_sdpa"


def _fastest_cpu_decode(q, k, v):
    # Faster than the others at every size tried, with AVX2 and AVX-512; not measured elsewhere.
    measured = torch.backends.cpu.get_cpu_capability().startswith("AVX")
    if measured and native_unsupported(q, k, v, True) is None:
        return "native"
    idle_threads = k.shape[0] * k.shape[1] < torch.get_num_threads()  # folding gives one a head
    worth_it = idle_threads and k.nbytes + v.nbytes >= 2 * 2**20
    if worth_it and not split_kv_unsupported(q, k, v, True):
        return "split_kv"
    q_per_kv = q.shape[1] // k.shape[1]
    return "fold_matmul" if q_per_kv <= 16 and _onednn_multiplies(q.dtype) else "fold_sdpa"


def _onednn_multiplies(dtype):
    """Return whether oneDNN multiplies this half type here; PyTorch's own loop is 10x slower."""
    if dtype not in (torch.bfloat16, torch.float16) or not torch.backends.mkldnn.is_available():
        return False
    if dtype == torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.ops.mkldnn._is_mkldnn_fp16_supported()
