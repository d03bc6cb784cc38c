"""The attention backends: what each is called, how it is run, and why it may not run a call.

A backend takes q (B, Hq, T, D) and k, v (B, Hkv, S, D) as they are, query head h reading KV head
h // q_per_kv, and returns (B, Hq, T, D). A new one is an entry in `BACKENDS` and a line in the
rules of `tuned`. One that reads lengths and pages itself adds a `decode`; others are given pieces.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from .call import Call
from .native import native_decode, native_decode_cached, native_unsupported
from .pytorch import (
    fold_matmul,
    fold_sdpa,
    loop_sdpa,
    sdpa_gqa,
    sdpa_gqa_unsupported,
    split_kv,
    split_kv_unsupported,
)
from .triton_backend import attend_by_triton, decode_by_triton, triton_unsupported


def _runs_anywhere(call: Call) -> str | None:
    return None


class Backend(NamedTuple):
    """One way to compute attention.

    Args:
        name: what a caller chooses it by.
        fn: from (q, k, v, causal) to the output.
        summary: a line on how it works.
        unsupported: from a `Call` to why this backend must not run it, or None.
        decode: from (q, k_cache, v_cache, lengths, block_table), as `decode_attention` has them,
            to the output; None if the backend knows neither lengths nor pages. `unsupported` may
            then be asked about pages.
        windows: whether fn takes a window as a fifth argument; it is given one only with T > 1.
    """

    name: str
    fn: Callable[..., Tensor]
    summary: str
    unsupported: Callable[[Call], str | None] = _runs_anywhere
    decode: Callable[..., Tensor] | None = None
    windows: bool = False


BACKENDS = {
    backend.name: backend
    for backend in (
        Backend(
            "sdpa_gqa",
            sdpa_gqa,
            "PyTorch's operator with enable_gqa",
            sdpa_gqa_unsupported,
            windows=True,
        ),
        Backend("fold_sdpa", fold_sdpa, "query heads folded into rows, plain SDPA", windows=True),
        Backend(
            "fold_matmul",
            fold_matmul,
            "query heads folded into rows, two matrix products",
            windows=True,
        ),
        Backend(
            "loop_sdpa",
            loop_sdpa,
            "plain SDPA for one query head of each KV head at a time",
            windows=True,
        ),
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
