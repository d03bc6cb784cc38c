"""Rows of a paged cache forked from others, dropped, moved to the host and back."""

import re

import pytest
import torch
from paging_cases import assert_counted

from gqa_lib.attention import grouped_query_attention
from gqa_lib.cache import PagedKVCache
from gqa_lib.cache.paging import SwappedRows

B, HQ, HKV, D = 4, 6, 2, 5


def empty(block_size=4, num_blocks=12, dtype=torch.float64, device=None, Hkv=HKV):
    return PagedKVCache(B, Hkv, num_blocks, D, block_size, dtype, device)


def draw(T, dtype=torch.float64, device=None):
    shapes = (B, HQ, T, D), *[(B, HKV, T, D)] * 2
    return [torch.randn(shape, dtype=dtype, device=device) for shape in shapes]


def refused(message, call):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def assert_unchanged(cache, call, message):
    before = cache.blocks, cache.lengths.tolist(), list(cache._num_new), cache._pages.k.clone()
    refused(message, call)
    assert (cache.blocks, cache.lengths.tolist(), cache._num_new) == before[:3]
    assert torch.equal(cache._pages.k.nan_to_num(), before[3].nan_to_num())
    assert_counted(cache)


# ---- fork


def test_a_fork_takes_no_block_until_one_of_the_rows_goes_on():
    cache = empty()
    q, k, v = draw(6)
    cache.append(k, v, [6, 0, 0, 0])
    cache.fork(0, into=[2, 3])
    assert cache.blocks[2] == cache.blocks[3] == cache.blocks[0]
    assert cache.num_free == 10
    assert cache.lengths.tolist() == [6, 0, 6, 6]
    out = cache.attend(q[:1].expand(B, -1, -1, -1))
    for b in (2, 3):
        assert torch.equal(out[b], out[0])
    assert not out[1].any()
    cache.append(k[:, :, :1], v[:, :, :1], [0, 0, 1, 0])
    assert cache.blocks[2][0] == cache.blocks[0][0]
    assert cache.blocks[2][1] != cache.blocks[0][1] == cache.blocks[3][1]
    assert cache.num_free == 9
    assert_counted(cache)


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 6])
def test_a_fork_of_a_prefix_shares_its_blocks_and_attends_as_the_prefix_alone(length):
    cache = empty()
    q, k, v = draw(6)
    cache.append(k, v, [6, 3, 0, 0])
    cache.fork(0, 2, length)
    assert cache.lengths.tolist() == [6, 3, length, 0]
    assert cache.blocks[2] == cache.blocks[0][: -(-length // 4)]
    out = cache.attend(q[[0, 1, 0, 3]])  # a fork's queries are those of its source
    alone = grouped_query_attention(
        q[:1, :, :length], k[:1, :, :length], v[:1, :, :length], causal=True
    )
    torch.testing.assert_close(out[2:3, :, :length], alone, rtol=1e-12, atol=1e-12)
    assert not out[2, :, length:].any()
    old = cache._pages.k[cache.blocks[0]].clone()
    cache.append(k[:, :, :2], v[:, :, :2], [0, 0, 2, 0])
    assert torch.equal(cache._pages.k[cache.blocks[0]], old)


def test_forks_that_cannot_be_change_nothing():
    cache = empty()
    _, k, v = draw(6)
    cache.append(k, v, [6, 3, 0, 0])
    for message, call in (
        ("row=[4]: the 4 rows of the cache are 0 to 3", lambda: cache.fork(4, 2)),
        ("into=[2, -1]: the 4 rows", lambda: cache.fork(0, [2, -1])),
        ("into='2'", lambda: cache.fork(0, "2")),
        ("into=True", lambda: cache.fork(0, True)),
        ("into=[2, 2] has a row twice", lambda: cache.fork(0, [2, 2])),
        ("row 1 holds 3 tokens, which would be lost. drop(1)", lambda: cache.fork(0, [2, 1])),
        ("row 0 holds 6 tokens", lambda: cache.fork(0, 0)),
        ("length=[7] for 1 rows", lambda: cache.fork(0, 2, 7)),
        ("length=[-1]", lambda: cache.fork(0, 2, -1)),
    ):
        assert_unchanged(cache, call, message)


# ---- drop


def test_a_dropped_row_has_no_block_and_no_query():
    cache = empty()
    q, k, v = draw(5)
    cache.append(k, v)
    before = cache.attend(q)
    cache.fork(0, [], 3)
    cache.drop(torch.tensor([1, 3]))
    assert cache.blocks[1] == cache.blocks[3] == []
    assert cache.num_free == 8
    out = cache.attend(q)
    assert torch.equal(out[[0, 2]], before[[0, 2]])
    assert not out[[1, 3]].any()
    assert_unchanged(cache, lambda: cache.drop([0, 4]), "rows=[0, 4]: the 4 rows")
    cache.drop(range(B))
    assert cache.num_free == 12


def test_a_dropped_row_has_no_query_after_a_truncation_either():
    cache, (q, k, v) = empty(), draw(3)
    cache.append(k, v)
    cache.drop(0)
    for length in (2, 1):
        cache.truncate(length)
        out = cache.attend(q[:, :, :1])
        assert out[0].count_nonzero() == 0
        assert (out[1:] != 0).all()
    cache.append(k[:, :, :1], v[:, :, :1])
    assert (cache.attend(q[:, :, :1]) != 0).all()


def test_dropping_a_row_leaves_the_blocks_that_others_share():
    cache = empty()
    _, k, v = draw(6)
    cache.append(k, v, [6, 0, 0, 0])
    cache.fork(0, 1, 4)
    (first, _), (shared,) = cache.blocks[:2]
    cache.drop(0)
    assert first == shared
    assert cache.num_free == 11
    assert torch.equal(cache._pages.k[first], k[0, :, :4])


# ---- swap


def test_rows_come_back_equal_with_their_positions_and_what_they_shared(device):
    cache = empty(dtype=torch.float32, device=device)
    q, k, v = draw(7, torch.float32, device)
    cache.append(k, v, [7, 3, 0, 5])
    cache.fork(0, 2, 6)
    before, lengths, free = cache.attend(q), cache.lengths, cache.num_free
    swapped = cache.swap_out([2, 0])
    assert (swapped.rows, swapped.lengths) == ((2, 0), (6, 7))
    assert swapped.k.shape == (2, HKV, 4, D)  # the blocks that they share, once
    assert (swapped.k.device.type, swapped.k.is_pinned()) == ("cpu", device.type == "cuda")
    assert swapped.nbytes == 2 * 2 * HKV * 4 * D * 4
    assert cache.num_free == free + 2
    assert cache.lengths.tolist() == [0, 3, 0, 5]
    for memory in (cache._pages.k, cache._pages.v):
        for block in range(cache.num_blocks):
            if not cache._rows.allocator.references(block):
                memory[block] = torch.nan
    cache.swap_in(swapped)
    assert torch.equal(cache.lengths, lengths)
    assert cache.num_free == free
    assert cache.blocks[0] == cache.blocks[2]
    torch.testing.assert_close(cache.attend(q), before)
    assert cache.positions(1).tolist() == [[7], [3], [6], [5]]
    assert_counted(cache)


def test_a_block_that_a_row_outside_shares_stays_and_is_copied():
    cache = empty()
    _, k, v = draw(6)
    cache.append(k, v, [6, 0, 0, 0])
    cache.fork(0, 1)
    kept, free = cache.blocks[0], cache.num_free
    swapped = cache.swap_out(1)
    assert (cache.blocks[0], cache.num_free) == (kept, free)
    cache.swap_in(swapped)
    assert cache.num_free == free - 2
    assert torch.equal(cache._pages.k[cache.blocks[1]], cache._pages.k[kept])


def test_swapped_rows_go_into_other_rows_and_other_caches_and_more_than_once():
    cache, other = empty(), empty(num_blocks=3)
    q, k, v = draw(5)
    cache.append(k, v, [5, 0, 2, 0])
    before = cache.attend(q)
    swapped = cache.swap_out([0, 2])
    for one, into in ((cache, [3, 1]), (cache, [0, 2]), (other, torch.tensor([1, 0]))):
        one.swap_in(swapped, into)
        places = into if isinstance(into, list) else into.tolist()
        out = one.attend(q[[{places[0]: 0, places[1]: 2}.get(b, b) for b in range(B)]])
        torch.testing.assert_close(out[places], before[[0, 2]], rtol=1e-12, atol=1e-12)
        assert_counted(one)


def test_swaps_that_cannot_be_change_nothing():
    cache = empty(num_blocks=4)
    _, k, v = draw(6)
    cache.append(k, v, [6, 3, 0, 0])
    assert_unchanged(cache, lambda: cache.swap_out([0, 0]), "rows=[0, 0] has a row twice")
    assert_unchanged(cache, lambda: cache.swap_out(9), "rows=9: the 4 rows")
    swapped = cache.swap_out(0)
    cache.append(k, v, [0, 3, 6, 0])
    for message, call in (
        ("row 2 holds 6 tokens", lambda: cache.swap_in(swapped, 2)),
        ("into=[0, 3] are 2 rows for the tokens of 1", lambda: cache.swap_in(swapped, [0, 3])),
        ("6 new tokens in rows of [0, 6, 6, 0] need 2 more", lambda: cache.swap_in(swapped)),
        ("swapped=3 is of type int", lambda: cache.swap_in(3)),
    ):
        assert_unchanged(cache, call, message)
    for odd in (empty(3), empty(dtype=torch.float32), empty(Hkv=1)):
        refused("of (2, 4, 5, torch.float64) and the cache", lambda odd=odd: odd.swap_in(swapped))
        assert odd.num_free == 12
    cache.drop(2)
    cache.swap_in(swapped)
    assert cache.num_free == 0


def test_rows_without_tokens_are_swapped_too():
    cache = empty()
    swapped = cache.swap_out([1, 2])
    assert isinstance(swapped, SwappedRows)
    assert (swapped.nbytes, swapped.lengths) == (0, (0, 0))
    cache.swap_in(swapped)
    assert cache.num_free == 12


def test_what_needed_a_gradient_is_refused_wherever_it_is_swapped_in():
    cache, other = empty(), empty()
    q, k, v = draw(2)
    cache.append(k.requires_grad_(), v)
    other.swap_in(cache.swap_out(range(B)))
    with pytest.raises(RuntimeError, match="backward through a KV cache"):
        other.attend(q).sum().backward()


# ---- fragmentation


def test_what_a_cache_reports_of_its_memory():
    cache = empty(num_blocks=10)
    _, k, v = draw(6)
    cache.append(k, v, [6, 3, 0, 4])
    places = cache.fragmentation()
    assert (places.total, places.reserved, places.used) == (40, 16, 13)
    assert (places.internal, places.later, places.external, places.free) == (3, 0, 0, 24)
    cache.fork(0, 2, 5)  # shares both blocks: no place more, and none less
    assert cache.fragmentation() == places
    cache.truncate([3, 3, 5, 4])  # row 2 alone has the second block, with one token
    assert cache.fragmentation().used == 12
