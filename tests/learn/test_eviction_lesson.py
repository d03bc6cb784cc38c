"""Lesson 12: its rules are those of the library's cache, and what its exercises refuse."""

import pytest
import torch

from gqa_lib.cache.eviction import EvictingCache, HeavyHitter, SinkWindow, SlidingWindow
from gqa_lib.learn import check
from gqa_lib.learn.exercises import find_exercise
from gqa_lib.learn.exercises.exercise import NotYet

B, HQ, HKV, D, TOKENS, BUDGET = 2, 6, 2, 4, 23, 7


def oracle(name):
    return find_exercise(name).oracle


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def rows_of_the_library(policy, **how):
    """The rows that a cache keeps of each KV head after each of some tokens."""
    cache = EvictingCache(B, HKV, BUDGET, D, policy, **how)
    q, k, v = drawn(B, HQ, TOKENS, D), drawn(B, HKV, TOKENS, D, seed=1), drawn(B, HKV, TOKENS, D)
    for t in range(TOKENS):
        cache.append(k[:, :, t : t + 1], v[:, :, t : t + 1])
        cache.attend(q[:, :, t : t + 1])
        kept = torch.zeros(B, HKV, t + 1, dtype=torch.bool)
        yield kept.scatter(-1, torch.stack(cache.kept).long(), True)


def test_a_window_keeps_the_rows_that_the_librarys_does():
    for t, kept in enumerate(rows_of_the_library(SlidingWindow())):
        assert (kept == oracle("sliding_window_keep")(t + 1, BUDGET)).all()


def test_sinks_and_a_window_keep_the_rows_that_the_librarys_do():
    for t, kept in enumerate(rows_of_the_library(SinkWindow(2), num_sinks=2)):
        assert (kept == oracle("sink_window_keep")(t + 1, 2, BUDGET - 2)).all()


def test_heavy_hitters_keep_the_rows_that_the_librarys_do():
    q, k = drawn(B, HQ, TOKENS, D), drawn(B, HKV, TOKENS, D, seed=1)
    received, mine = torch.zeros(B, HKV, TOKENS), torch.zeros(B, HKV, 0, dtype=torch.bool)
    for t, theirs in enumerate(rows_of_the_library(HeavyHitter(decay=1.0), recent=2)):
        mine = torch.cat([mine, torch.ones(B, HKV, 1, dtype=torch.bool)], -1)
        queries = q[:, :, t].unflatten(1, (HKV, -1))
        scores = queries @ k[:, :, : t + 1].mT / D**0.5
        weights = scores.masked_fill(~mine[:, :, None], -torch.inf).softmax(-1)
        one = oracle("attention_received")(weights.flatten(1, 2)[:, :, None], HKV)
        received[..., : t + 1] += one
        mean = received[..., : t + 1] / torch.arange(t + 1, 0, -1)
        mine = oracle("heavy_hitter_keep")(mean.masked_fill(~mine, -torch.inf), BUDGET, 2)
        assert (mine == theirs).all()


def test_what_is_received_of_a_prompt_is_what_its_tokens_give_one_by_one():
    make = find_exercise("attention_received").make
    weights, Hkv = make(torch.Generator().manual_seed(3), B=2, Hq=6, Hkv=2, T=8, S=8)
    total = torch.zeros(2, Hkv, 8)
    for t in range(8):
        total[..., : t + 1] += oracle("attention_received")(weights[:, :, t : t + 1, : t + 1], Hkv)
    expected = total / torch.arange(8, 0, -1)
    torch.testing.assert_close(oracle("attention_received")(weights, Hkv).float(), expected)


@pytest.mark.parametrize(
    "name", ["sliding_window_keep", "sink_window_keep", "attention_received", "heavy_hitter_keep"]
)
def test_every_named_mistake_differs_from_what_is_right(name):
    exercise = find_exercise(name)
    for mistake in exercise.mistakes:
        differs = False
        for case in exercise.cases:
            arguments = exercise.make(torch.Generator().manual_seed(0), **case)
            wrong, right = mistake.wrong(*arguments), exercise.oracle(*arguments)
            differs = differs or wrong.shape != right.shape or not torch.allclose(wrong, right)
        assert differs, mistake.says


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda scores, budget, recent: None, "None (is a `return` missing?)"),
        (lambda scores, budget, recent: (scores > 0).tolist(), "a tensor is expected"),
        (lambda scores, budget, recent: (scores > 0)[:, 0], "returned shape (2, 9)"),
        (lambda scores, budget, recent: (scores > 0).repeat(1, 2, 1), "returned shape (2, 6, 9)"),
        (lambda scores, budget, recent: (scores > 0).float(), "the dtype is torch.float32"),
    ],
)
def test_other_results_are_refused_in_words(wrong, says):
    with pytest.raises(NotYet) as refused:
        check("heavy_hitter_keep", wrong)
    assert says in " ".join(str(refused.value).split())
