"""Attention backends and the one place that chooses among them.

A backend takes q (B, Hq, T, D) and k, v (B, Hkv, S, D) as they are, query head h reading KV head
h // q_per_kv, and returns (B, Hq, T, D). A new one is an entry in `BACKENDS` and a line in the
rules below. One that reads lengths and pages itself adds a `decode`; the rest are given pieces.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

import torch

from .decode import attend_pieces, check_decode, first_piece
from .mask import causal_mask
from .native import native_decode, native_decode_cached, native_unsupported
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
from .triton_backend import attend_by_triton, decode_by_triton, triton_unsupported

__all__ = [
    "BACKENDS",
    "Backend",
    "attend",
    "attention_reference",
    "available_backends",
    "available_decode_backends",
    "causal_mask",
    "choose_backend",
    "choose_decode_backend",
    "decode_attention",
    "sdpa_operator",
]


def _runs_anywhere(q, k, v, causal):
    return None


class Backend(NamedTuple):
    """One way to compute attention.

    Args:
        name: what a caller chooses it by.
        fn: from (q, k, v, causal) to the output.
        summary: a line on how it works.
        unsupported: from the same to why a call must not use it, or None. For a backend with a
            `decode`, k and v may be pages.
        decode: from (q, k_cache, v_cache, lengths, block_table), as `decode_attention` has them,
            to the output; None if the backend knows neither lengths nor pages.
    """

    name: str
    fn: Callable
    summary: str
    unsupported: Callable = _runs_anywhere
    decode: Callable | None = None


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
            native_decode_cached,
        ),
        Backend(
            "triton",
            attend_by_triton,
            "Triton kernels, keys split over the GPU, lengths and pages read there (one new token)",
            triton_unsupported,
            decode_by_triton,
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
    chosen = _named(name)
    if reason := chosen.unsupported(q, k, v, causal):
        raise _cannot_run(name, q, k, reason, available_backends(q, k, v, causal))
    return chosen.fn(q, k, v, causal)


def decode_attention(q, k_cache, v_cache, lengths=None, block_table=None, backend="auto"):
    """Return attention of one new token per sequence over its cached keys, (B, Hq, 1, D).

    Args:
        q: queries of the new tokens, (B, Hq, 1, D).
        k_cache, v_cache: keys and values, the new tokens' among them, (B, Hkv, S, D); with a
            block_table pages of them, (P, Hkv, page_size, D). Query head h reads KV head
            h // (Hq // Hkv).
        lengths: how many keys each sequence has, (B,) int32 or int64 on q's device; None: all that
            the cache holds. What comes after is not read.
        block_table: the pages of each sequence in order, (B, pages) int32 or int64 on q's device.
        backend: a name in `BACKENDS`, or "auto" for `choose_decode_backend`'s.

    Returns:
        (B, Hq, 1, D) in q's dtype; zeros for a sequence of length 0.

    Raises:
        ValueError: shapes, dtypes, devices or head counts do not fit together, a length or page
            does not exist (seen on a CPU; on a GPU, which would have to be waited for, lengths
            are cut to what the cache holds), or the backend cannot run the call.

    Source: Kwon et al. 2023 (arXiv 2309.06180), section 4.1, for pages and block tables.
    """
    check_decode(q, k_cache, v_cache, lengths, block_table)
    call = (q, k_cache, v_cache, lengths, block_table)
    name = _choose_decode(*call) if backend == "auto" else backend
    chosen = _named(name)
    if reason := _decode_unsupported(chosen, *call):
        raise _cannot_run(name, q, k_cache, reason, _available_decode(*call))
    if chosen.decode is not None:
        return chosen.decode(*call)
    return attend_pieces(chosen.fn, *call)


def choose_decode_backend(q, k_cache, v_cache, lengths=None, block_table=None):
    """Return the backend that "auto" runs for `decode_attention`: GQA_BACKEND's, or the best known.

    Raises:
        ValueError: as in `decode_attention`.
    """
    check_decode(q, k_cache, v_cache, lengths, block_table)
    return _choose_decode(q, k_cache, v_cache, lengths, block_table)


def available_decode_backends(q, k_cache, v_cache, lengths=None, block_table=None):
    """Return the names of the backends that `decode_attention` can run, in `BACKENDS`' order.

    Raises:
        ValueError: as in `decode_attention`.
    """
    check_decode(q, k_cache, v_cache, lengths, block_table)
    return _available_decode(q, k_cache, v_cache, lengths, block_table)


def _named(name):
    if name not in BACKENDS:
        raise ValueError(
            f"backend {name!r} does not exist, so nothing can run this call. "
            f"Choose from auto, {', '.join(BACKENDS)}."
        )
    return BACKENDS[name]


def _cannot_run(name, q, k, reason, available):
    return ValueError(
        f"backend {name!r} cannot run q {tuple(q.shape)} over k {tuple(k.shape)}, {q.dtype} "
        f"on {q.device}: {reason}. Choose from auto, {', '.join(available)}."
    )


def _available_decode(*call):
    return [name for name, b in BACKENDS.items() if _decode_unsupported(b, *call) is None]


def _decode_unsupported(backend, *call):
    q, k, v = call[:3] if backend.decode is not None else first_piece(*call)
    return backend.unsupported(q, k, v, True)


def _choose_decode(*call):
    name = os.environ.get("GQA_BACKEND", "auto")
    return _fastest_decode(*call) if name == "auto" else name


def _fastest_decode(*call):
    """On a GPU the kernel that does not wait for lengths; its speed has not been recorded yet."""
    q, _, _, lengths, block_table = call
    wanted = lengths is not None or block_table is not None or q.dtype.itemsize == 2
    if q.is_cuda and wanted and _decode_unsupported(BACKENDS["triton"], *call) is None:
        return "triton"
    return _fastest_known(*first_piece(*call), True)


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
        # sdpa_gqa re-reads K for each query head; with many rows that hardly shows, and it skips
        # the keys that a causal mask hides.
        rows = q.shape[1] // k.shape[1] * T
        if T < rows <= 256 and not square:
            return "fold_sdpa"
    if flash_takes(q, k, v, causal):
        return "sdpa_gqa"
    if T == 1:
        return "fold_matmul"  # SDPA without flash leaves each KV head to one GPU multiprocessor
    # Keys hidden by a mask are skipped only with the causal flag. Folded rows need a mask tensor:
    # it hides keys after their scores were computed.
    return "loop_sdpa" if square else "fold_sdpa"


def _fastest_cpu_decode(q, k, v):
    # Faster than the others at every size tried, with AVX2 and AVX-512; not measured elsewhere.
    measured = torch.backends.cpu.get_cpu_capability().startswith("AVX")
    if measured and native_unsupported(q, k, v, True) is None:
        return "native"
    # Folding gives each KV head of each sequence one thread.
    idle_threads = k.shape[0] * k.shape[1] < torch.get_num_threads()
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
