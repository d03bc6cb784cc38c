"""Into how many parts a GPU cuts the keys of a KV head: enough to fill it, too few to cost much.

Whole numbers only; nothing here needs Triton or a GPU.
"""

from functools import lru_cache
from typing import NamedTuple

PARTIAL_SHARE = 0.03  # partial results written and read again, at most, over the bytes of K and V
PROGRAMS_PER_SM = 2  # at a time on one multiprocessor, which share its memory
MAX_WAVES = 4  # past four rounds of programs a late one costs little
MAX_PARTS = 128  # of one sequence: the second stage reads them in one tile
FULL_ENOUGH = 0.85  # how busy the GPU must be, relative to the best cut, to take fewer parts


class Cut(NamedTuple):
    """How the keys are cut.

    Args:
        parts: of every sequence when lengths are equal; 1 means that nothing is ever cut.
        keys: in a part when lengths are equal, a multiple of the block; else the fewest in one.
        slots: programs to share the keys of a ragged batch among, all KV heads together.
        programs: per KV head, at most; as many partial results are kept.
    """

    parts: int
    keys: int
    slots: int
    programs: int


def fewest_keys(q_per_kv: int, head_dim: int, itemsize: int) -> int:
    """Return the keys below which a part's partial result costs more than PARTIAL_SHARE of them.

    A part leaves R outputs and log-sum-exps in fp32, written once and read once; a key and its
    value are 2 * D elements.

    Args:
        q_per_kv: R, the query heads of a KV head.
        head_dim: D.
        itemsize: bytes of an element of K and V.
    """
    partial_bytes = 2 * q_per_kv * (head_dim + 1) * 4
    key_bytes = 2 * head_dim * itemsize
    return -int(-partial_bytes // (PARTIAL_SHARE * key_bytes))


def plan_cut(
    batch_size: int,
    num_kv_heads: int,
    capacity: int,
    *,
    min_keys: int,
    block: int,
    multiprocessors: int,
    ragged: bool,
    num_splits: int | None = None,
) -> Cut:
    """Return how to cut the keys of a batch, from shapes alone: lengths may be on the device.

    Args:
        batch_size, num_kv_heads: B and Hkv.
        capacity: keys of a sequence at most.
        min_keys: as from `fewest_keys`.
        block: keys that a program takes at a time.
        multiprocessors: of the device.
        ragged: whether each sequence has a length of its own.
        num_splits: parts of a full sequence at most, instead of the choice made here.
    """
    resident = PROGRAMS_PER_SM * multiprocessors
    most = min(MAX_PARTS, max(1, capacity // min_keys))
    if num_splits is not None:
        most, min_keys = num_splits, max(1, capacity // num_splits)
    if ragged:
        slots = 2**30 if num_splits is not None else 2 * resident
        programs = min(batch_size * most, slots // num_kv_heads + 1 + batch_size)
        return Cut(most, min_keys, slots, programs)
    parts = num_splits or _fewest_full(batch_size * num_kv_heads, most, resident)
    keys = -(-max(1, -(-capacity // parts)) // block) * block
    parts = max(1, -(-capacity // keys))
    return Cut(parts, keys, 0, batch_size * parts)


@lru_cache(maxsize=1024)
def _fewest_full(tasks: int, most: int, resident: int) -> int:
    """Return the fewest parts that keep the device nearly as full as any number of them would.

    Source: FlashAttention's num_splits_heuristic, here over several rounds of programs.
    """
    most = min(most, -(-MAX_WAVES * resident // tasks))
    fullness = []
    for parts in range(1, most + 1):
        rounds = -(-tasks * parts // resident)
        fullness.append(tasks * parts / (rounds * resident))
    wanted = FULL_ENOUGH * max(fullness)
    return next(parts for parts, full in enumerate(fullness, start=1) if full >= wanted)
