"""What policies find worth keeping, and how many rows that are."""

import re

import pytest
import torch

from gqa_lib.cache import EvictingCache
from gqa_lib.cache.eviction import (
    HeavyHitter,
    Random,
    SinkWindow,
    Snap,
    attention_weights,
    ratio_removed,
    rows_to_evict,
    rows_to_keep,
)

D = 8


def refused(message, call):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


# ---- budgets


@pytest.mark.parametrize(
    ("num_tokens", "removed", "kept"),
    [
        *[(4096, 0.75, 1024), (10, 0.9, 1), (10, 0.7, 3), (10, 0.0, 10), (10, 0.99, 1)],
        *[(7, 0.5, 4), (10**8, 0.29, 71 * 10**6), (10**12, 0.29, 71 * 10**10)],
        (10**8, 0.28999999, 71000001),
    ],
)
def test_a_ratio_is_the_share_removed_and_a_budget_what_is_kept(num_tokens, removed, kept):
    assert rows_to_keep(num_tokens, removed) == kept
    assert ratio_removed(num_tokens, kept) <= removed + 1e-15 or kept == 1


def test_ratios_and_rows_are_each_others_inverse():
    for num_tokens in (1, 7, 10, 1000, 4096):
        for kept in range(1, num_tokens + 1, max(1, num_tokens // 13)):
            assert rows_to_keep(num_tokens, ratio_removed(num_tokens, kept)) == kept
    assert ratio_removed(0, 0) == 0


def test_ratios_that_follow_each_other_keep_the_product_of_what_they_keep():
    assert rows_to_keep(rows_to_keep(1000, 0.5), 0.6) == 200
    assert ratio_removed(1000, 200) == pytest.approx(1 - 0.5 * 0.4)  # not .5 * .6


def test_budgets_out_of_range_are_refused():
    refused("ratio_removed=1: nothing would be left", lambda: rows_to_keep(10, 1))
    refused("ratio_removed=-0.5", lambda: rows_to_keep(10, -0.5))
    refused("num_tokens=0", lambda: rows_to_keep(0, 0.5))
    refused("num_kept=11 of num_tokens=10", lambda: ratio_removed(10, 11))


def test_the_lowest_scores_go_but_for_rows_that_stay():
    scores = torch.tensor([[[0.0, 5.0, 1.0, 4.0, 2.0, -1.0]]])
    positions = torch.tensor([[[0, 7, 3, 2, 8, 9]]])
    assert rows_to_evict(scores, positions, 2).tolist() == [[[0, 2]]]
    assert rows_to_evict(scores, positions, 2, num_sinks=1).tolist() == [[[2, 4]]]
    assert rows_to_evict(scores, positions, 2, num_sinks=1, recent=2).tolist() == [[[2, 3]]]
    # position 10 will see 7 to 10 only: what is before goes, whatever it is worth
    assert rows_to_evict(scores, positions, 3, num_sinks=1, window=4).tolist() == [[[0, 2, 3]]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("score", [torch.inf, torch.nan, -torch.inf])
@pytest.mark.parametrize("window", [None, 4])
def test_rows_that_stay_are_worth_more_than_any_score(dtype, score, window):
    scores = torch.full((1, 1, 6), score, dtype=dtype)
    scores[0, 0, 2], positions = 7.0, torch.tensor([[[0, 5, 3, 4, 6, 7]]])
    how = {"num_sinks": 1, "recent": 2, "window": window}
    gone = rows_to_evict(scores, positions, 1 if window else 3, **how)[0, 0].tolist()
    assert gone == ([0] if window else [1, 2, 3])  # behind a window, which hides even position 0
    if score != torch.inf and window is None:
        assert rows_to_evict(scores, positions, 2, **how)[0, 0].tolist() == [1, 3]


@pytest.mark.parametrize("score", [-torch.finfo(torch.float64).max, -torch.inf, torch.nan])
def test_what_no_later_token_sees_goes_before_the_lowest_score(score):
    scores = torch.tensor([[[1.0, 1.0, score, 1.0]]], dtype=torch.float64)
    assert rows_to_evict(scores, torch.tensor([[[0, 1, 8, 9]]]), 2, window=4).tolist() == [[[0, 1]]]


# ---- policies of positions


def test_sinks_are_those_of_the_first_positions():
    none, positions = torch.empty(0), torch.tensor([[[5, 0, 9, 1, 2]]])
    scores = SinkWindow(2).score(none, none, none, positions)
    assert scores.tolist() == [[[5, torch.inf, 9, torch.inf, 2]]]


def test_random_scores_belong_to_seed_head_and_position():
    none, positions = torch.empty(0), torch.arange(2000, dtype=torch.int32).expand(2, 3, -1)
    scores = Random(1).score(none, none, none, positions)
    assert torch.equal(scores[0], scores[1])  # a row is what it would be alone
    assert torch.equal(Random(1).score(none, none, none, positions.flip(2)), scores.flip(2))
    assert not torch.equal(Random(2).score(none, none, none, positions), scores)
    each = scores[0].flatten()
    assert each.unique().numel() == each.numel()
    assert 0 <= each.min() < 0.01 < 0.99 < each.max() < 1
    assert abs(float(each.mean()) - 0.5) < 0.02
    assert float(torch.corrcoef(scores[0]).fill_diagonal_(0).abs().max()) < 0.08
    lagged = torch.corrcoef(torch.stack((scores[0, 0, :-1], scores[0, 0, 1:])))[0, 1]
    assert abs(float(lagged)) < 0.08


def test_no_random_score_is_the_lowest_whatever_the_seed():
    none, positions = torch.empty(0), torch.zeros(1, 1, 1, dtype=torch.int32)
    firsts = [float(Random(seed).score(none, none, none, positions)) for seed in range(20)]
    assert min(firsts) > 0
    assert len(set(firsts)) == 20
    refused("seed=2147483648 is 2^31 or more", lambda: Random(2**31))
    assert float(Random(2**31 - 1).score(none, none, none, positions)) not in firsts


def test_random_rows_are_a_fair_sample_of_all_tokens_at_any_time():
    cache = EvictingCache(1, 8, 64, D, Random(3), interval=8)
    k, q = torch.randn(1, 8, 1, D), torch.randn(1, 8, 1, D)
    for _ in range(1000):
        cache.append(k, k)
        cache.attend(q)
    kept = cache.kept[0].float()
    assert 400 < float(kept.mean()) < 600
    assert 0.22 < float((kept < 300).float().mean()) < 0.38


# ---- policies of attention


def test_attention_weights_are_those_of_the_rows_a_query_sees():
    q, k = torch.randn(2, 6, 3, D), torch.randn(2, 2, 5, D)
    positions = torch.tensor([4, 9, 2, 7, 8]).expand(2, 2, -1)  # the queries stand at 7, 8 and 9
    ((first, weights),) = attention_weights(k, q, positions)
    assert (first, weights.shape) == (0, (2, 2, 3, 3, 5))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 3, 3))
    assert not weights[..., 0, [1, 4]].any()
    assert not weights[..., 1, 1].any()
    scores = (k[:, 1] @ q[:, 5, 2, :, None])[..., 0] / D**0.5  # query head 5 reads KV head 1
    torch.testing.assert_close(weights[:, 1, 2, 2], scores.softmax(-1))


def test_many_queries_are_taken_some_at_a_time():
    q, k, v = torch.randn(1, 4, 300, D), torch.randn(1, 2, 300, D), torch.empty(0)
    positions = torch.arange(300).expand(1, 2, -1)
    whole = sum(weights.mean(2).sum(2) for _, weights in attention_weights(k, q, positions))
    scores = (q.view(1, 2, 2, 300, D) @ k[:, :, None].mT) / D**0.5
    hidden = torch.ones(300, 300, dtype=torch.bool).triu(1)
    expected = scores.masked_fill(hidden, -torch.inf).softmax(-1).mean(2).sum(2)
    torch.testing.assert_close(whole, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        HeavyHitter(1.0).score(k, v, q, positions), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("policy", [HeavyHitter, Snap])
def test_heads_that_share_a_row_agree_by_mean_or_maximum(policy):
    keys, q = torch.zeros(1, 1, 4, D), torch.zeros(1, 2, 1, D)
    keys[0, 0, 1, 0] = q[0, 0, 0, 0] = 9.0  # one of two query heads looks at row 1 alone
    positions, none = torch.arange(4).view(1, 1, -1), torch.empty(0)
    options = {"kernel": 1, "window": 1} if policy is Snap else {}
    by_mean, by_max = (
        policy(**options, over_heads=how).score(keys, none, q, positions)[0, 0, 1].item()
        for how in ("mean", "max")
    )
    assert by_mean == pytest.approx((1 + 0.25) / 2, abs=1e-3)
    assert by_max == pytest.approx(1, abs=1e-3)


def test_neighbours_in_the_sequence_are_kept_with_what_is_looked_at():
    positions = torch.tensor([[[8, 1, 6, 3, 2, 4]]])
    keys, q = torch.zeros(1, 1, 6, D), torch.zeros(1, 1, 1, D)
    keys[0, 0, 5, 0] = q[0, 0, 0, 0] = 9.0  # position 4; 3 and 6 are next to it
    scores = Snap(1, 3).score(keys, torch.empty(0), q, positions)[0, 0]
    assert set(scores.topk(3).indices.tolist()) == {5, 3, 2}


def test_what_queries_give_themselves_is_not_lent_to_the_rows_before_them():
    """The last 4 of 40 tokens look at themselves and, less, at position 10."""
    k, q = torch.zeros(1, 1, 40, D), torch.zeros(1, 1, 40, D)
    k[..., -4:, 0] = q[..., -4:, 0] = 9.0
    k[..., 10, 0] = 8.0
    cache = EvictingCache(1, 1, 7, D, Snap(4))
    cache.append(k, k)
    cache.attend(q)
    kept = cache.kept[0][0].tolist()
    assert all(8 <= position <= 12 for position in kept[:3])
    assert kept[3:] == [36, 37, 38, 39]
    one = EvictingCache(1, 1, 5, D, Snap(4, 1))
    one.append(k, k)
    one.attend(q)
    assert one.kept[0][0].tolist() == [10, 36, 37, 38, 39]


def test_sums_freeze_on_early_tokens_and_means_do_not():
    """100 queries look at the first rows; then all look at one that came late."""
    summed = EvictingCache(1, 1, 4, D, HeavyHitter(1.0, mean=False))
    averaged = EvictingCache(1, 1, 4, D, HeavyHitter(0.9))
    early, late = torch.zeros(1, 1, 1, D), torch.zeros(1, 1, 1, D)
    early[..., 0] = late[..., 1] = 6.0
    for cache in (summed, averaged):
        for _ in range(4):
            cache.append(early, early)
            cache.attend(early)
        for _ in range(100):
            cache.append(torch.zeros_like(early), early)
            cache.attend(early)
        cache.append(late, late)  # at position 104
        cache.attend(late)
        for _ in range(12):
            cache.append(torch.zeros_like(early), early)
            cache.attend(late)
    assert 104 not in summed.kept[0]
    assert 104 in averaged.kept[0]
    assert summed.kept[0][0, :3].tolist() == [0, 1, 2]


def test_policies_are_refused_what_they_cannot_use():
    refused("decay=0", lambda: HeavyHitter(0))
    refused("decay=1.5 is above 1", lambda: HeavyHitter(1.5))
    refused("over_heads='sum'", lambda: HeavyHitter(over_heads="sum"))
    refused("mean=1", lambda: HeavyHitter(mean=1))
    refused("kernel=4 is even", lambda: Snap(kernel=4))
    refused("window=0", lambda: Snap(window=0))
    refused("seed=-1", lambda: Random(-1))
    refused("num_sinks=0", lambda: SinkWindow(0))
