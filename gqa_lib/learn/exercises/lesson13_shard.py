"""Lesson 13: the weights of one rank."""

from collections.abc import Callable
from typing import Any

import torch

from .exercise import Exercise, Mistake
from .lesson06 import integers
from .lesson13 import heads_per_rank
from .variants import draw

_LESSON = "13-tensor-parallel"
Weights = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def _layer(generator, H=0, Hkv=0, D=0, d_model=0, ranks=1, rank=0, dtype="float32", draws=0):
    for _ in range(draws):
        few, times, each, D, d_model, copied = integers(generator, 4, 3, 3, 6, 20, 2)
        Hkv, ranks = (few, few * times) if copied == 1 else (few * times, few)
        H = few * times * each
        rank = integers(generator, ranks)[0] - 1
    q, k, v = (draw(generator, heads * D, d_model, dtype=dtype) for heads in (H, Hkv, Hkv))
    return q, k, v, draw(generator, d_model, H * D, dtype=dtype), H, Hkv, ranks, rank


def read_heads(num_heads: int, num_kv_heads: int, tensor_parallel: int, rank: int) -> list[int]:
    """Return the KV heads that a rank's query heads read, in order.

    Args:
        num_heads, num_kv_heads: of the layer.
        tensor_parallel, rank: how many ranks there are, and which one is asked about.
    """
    mine = range(num_heads)[_slice(num_heads, tensor_parallel, rank)]
    return sorted({head * num_kv_heads // num_heads for head in mine})


def _slice(size: int, ranks: int, rank: int) -> slice:
    return slice(size * rank // ranks, size * (rank + 1) // ranks)


def _heads_of(weight: torch.Tensor, size: int, heads: list[int]) -> torch.Tensor:
    """Return the rows of some heads, each of `size` rows."""
    rows = [weight[head * size : (head + 1) * size] for head in heads]
    return torch.cat(rows) if rows else weight[:0]


def sharded(
    q_proj: torch.Tensor,
    k_proj: torch.Tensor,
    v_proj: torch.Tensor,
    o_proj: torch.Tensor,
    num_heads: int,
    num_kv_heads: int,
    tensor_parallel: int,
    rank: int,
    *,
    queries: Callable[..., torch.Tensor] | None = None,
    kv: Callable[[int, int, int, int], list[int]] = read_heads,
    k_rows: Callable[..., torch.Tensor] | None = None,
    v_rows: Callable[..., torch.Tensor] | None = None,
    o_part: Callable[..., torch.Tensor] | None = None,
) -> Weights:
    """Return the weights of a rank in float64.

    Args:
        q_proj, k_proj, v_proj, o_proj: of the layer, as `nn.Linear` stores them.
        num_heads, num_kv_heads: of the layer.
        tensor_parallel, rank: how many ranks there are, and whose weights are asked for.
        queries, o_part: of a weight, ranks and rank, another part of q_proj or o_proj.
        kv: which KV heads a rank has, of the arguments of `read_heads`.
        k_rows, v_rows: of a weight, ranks and rank, rows of k_proj or v_proj that are not heads.

    Raises:
        ValueError: heads that cannot be divided so.
    """
    heads_per_rank(num_kv_heads, tensor_parallel)
    if num_heads % tensor_parallel:
        raise ValueError(f"{num_heads} query heads do not fit {tensor_parallel} ranks.")
    q, k, v, o = (one.double().cpu() for one in (q_proj, k_proj, v_proj, o_proj))
    place, heads = (tensor_parallel, rank), kv(num_heads, num_kv_heads, tensor_parallel, rank)
    size = len(k) // num_kv_heads
    k_mine, v_mine = (_heads_of(one, size, heads) for one in (k, v))
    return (
        (queries or _rows)(q, *place),
        k_rows(k, *place) if k_rows else k_mine,
        v_rows(v, *place) if v_rows else v_mine,
        (o_part or _columns)(o, *place),
    )


def _rows(weight, ranks, rank):
    return weight[_slice(len(weight), ranks, rank)]


def _columns(weight, ranks, rank):
    return _rows(weight.mT, ranks, rank).mT


def _rows_like_columns(weight, ranks, rank):
    """As many rows as there should be columns, at their places."""
    return weight[_slice(weight.shape[1], ranks, rank)]


def _whole(weight, ranks, rank):
    return weight


def _every(weight, ranks, rank):
    return weight[rank::ranks]


def _in_turn(weight, num_heads, ranks, rank):
    """Query heads dealt out like cards."""
    return _heads_of(weight, len(weight) // num_heads, list(range(num_heads)[rank::ranks]))


def _dealt(q, k, v, o, H, Hkv, ranks, rank):
    _, *kv, _ = sharded(q, k, v, o, H, Hkv, ranks, rank)
    q, o = q.double().cpu(), o.double().cpu()
    return _in_turn(q, H, ranks, rank), *kv, _in_turn(o.mT, H, ranks, rank).mT


def _places_of_queries(num_heads, num_kv_heads, ranks, rank):
    """The numbers of the rank's query heads, taken for those of KV heads."""
    mine = range(num_heads)[_slice(num_heads, ranks, rank)]
    return [head for head in mine if head < num_kv_heads]


def _copied_in_turn(num_heads, num_kv_heads, ranks, rank):
    if ranks > num_kv_heads:
        return [rank % num_kv_heads]
    return read_heads(num_heads, num_kv_heads, ranks, rank)


def _copied_from_the_first(num_heads, num_kv_heads, ranks, rank):
    if ranks > num_kv_heads:
        return [0]
    return read_heads(num_heads, num_kv_heads, ranks, rank)


def _next(q, k, v, o, H, Hkv, ranks, rank):
    return sharded(q, k, v, o, H, Hkv, ranks, (rank + 1) % ranks)


def _other(**steps: Any) -> Callable[..., Weights]:
    return lambda *layer: sharded(*layer, **steps)


SHARD_PROJECTIONS = Exercise(
    name="shard_projections",
    lesson=_LESSON,
    make=_layer,
    oracle=lambda q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank: (
        sharded(q_proj, k_proj, v_proj, o_proj, num_heads, num_kv_heads, tensor_parallel, rank)
    ),
    cases=(
        {"H": 12, "Hkv": 6, "D": 5, "d_model": 9, "ranks": 3, "rank": 1},
        {"H": 12, "Hkv": 2, "D": 4, "d_model": 20, "ranks": 4, "rank": 2},
        {"H": 6, "Hkv": 2, "D": 3, "d_model": 10, "ranks": 2, "rank": 1},
        {"H": 8, "Hkv": 1, "D": 4, "d_model": 12, "ranks": 4, "rank": 3},
        {"H": 12, "Hkv": 3, "D": 2, "d_model": 18, "ranks": 6, "rank": 4},
        {"H": 12, "Hkv": 12, "D": 2, "d_model": 24, "ranks": 4, "rank": 0},
        {"H": 6, "Hkv": 3, "D": 6, "d_model": 8, "ranks": 1, "rank": 0, "dtype": "bfloat16"},
        {"H": 12, "Hkv": 4, "D": 3, "d_model": 6, "ranks": 6, "rank": 1},
        {"H": 6, "Hkv": 1, "D": 4, "d_model": 6, "ranks": 4, "rank": 1},
    ),
    mistakes=(
        *(
            Mistake(
                "o_proj is cut along its rows. Its columns are what meets the heads: a rank has "
                "the columns of its own query heads, and all d_model rows.",
                _other(o_part=part),
            )
            for part in (_rows, _rows_like_columns)
        ),
        Mistake(
            "o_proj is whole. A rank has the output of its own query heads only, and needs the "
            "columns that multiply those.",
            _other(o_part=_whole),
        ),
        Mistake(
            "o_proj is divided by the number of ranks. The ranks' parts are added, not averaged.",
            _other(o_part=lambda o, ranks, rank: _columns(o, ranks, rank) / ranks),
        ),
        Mistake(
            "K and V are whole on every rank. It needs only the KV heads that its own query heads "
            "read; with all of them the cache never shrinks.",
            _other(kv=lambda H, Hkv, ranks, rank: list(range(Hkv))),
        ),
        Mistake(
            "K and V are cut into as many equal pieces as there are ranks. With more ranks than KV "
            "heads such a piece is a part of a head: a rank needs a whole one.",
            _other(k_rows=_rows, v_rows=_rows),
        ),
        Mistake(
            "K and V are cut where the query heads are. There are fewer KV heads: query head h "
            "reads KV head h // q_per_kv.",
            _other(kv=_places_of_queries),
        ),
        Mistake(
            "copied KV heads are dealt in turn (0 1 0 1 ...). Neighbouring query heads share a KV "
            "head, so neighbouring ranks do (0 0 1 1).",
            _other(kv=_copied_in_turn),
        ),
        Mistake(
            "KV head 0 is what every rank gets where heads are copied. Rank r needs the one that "
            "its query heads read, r * num_kv_heads // tensor_parallel.",
            _other(kv=_copied_from_the_first),
        ),
        Mistake(
            "query heads are dealt in turn. A rank has neighbours, which share KV heads.",
            _dealt,
        ),
        Mistake(
            "every so many rows are taken, as if channels came before heads. A head's rows lie "
            "together.",
            _other(queries=_every, k_rows=_every, v_rows=_every),
        ),
        Mistake(
            "these are the weights of the next rank. Ranks are counted from 0.",
            _next,
        ),
    ),
)

EXERCISES = [SHARD_PROJECTIONS]
