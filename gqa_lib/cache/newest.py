"""Attention of the tokens that were cached last, over rows whose lengths may differ."""

from collections.abc import Sequence

from torch import Tensor

from gqa_lib.kernels import attend, attend_rows, decode_attention
from gqa_lib.kernels.checks import check_attention, check_tensors, check_window

from .checks import check_queries
from .rows import are_alike, on_cpu


def attend_newest(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lengths: Sequence[int],
    num_new: Sequence[int] | None,
    backend: str,
    causal: bool,
    window: int | None,
) -> Tensor:
    """Return attention of each row's newest tokens over all of its row, (B, Hq, T, D).

    Rows of one length go together, others by a backend that reads lengths or else row by row; each
    row's result is what it would be alone.

    Args:
        q: queries, (B, Hq, T, D), each row's own first and then padding.
        k, v: (B, Hkv, S, D), S the length of the longest row; behind a row's tokens they are not
            read.
        lengths: tokens of each row.
        num_new: how many of the T queries are a row's own; None is T for all.
        backend, causal, window: as in `Cache.attend`.

    Raises:
        ValueError: q does not fit k and v, or the backend cannot run the call.
    """
    if lengths and num_new is None and are_alike(lengths):
        check_attention(q, k, v, causal, window)
        return attend(q, k, v, causal, backend, window=window)
    check_tensors(q, k, v)
    check_window(window, causal)
    T = q.shape[2]
    num_new = num_new or [T] * len(lengths)
    check_queries(T, list(lengths), list(num_new))
    if T == 1 and window is None:
        seen = on_cpu([length if n else 0 for n, length in zip(num_new, lengths, strict=True)])
        return decode_attention(q, k, v, seen.to(k.device, non_blocking=True), backend=backend)
    rows = [(k[b : b + 1, :, :S], v[b : b + 1, :, :S]) for b, S in enumerate(lengths)]
    return attend_rows(q, rows, num_new, causal, backend, window=window)
