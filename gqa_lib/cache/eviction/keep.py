"""How many rows are kept, and which of them go."""

import math

import torch
from torch import Tensor

from gqa_lib.arguments import check_number, check_whole, shown

from .policies import SinkWindow
from .protocol import EvictionPolicy


def rows_to_keep(num_tokens: int, ratio_removed: float) -> int:
    """Return how many rows of some tokens are left when a share of them is removed; 1 at least.

    Args:
        num_tokens: tokens of the sequence that the ratio is of.
        ratio_removed: the share that goes, from 0 up to but not including 1: what NVIDIA kvpress
            calls compression_ratio. Ratios that follow each other do not multiply, but what they
            keep does: .5 after .5 removes .75.

    Raises:
        ValueError: num_tokens is not a whole number from 1, or the ratio is out of range.
    """
    check_whole(num_tokens=num_tokens)
    check_number(0, ratio_removed=ratio_removed)
    if ratio_removed >= 1:
        raise ValueError(
            f"ratio_removed={ratio_removed}: nothing would be left to attend to. It is the share "
            "of rows that is removed; give a number below 1, such as 0.75 to keep a quarter."
        )
    removed = math.floor(num_tokens * (ratio_removed + 1e-14))  # .29 of 100 is a hair below 29
    return max(1, num_tokens - removed)


def ratio_removed(num_tokens: int, num_kept: int) -> float:
    """Return which share of some tokens is removed where so many are kept.

    Args:
        num_tokens: tokens of the sequence, 0 or more.
        num_kept: how many of their rows are kept; of all of them, nothing is removed.

    Raises:
        ValueError: more are kept than there are, or a number is not a whole one.
    """
    check_whole(0, num_tokens=num_tokens, num_kept=num_kept)
    if num_kept > num_tokens:
        raise ValueError(
            f"num_kept={num_kept} of num_tokens={num_tokens}: rows are kept of tokens that there "
            "were. Give the tokens of the whole sequence, not those of the cache."
        )
    return 1 - num_kept / num_tokens if num_tokens else 0.0


def rows_to_evict(
    scores: Tensor,
    positions: Tensor,
    num_evicted: int,
    *,
    num_sinks: int = 0,
    recent: int = 1,
    window: int | None = None,
) -> Tensor:
    """Return which rows of each KV head go, (B, Hkv, num_evicted), ascending.

    Args:
        scores: how much each is worth, (B, Hkv, S); NaN is worth least, and infinity no more than
            the largest number: rows that stay are worth more.
        positions: where each row's token stands in its sequence, (B, Hkv, S).
        num_evicted: how many of the S.
        num_sinks: rows of so many first tokens stay.
        recent: so do those of so many newest tokens, 1 or more.
        window: of the layer, None for none: rows that no later token can see go first, the oldest
            before the others.
    """
    newest = positions.amax(-1, keepdim=True)
    stays = (positions < num_sinks) | (positions > newest - recent)
    scores = scores.nan_to_num(nan=torch.finfo(scores.dtype).min)
    if window is not None:
        scores = scores.double().clamp(min=-1e289)  # above what no later token sees
    scores = scores.masked_fill(stays, torch.inf)
    if window is not None:
        ages = newest - positions
        unseen = ages >= max(window - 1, recent)
        scores = torch.where(unseen, -1e290 * ages.double(), scores)
    return scores.topk(num_evicted, -1, largest=False, sorted=False).indices.sort(-1).values


def check_budget(
    budget: int, num_sinks: int, recent: int, policy: EvictionPolicy, interval: int
) -> None:
    """Raise ValueError unless a cache can keep what it must, and has a row to choose.

    Args:
        budget: rows of each KV head.
        num_sinks, recent: rows that stay.
        policy: that chooses the others.
        interval: tokens from one eviction to the next.
    """
    check_whole(budget=budget, recent=recent, interval=interval)
    check_whole(0, num_sinks=num_sinks)
    if num_sinks + recent > budget:
        raise ValueError(
            f"num_sinks={num_sinks} and recent={recent} are {num_sinks + recent} rows that stay, "
            f"over budget={budget}: no policy could keep to it. Give a budget of "
            f"{num_sinks + recent} or more, or protect fewer."
        )
    if isinstance(policy, SinkWindow) and policy.num_sinks + recent > budget:
        raise ValueError(
            f"SinkWindow({policy.num_sinks}) and recent={recent} are {policy.num_sinks + recent} "
            f"rows to be kept, over budget={budget}: sinks would go. Give a budget of "
            f"{policy.num_sinks + recent} or more, or fewer sinks."
        )
    if recent < policy.window:
        raise ValueError(
            f"recent={recent} and the policy looks at the {policy.window} newest queries: rows of "
            f"their own tokens could be gone by then. Give recent={policy.window} or more."
        )


def check_scores(scores: Tensor, keys: Tensor, queries: Tensor, name: str) -> Tensor:
    """Return the scores of a policy, or raise ValueError if they are not one per row and KV head.

    Args:
        scores: what it gave.
        keys: (B, Hkv, S, D).
        queries: (B, Hq, W, D).
        name: the policy's.
    """
    (B, Hkv, S, _), Hq = keys.shape, queries.shape[1]
    if isinstance(scores, Tensor) and scores.shape == (B, Hkv, S) and scores.is_floating_point():
        return scores
    if isinstance(scores, Tensor) and scores.dim() == 3 and scores.shape[1] == Hq:
        raise ValueError(
            f"{name} scores {tuple(scores.shape)}, a row for each of {Hq} query heads, and "
            f"{Hkv} KV heads are cached. Rows chosen by each query head would have to be cached "
            f"for each: q_per_kv={Hq // Hkv} times the bytes, all that shared heads had saved. "
            f"Return ({B}, {Hkv}, {S}), such as the mean over the query heads of a KV head."
        )
    what = tuple(scores.shape) if isinstance(scores, Tensor) else shown(scores)
    kind = f" {scores.dtype}" if isinstance(scores, Tensor) else ""
    raise ValueError(
        f"{name} scores {what}{kind}: a row without a score can be neither kept nor evicted. "
        f"Return one floating-point number for each row of each KV head, ({B}, {Hkv}, {S})."
    )
