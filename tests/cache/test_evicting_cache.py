"""The evicting cache is what lists of rows in float64 are, and tokens keep their positions."""

import random
import re

import pytest
import torch
from naive_eviction import (
    NaiveEviction,
    by_age,
    by_attention,
    by_newest_queries,
    by_policy,
    by_position,
    with_sinks,
)

from gqa_lib.attention import Rope, rotate
from gqa_lib.cache import Cache, EvictingCache, KVCache
from gqa_lib.cache.eviction import (
    EvictionPolicy,
    HeavyHitter,
    Oldest,
    Random,
    SinkWindow,
    SlidingWindow,
    Snap,
)
from gqa_lib.cache.eviction.store import RowStore

B, HQ, HKV, D, BUDGET = 3, 6, 2, 4, 8
POLICIES = {
    "window": (SlidingWindow(), by_position),
    "sinks": (SinkWindow(3), with_sinks(3)),
    "oldest": (Oldest(), by_age),
    "random": (Random(5), by_policy(Random(5))),
    "heavy": (HeavyHitter(0.9), by_attention(0.9, True)),
    "mean": (HeavyHitter(1.0), by_attention(1.0, True)),
    "sum": (HeavyHitter(1.0, mean=False), by_attention(1.0, False)),
    "snap": (Snap(3, 3), by_newest_queries(3, 3)),
}


def draw(T, rng, rows=B, dtype=torch.float64):
    shapes = (rows, HQ, T, D), *[(rows, HKV, T, D)] * 2
    return [torch.randn(shape, generator=rng, dtype=dtype) for shape in shapes]


def made(policy=None, budget=BUDGET, rows=B, dtype=torch.float64, **options):
    cache = EvictingCache(rows, HKV, budget, D, policy, dtype, **options)
    for memory in (cache._store.k, cache._store.v):
        memory.fill_(torch.nan)  # what no token was written to means nothing
    return cache


def filled(policy=None, T=20, rows=B, seed=0, **options):
    """A cache whose rows saw T tokens at once, with what they were."""
    cache = made(policy, rows=rows, **options)
    q, k, v = draw(T, torch.Generator().manual_seed(seed), rows)
    cache.append(k, v)
    cache.attend(q)
    return cache, q, k, v


def refused(message, call):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


# ---- against the oracle


@pytest.mark.parametrize("interval", [1, 4])
@pytest.mark.parametrize("places", [False, True])
@pytest.mark.parametrize("window", [None, 6])
@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_gives_what_lists_of_rows_give(name, window, places, interval):
    policy, score = POLICIES[name]
    rng, steps = torch.Generator().manual_seed(1), random.Random(interval)
    options = {"num_sinks": 1, "recent": 3, "interval": interval}
    cache = made(policy, rope=Rope(D) if places else None, **options)
    naive = NaiveEviction(B, HKV, score, BUDGET, places=places, **options)
    for step in range(11):
        T = steps.choice([1, 1, 1, 2, 7, 12])
        counts = [T] * B if step % 3 else [steps.randint(0, T) for _ in range(B)]
        q, k, v = draw(T, rng)
        turned_q, turned_k = (rotate(x, cache.positions(T)) for x in (q, k))
        plain = (q, k) if places else (turned_q, turned_k)
        expected = naive.step(*plain, v, counts, window)
        cache.append(turned_k, v, counts)
        out = cache.attend(turned_q, window=window)
        torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-9)
        assert cache.lengths.tolist() == naive.lengths
        assert [kept.tolist() for kept in cache.kept] == [naive.kept(b) for b in range(B)]


@pytest.mark.parametrize("name", POLICIES)
def test_each_row_is_what_it_would_be_alone(name):
    policy, rng = POLICIES[name][0], torch.Generator().manual_seed(2)
    cache = made(policy, recent=3)
    alone = [made(policy, rows=1, recent=3) for _ in range(B)]
    for counts in ([5, 0, 9], [12, 3, 1], [1, 1, 1], [1, 0, 1], [4, 2, 0], [1, 1, 1]):
        q, k, v = draw(max(counts), rng)
        cache.append(k, v, counts)
        out = cache.attend(q)
        for b, n in enumerate(counts):
            assert not out[b, :, n:].any()
            if n:
                alone[b].append(k[b : b + 1, :, :n], v[b : b + 1, :, :n])
                torch.testing.assert_close(
                    out[b : b + 1, :, :n], alone[b].attend(q[b : b + 1, :, :n])
                )
    assert cache.num_kept == [one.num_kept[0] for one in alone]
    for kept, one in zip(cache.kept, alone, strict=True):
        assert torch.equal(kept, one.kept[0])


@pytest.mark.parametrize("name", ["window", "heavy", "snap"])
def test_reordered_rows_go_on_as_those_they_were(name):
    policy, rng = POLICIES[name][0], torch.Generator().manual_seed(3)
    cache = made(policy, recent=3)
    q, k, v = draw(11, rng)
    cache.append(k, v, [11, 4, 9])
    cache.attend(q)
    cache.reorder([2, 2, 0])
    assert cache.lengths.tolist() == [9, 9, 11]
    other = made(policy, recent=3)
    other.append(k[[2, 2, 0]], v[[2, 2, 0]], [9, 9, 11])
    other.attend(q[[2, 2, 0]])
    for _ in range(4):
        q, k, v = draw(1, rng)
        outs = []
        for one in (cache, other):
            one.append(k, v)
            outs.append(one.attend(q))
        torch.testing.assert_close(*outs)
    assert all(map(torch.equal, cache.kept, other.kept))


# ---- what is true of every policy


@pytest.mark.parametrize("places", [False, True])
@pytest.mark.parametrize("name", POLICIES)
def test_with_all_rows_kept_it_is_the_contiguous_cache(name, places):
    rng, rope = torch.Generator().manual_seed(4), Rope(D)
    cache = made(POLICIES[name][0], budget=30, rope=rope if places else None)
    plain = KVCache(B, HKV, 30, D, torch.float64)
    for T in (7, 1, 3, 1, 9):
        q, k, v = draw(T, rng)
        q, k = rope.rotate(plain.positions(T), q, k)
        outs = []
        for one in (plain, cache):
            one.append(k, v)
            outs.append(one.attend(q))
        torch.testing.assert_close(*outs, rtol=1e-9, atol=1e-9)
    assert cache.ratios_removed == [0.0] * B


@pytest.mark.parametrize("name", POLICIES)
def test_new_tokens_attend_before_any_row_is_evicted(name):
    cache, (q, k, v) = made(POLICIES[name][0]), draw(40, torch.Generator().manual_seed(5))
    cache.append(k, v)
    plain = KVCache(B, HKV, 40, D, torch.float64)
    plain.append(k, v)
    torch.testing.assert_close(cache.attend(q), plain.attend(q))
    assert cache.num_kept == [BUDGET] * B


def test_lengths_and_positions_are_the_true_ones():
    cache, *_ = filled(T=20)
    assert cache.num_kept == [BUDGET] * B
    assert cache.lengths.tolist() == [20] * B
    assert cache.positions(2).tolist() == [20, 21]
    _, k, v = draw(3, torch.Generator())
    cache.append(k, v, [3, 0, 1])
    assert cache.positions(2).tolist() == [[23, 24], [20, 21], [21, 22]]
    assert cache.ratios_removed == [1 - 11 / 23, 1 - 8 / 20, 1 - 9 / 21]


@pytest.mark.parametrize("name", POLICIES)
def test_first_and_newest_rows_stay_whatever_the_policy_says(name):
    cache, *_ = filled(POLICIES[name][0], num_sinks=2, recent=4)
    rng = torch.Generator().manual_seed(6)
    for step in range(12):
        q, k, v = draw(1, rng)
        cache.append(k, v)
        cache.attend(q)
        for kept in cache.kept:
            assert kept[:, :2].tolist() == [[0, 1]] * HKV
            assert kept[:, -4:].tolist() == [list(range(17 + step, 21 + step))] * HKV


@pytest.mark.parametrize(
    ("budget", "num_tokens", "policy", "recent", "kept"),
    [
        (5, 20, SinkWindow(4), 1, [0, 1, 2, 3, 19]),
        (10, 50, SinkWindow(8), 2, [0, 1, 2, 3, 4, 5, 6, 7, 48, 49]),
    ],
)
def test_the_newest_rows_stay_beside_sinks(budget, num_tokens, policy, recent, kept):
    cache = EvictingCache(1, 1, budget, 2, policy, recent=recent)
    x = torch.randn(1, 1, num_tokens, 2)
    cache.append(x, x)
    cache.attend(x)
    assert cache.kept[0].tolist() == [kept]
    over = f"{budget} rows to be kept, over budget={budget - 1}"
    refused(over, lambda: EvictingCache(1, 1, budget - 1, 2, policy, recent=recent))


def test_rows_that_stay_outlast_a_query_that_is_not_a_number():
    cache = EvictingCache(1, 1, 4, 2, HeavyHitter(), num_sinks=1, recent=2)
    for step in range(12):
        x = torch.randn(1, 1, 1, 2)
        cache.append(x, x)
        cache.attend(x * torch.nan if step == 3 else x)
        kept = cache.kept[0][0].tolist()
        assert kept[0] == 0
        assert kept[-2:] == [max(0, step - 1), step][-len(kept) :]


def test_kv_heads_keep_rows_of_their_own():
    cache, *_ = filled(HeavyHitter())
    assert not torch.equal(cache.kept[0][0], cache.kept[0][1])


def test_an_interval_puts_evictions_off():
    cache, rng, held = made(interval=4), torch.Generator().manual_seed(7), []
    for _ in range(17):
        q, k, v = draw(1, rng)
        cache.append(k, v)
        cache.attend(q)
        held.append(cache.num_kept[0])
    assert held == [*range(1, 12), 8, 9, 10, 11, 8, 9]


def test_a_window_of_kept_rows_is_a_window_of_attention():
    rng = torch.Generator().manual_seed(8)
    cache, plain = made(SlidingWindow(), budget=5), KVCache(B, HKV, 30, D, torch.float64)
    for _ in range(20):
        q, k, v = draw(1, rng)
        for one in (cache, plain):
            one.append(k, v)
        torch.testing.assert_close(cache.attend(q), plain.attend(q, window=6))


# ---- chunks


@pytest.mark.parametrize("name", ["window", "sinks", "oldest", "random"])
def test_policies_of_positions_keep_the_same_rows_of_a_prompt_in_chunks(name):
    q, k, v = draw(37, torch.Generator().manual_seed(9))
    caches = [made(POLICIES[name][0], recent=2) for _ in range(2)]
    for cache, size in zip(caches, (37, 5), strict=True):
        for part in zip(*(t.split(size, 2) for t in (q, k, v)), strict=True):
            cache.append(*part[1:])
            cache.attend(part[0])
    assert all(map(torch.equal, caches[0].kept, caches[1].kept))


@pytest.mark.parametrize("name", POLICIES)
def test_a_prompt_in_chunks_is_the_whole_prompt_where_evictions_wait_for_its_end(name):
    rng = torch.Generator().manual_seed(10)
    q, k, v = draw(20, rng)
    caches = [made(POLICIES[name][0], recent=3, interval=12) for _ in range(2)]
    outs = []
    for cache, sizes in zip(caches, ([20], [5, 5, 5, 5]), strict=True):
        parts = []
        for part in zip(*(t.split(sizes, 2) for t in (q, k, v)), strict=True):
            cache.append(*part[1:])
            parts.append(cache.attend(part[0]))
        outs.append(torch.cat(parts, 2))
    torch.testing.assert_close(*outs)
    assert caches[0].num_kept == [BUDGET] * B
    assert all(map(torch.equal, caches[0].kept, caches[1].kept))


def test_otherwise_later_chunks_miss_what_was_evicted_before_them():
    q, k, v = draw(20, torch.Generator().manual_seed(11))
    outs = []
    for size in (20, 10):
        cache, parts = made(), []
        for part in zip(*(t.split(size, 2) for t in (q, k, v)), strict=True):
            cache.append(*part[1:])
            parts.append(cache.attend(part[0]))
        outs.append(torch.cat(parts, 2))
    torch.testing.assert_close(outs[0][:, :, :10], outs[1][:, :, :10])
    assert (outs[0][:, :, 10:] - outs[1][:, :, 10:]).abs().amax() > 0.1


# ---- memory


@pytest.mark.parametrize("name", ["window", "heavy", "snap"])
def test_bytes_are_those_allocated_and_do_not_grow(name):
    cache = made(POLICIES[name][0], interval=2, recent=3)
    slots = B * HKV * (BUDGET + 2)
    per_slot = 2 * D * 8 + 4 + (8 if name == "heavy" else 0)  # K and V, position, sum and count
    assert cache.nbytes == slots * per_slot
    queries = B * 3 * HQ * D * 8 if name == "snap" else 0
    q, k, v = draw(50, torch.Generator().manual_seed(12))
    cache.append(k, v)
    assert cache.nbytes == B * HKV * 50 * per_slot  # the prompt has yet to attend
    cache.attend(q)
    for _ in range(9):
        assert cache.nbytes == slots * per_slot + queries
        cache.append(k[:, :, :1], v[:, :, :1])
        cache.attend(q[:, :, :1])


def test_memory_moves_seldom_however_many_tokens_come_at_a_time(monkeypatch):
    sizes = []
    resize = RowStore.resize
    monkeypatch.setattr(
        RowStore, "resize", lambda store, n, used: (sizes.append(n), resize(store, n, used))
    )
    x = torch.randn(1, 1, 2, D)
    cache = EvictingCache(1, 1, 64, D)
    for _ in range(100):
        cache.append(x, x)
        cache.attend(x)
    assert len(sizes) == 1
    assert sizes[0] <= 65 * 9 // 8
    for _ in range(1000):  # none attends
        cache.append(x, x)
    assert len(sizes) < 40
    assert sizes[-1] <= 2100 * 9 // 8
    cache.attend(x)
    assert sizes[-1] == 65


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_prompt_read_for_inference_may_be_gone_on_with_elsewhere(context):
    rng, cache = torch.Generator().manual_seed(13), made(HeavyHitter())
    for where in (context, torch.enable_grad, context, torch.no_grad):
        for T in (30, 1):
            with where():
                q, k, v = draw(T, rng)
                cache.append(k, v)
                cache.attend(q)
    assert cache.lengths.tolist() == [124] * B


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("name", POLICIES)
def test_other_dtypes_stay_what_they_are(name, dtype, device):
    policy = POLICIES[name][0]
    cache = made(policy, dtype=dtype, device=device, rope=Rope(D), recent=3)
    rng = torch.Generator().manual_seed(14)
    for T in (20, 1, 2):
        q, k, v = (t.to(device) for t in draw(T, rng, dtype=dtype))
        cache.append(k, v)
        out = cache.attend(q)
        assert (out.dtype, out.device.type) == (dtype, device.type)
        assert out.isfinite().all()


# ---- forgetting tokens


@pytest.mark.parametrize("name", ["window", "heavy", "snap"])
def test_tokens_that_all_heads_hold_can_be_forgotten(name):
    cache, *_ = filled(POLICIES[name][0], recent=4)
    before = cache.kept
    cache.truncate([17, 30, 18])
    assert cache.lengths.tolist() == [17, 20, 18]
    assert cache.num_kept == [5, 8, 6]
    for kept, old, n in zip(cache.kept, before, cache.num_kept, strict=True):
        assert torch.equal(kept, old[:, :n])
    assert cache.positions(1).tolist() == [[17], [20], [18]]


def test_what_follows_a_truncation_is_attention_over_what_is_left():
    cache, _, k, v = filled(HeavyHitter(), recent=4, rows=1)
    cache.truncate(17)
    kept = cache.kept[0].long()  # (Hkv, 5)
    rng = torch.Generator().manual_seed(15)
    q, new_k, new_v = draw(2, rng, rows=1)
    rows = kept[None, :, :, None].expand(-1, -1, -1, D)
    plain = KVCache(1, HKV, 7, D, torch.float64)
    plain.append(k.gather(2, rows), v.gather(2, rows))
    for one in (plain, cache):
        one.append(new_k, new_v)
    torch.testing.assert_close(cache.attend(q), plain.attend(q))


def test_tokens_that_some_head_has_evicted_cannot_be_forgotten():
    cache, *_ = filled(HeavyHitter(), recent=4)
    before = cache.kept
    refused("length=10 for row 1 of 20 tokens: some KV head", lambda: cache.truncate([20, 10, 18]))
    refused("length=[-1, -1, -1]", lambda: cache.truncate(-1))
    assert cache.lengths.tolist() == [20] * B
    assert all(map(torch.equal, before, cache.kept))
    cache.truncate(0)
    assert (cache.lengths.tolist(), cache.num_kept) == ([0] * B, [0] * B)


def test_tokens_before_any_eviction_are_forgotten_as_in_the_contiguous_cache():
    rng = torch.Generator().manual_seed(16)
    cache, plain = made(budget=20), KVCache(B, HKV, 20, D, torch.float64)
    q, k, v = draw(10, rng)
    for one in (cache, plain):
        one.append(k, v)
        one.attend(q)
        one.truncate([4, 10, 7])
        one.append(k[:, :, :2], v[:, :, :2])
    torch.testing.assert_close(cache.attend(q[:, :, :2]), plain.attend(q[:, :, :2]))


def test_queries_of_forgotten_tokens_are_refused():
    cache, (q, k, v) = made(), draw(5, torch.Generator().manual_seed(18))
    cache.append(k, v)
    cache.truncate(3)
    refused("which has 3 new ones", lambda: cache.attend(q[:, :, :4]))
    plain = KVCache(B, HKV, 3, D, torch.float64)
    plain.append(k[:, :, :3], v[:, :, :3])
    torch.testing.assert_close(cache.attend(q[:, :, :2]), plain.attend(q[:, :, :2]))


# ---- what it refuses


def test_queries_whose_rows_are_gone_are_refused():
    cache, q, k, v = filled(T=20)
    refused("which has 0 new ones since rows were last evicted", lambda: cache.attend(q))
    cache.append(k[:, :, :2], v[:, :, :2])
    refused("q has T=3 queries, for the last 3", lambda: cache.attend(q[:, :, :3]))
    small = made()
    small.append(k[:, :, :5], v[:, :, :5])
    outs = [small.attend(q[:, :, :5]) for _ in range(2)]  # none was evicted
    assert torch.equal(*outs)


def test_attending_again_is_observed_once():
    once, twice = (made(HeavyHitter()) for _ in range(2))
    q, k, v = draw(8, torch.Generator().manual_seed(17))
    for cache in (once, twice):
        cache.append(k, v)
        cache.attend(q)
    twice.attend(q.flip(2))
    for cache in (once, twice):
        cache.append(k[:, :, :1], v[:, :, :1])
        cache.attend(q[:, :, :1])
    assert all(map(torch.equal, once.kept, twice.kept))


class PerQueryHead(EvictionPolicy):
    def score(self, keys, values, queries, positions):
        return torch.randn(positions.shape[0], queries.shape[1], positions.shape[2])


class Nothing(EvictionPolicy):
    def score(self, keys, values, queries, positions):
        return None


def test_scores_per_query_head_are_refused_as_they_multiply_the_bytes():
    q, k, v = draw(20, torch.Generator())
    cache = made(PerQueryHead())
    cache.append(k, v)
    refused("q_per_kv=3 times the bytes", lambda: cache.attend(q))
    cache = made(Nothing())
    cache.append(k, v)
    refused("Nothing scores None", lambda: cache.attend(q))
    wide = torch.randn(B, HQ, 2, D, dtype=torch.float64)  # a row of keys for each query head
    refused("but the cache takes (3, 2, T, 4)", lambda: cache.append(wide, wide))


def test_sizes_that_do_not_fit_are_refused():
    refused("num_sinks=4 and recent=6 are 10 rows", lambda: made(num_sinks=4, recent=6))
    refused("recent=2 and the policy looks at the 3", lambda: made(Snap(3), recent=2))
    refused("are 64 rows that stay, over budget=8", lambda: made(Snap()))
    refused("budget=0", lambda: made(budget=0))
    refused("interval=0", lambda: made(interval=0))
    refused("recent=0", lambda: made(recent=0))
    refused("is a class", lambda: made(SlidingWindow))
    refused("EvictionPolicy is needed", lambda: made("window"))
    refused("rope=", lambda: made(rope=Rope(6)))
    refused("rope=True", lambda: made(rope=True))


def test_wrong_numbers_change_nothing():
    cache, _, k, v = filled(HeavyHitter())
    before = cache.kept
    refused("num_new=[1, 2]", lambda: cache.append(k, v, [1, 2]))
    refused("index=[0, 3, 1]", lambda: cache.reorder([0, 3, 1]))
    refused("torch.float32", lambda: cache.append(k.float(), v.float()))
    assert cache.lengths.tolist() == [20] * B
    assert all(map(torch.equal, before, cache.kept))


def test_a_backend_that_takes_no_mask_is_refused_behind_a_window():
    cache, q, k, v = filled()
    cache.append(k[:, :, :1], v[:, :, :1])
    q = q[:, :, :1]
    refused("Choose from auto, fold_sdpa", lambda: cache.attend(q, "fold_matmul", window=4))
    refused("backend 'none' does not exist", lambda: cache.attend(q, "none"))
    early = made()
    early.append(k[:, :, :1], v[:, :, :1])  # nothing is hidden yet, nor evicted
    refused("Choose from auto, fold_sdpa", lambda: early.attend(q, "fold_matmul", window=4))
    early.attend(q, "fold_sdpa", window=4)
    assert cache.attend(q, "fold_matmul").shape == q.shape


@pytest.mark.parametrize("lengths", [[5, 5, 5], [5, 3, 1]])
@pytest.mark.parametrize("places", [False, True])
def test_gradients_of_queries_outlast_an_eviction(lengths, places):
    cache = made(budget=4, rope=Rope(D) if places else None)
    q, k, v = draw(6, torch.Generator().manual_seed(20))
    cache.append(k[:, :, :5], v[:, :, :5], lengths)
    cache.attend(q[:, :, :5])
    cache.append(k[:, :, 5:], v[:, :, 5:])
    new = q[:, :, 5:].requires_grad_()
    out = cache.attend(new)  # a row goes, and others take its place
    cache.append(k[:, :, 5:], v[:, :, 5:])
    out.sum().backward()
    assert new.grad.isfinite().all()
    assert new.grad.any()


def test_it_has_all_that_the_protocol_asks_for():
    asked = {name for name in vars(Cache) if not name.startswith("_")}
    assert all(getattr(EvictingCache, name) is not getattr(Cache, name) for name in asked)
