"""Lesson 12: what a row has received of attention, and the rows that received most."""

import torch

from .exercise import Exercise, Mistake
from .lesson06 import integers
from .variants import bottom_right

_LESSON = "12-kv-eviction"


# What a row has received


def _weights(generator: torch.Generator, B=0, Hq=0, Hkv=0, T=0, S=0, dtype="float32", draw=0):
    """Return weights of attention (B, Hq, T, S), each query's over what it sees, and Hkv."""
    for _ in range(draw):
        B, Hkv, R, T, more = integers(generator, 3, 4, 4, 9, 9)
        Hq, S = Hkv * R, T + more - 1
    scores = 2 * torch.randn(B, Hq, T, S, generator=generator, dtype=torch.float64)
    scores = scores.masked_fill(~bottom_right(T, S), -torch.inf)
    return scores.softmax(-1).to(getattr(torch, dtype)), Hkv


def _received(weights, num_kv_heads):
    """Go through heads and keys one by one."""
    w = weights.double().cpu()
    B, Hq, T, S = w.shape
    R = Hq // num_kv_heads
    found = torch.zeros(B, num_kv_heads, S, dtype=torch.float64)
    for head in range(num_kv_heads):
        for key in range(S):
            first = max(0, key - (S - T))  # the first query that sees it
            found[:, head, key] = w[:, head * R : (head + 1) * R, first:, key].mean((1, 2))
    return found


def _seen(T, S):
    """Return how many of T queries see each of S keys, (S,)."""
    return bottom_right(T, S).sum(0)


def _of_neighbours(weights, num_kv_heads):
    """Return (B, Hkv, R, T, S) in float64."""
    return weights.double().cpu().unflatten(1, (num_kv_heads, -1))


def _summed(weights, num_kv_heads):
    return _of_neighbours(weights, num_kv_heads).mean(2).sum(2)


ATTENTION_RECEIVED = Exercise(
    name="attention_received",
    lesson=_LESSON,
    make=_weights,
    oracle=_received,
    cases=(
        {"B": 2, "Hq": 6, "Hkv": 2, "T": 4, "S": 7},
        {"B": 1, "Hq": 6, "Hkv": 3, "T": 5, "S": 5},
        {"B": 3, "Hq": 4, "Hkv": 1, "T": 3, "S": 9, "dtype": "float64"},
        {"B": 2, "Hq": 4, "Hkv": 2, "T": 1, "S": 6},
        {"B": 2, "Hq": 3, "Hkv": 3, "T": 2, "S": 8},
        {"B": 1, "Hq": 8, "Hkv": 2, "T": 6, "S": 9, "dtype": "bfloat16"},
    ),
    mistakes=(
        Mistake(
            "the weights of all queries are added up. Early keys were seen by more queries and "
            "would hardly ever lose to a late one: divide by how many could see the key.",
            _summed,
        ),
        Mistake(
            "the mean is over all T queries. Those that came before a key could not see it: "
            "divide by how many could.",
            lambda weights, Hkv: _of_neighbours(weights, Hkv).mean((2, 3)),
        ),
        Mistake(
            "the query heads are added up. Take the mean of those that share the KV head.",
            lambda weights, Hkv: _received(weights, Hkv) * (weights.shape[1] // Hkv),
        ),
        Mistake(
            "query heads that lie num_kv_heads apart are put together. KV head 0 is read by the "
            "first Hq // num_kv_heads query heads.",
            lambda weights, Hkv: (
                weights.double().cpu().unflatten(1, (-1, Hkv)).mean(1).sum(2)
                / _seen(*weights.shape[2:])
            ),
        ),
        Mistake(
            "there is a score for each query head. A row of the cache belongs to a KV head, and "
            "stays for all query heads that read it or for none: (B, Hkv, S).",
            lambda weights, Hkv: _received(weights, weights.shape[1]),
        ),
        Mistake(
            "all KV heads have the same scores. Each has rows of its own: take the mean of its "
            "own query heads only.",
            lambda weights, Hkv: _received(weights, 1).expand(-1, Hkv, -1),
        ),
        Mistake(
            "only the first of the query heads that share a KV head counts.",
            lambda weights, Hkv: _received(weights[:, :: weights.shape[1] // Hkv], Hkv),
        ),
        Mistake(
            "only the last query counts.",
            lambda weights, Hkv: _of_neighbours(weights, Hkv).mean(2)[:, :, -1],
        ),
        Mistake(
            "the largest weight of any query is taken. Take the mean.",
            lambda weights, Hkv: _of_neighbours(weights, Hkv).mean(2).amax(2),
        ),
        Mistake(
            "the largest of the query heads counts. Take the mean of those that share the KV head.",
            lambda weights, Hkv: (
                _of_neighbours(weights, Hkv).amax(2).sum(2) / _seen(*weights.shape[2:])
            ),
        ),
        Mistake(
            "key s is taken to be seen by S - s queries. There are only T: the older keys were "
            "cached before, and all T see them.",
            lambda weights, Hkv: _summed(weights, Hkv) / torch.arange(weights.shape[3], 0, -1),
        ),
        Mistake(
            "query i is taken to see the keys up to i. The queries are the last T of S tokens: "
            "query i sees those up to S - T + i.",
            lambda weights, Hkv: (
                _summed(weights, Hkv)
                / (weights.shape[2] - torch.arange(weights.shape[3])).clamp(min=1)
            ),
        ),
        Mistake(
            "the mean is over the keys. A score belongs to a key: take it over the queries.",
            lambda weights, Hkv: _of_neighbours(weights, Hkv).mean((2, 4)),
        ),
    ),
)


# The rows that received most


def _scores(
    generator: torch.Generator,
    B=0,
    Hkv=0,
    S=0,
    budget=0,
    recent=0,
    gone=0,
    offset=0.0,
    dtype="float32",
    draw=0,
):
    """Return scores (B, Hkv, S), `gone` of each head's old ones -inf, budget and recent.

    All are `offset` larger, next to which they are alike in float32.
    """
    for _ in range(draw):
        B, Hkv, S, budget = integers(generator, 3, 4, 20, 14)
        recent = integers(generator, budget + 1)[0] - 1
    scores = offset + torch.randn(B, Hkv, S, generator=generator, dtype=getattr(torch, dtype))
    if gone:
        old = torch.rand(B, Hkv, S - recent, generator=generator).argsort(-1)[..., :gone]
        scores.scatter_(-1, old, -torch.inf)
    return scores, budget, recent


def _kept(scores, budget, recent):
    """Go through batch and heads one by one, in lists."""
    B, Hkv, S = scores.shape
    kept = torch.zeros(B, Hkv, S, dtype=torch.bool)
    for b in range(B):
        for head in range(Hkv):
            old = list(range(max(0, S - recent)))
            best = sorted(old, key=lambda row: -float(scores[b, head, row]))[: budget - recent]
            kept[b, head, best] = True
            kept[b, head, len(old) :] = True
    return kept


def _top(scores, budget):
    """Return True at the `budget` largest of the last axis."""
    best = scores.topk(min(budget, scores.shape[-1]), -1).indices
    return torch.zeros(scores.shape, dtype=torch.bool).scatter(-1, best, True)


def _newest(scores, recent):
    return torch.arange(scores.shape[-1]) >= scores.shape[-1] - recent


def _for_all(scores, budget, recent):
    """Return what the mean over some heads keeps, for each of them."""
    return _kept(scores.mean(1, keepdim=True), budget, recent).expand(scores.shape)


HEAVY_HITTER_KEEP = Exercise(
    name="heavy_hitter_keep",
    lesson=_LESSON,
    make=_scores,
    oracle=_kept,
    cases=(
        {"B": 2, "Hkv": 3, "S": 9, "budget": 5, "recent": 2},
        {"B": 1, "Hkv": 2, "S": 12, "budget": 4, "recent": 3},
        {"B": 3, "Hkv": 2, "S": 7, "budget": 9, "recent": 2},
        {"B": 2, "Hkv": 2, "S": 8, "budget": 8, "recent": 3},
        {"B": 1, "Hkv": 3, "S": 10, "budget": 4, "recent": 0},
        {"B": 2, "Hkv": 1, "S": 6, "budget": 3, "recent": 3},
        {"B": 2, "Hkv": 2, "S": 3, "budget": 6, "recent": 5},
        {"B": 2, "Hkv": 2, "S": 11, "budget": 6, "recent": 2, "gone": 2},
        {"B": 1, "Hkv": 4, "S": 9, "budget": 3, "recent": 1, "dtype": "float64"},
        {"B": 2, "Hkv": 2, "S": 1, "budget": 2, "recent": 1},
    ),
    mistakes=(
        Mistake(
            "the newest rows come on top of the budget. They are part of it: budget rows stay.",
            lambda scores, budget, recent: _kept(scores, budget + recent, recent),
        ),
        Mistake(
            "the newest rows are not protected: a row that came just now has had no time to be "
            "attended to.",
            lambda scores, budget, recent: _top(scores, budget),
        ),
        Mistake(
            "the lowest scores are kept. Keep those that received most.",
            lambda scores, budget, recent: _kept(-scores, budget, recent),
        ),
        Mistake(
            "one budget is shared by all heads. Each KV head keeps `budget` rows of its own: "
            "rank along the last axis only.",
            lambda scores, budget, recent: _top(
                scores.masked_fill(_newest(scores, recent), torch.inf).flatten(1),
                budget * scores.shape[1],
            ).view(scores.shape),
        ),
        Mistake(
            "all KV heads keep the same rows. Each ranks its own.",
            _for_all,
        ),
        Mistake(
            "all sequences keep the same rows. Each ranks its own.",
            lambda scores, budget, recent: _for_all(
                scores.transpose(0, 1), budget, recent
            ).transpose(0, 1),
        ),
        Mistake(
            "True marks the rows to drop. Here True means that a row is kept.",
            lambda scores, budget, recent: ~_kept(scores, budget, recent),
        ),
        Mistake(
            "the oldest rows are protected. The newest are the last ones.",
            lambda scores, budget, recent: _kept(scores.flip(-1), budget, recent).flip(-1),
        ),
        Mistake(
            "only the heavy hitters stay, and not the newest rows.",
            lambda scores, budget, recent: _kept(scores, budget, recent) & ~_newest(scores, recent),
        ),
        Mistake(
            "`budget` heavy hitters are taken of all rows, and the newest are then added. Rank "
            "only the older rows, for budget - recent places.",
            lambda scores, budget, recent: _top(scores, budget) | _newest(scores, recent),
        ),
        Mistake(
            "budget - recent heavy hitters are taken of all rows: where one of them is among the "
            "newest, a place stays empty. Rank only the older rows.",
            lambda scores, budget, recent: (
                _top(scores, max(0, budget - recent)) | _newest(scores, recent)
            ),
        ),
        Mistake(
            "scores are ranked by their absolute value: a low one must not win.",
            lambda scores, budget, recent: _kept(scores.abs(), budget, recent),
        ),
        Mistake(
            "the places of the rows are returned. Return a bool for each row.",
            lambda scores, budget, recent: scores.topk(min(budget, scores.shape[-1]), -1).indices,
        ),
    ),
)

EXERCISES = [ATTENTION_RECEIVED, HEAVY_HITTER_KEEP]
