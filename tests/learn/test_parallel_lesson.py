"""Lesson 13: what its exercises accept, and that the lesson's statements are the library's."""

import math

import pytest
import torch

from gqa_lib.attention import grouped_query_attention
from gqa_lib.configs import load_model
from gqa_lib.cost import tensor_parallel_bytes
from gqa_lib.learn.exercises.lesson13 import (
    BLOCKS_OF_ALL_RANKS,
    BYTES_SENT_PER_TOKEN,
    divisible,
    heads_per_rank,
)
from gqa_lib.learn.exercises.lesson13_merge import MERGE_RANKS, merged
from gqa_lib.learn.exercises.lesson13_shard import SHARD_PROJECTIONS, read_heads, sharded
from gqa_lib.model.parallel import merge_parts, rank_config, rank_heads
from grading.quiz.bank import load_bank

SIZES = [(8, 8, 4), (8, 4, 8), (8, 2, 4), (12, 3, 6), (6, 1, 3), (4, 4, 1)]  # Hq, Hkv, ranks


@pytest.mark.parametrize(("heads", "kv_heads", "ranks"), SIZES)
def test_a_rank_has_the_heads_that_the_library_gives_it(heads, kv_heads, ranks):
    for rank in range(ranks):
        _, ours = rank_heads(heads, kv_heads, rank, ranks)
        assert read_heads(heads, kv_heads, ranks, rank) == list(ours)
        assert heads_per_rank(kv_heads, ranks) == len(ours) == max(1, kv_heads // ranks)


@pytest.mark.parametrize(("kv_heads", "ranks"), [(8, 3), (3, 8), (6, 4), (4, 6)])
def test_what_does_not_divide_is_refused_as_by_the_library(kv_heads, ranks):
    with pytest.raises(ValueError, match=f"{kv_heads} KV heads do not fit {ranks} ranks"):
        heads_per_rank(kv_heads, ranks)
    with pytest.raises(ValueError, match="can neither be divided"):
        rank_heads(math.lcm(kv_heads, ranks), kv_heads, 0, ranks)


def attended(x, weights, head_dim):
    q, k, v = (
        (x @ w.mT).unflatten(-1, (-1, head_dim)).transpose(1, 2) for w in weights[:3]
    )  # (B, heads, T, D)
    out = grouped_query_attention(q, k, v)
    return out.transpose(1, 2).flatten(2) @ weights[3].mT


@pytest.mark.parametrize(("heads", "kv_heads", "ranks"), SIZES)
def test_the_ranks_parts_add_up_to_the_layer(heads, kv_heads, ranks):
    x = torch.randn(2, 5, 7, dtype=torch.float64)
    sizes = {"H": heads, "Hkv": kv_heads, "D": 8, "d_model": 7, "dtype": "float64"}
    layer = SHARD_PROJECTIONS.make(torch.Generator().manual_seed(0), **sizes)[:4]
    parts = [attended(x, sharded(*layer, heads, kv_heads, ranks, rank), 8) for rank in range(ranks)]
    torch.testing.assert_close(sum(parts), attended(x, layer, 8))


@pytest.mark.parametrize("case", MERGE_RANKS.cases)
def test_the_merge_is_the_librarys(case):
    outs, lses = MERGE_RANKS.make(torch.Generator().manual_seed(0), **case)
    clean = outs.masked_fill(lses.isneginf().unsqueeze(-1), 0.0)
    tolerance = {"rtol": 1e-5, "atol": 1e-5, "check_dtype": False}
    torch.testing.assert_close(merged(outs, lses), merge_parts(clean, lses), **tolerance)


@pytest.mark.parametrize("ranks", [1, 2, 8])
def test_bytes_sent_are_the_librarys(ranks):
    config = load_model("Llama-3.1-70B")
    own = BYTES_SENT_PER_TOKEN.oracle(config.num_layers, config.d_model, ranks, 2)
    assert own == pytest.approx(config.num_layers * tensor_parallel_bytes(config, ranks, 2))


def test_the_blocks_worked_by_hand_in_the_lesson():
    assert BLOCKS_OF_ALL_RANKS.oracle([1000, 900], 1, 2, 4, 5, 2) == 11
    assert BLOCKS_OF_ALL_RANKS.oracle([79, 900], 1, 2, 4, 5, 2) == 0


@pytest.mark.parametrize("seed", range(20))
def test_drawn_numbers_divide(seed):
    heads_per_rank(*divisible(torch.Generator().manual_seed(seed)))
    sizes = SHARD_PROJECTIONS.make(torch.Generator().manual_seed(seed), draws=3)
    assert 0 <= sizes[-1] < sizes[-2]
    sharded(*sizes)


def asked(words):
    (question,) = (one for one in load_bank() if words in one.stem)
    return question


def test_numbers_of_its_questions():
    each = 40 / 2 * heads_per_rank(2, 4)
    right = asked("It is split by heads over 4 GPUs. How much does each of them keep").right.text
    assert right == f"{each:.0f} KiB each, {4 * each:.0f} KiB together"
    assert asked("Rank 0 has memory for 2,111 blocks").right.text.startswith(f"{min(2111, 2055):,}")


def test_what_the_lesson_says_of_models():
    big, glm = load_model("Llama-3.1-70B"), load_model("GLM-4-9B")
    assert (big.num_layers, big.num_kv_heads, big.head_dim) == (80, 8, 128)
    assert round(2 * big.weights.total / 1e9) == 141
    assert [rank_config(glm, n).num_kv_heads for n in (1, 2, 4, 8)] == [2, 1, 1, 1]
