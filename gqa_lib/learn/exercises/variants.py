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


def draw(
    generator: torch.Generator, *shape: int, dtype: str = "float32", extreme: bool = False
) -> torch.Tensor:
    """Return normal random numbers of a shape.

    Args:
        generator: of the numbers.
        shape: at least six numbers if `extreme`.
        dtype: name of the dtype.
        extreme: put the numbers that only a copy keeps in front: infinities, NaN, 1e35, the
            dtype's smallest step above 1.
    """
    numbers = torch.randn(shape, generator=generator, dtype=torch.float64)
    if extreme:
        step = 1 + torch.finfo(getattr(torch, dtype)).eps
        special = (torch.inf, -torch.inf, torch.nan, 1e35, -1e35, step)
        numbers.view(-1)[:6] = torch.tensor(special, dtype=torch.float64)
    return numbers.to(getattr(torch, dtype))


def draw_qkv(
    generator: torch.Generator,
    B: int,
    Hq: int,
    Hkv: int,
    T: int,
    S: int,
    D: int,
    causal: bool | None = True,
    dtype: str = "float32",
    projected: bool = False,
    sharp: float = 1.0,
    extreme: bool = False,
) -> tuple:
    """Return the arguments (q, k, v, causal) of attention.

    Args:
        generator: of the numbers.
        B, Hq, Hkv, T, S, D: the sizes of q (B, Hq, T, D), and of k and v (B, Hkv, S, D).
        causal: the argument; None leaves it out, so that its default counts.
        dtype: of q, k and v.
        projected: let q lie in memory as splitting a projection into heads leaves it.
        sharp: multiplies q. With 1e5 many a query's visible scores all lie far below zero.
        extreme: the last query is NaN and the values are of order 1e35.
    """
    q = sharp * draw(generator, B, Hq, T, D, dtype=dtype)
    if projected:
        q = q.transpose(1, 2).contiguous().transpose(1, 2)
    k, v = (draw(generator, B, Hkv, S, D, dtype=dtype) for _ in range(2))
    if extreme:
        q[0, 0, -1, 0] = torch.nan
        v = 1e35 * (1 + v.abs())  # all of one sign, so that no digits cancel
    return (q, k, v) if causal is None else (q, k, v, causal)


# Mistakes that any attention of (q, k, v, causal) can make, and more of them with the mask.
NO_MASK = Mistake(
    "no mask is applied: with causal=True a query must not see later keys.",
    lambda q, k, v, causal=True: plain_attention(q, k, v, False),
)
NOT_CAUSAL_UNASKED = Mistake(
    "no mask is applied when causal is left out of the call: its default is True.",
    lambda q, k, v, causal=False: plain_attention(q, k, v, causal),
)
TOP_LEFT_MASK = Mistake(
    "the causal mask is aligned to the top left (as SDPA's is_causal=True does). With "
    "more keys than queries, the last query must see every key.",
    partial(plain_attention, mask=lambda T, S: torch.ones(T, S, dtype=torch.bool).tril()),
)


def _naive_softmax(q, k, v, causal=True):
    """Return NaN where exp of a score overflows or all of a row's vanish."""
    scores = q.double().cpu() @ _per_query_head(k, q).mT / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(~bottom_right(*scores.shape[-2:]), -torch.inf)
    weights = scores.exp()
    return weights / weights.sum(-1, keepdim=True) @ _per_query_head(v, q)


def _per_query_head(kv, q):
    return kv.double().cpu().repeat_interleave(q.shape[1] // kv.shape[1], 1)


def _hidden_at(score: float) -> Mistake:
    return Mistake(
        "hidden scores are set to a finite number. A visible key whose score is lower still then "
        "loses to the hidden ones: set them to -inf.",
        partial(plain_attention, masked_score=score),
    )


FINITE_FOR_INFINITE = tuple(map(_hidden_at, (-10.0, -50.0, -100.0, -1e3, -1e4)))
NAIVE_SOFTMAX = Mistake(
    "exponentials of the scores are taken as they are: large scores overflow, and a row of very "
    "low ones vanishes. Use softmax, or subtract each row's largest score first.",
    _naive_softmax,
)
MASK_AFTER_SOFTMAX = Mistake(
    "the weights of hidden keys are set to 0 after the softmax, so the others do not add up to 1. "
    "Hide the scores, before the softmax.",
    lambda q, k, v, causal=True: (
        _masked_late(q, k, v) if causal else plain_attention(q, k, v, False)
    ),
)
COMMON = (*FINITE_FOR_INFINITE, NAIVE_SOFTMAX, MASK_AFTER_SOFTMAX, NOT_CAUSAL_UNASKED)


def _masked_late(q, k, v):
    weights = (q.double().cpu() @ _per_query_head(k, q).mT / q.shape[-1] ** 0.5).softmax(-1)
    weights = weights.masked_fill(~bottom_right(*weights.shape[-2:]), 0.0)
    return weights @ _per_query_head(v, q)


# Mistakes with query heads folded into rows, head after head: (B, Hkv, R * T, D).
def _folded_mask(q, k, v, causal=True):
    """Return attention with the R * T folded rows masked as if they were one sequence."""
    folded = q.reshape(q.shape[0], k.shape[1], -1, q.shape[3])
    return plain_attention(folded, k, v, causal).reshape(q.shape)


def _interleaved_mask(q, k, v, causal=True):
    """Return attention whose folded row r sees what query r // R may see."""
    T, R = q.shape[2], q.shape[1] // k.shape[1]

    def mask(rows, S):
        return bottom_right(T, S).repeat_interleave(R, 0)

    folded = q.reshape(q.shape[0], k.shape[1], -1, q.shape[3])
    return plain_attention(folded, k, v, causal, mask=mask).reshape(q.shape)


def _unfolded_wrongly(q, k, v, causal=True):
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
