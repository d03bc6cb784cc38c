"""Plain attention in float64 with each of its decisions open, to take one wrongly.

The right choices are the defaults; `partial(plain_attention, scale=1.0)` is a mistake.
"""

from collections.abc import Callable
from functools import partial

import torch

from .exercise import Mistake


def bottom_right(num_queries: int, num_keys: int) -> torch.Tensor:
    """Return the causal mask: query i sees the keys up to S - T + i."""
    return torch.ones(num_queries, num_keys, dtype=torch.bool).tril(num_keys - num_queries)


def shared(head: int, num_heads: int, num_kv_heads: int) -> int:
    """Return the KV head that a query head reads."""
    return head // (num_heads // num_kv_heads)


def plain_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    causal: bool = True,
    *,
    kv_head: Callable[[int, int, int], int] = shared,
    scale: float | None = None,
    mask: Callable[[int, int], torch.Tensor] = bottom_right,
    masked_score: float = -torch.inf,
    softmax_dim: int = -1,
) -> torch.Tensor:
    """Return attention of q (B, Hq, T, D) over k, v (B, Hkv, S, D), as (B, Hq, T, D), in float64.

    Args:
        q: (B, Hq, T, D).
        k, v: (B, Hkv, S, D).
        causal: whether query i sees only the keys up to S - T + i.
        kv_head: (query head, Hq, Hkv) to the KV head it reads.
        scale: of the scores; D ** -0.5 unless given.
        mask: (T, S) to the places that a query sees.
        masked_score: of the others.
        softmax_dim: of the scores (B, T, S).
    """
    q, k, v = q.double().cpu(), k.double().cpu(), v.double().cpu()
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    heads = []
    for head in range(q.shape[1]):
        one = kv_head(head, q.shape[1], k.shape[1])
        scores = q[:, head] @ k[:, one].mT * scale
        if causal:
            scores = scores.masked_fill(~mask(*scores.shape[-2:]), masked_score)
        heads.append(scores.softmax(softmax_dim) @ v[:, one])
    return torch.stack(heads, 1)


def draw(generator: torch.Generator, *shape: int, dtype: str = "float32") -> torch.Tensor:
    """Return normal random numbers of a shape."""
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(getattr(torch, dtype))


# Mistakes with the mask that any attention of (q, k, v, causal) can make.
NO_MASK = Mistake(
    "no mask is applied: with causal=True a query must not see later keys.",
    lambda q, k, v, causal: plain_attention(q, k, v, False),
)
TOP_LEFT_MASK = Mistake(
    "the causal mask is aligned to the top left (as SDPA's is_causal=True does). With "
    "more keys than queries, the last query must see every key.",
    partial(plain_attention, mask=lambda T, S: torch.ones(T, S, dtype=torch.bool).tril()),
)


# Mistakes with query heads folded into rows, head after head: (B, Hkv, R * T, D).
def _folded_mask(q, k, v, causal):
    """Return attention with the R * T folded rows masked as if they were one sequence."""
    folded = q.reshape(q.shape[0], k.shape[1], -1, q.shape[3])
    return plain_attention(folded, k, v, causal).reshape(q.shape)


def _interleaved_mask(q, k, v, causal):
    """Return attention whose folded row r sees what query r // R may see."""
    T, R = q.shape[2], q.shape[1] // k.shape[1]

    def mask(rows, S):
        return bottom_right(T, S).repeat_interleave(R, 0)

    folded = q.reshape(q.shape[0], k.shape[1], -1, q.shape[3])
    return plain_attention(folded, k, v, causal, mask=mask).reshape(q.shape)


def _unfolded_wrongly(q, k, v, causal):
    B, Hq, T, D = q.shape
    folded = plain_attention(q, k, v, causal).reshape(B, k.shape[1], -1, D)
    return folded.unflatten(2, (T, -1)).transpose(2, 3).reshape(B, Hq, T, D)


FOLDING = (
    Mistake(
        "the causal mask is laid over the folded rows as if they were one sequence. Row "
        "r * T + i is query i of head r: every head needs its own copy of the (T, S) mask.",
        _folded_mask,
    ),
    Mistake(
        "the mask's rows are repeated one by one (query 0 for every head, then query 1 ...). "
        "Folded rows run head after head: stack the whole mask, once for each head.",
        _interleaved_mask,
    ),
    Mistake(
        "the folded rows are taken as (T, R) although q is folded as (R, T), R heads of T queries "
        "each: unfold in the same order.",
        _unfolded_wrongly,
    ),
)
