"""Attention over keys that come in parts, none of them kept."""

from collections.abc import Iterable

import torch
from torch import Tensor

from .codes import wide_dtype

Part = tuple[int, Tensor, Tensor]  # where its first token stands, k, v


def attend_parts(
    q: Tensor,
    num_kv_heads: int,
    parts: Iterable[Part],
    first: int,
    causal: bool = True,
    window: int | None = None,
) -> Tensor:
    """Return attention of q over keys and values of which only one part is there at a time.

    Of each part are kept its average of the values, its largest score and the sum of its weights;
    by these the next part is merged into what is there.

    Args:
        q: queries of tokens that follow each other, (B, Hq, T, D).
        num_kv_heads: Hkv; query head h reads KV head h // (Hq // Hkv).
        parts: (position of its first token, k, v), each k and v (B, Hkv, any, D) in the dtype to
            calculate in.
        first: the position of the first query's token.
        causal: a query sees the keys up to its own position.
        window: it sees the last `window` of these only; None is all of them.

    Returns:
        (B, Hq, T, D) in q's dtype; zeros for a query that sees no key.

    Source: Milakov & Gimelshein 2018 (arXiv 1805.02867), section 3; Dao et al. 2023,
    "Flash-Decoding for long-context inference".
    """
    B, _, T, D = q.shape
    wide = wide_dtype(q.dtype)
    rows = q.to(wide).reshape(B, num_kv_heads, -1, D) * D**-0.5  # (B, Hkv, R*T, D)
    out, total = torch.zeros_like(rows), torch.zeros_like(rows[..., :1])
    largest = torch.full_like(total, -torch.inf)
    for start, k, v in parts:
        scores = _hide(rows @ k.mT, start, first, T, causal, window)  # (B, Hkv, R*T, S)
        before, largest = largest, torch.maximum(largest, scores.amax(-1, keepdim=True))
        base = largest.clamp(min=torch.finfo(wide).min)  # -inf before the first key
        weights, fading = (scores - base).exp(), (before - base).exp()
        total = total * fading + weights.sum(-1, keepdim=True)
        out = out * fading + weights @ v
    return (out / total.clamp(min=torch.finfo(wide).tiny)).to(q.dtype).view(q.shape)


def _hide(
    scores: Tensor, start: int, first: int, T: int, causal: bool, window: int | None
) -> Tensor:
    """Scores (.., R*T, S) with -inf where a key is out of a query's sight."""
    end = start + scores.shape[3]
    late = causal and end > first + 1
    early = window is not None and start <= first + T - 1 - window
    if not late and not early:
        return scores
    own = torch.arange(first, first + T, device=scores.device)[:, None]  # (T, 1)
    keys = torch.arange(start, end, device=scores.device)
    hidden = keys > own
    if window is not None:
        hidden = hidden | (keys <= own - window)
    return scores.unflatten(2, (-1, T)).masked_fill(hidden, -torch.inf).flatten(2, 3)
