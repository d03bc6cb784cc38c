"""Sliding windows, and batches whose rows are attended to one by one."""

import pytest
import torch
from attention_cases import TOLERANCE, Allocations, assert_near, draw

from gqa_lib.kernels import (
    attend,
    attend_rows,
    attention_reference,
    available_backends,
    causal_mask,
)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("window", [1, 2, 5, 7, 100])
@pytest.mark.parametrize("T", [1, 3, 7])
@pytest.mark.parametrize("Hkv", [1, 2, 6])
def test_a_query_sees_the_last_keys_up_to_its_own(device, Hkv, T, window, dtype):
    q, k, v = draw(2, 6, Hkv, T, 7, 8, dtype, device)
    expected = attention_reference(q, k, v, window=window)
    names = available_backends(q, k, v)
    assert {"fold_sdpa", "fold_matmul", "loop_sdpa"} <= set(names)
    for name in [*names, "auto"]:
        out = attend(q, k, v, True, name, window=window)
        assert out.dtype == dtype
        assert_near(out, expected, name)


@pytest.mark.parametrize("window", [1, 64, 70, 150])
@pytest.mark.parametrize("T", [130, 200])
def test_a_long_prompt_with_a_window_is_right_from_block_to_block(device, T, window):
    q, k, v = draw(1, 4, 2, T, 200, 8, device=device)
    assert_near(attend(q, k, v, window=window), attention_reference(q, k, v, window=window))


def test_a_window_needs_memory_for_itself_and_not_for_the_prompt():
    q, k, v = draw(1, 6, 2, 1000, 1000, 16)
    with torch.no_grad(), Allocations(q, k, v) as seen:
        attend(q, k, v, window=10)
    assert seen.count(at_least=1000 * 1000 // 4) == 0  # a mask of T x S would be
    assert seen.count(at_least=q.numel()) == 1  # the output


def test_gradients_with_a_window_equal_the_oracles():
    inputs = [t.requires_grad_() for t in draw(2, 6, 2, 70, 75, 4, torch.float64)]
    weight = torch.randn(2, 6, 70, 4, dtype=torch.float64)
    expected = torch.autograd.grad((attention_reference(*inputs, window=9) * weight).sum(), inputs)
    grads = torch.autograd.grad((attend(*inputs, window=9) * weight).sum(), inputs)
    for grad, true_grad in zip(grads, expected, strict=True):
        torch.testing.assert_close(grad, true_grad, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("window", [1, 3, 9])
def test_the_mask_of_a_window_hides_what_is_before_it(window):
    mask = causal_mask(3, 7, window=window)
    expected = [[4 + i - window < key <= 4 + i for key in range(7)] for i in range(3)]
    assert mask.tolist() == expected


# ---- rows of their own


def test_each_row_attends_to_its_own_keys(device):
    q, k, v = draw(3, 6, 2, 4, 9, 8, device=device)
    sizes, num_new = (9, 2, 5), (4, 0, 3)
    rows = [(k[b : b + 1, :, :S], v[b : b + 1, :, :S]) for b, S in enumerate(sizes)]
    out = attend_rows(q, rows, num_new)
    for b, n in enumerate(num_new):
        assert not out[b, :, n:].any()
        if n:
            expected = attention_reference(q[b : b + 1, :, :n], *rows[b])
            assert_near(out[b : b + 1, :, :n], expected, f"row {b}")
