"""Scores and values as large as a dtype allows, and NaN: every backend gives the same."""

import pytest
import torch
import triton_cases

from gqa_lib.kernels import (
    BACKENDS,
    attend,
    attention_reference,
    available_backends,
    decode_attention,
    triton_backend,
)
from gqa_lib.kernels.tolerances import LEARNERS

HALF = [torch.float16, torch.bfloat16]
SHAPES = {  # B, Hq, Hkv, T, S, D
    "decode": (2, 6, 2, 1, 37, 40),
    "decode, one head each": (2, 3, 3, 1, 37, 40),
    "decode over many keys": (1, 4, 1, 1, 1500, 16),
    "some queries": (2, 6, 2, 5, 37, 40),
    "prompt": (2, 6, 2, 37, 37, 40),
}
PLAIN = [name for name in BACKENDS if name not in ("native", "triton")]


def same_keys(B, Hq, Hkv, T, S, D, size=77.0):
    """Queries and keys of one large number: every score is the same, and over 65504 in fp16."""
    return torch.full((B, Hq, T, D), size), torch.full((B, Hkv, S, D), size)


def cases(shape):
    """q, k, v by name; in fp16 products or sums of each are over the largest number."""
    B, Hq, Hkv, T, S, D = shape
    v = torch.randn(B, Hkv, S, D)
    yield "alike", *same_keys(*shape, size=600.0), v
    q, k = same_keys(*shape, size=65504.0)
    q[..., 1:] = 0  # one product is the whole score: the same in whatever order an operator adds
    yield "largest", q, k, v
    yield "largest negative", q, -k, v
    k = k * torch.linspace(0.2, 0.9, S)[:, None]  # the last key's score is far above the others
    yield "one above all", q, k, v
    q, k = torch.randn(B, Hq, T, D), torch.randn(B, Hkv, S, D)
    yield "values", q, k, torch.full_like(v, 65504.0)
    yield "values of both signs", q, k, torch.where(v[..., :1] > 0, 65504.0, -65504.0).expand_as(v)
    yield "small queries", q * 2e-7, k * 65504, v


@pytest.mark.parametrize("dtype", HALF, ids=str)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("backend", PLAIN)
def test_large_numbers(backend, shape, dtype):
    ran = 0
    for name, *tensors in cases(shape):
        q, k, v = (t.clamp(-65504, 65504).to(dtype) for t in tensors)
        if backend in available_backends(q, k, v):
            _assert_like_float64(attend(q, k, v, backend=backend), q, k, v, name)
            ran += 1
    assert ran == 7 or backend in ("sdpa_gqa", "split_kv")


@pytest.mark.parametrize("name", [name for name in SHAPES if name.startswith("decode")])
def test_large_numbers_in_the_native_operator(built, name):
    shape = SHAPES[name]
    for name, *tensors in cases(shape):
        q, k, v = (t.bfloat16() for t in tensors)
        _assert_like_float64(attend(q, k, v, backend="native"), q, k, v, name)


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_large_numbers_by_auto_over_caches(dtype):
    shape = SHAPES["decode"]
    lengths = torch.tensor([37, 12])
    for name, *tensors in cases(shape):
        q, k, v = (t.clamp(-65504, 65504).to(dtype) for t in tensors)
        out = decode_attention(q, k, v, lengths)
        for b, length in enumerate(lengths.tolist()):
            row = slice(b, b + 1)
            _assert_like_float64(out[row], q[row], k[row, :, :length], v[row, :, :length], name)


def _assert_like_float64(out, q, k, v, name):
    expected = attention_reference(q, k, v)
    most = LEARNERS[q.dtype] * v.abs().max().double()
    assert out.isfinite().all(), name
    assert (out - expected).abs().max() <= most, name


def test_gradients_of_large_scores():
    q, k = (t.half().requires_grad_() for t in same_keys(*SHAPES["decode"], size=600.0))
    v = torch.randn(2, 2, 37, 40).half().requires_grad_()
    attend(q, k, v, backend="fold_matmul").float().sum().backward()
    assert torch.isfinite(q.grad).all()
    assert torch.isfinite(k.grad).all()
    torch.testing.assert_close(v.grad, torch.full_like(v, 3 / 37), rtol=4e-3, atol=0)


def test_gradients_of_half_precision_are_those_of_double():
    B, Hq, Hkv, T, S, D = SHAPES["some queries"]
    q, k = torch.randn(B, Hq, T, D), torch.randn(B, Hkv, S, D)
    inputs, grads = (q, k, torch.randn(B, Hkv, S, D)), {}
    for dtype in (torch.float64, torch.float16):
        leaves = [t.half().to(dtype).requires_grad_() for t in inputs]
        attend(*leaves, backend="fold_matmul").sum().backward()
        grads[dtype] = [leaf.grad for leaf in leaves]
    for half, double in zip(*reversed(grads.values()), strict=True):
        torch.testing.assert_close(half.double(), double, rtol=2e-2, atol=5e-3)


def test_an_infinite_value_stays_infinite():
    q, k = same_keys(*SHAPES["decode"])
    v = torch.randn(2, 2, 37, 40)
    v[0, 1, 5, 3] = torch.inf
    for backend in PLAIN:
        out = attend(q.half(), k.half(), v.half(), backend=backend)
        assert out.isinf().sum() == 3, backend  # in the three query heads of that KV head
        assert out.isfinite().sum() == out.numel() - 3, backend


@pytest.mark.parametrize("dtype", [*HALF, torch.float32], ids=str)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_nan_in_a_query_a_seen_key_or_a_seen_value(shape, dtype):
    B, Hq, Hkv, T, S, D = shape
    for place in ("q", "k", "v"):
        tensors = {"q": torch.randn(B, Hq, T, D)}
        tensors |= {name: torch.randn(B, Hkv, S, D) for name in ("k", "v")}
        tensors[place][0, 0, 0, 3] = torch.nan  # the first key is seen by every query
        q, k, v = (t.to(dtype) for t in tensors.values())
        expected = attention_reference(q, k, v).isnan()
        assert expected.any()
        for backend in available_backends(q, k, v):
            got = attend(q, k, v, backend=backend).isnan()
            assert torch.equal(got, expected), (place, backend)


def test_the_triton_kernel(device):
    if reason := triton_backend._missing():
        pytest.skip(reason)
    if device.type == "cuda":
        triton_cases.extreme_case(device)
        return
    with triton_cases.worker(interpret=True) as pool:
        pool.submit(triton_cases.extreme_case, device).result()
