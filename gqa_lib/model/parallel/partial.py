"""Attention over a part of the keys, and the merge of such parts into the whole."""

from __future__ import annotations

import torch
from torch import Tensor

from gqa_lib.kernels.checks import check_tensors
from gqa_lib.kernels.pytorch import fold, merge, scaled_scores


def attend_part(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return attention of q over some of its keys, and the log-sum-exp of its scores.

    Args:
        q: queries, (B, Hq, T, D).
        k, v: some of their keys and values, (B, Hkv, S, D), also none; they are not copied.
        mask: which keys a query sees, (B, T, S) of truth values; None is all of them.

    Returns:
        (B, Hq, T, D) and (B, Hq, T), float32 or wider. Where a query sees no key the output is 0
        and the log-sum-exp minus infinity.

    Raises:
        ValueError: shapes, dtypes or devices do not fit together.
    """
    check_tensors(q, k, v)
    (B, Hkv, S, _), T = k.shape, q.shape[2]
    wide = torch.float64 if q.dtype == torch.float64 else torch.float32
    scores = scaled_scores(fold(q, k), k).to(wide)  # (B, Hkv, R*T, S)
    if mask is not None:
        hidden = ~mask.view(B, 1, 1, T, S)
        each = scores.view(B, Hkv, q.shape[1] // Hkv, T, S)  # (B, Hkv, R, T, S)
        scores = each.masked_fill(hidden, -torch.inf).flatten(2, 3)
    lse = scores.logsumexp(-1, keepdim=True)  # (B, Hkv, R*T, 1)
    weights = (scores - lse.masked_fill(lse == -torch.inf, 0)).exp()
    out = (weights.to(v.dtype) @ v).to(wide)
    return out.view(q.shape), lse.view(q.shape[:3])


def merge_parts(outs: Tensor, lses: Tensor) -> Tensor:
    """Return attention over all keys from that over parts of them.

    Each part counts by its share of the sum of exponentials: softmax over the parts' log-sum-exps.

    Args:
        outs: of each part, (P, B, Hq, T, D).
        lses: log-sum-exps, (P, B, Hq, T).

    Returns:
        (B, Hq, T, D), 0 where no part has a key.

    Source: Dao et al. 2023, "Flash-Decoding for long-context inference".
    """
    no_key = (lses == -torch.inf).all(0).unsqueeze(-1)  # (B, Hq, T, 1)
    return merge(outs, lses, 0).masked_fill(no_key, 0)
