"""Lesson 13: the KV heads of a rank, the blocks that all ranks have, the bytes that they send."""

from collections.abc import Callable, Sequence
from statistics import mean

import torch

from .exercise import Exercise, Mistake
from .lesson06 import integers

_LESSON = "13-tensor-parallel"


# KV heads of a rank


def divisible(generator: torch.Generator) -> tuple[int, int]:
    """Return a drawn number of KV heads and of ranks, one a multiple of the other."""
    fewer, times, ranks_first = integers(generator, 12, 7, 2)
    more = fewer * times
    return (fewer, more) if ranks_first == 1 else (more, fewer)


def _heads(generator, Hkv=0, ranks=0, draw=0):
    for _ in range(draw):
        Hkv, ranks = divisible(generator)
    return Hkv, ranks


def heads_per_rank(num_kv_heads: int, tensor_parallel: int) -> int:
    """Count the KV heads that the query heads of rank 0 read.

    Args:
        num_kv_heads: of the model.
        tensor_parallel: ranks.

    Raises:
        ValueError: neither is a multiple of the other.
    """
    fewer, more = sorted((num_kv_heads, tensor_parallel))
    if more % fewer:
        raise ValueError(f"{num_kv_heads} KV heads do not fit {tensor_parallel} ranks.")
    slices = range(0, num_kv_heads * tensor_parallel, tensor_parallel)  # where each head begins
    return sum(start < num_kv_heads for start in slices)


KV_HEADS_PER_RANK = Exercise(
    name="kv_heads_per_rank",
    lesson=_LESSON,
    make=_heads,
    oracle=heads_per_rank,
    cases=(
        {"Hkv": 8, "ranks": 2},
        {"Hkv": 8, "ranks": 16},
        {"Hkv": 8, "ranks": 8},
        {"Hkv": 1, "ranks": 4},
        {"Hkv": 12, "ranks": 4},
        {"Hkv": 3, "ranks": 12},
        {"Hkv": 32, "ranks": 1},
        {"Hkv": 8, "ranks": 3},
        {"Hkv": 6, "ranks": 4},
        {"Hkv": 3, "ranks": 8},
    ),
    mistakes=(
        Mistake(
            "ranks past the number of KV heads get none. Their query heads have to read one: a "
            "head is copied to several ranks.",
            lambda Hkv, ranks: Hkv // ranks,
        ),
        Mistake(
            "a KV head is cut into fractions. Sharding by heads gives away whole ones.",
            lambda Hkv, ranks: Hkv / ranks,
        ),
        Mistake(
            "every rank keeps all KV heads. It needs only those that its own query heads read.",
            lambda Hkv, ranks: Hkv,
        ),
        Mistake(
            "the heads of all ranks are counted together, copies included. Asked for are those of "
            "one rank.",
            lambda Hkv, ranks: max(Hkv, ranks),
        ),
        Mistake(
            "the copies of a head are counted. Where there are more ranks than heads, each rank "
            "holds one head, however many others hold it too.",
            lambda Hkv, ranks: max(Hkv, ranks) // min(Hkv, ranks),
        ),
        Mistake(
            "the division is the other way round: heads are divided over ranks.",
            lambda Hkv, ranks: max(1, ranks // Hkv),
        ),
        Mistake(
            "each rank gets one KV head. With fewer ranks than heads it gets several.",
            lambda Hkv, ranks: 1,
        ),
        Mistake(
            "the smaller of the two is returned. That is how many different parts there are, and "
            "not how many heads are in one.",
            min,
        ),
    ),
)


# Blocks that all ranks have


def _memory(generator, free=(), L=0, Hkv=0, D=0, block=0, b=2, draw=0):
    for _ in range(draw):
        Hkv, ranks = divisible(generator)
        L, D, block, b = integers(generator, 40, 130, 32, 4)
        one = 2 * L * heads_per_rank(Hkv, ranks) * D * block * b
        free = [3 * one + most for most in integers(generator, *[40 * one] * ranks)]
    return list(free), L, Hkv, D, block, b


def _block_bytes(L, heads, D, block, b):
    return sum(heads * D * b for _layer in range(L) for _kind in "kv" for _token in range(block))


def _blocks(
    of_all: Callable[[Sequence[int]], float] = min,
    heads: Callable[[int, int], float] = heads_per_rank,
    per_block: Callable[..., float] = _block_bytes,
    whole: Callable[[float, float], int] = lambda free, one: int(free // one),
) -> Callable:
    """Return a function that counts blocks: the right one, or with one of its steps changed.

    Args:
        of_all: of the blocks of each rank, those that are used.
        heads: KV heads of a rank.
        per_block: bytes of a block, of layers, heads, head_dim, tokens and bytes per element.
        whole: blocks in a rank's free bytes.
    """

    def count(free_bytes, num_layers, num_kv_heads, head_dim, block_size, bytes_per_element):
        mine = heads(num_kv_heads, len(free_bytes))
        one = per_block(num_layers, mine, head_dim, block_size, bytes_per_element)
        return int(of_all([whole(free, one) for free in free_bytes]))

    return count


BLOCKS_OF_ALL_RANKS = Exercise(
    name="blocks_of_all_ranks",
    lesson=_LESSON,
    make=_memory,
    oracle=_blocks(),
    cases=(
        {"free": (9_000, 5_999, 7_100), "L": 2, "Hkv": 6, "D": 5, "block": 4},
        {"free": (8_000, 9_000), "L": 3, "Hkv": 2, "D": 7, "block": 4},
        {"free": (4_100, 3_900, 5_000, 4_600), "L": 3, "Hkv": 2, "D": 5, "block": 8, "b": 1},
        {"free": (50_000,), "L": 5, "Hkv": 3, "D": 6, "block": 16},
        {"free": (9_500, 700, 9_500, 9_500), "L": 3, "Hkv": 1, "D": 9, "block": 16},
        {"free": (7_000,) * 6, "L": 2, "Hkv": 3, "D": 4, "block": 2, "b": 4},
        {"free": (66_700, 64_900), "L": 4, "Hkv": 10, "D": 3, "block": 5},
    ),
    mistakes=(
        Mistake(
            "the rank with the most memory decides. The block numbers that it gives out do not "
            "exist on the others.",
            _blocks(max),
        ),
        Mistake(
            "the mean over ranks is taken. A rank below the mean has no such blocks.",
            _blocks(mean),
        ),
        Mistake(
            "rank 0 decides for all. Another rank may have less.",
            _blocks(lambda blocks: blocks[0]),
        ),
        Mistake(
            "the last rank decides for all. Another rank may have less.",
            _blocks(lambda blocks: blocks[-1]),
        ),
        Mistake(
            "the blocks of all ranks are added. A token is stored on every rank, in a block of the "
            "same number: its heads are what is divided.",
            _blocks(sum),
        ),
        Mistake(
            "a block is taken to hold all KV heads. On one rank it holds that rank's.",
            _blocks(heads=lambda Hkv, ranks: Hkv),
        ),
        Mistake(
            "a block of a rank is taken to hold a fraction of a KV head. Where there are more "
            "ranks than heads each holds a whole one.",
            _blocks(heads=lambda Hkv, ranks: Hkv / ranks),
        ),
        Mistake(
            "keys are counted and values are not: a block holds both.",
            _blocks(per_block=lambda *sizes: _block_bytes(*sizes) / 2),
        ),
        Mistake(
            "one layer is counted. A block has its tokens' keys and values of every layer.",
            _blocks(per_block=lambda L, *sizes: _block_bytes(1, *sizes)),
        ),
        Mistake(
            "tokens are counted and not blocks: a block holds block_size of them.",
            _blocks(per_block=lambda L, heads, D, block, b: _block_bytes(L, heads, D, 1, b)),
        ),
        Mistake(
            "blocks are rounded up. What is left of a rank's memory is too small for another one.",
            _blocks(whole=lambda free, one: int(-(-free // one))),
        ),
    ),
)


# Bytes that a rank sends for a token


def _sent_sizes(generator, L=0, d_model=0, ranks=1, b=2, draw=0):
    for _ in range(draw):
        L, d_model, ranks, b = integers(generator, 90, 900, 15, 4)
        ranks += 1
        d_model *= ranks
    return L, d_model, ranks, b


def _ring(num_layers, d_model, tensor_parallel, bytes_per_element):
    """Send a vector round a ring, piece by piece: once to add it up, once to hand it out."""
    piece = d_model / tensor_parallel
    numbers = 0.0
    for _all_reduce in range(2 * num_layers):
        for _round in ("add up", "hand out"):
            numbers += piece * (tensor_parallel - 1)
    return numbers * bytes_per_element


BYTES_SENT_PER_TOKEN = Exercise(
    name="bytes_sent_per_token",
    lesson=_LESSON,
    make=_sent_sizes,
    oracle=_ring,
    cases=(
        {"L": 3, "d_model": 20, "ranks": 4},
        {"L": 3, "d_model": 20, "ranks": 5, "b": 1},
        {"L": 32, "d_model": 4096, "ranks": 2},
        {"L": 80, "d_model": 8192, "ranks": 8},
        {"L": 7, "d_model": 48, "ranks": 1},
        {"L": 5, "d_model": 48, "ranks": 16, "b": 4},
        {"L": 4, "d_model": 21, "ranks": 3},
    ),
    mistakes=(
        Mistake(
            "half is counted. A layer has two all-reduces, after attention and after the "
            "feed-forward block, and in each the pieces go round the ring twice: once to be added "
            "up, once to be handed out.",
            lambda L, d, n, b: _ring(L, d, n, b) / 2,
        ),
        Mistake(
            "the vector is counted whole, 2 * d_model for each all-reduce. In a ring a rank sends "
            "2 * (n - 1) / n of it: its last piece is at its place already.",
            lambda L, d, n, b: 4.0 * L * d * b,
        ),
        Mistake(
            "each rank sends its whole vector to every other one. A ring sends pieces, and each of "
            "them already added up on its way.",
            lambda L, d, n, b: 2.0 * L * (n - 1) * d * b,
        ),
        Mistake(
            "one vector is counted for each all-reduce, however many ranks there are.",
            lambda L, d, n, b: 2.0 * L * d * b,
        ),
        Mistake(
            "what all ranks send is counted together. Asked for is what one of them sends.",
            lambda L, d, n, b: _ring(L, d, n, b) * n,
        ),
        Mistake(
            "the layers are left out. Each has its two all-reduces.",
            lambda L, d, n, b: _ring(1, d, n, b),
        ),
        Mistake(
            "numbers are counted. Bytes are asked for: each number takes bytes_per_element.",
            lambda L, d, n, b: _ring(L, d, n, 1),
        ),
        Mistake(
            "twice as much is counted. A layer has two all-reduces, and in each a piece goes "
            "round the ring twice.",
            lambda L, d, n, b: _ring(L, d, n, b) * 2,
        ),
    ),
)

EXERCISES = [KV_HEADS_PER_RANK, BLOCKS_OF_ALL_RANKS, BYTES_SENT_PER_TOKEN]
