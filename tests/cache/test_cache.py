import re

import pytest
import torch
from attention_cases import Allocations

from gqa_lib.cache import KVCache


def test_append_returns_everything_so_far(device):
    k, v = torch.randn(2, 2, 3, 9, 5, device=device)
    cache = KVCache(2, 3, 9, 5, device=device)
    for start, end in ((0, 4), (4, 5), (5, 9)):
        k_all, v_all = cache.append(k[:, :, start:end], v[:, :, start:end])
        assert cache.length == end
        assert torch.equal(k_all, k[:, :, :end])
        assert torch.equal(v_all, v[:, :, :end])


def test_append_returns_views_of_one_block_that_never_moves():
    cache = KVCache(2, 3, 9, 5)
    first, later = (cache.append(*torch.randn(2, 2, 3, 2, 5)) for _ in range(2))
    for early, late in zip(first, later, strict=True):
        assert early.untyped_storage().data_ptr() == late.untyped_storage().data_ptr()
    assert first[0].untyped_storage().data_ptr() != first[1].untyped_storage().data_ptr()


def test_earlier_views_keep_their_values():
    cache = KVCache(1, 2, 4, 3)
    k_all, _ = cache.append(*torch.randn(2, 1, 2, 3, 3))
    before = k_all.clone()
    cache.append(*torch.randn(2, 1, 2, 1, 3))
    assert torch.equal(k_all, before)


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_nbytes_is_what_is_allocated_whatever_the_length(dtype, size):
    cache = KVCache(2, 3, 9, 5, dtype=dtype)
    expected = 2 * 2 * 3 * 9 * 5 * size
    assert cache.nbytes == expected
    views = cache.append(*torch.randn(2, 2, 3, 1, 5).to(dtype))
    assert sum(t.untyped_storage().nbytes() for t in views) == cache.nbytes == expected


def test_overflow_is_an_error_with_both_numbers_and_changes_nothing():
    cache = KVCache(1, 2, 4, 3)
    k, v = torch.randn(2, 1, 2, 3, 3)
    cache.append(k, v)
    with pytest.raises(ValueError, match=r"make 5, over max_seq_len=4"):
        cache.append(k[:, :, :2], v[:, :, :2])
    assert cache.length == 3
    k_all, v_all = cache.append(k[:, :, :1], v[:, :, :1])
    assert torch.equal(k_all, torch.cat((k, k[:, :, :1]), 2))
    assert torch.equal(v_all, torch.cat((v, v[:, :, :1]), 2))


def test_reset_forgets_tokens_and_keeps_memory():
    cache = KVCache(1, 2, 4, 3)
    old, _ = cache.append(*torch.randn(2, 1, 2, 4, 3))
    cache.reset()
    assert (cache.length, cache.max_seq_len) == (0, 4)
    k, v = torch.randn(2, 1, 2, 2, 3)
    k_all, v_all = cache.append(k, v)
    assert torch.equal(k_all, k)
    assert torch.equal(v_all, v)
    assert k_all.data_ptr() == old.data_ptr()


@pytest.mark.parametrize("shape", [(2, 2, 1, 3), (1, 3, 1, 3), (1, 2, 1, 4), (2, 1, 3)])
def test_wrong_shape_is_an_error_with_both_shapes(shape):
    cache = KVCache(1, 2, 4, 3)
    good, bad = torch.randn(1, 2, 1, 3), torch.randn(shape)
    for name, k, v in (("k", bad, good), ("v", good, bad)):
        message = f"{name} has shape {shape} but the cache takes (1, 2, T, 3)"
        with pytest.raises(ValueError, match=re.escape(message)):
            cache.append(k, v)
    assert cache.length == 0


def test_different_numbers_of_keys_and_values_are_an_error():
    with pytest.raises(ValueError, match="k has 2 new tokens and v has 1"):
        KVCache(1, 2, 4, 3).append(torch.randn(1, 2, 2, 3), torch.randn(1, 2, 1, 3))


def test_wrong_dtype_or_device_is_an_error_not_a_conversion():
    cache, k = KVCache(1, 2, 4, 3), torch.randn(1, 2, 1, 3)
    with pytest.raises(ValueError, match=r"v is torch\.bfloat16 on cpu"):
        cache.append(k, k.bfloat16())
    with pytest.raises(ValueError, match=r"k is torch\.float32 on meta"):
        cache.append(k.to("meta"), k)
    assert cache.length == 0


def test_cache_holds_no_graph():
    cache, k = KVCache(1, 2, 4, 3), torch.randn(1, 2, 1, 3, requires_grad=True)
    k_all, v_all = cache.append(k * 2, k * 3)
    assert not k_all.requires_grad
    assert not v_all.requires_grad


# ---- no copy of what is cached


@pytest.mark.parametrize("window", [None, 40])
@pytest.mark.parametrize("T", [1, 3])
@pytest.mark.parametrize("lengths", [[90, 70, 80], [90, 90, 90]])
@torch.no_grad()
def test_neither_appending_nor_attending_copies_what_is_cached(device, lengths, T, window):
    cache = KVCache(3, 2, 100, 32, device=device)
    q = torch.randn(3, 6, T, 32, device=device)
    k, v = (torch.randn(3, 2, 100, 32, device=device) for _ in range(2))
    cache.append(k, v, lengths)
    new = k[:, :, :T], v[:, :, :T]
    row = 2 * (40 if window else 70) * 32  # the least that a copy of one row's keys would take
    with Allocations(q, k, v, *cache.append(*new)) as made:
        cache.append(*new)
        cache.attend(q, window=window)
    assert made.count(row) == 0


def test_the_detector_sees_a_copied_row():
    cache = KVCache(3, 2, 100, 32)
    k_all, _ = cache.append(*torch.randn(2, 3, 2, 90, 32))
    with Allocations(k_all) as made:
        k_all[:1].contiguous()
    assert made.count(2 * 90 * 32) == 1


def test_reorder_copies_only_rows_that_change():
    cache = KVCache(3, 2, 100, 32)
    k_all, v_all = cache.append(*torch.randn(2, 3, 2, 90, 32))
    with Allocations(k_all, v_all) as made:
        cache.reorder([0, 0, 2])
    assert sum(made.sizes) < 3 * 2 * 90 * 32  # one row of K and one of V
    assert cache.append(*torch.randn(2, 3, 2, 1, 32))[0].data_ptr() == k_all.data_ptr()
