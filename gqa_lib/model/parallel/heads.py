"""Which heads a rank has."""

from __future__ import annotations

from gqa_lib.arguments import check_whole
from gqa_lib.heads import check_heads


def check_ranks(num_heads: int, num_kv_heads: int, num_ranks: int) -> None:
    """Raise ValueError unless heads can be divided over ranks, each with equally many.

    Query heads are divided. KV heads are divided too, or copied to equally many ranks each.

    Args:
        num_heads: query heads, Hq.
        num_kv_heads: KV heads, Hkv.
        num_ranks: ranks.
    """
    check_heads(num_heads, num_kv_heads)
    check_whole(num_ranks=num_ranks)
    if not _fit(num_heads, num_kv_heads, num_ranks):
        choices = [n for n in range(1, num_heads + 1) if _fit(num_heads, num_kv_heads, n)]
        what = (
            f"num_heads={num_heads} cannot be divided over num_ranks={num_ranks}"
            if num_heads % num_ranks
            else f"num_kv_heads={num_kv_heads} can neither be divided over num_ranks={num_ranks} "
            "nor be copied to equally many ranks each"
        )
        raise ValueError(
            f"{what}: ranks would have unlike parts, and all would wait for the largest. "
            f"Choose num_ranks from {', '.join(map(str, choices))}."
        )


def rank_heads(num_heads: int, num_kv_heads: int, rank: int, num_ranks: int) -> tuple[range, range]:
    """Return which query heads a rank has, and the KV heads that these read.

    With more ranks than KV heads each of these is copied to num_ranks / num_kv_heads ranks: eight
    query heads and two KV heads over four ranks are Q0 Q1 with K0, Q2 Q3 with K0, Q4 Q5 with K1,
    Q6 Q7 with K1.

    Args:
        num_heads: query heads, Hq.
        num_kv_heads: KV heads, Hkv.
        rank: which one, from 0.
        num_ranks: ranks.

    Raises:
        ValueError: heads cannot be divided so, or there is no such rank.

    Source: vLLM 0.10.2, `InternLM2Attention`: max(1, Hkv // num_ranks) KV heads in each rank.
    """
    check_ranks(num_heads, num_kv_heads, num_ranks)
    check_whole(0, rank=rank)
    if rank >= num_ranks:
        raise ValueError(
            f"rank={rank} of num_ranks={num_ranks}: ranks are numbered from 0. "
            f"Give 0 to {num_ranks - 1}."
        )
    each, q_per_kv = num_heads // num_ranks, num_heads // num_kv_heads
    queries = range(rank * each, (rank + 1) * each)
    return queries, range(queries[0] // q_per_kv, queries[-1] // q_per_kv + 1)


def _fit(num_heads: int, num_kv_heads: int, num_ranks: int) -> bool:
    fewer, more = sorted((num_kv_heads, num_ranks))
    return num_heads % num_ranks == 0 and more % fewer == 0
