"""Every backend against the float64 oracle, and what it allocates."""

import pytest
import torch
from attention_cases import TOLERANCE, Allocations, assert_near, draw

from gqa_lib.cache import KVCache
from gqa_lib.kernels import (
    BACKENDS,
    attend,
    attention_reference,
    available_backends,
    causal_mask,
    choose_backend,
    sdpa_operator,
)


def assert_matches_oracle(q, k, v, causal, backend):
    out = attend(q, k, v, causal, backend)
    assert out.dtype == q.dtype
    assert out.device == q.device
    assert_near(out, attention_reference(q, k, v, causal), backend)


def assert_all_match_oracle(q, k, v, causal):
    names = available_backends(q, k, v, causal)
    assert {"fold_sdpa", "fold_matmul", "loop_sdpa"} <= set(names)
    for name in [*names, "auto"]:
        assert_matches_oracle(q, k, v, causal, name)


# ---- right answers


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("T", [1, 3, 7])
@pytest.mark.parametrize("Hkv", [1, 2, 3, 6])
def test_every_available_backend_equals_the_oracle(device, Hkv, T, dtype, causal):
    assert_all_match_oracle(*draw(2, 6, Hkv, T, 7, 5, dtype, device), causal)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("Hq", "Hkv"), [(14, 2), (12, 4), (5, 1), (8, 8)])
@pytest.mark.parametrize(("T", "S"), [(1, 131), (20, 131), (67, 67)])
def test_backends_equal_the_oracle_at_real_head_sizes(device, Hq, Hkv, T, S, dtype):
    assert_all_match_oracle(*draw(2, Hq, Hkv, T, S, 64, dtype, device), True)


def test_chunks_with_many_rows_equal_the_oracle(device):
    q, k, v = draw(1, 6, 1, 60, 75, 8, device=device)  # 360 folded rows: past the folding limit
    assert_all_match_oracle(q, k, v, True)


@pytest.mark.parametrize("T", [1, 3, 7])
@pytest.mark.parametrize("broken", ["q", "k", "v", "all"])
def test_non_contiguous_inputs_give_the_same(device, broken, T):
    tensors = dict(zip("qkv", draw(2, 6, 2, T, 7, 8, device=device), strict=True))
    for name in tensors if broken == "all" else broken:
        # Same values, elements of a head far apart.
        tensors[name] = tensors[name].mT.contiguous().mT
    assert_all_match_oracle(*tensors.values(), True)


@pytest.mark.parametrize("T", [1, 3, 7])
def test_heads_after_tokens_in_memory_give_the_same(device, T):
    q, k, v = (t.transpose(1, 2).contiguous().transpose(1, 2) for t in draw(2, 6, 2, T, 7, 8))
    assert_all_match_oracle(q.to(device), k.to(device), v.to(device), True)


@pytest.mark.parametrize("T", [1, 3])
def test_cache_views_do_not_show_what_lies_behind_them(device, T):
    q, k, v = draw(2, 6, 2, T, 7, 5, device=device)
    cache = KVCache(2, 2, 16, 5, device=device)
    nan = torch.full((2, 2, 16, 5), torch.nan, device=device)
    cache.append(nan, nan)
    cache.reset()
    k_all, v_all = cache.append(k, v)
    assert not k_all.is_contiguous()
    assert_all_match_oracle(q, k_all, v_all, True)


@pytest.mark.parametrize("T", [1, 3, 7])
def test_arguments_are_left_unchanged(device, T):
    inputs = draw(2, 6, 2, T, 7, 5, device=device)
    copies = [t.clone() for t in inputs]
    for name in available_backends(*inputs):
        attend(*inputs, backend=name)
        for before, after in zip(copies, inputs, strict=True):
            assert torch.equal(before, after), name


@pytest.mark.parametrize("T", [1, 2])
def test_last_query_sees_more_than_the_first_key(device, T):
    """SDPA's is_causal with one query attends to key 0 alone."""
    q, k, v = draw(2, 6, 2, T, 7, 5, device=device)
    k[:, :, -1] *= 10
    first = v[:, :, :1].repeat_interleave(3, 1)
    for name in available_backends(q, k, v):
        assert not torch.allclose(attend(q, k, v, backend=name)[:, :, :1], first), name


def test_large_fp16_scores_do_not_overflow(device):
    """q @ k reaches 131072, over fp16's 65504; divided by sqrt(D) it does not."""
    q, k, v = draw(1, 4, 2, 1, 5, 128, torch.float16, device)
    q.fill_(32), k.fill_(32)
    for name in available_backends(q, k, v):
        out = attend(q, k, v, backend=name).double()
        torch.testing.assert_close(out, attention_reference(q, k, v), rtol=4e-3, atol=4e-3)


# ---- split keys


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
@pytest.mark.parametrize("S", [1, 2, 7, 64, 97])
@pytest.mark.parametrize("Hkv", [1, 3])
def test_split_kv_is_exact_for_any_length(monkeypatch, Hkv, S, threads):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    q, k, v = draw(2, 6, Hkv, 1, S, 16)
    assert_matches_oracle(q, k, v, True, "split_kv")


def test_split_kv_merges_parts_of_very_different_weight(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    q, k, v = draw(1, 4, 1, 1, 30, 16)
    k[:, :, 11] = 40 * q[:, :1, 0]  # one part's log-sum-exp overflows exp()
    assert_matches_oracle(q, k, v, True, "split_kv")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda q, k, v: (q.expand(-1, -1, 2, -1), k, v), "not 2"),
        (lambda q, k, v: (q, k.requires_grad_(), v), "gradient"),
        (lambda q, k, v: (q, k.mT.contiguous().mT, v), "next to each other"),
        (lambda q, k, v: (q, k, v.transpose(0, 1).contiguous().transpose(0, 1)), "without a copy"),
    ],
)
def test_split_kv_says_why_it_cannot_run(change, reason):
    q, k, v = change(*draw(2, 6, 2, 1, 7, 8))
    assert "split_kv" not in available_backends(q, k, v)
    with pytest.raises(ValueError, match=reason):
        attend(q, k, v, backend="split_kv")


# ---- no copy of K for every query head


def tensors_made(fn, q, k, v, at_least):
    with torch.no_grad(), Allocations(q, k, v) as seen:
        fn(q, k, v)
    return seen.count(at_least)


def expanded_size(q, k):
    return q.shape[0] * q.shape[1] * k.shape[2] * q.shape[3]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("T", [1, 3])
@pytest.mark.parametrize("Hkv", [1, 2, 3])
def test_no_backend_makes_a_tensor_as_large_as_expanded_k(device, Hkv, T, dtype):
    q, k, v = draw(2, 6, Hkv, T, 64, 16, dtype, device)
    cache = KVCache(2, Hkv, 80, 16, dtype, device)
    for keys, values in ((k, v), cache.append(k, v)):
        for name in available_backends(q, keys, values):
            fn = BACKENDS[name].fn
            assert tensors_made(fn, q, keys, values, expanded_size(q, k)) == 0, name
            if T == 1:  # decoding copies not even the shared K
                assert tensors_made(fn, q, keys, values, k.numel()) == 0, name


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("Hkv", [1, 2, 3])
def test_full_prefill_makes_one_tensor_that_large_its_output(device, Hkv, dtype):
    q, k, v = draw(2, 6, Hkv, 16, 16, 32, dtype, device)
    assert tensors_made(attend, q, k, v, expanded_size(q, k)) <= 1


def test_detector_sees_an_expanding_implementation():
    def expand(q, k, v):
        k, v = (t.repeat_interleave(3, 1) for t in (k, v))
        return torch.nn.functional.scaled_dot_product_attention(q, k, v)

    q, k, v = draw(2, 6, 2, 1, 64, 16)
    assert tensors_made(expand, q, k, v, expanded_size(q, k)) == 2


def test_sdpa_gqa_is_refused_where_it_would_expand(device):
    """Elements of a head apart in memory send PyTorch to its math path."""
    q, k, v = draw(2, 6, 2, 7, 7, 8, device=device)
    k = k.mT.contiguous().mT
    assert sdpa_operator(q, k, v, enable_gqa=True) == "math"
    assert choose_backend(q, k, v) != "sdpa_gqa"
    with pytest.raises(ValueError, match="expands K and V"):
        attend(q, k, v, backend="sdpa_gqa")


FLASH_ON_CPU = "_scaled_dot_product_flash_attention_for_cpu"


def test_sdpa_operator_names_what_runs():
    q, k, v = draw(2, 6, 6, 1, 7, 8)
    assert sdpa_operator(q, k, v) == FLASH_ON_CPU


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("mask", [None, torch.ones(1, 7, dtype=torch.bool)])
def test_on_a_cpu_enable_gqa_stays_fused(mask, dtype):
    """Lesson 04 and fact F46 say so of both dtypes, masked or not."""
    q, k, v = draw(2, 6, 2, 1, 7, 8, dtype=dtype)
    assert sdpa_operator(q, k, v, enable_gqa=True, attn_mask=mask) == FLASH_ON_CPU


def test_one_kv_head_is_broadcast_without_the_flag():
    """Lesson 03 and fact F46: in silence, and fused only from torch 2.14 on."""
    q, k, v = draw(2, 6, 1, 1, 7, 8)
    fused = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 14)
    assert sdpa_operator(q, k, v) == (FLASH_ON_CPU if fused else "math")
    q, k, v = draw(2, 6, 2, 1, 7, 8)
    with pytest.raises(RuntimeError, match="must match"):
        sdpa_operator(q, k, v)


# ---- mask


@pytest.mark.parametrize(("T", "S"), [(1, 1), (1, 7), (3, 7), (7, 7)])
def test_causal_mask_is_aligned_bottom_right(device, T, S):
    mask = causal_mask(T, S, device)
    assert mask.dtype == torch.bool
    assert mask.device.type == device.type
    expected = [[key <= S - T + i for key in range(S)] for i in range(T)]
    assert mask.tolist() == expected
