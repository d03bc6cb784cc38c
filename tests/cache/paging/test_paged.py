"""The paged cache is the contiguous one to whoever asks, and takes no block more than it needs."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from paging_cases import assert_counted

from gqa_lib.cache import Cache, KVCache, ModelCache, PagedKVCache
from gqa_lib.configs import ModelConfig
from gqa_lib.model import LanguageModel

B, HQ, D, ROOM = 3, 6, 5, 14
COUNTS = st.lists(st.integers(0, 4), min_size=B, max_size=B)
STEPS = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 5)),
    st.tuples(st.just("rows"), COUNTS),
    st.tuples(st.just("reorder"), st.lists(st.integers(0, B - 1), min_size=B, max_size=B)),
    st.tuples(st.just("truncate"), st.integers(0, ROOM)),
    st.tuples(st.just("truncate"), st.lists(st.integers(0, ROOM), min_size=B, max_size=B)),
)


def made(Hkv, block_size, num_blocks=None, dtype=torch.float64, head_dim=D):
    """A paged cache with room for ROOM tokens in each row, NaN in every place."""
    num_blocks = num_blocks or B * -(-ROOM // block_size)
    cache = PagedKVCache(B, Hkv, num_blocks, head_dim, block_size, dtype)
    for memory in (cache._pages.k, cache._pages.v):
        memory.fill_(torch.nan)
    return cache


def draw(Hkv, T, seed, dtype=torch.float64, head_dim=D):
    rng = torch.Generator().manual_seed(seed)
    shapes = (B, HQ, T, head_dim), *[(B, Hkv, T, head_dim)] * 2
    return [torch.randn(shape, generator=rng, dtype=dtype) for shape in shapes]


def room(cache, counts):
    return all(n + new <= ROOM for n, new in zip(cache.lengths.tolist(), counts, strict=True))


@settings(max_examples=150)
@given(
    Hkv=st.sampled_from([1, 2, 3, 6]),
    block_size=st.sampled_from([1, 2, 3, 4, 16]),
    window=st.sampled_from([None, None, 1, 3, 6, 20]),
    steps=st.lists(STEPS, min_size=1, max_size=14),
)
def test_any_sequence_of_steps_gives_what_the_contiguous_cache_gives(
    Hkv, block_size, window, steps
):
    paged, plain = made(Hkv, block_size), KVCache(B, Hkv, ROOM, D, torch.float64)
    for seed, (step, given_) in enumerate(steps):
        if step in ("append", "rows"):
            counts = [given_] * B if step == "append" else given_
            T = max(counts)
            if not room(plain, counts):
                continue
            q, k, v = draw(Hkv, T, seed)
            for b, n in enumerate(counts):
                k[b, :, n:] = torch.nan
            for cache in (paged, plain):
                cache.append(k, v, None if step == "append" else counts)
            outs = [cache.attend(q, window=window) for cache in (paged, plain)]
            torch.testing.assert_close(*outs, rtol=1e-12, atol=1e-12)
        else:
            for cache in (paged, plain):
                getattr(cache, step)(given_)
        assert torch.equal(paged.lengths, plain.lengths)
        assert torch.equal(paged.positions(2), plain.positions(2))
        assert_counted(paged)
        if plain._num_new or min(plain.lengths) > 0:  # whatever has happened to the rows since
            T = 5 if plain._num_new else 1
            q, *_ = draw(Hkv, T, seed)
            outs = [cache.attend(q, window=window) for cache in (paged, plain)]
            torch.testing.assert_close(*outs, rtol=1e-12, atol=1e-12)
    paged.reset()
    assert paged.num_free == paged.num_blocks


@pytest.mark.parametrize("Hkv", [2, 3])
def test_rows_that_see_all_their_keys_are_as_in_the_contiguous_cache(Hkv):
    paged, plain = made(Hkv, 4), KVCache(B, Hkv, ROOM, D, torch.float64)
    q, k, v = draw(Hkv, 5, 0)
    for cache in (paged, plain):
        cache.append(k, v, [5, 2, 0])
    outs = [cache.attend(q, "fold_matmul", causal=False) for cache in (paged, plain)]
    torch.testing.assert_close(*outs, rtol=1e-12, atol=1e-12)


def test_the_native_operator_reads_the_blocks_in_place(built):
    paged, plain = made(2, 4, None, torch.float32, 8), KVCache(B, 2, ROOM, 8)
    for counts in ([7, 0, 4], [1, 1, 1]):
        q, k, v = draw(2, max(counts), sum(counts), torch.float32, 8)
        for cache in (paged, plain):
            cache.append(k, v, counts)
    outs = [cache.attend(q, "native") for cache in (paged, plain)]
    torch.testing.assert_close(*outs)
    torch.testing.assert_close(outs[0], plain.attend(q, "fold_matmul"))


# ---- blocks


def test_blocks_are_taken_as_rows_grow_and_are_free_when_they_shrink():
    cache = made(2, 4, num_blocks=9)
    _, k, v = draw(2, 6, 0)
    cache.append(k, v, [6, 4, 0])
    assert [len(blocks) for blocks in cache.blocks] == [2, 1, 0]
    cache.append(k[:, :, :2], v[:, :, :2], [2, 1, 0])  # row 0 fills its block, row 1 begins one
    assert [len(blocks) for blocks in cache.blocks] == [2, 2, 0]
    cache.truncate([8, 4, 0])
    assert [len(blocks) for blocks in cache.blocks] == [2, 1, 0]
    assert cache.num_free == 6
    assert cache.nbytes == 2 * 9 * 2 * 4 * D * 8  # K and V x blocks x Hkv x block_size x D x bytes


def test_rows_made_alike_share_their_blocks_until_one_goes_on():
    cache = made(2, 4, num_blocks=6)
    _, k, v = draw(2, 6, 0)
    cache.append(k, v, [6, 3, 2])
    cache.reorder([0, 0, 0])
    (first, second), *others = cache.blocks
    assert others == [[first, second]] * 2
    assert cache.num_free == 4
    cache.append(k[:, :, :1], v[:, :, :1], [1, 0, 1])
    a, b, c = cache.blocks
    assert a[0] == b[0] == c[0] == first  # full: never written again
    assert len({a[1], b[1], c[1]}) == 3
    assert b[1] == second  # which row 1 still has, as it was
    assert cache.num_free == 2


def test_the_last_row_that_goes_on_in_a_shared_block_takes_no_copy():
    cache = made(2, 4, num_blocks=3)
    _, k, v = draw(2, 2, 0)
    cache.append(k, v, [2, 0, 0])
    cache.reorder([0, 0, 0])
    cache.append(k, v)  # three rows in one block of their own each: two copies
    assert cache.num_free == 0
    assert len({blocks[0] for blocks in cache.blocks}) == 3


def test_a_row_cut_back_into_a_shared_block_does_not_overwrite_the_others_tokens():
    cache, plain = made(2, 4, num_blocks=6), KVCache(B, 2, ROOM, D, torch.float64)
    q, k, v = draw(2, 4, 0)
    _, other_k, other_v = draw(2, 4, 1)
    for one in (cache, plain):
        one.append(k, v, [4, 0, 0])
        one.reorder([0, 0, 2])
        one.truncate([4, 2, 0])
        one.append(other_k[:, :, :1], other_v[:, :, :1], [0, 1, 1])
        one.truncate(ROOM)
    outs = [one.attend(q[:, :, :1]) for one in (cache, plain)]
    torch.testing.assert_close(*outs, rtol=1e-12, atol=1e-12)


# ---- what it refuses


def refused(message, call):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_when_blocks_do_not_suffice_nothing_changes():
    cache = made(2, 4, num_blocks=4)
    q, k, v = draw(2, 6, 0)
    cache.append(k, v, [6, 2, 0])
    before, tables = cache.attend(q), cache.blocks
    message = "[6, 2, 0] need 2 more blocks of 4 tokens, and 1 of 4 are free"
    refused(message, lambda: cache.append(k, v, [2, 3, 4]))
    assert cache.blocks == tables
    assert torch.equal(cache.attend(q), before)
    cache.append(k[:, :, :4], v[:, :, :4], [2, 2, 4])
    assert cache.num_free == 0


def test_a_copy_that_has_no_block_is_counted_beforehand():
    cache = made(2, 4, num_blocks=2)
    q, k, v = draw(2, 3, 0)
    cache.append(k, v, [3, 0, 0])
    cache.reorder([0, 0, 0])
    before = cache.attend(q)
    message = "need 2 more blocks"
    refused(message, lambda: cache.append(k[:, :, :1], v[:, :, :1]))
    assert torch.equal(cache.attend(q), before)
    assert cache.num_free == 1
    assert_counted(cache)


def test_wrong_tokens_and_numbers_are_errors_that_change_nothing():
    cache = made(2, 4)
    q, k, v = draw(2, 3, 0)
    cache.append(k, v, [3, 1, 2])
    tables, lengths = cache.blocks, cache.lengths
    refused("k has shape (3, 1, 3, 5)", lambda: cache.append(k[:, :1], v))
    refused("(2, 2, 3, 5) but the cache takes (3, 2, T, 5)", lambda: cache.append(k[:2], v[:2]))
    refused("k is torch.float32", lambda: cache.append(k.float(), v.float()))
    refused("k has 3 new tokens and v has 2", lambda: cache.append(k, v[:, :, :2]))
    refused("num_new=[1, 4, 0] for 3 rows", lambda: cache.append(k, v, [1, 4, 0]))
    refused("index=[0, 3, 1] for 3 rows", lambda: cache.reorder([0, 3, 1]))
    refused("length=[-1, -1, -1]", lambda: cache.truncate(-1))
    refused("q has T=2 queries, for the last 3", lambda: cache.attend(q[:, :, :2]))
    refused("q (3, 6, 3, 4)", lambda: cache.attend(q[..., :4]))
    refused("q (2, 6, 3, 5)", lambda: cache.attend(q[:2]))
    refused("window=0", lambda: cache.attend(q, window=0))
    assert cache.blocks == tables
    assert torch.equal(cache.lengths, lengths)
    assert_counted(cache)


@pytest.mark.parametrize("block_size", [0, -1, 2.0, True])
def test_a_block_holds_a_whole_number_of_tokens(block_size):
    refused(f"block_size={block_size}", lambda: PagedKVCache(1, 2, 3, D, block_size))


def test_the_paged_cache_has_all_that_the_protocol_asks_for():
    asked = {name for name in vars(Cache) if not name.startswith("_")}
    assert all(getattr(PagedKVCache, name) is not getattr(Cache, name) for name in asked)


# ---- in a model


def test_a_model_continues_on_paged_caches_as_on_contiguous_ones():
    config = ModelConfig("tiny", 2, 6, 2, 4, 12, d_ff=16, vocab_size=11, windows=(None, 3))
    model = LanguageModel(config, dtype=torch.float64)
    layers = [PagedKVCache(2, 2, 12, 4, 3, torch.float64) for _ in range(2)]
    caches = ModelCache(layers), model.new_cache(2, 16)
    for T, num_new in ((5, [5, 2]), (1, None), (1, None), (3, [1, 3])):
        tokens = torch.randint(11, (2, T))
        paged, plain = (model(tokens, cache, num_new) for cache in caches)
        for b, n in enumerate(num_new or [T, T]):
            torch.testing.assert_close(paged[b, :n], plain[b, :n], rtol=1e-12, atol=1e-12)
    for cache in caches:
        cache.reorder([1, 1])
        cache.truncate([6, 4])
    tokens = torch.randint(11, (2, 2))
    torch.testing.assert_close(*(model(tokens, c) for c in caches), rtol=1e-12, atol=1e-12)
