"""Products of a few tokens, norms and rotations: the compiled operators against float64."""

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from gqa_lib.kernels import layer
from gqa_lib.kernels.native.library import DTYPES
from gqa_lib.kernels.tolerances import RELATIVE_ERROR


@pytest.fixture(params=["compiled", "torch"])
def way(request, monkeypatch):
    """Every answer is asked for twice: from the compiled operator, and where there is none."""
    if request.param == "compiled":
        request.getfixturevalue("built")
    else:
        monkeypatch.setattr(layer, "operators", lambda: None)
        monkeypatch.setattr(layer, "native_turn_runs", lambda x, cos: False)


def assert_close(got, expected, dtype):
    assert got.dtype == dtype
    assert got.shape == expected.shape
    limit = 2 * max(RELATIVE_ERROR[dtype], torch.finfo(dtype).eps)  # of a single number, even
    assert (got.double() - expected).norm() <= limit * expected.norm()


def draw(*sizes, dtype):
    return [torch.randn(size, generator=torch.Generator().manual_seed(i)).to(dtype)
            for i, size in enumerate(sizes)]  # fmt: skip


@torch.inference_mode()
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("K", [8, 24, 48, 96, 136, 1000])
@pytest.mark.parametrize("rows", [(1,), (2, 1), (3, 1), (5,), (2, 3), (15,), (16,), (5, 7)])
def test_linear(way, dtype, K, rows):
    for N in (1, 7, 8, 37, 128):
        x, weight, bias = draw((*rows, K), (N, K), (N,), dtype=dtype)
        product = x.double() @ weight.double().T
        assert_close(layer.linear(x, weight), product, dtype)
        assert_close(layer.linear(x, weight, bias), product + bias.double(), dtype)


@torch.inference_mode()
def test_linear_of_tensors_that_are_not_in_one_piece(way):
    x, weight = draw((3, 2, 48), (7, 96), dtype=torch.float32)
    x, weight = x.transpose(0, 1), weight[:, ::2]
    assert_close(layer.linear(x, weight), x.double() @ weight.double().T, torch.float32)


@torch.inference_mode()
def test_linear_of_no_token_and_of_widths_that_vectors_do_not_fill(way):
    for x, weight in (
        draw((0, 16), (3, 16), dtype=torch.float32),
        draw((2, 5), (3, 5), dtype=torch.float32),
        draw((2, 16), (0, 16), dtype=torch.float32),
        draw((2, 16), (3, 16), dtype=torch.float64),
        draw((40, 16), (3, 16), dtype=torch.float32),
    ):
        assert torch.allclose(layer.linear(x, weight), F.linear(x, weight), atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("K", [24, 96, 1024])
def test_a_tokens_product_does_not_depend_on_the_others(built, K):
    """So that a batch decodes as its sequences would alone."""
    x, weight, bias = draw((16, K), (37, K), (37,), dtype=torch.float32)
    whole = layer.linear(x, weight, bias)
    for n in range(1, 17):
        assert torch.equal(layer.linear(x[16 - n :], weight, bias), whole[16 - n :])


@torch.inference_mode()
def test_each_weight_of_a_linear_layer_is_read_at_its_place(built):
    weight = torch.arange(37.0 * 48).reshape(37, 48)
    for k in range(48):
        x = torch.zeros(3, 48)
        x[1, k] = 1
        assert torch.equal(layer.linear(x, weight)[1], weight[:, k])


@torch.inference_mode()
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [8, 24, 48, 136, 1024, 5])
@pytest.mark.parametrize("rows", [(1,), (2, 3), (2, 5, 3), (0,)])
def test_rms_norm(way, dtype, size, rows):
    x, weight = draw((*rows, size), (size,), dtype=dtype)
    expected = F.rms_norm(x.double(), (size,), weight.double(), 1e-5)
    assert_close(layer.rms_norm(x, weight, 1e-5), expected, dtype)


@torch.inference_mode()
def test_rms_norm_adds_eps_and_keeps_what_is_not_a_number(way):
    weight = torch.ones(16)
    assert layer.rms_norm(torch.zeros(1, 16), weight, 1e-6).eq(0).all()
    tiny = torch.full((1, 16), 1e-3)
    assert torch.allclose(layer.rms_norm(tiny, weight, 1e-6), torch.full((1, 16), 0.5**0.5))
    assert layer.rms_norm(torch.full((1, 16), torch.nan), weight, 1e-6).isnan().all()
    half = torch.full((1, 16), torch.nan, dtype=torch.bfloat16)
    assert layer.rms_norm(half, weight.bfloat16(), 1e-6).isnan().all()


@torch.inference_mode()
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pairs", [5, 4, 1])
@pytest.mark.parametrize("ragged", [False, True])
def test_turn(way, dtype, pairs, ragged):
    B, H, T, D = 3, 2, 7, 10
    (x,) = draw((B, T, H, D), dtype=dtype)
    cos, sin = draw(*[(B, T, pairs) if ragged else (T, pairs)] * 2, dtype=torch.float32)
    x = x.transpose(1, 2)  # as it comes out of a projection
    got = layer.turn(x, cos, sin)
    for b in range(B):
        for t in range(T):
            c, s = (cos[b, t], sin[b, t]) if ragged else (cos[t], sin[t])
            first, second = x[b, :, t, :pairs].double(), x[b, :, t, pairs : 2 * pairs].double()
            expected = torch.cat((first * c - second * s, second * c + first * s), -1)
            assert_close(got[b, :, t, : 2 * pairs], expected, dtype)
    assert torch.equal(got[..., 2 * pairs :], x[..., 2 * pairs :])


def test_gradients_flow_as_through_torchs(way):
    x, weight, gain = draw((3, 16), (7, 16), (16,), dtype=torch.float32)
    cos, sin = draw((3, 4), (3, 4), dtype=torch.float32)

    def run(linear, norm, turned):
        leaves = [t.clone().requires_grad_() for t in (x, weight, gain)]
        a, b, c = leaves
        out = linear(norm(a, c), b).square().sum()
        out = out + turned(a.view(1, 1, 3, 16), cos, sin).cos().sum()
        out.backward()
        return [leaf.grad for leaf in leaves]

    def plainly(x, cos, sin):
        first, second = x[..., :4], x[..., 4:8]
        turned = (first * cos - second * sin, second * cos + first * sin, x[..., 8:])
        return torch.cat(turned, -1)

    ours = run(layer.linear, lambda x, w: layer.rms_norm(x, w, 1e-5), layer.turn)
    theirs = run(F.linear, lambda x, w: F.rms_norm(x, (16,), w, 1e-5), plainly)
    for got, expected in zip(ours, theirs, strict=True):
        assert torch.allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_who_transforms_or_watches_calls_sees_torchs_operators(built):
    x, weight = draw((4, 3, 16), (7, 16), dtype=torch.float32)
    with torch.inference_mode():
        mapped = torch.func.vmap(lambda row: layer.linear(row, weight))(x)
        assert torch.allclose(mapped, F.linear(x, weight), atol=1e-5)
        with FlopCounterMode(display=False) as counter:
            layer.linear(x, weight)
        assert counter.get_total_flops() == 2 * 12 * 16 * 7
    assert layer.linear(x.to("meta"), weight.to("meta")).shape == (4, 3, 7)


def test_torch_compile_traces_torchs_operators(built):
    x, weight, gain = draw((2, 3, 16), (7, 16), (16,), dtype=torch.float32)
    cos, sin = draw((3, 4), (3, 4), dtype=torch.float32)

    def run(x):
        x = layer.turn(layer.rms_norm(x, gain, 1e-5)[:, None], cos, sin)[:, 0]
        return layer.linear(x, weight)

    with torch.inference_mode():
        compiled = torch.compile(run, backend="eager", fullgraph=True)
        assert torch.allclose(compiled(x), run(x), atol=1e-5)
