import pytest
import torch

from gqa_lib.attention import rotate


def turn(x, positions, base=10000.0):
    """The definition, as complex numbers: pair i turned by position * base^(-2i/D)."""
    half = x.shape[-1] // 2
    pairs = torch.complex(x[..., :half].double(), x[..., half:].double())
    frequency = torch.tensor([base ** (-i / half) for i in range(half)], dtype=torch.float64)
    angles = positions.double()[:, None] * frequency
    pairs = pairs * torch.polar(torch.ones_like(angles), angles)
    return torch.cat((pairs.real, pairs.imag), -1)


@pytest.mark.parametrize("base", [10000.0, 500000.0])
@pytest.mark.parametrize("shape", [(7, 6), (2, 3, 7, 10), (2, 7, 2)])
def test_rotate_turns_the_two_halves_as_complex_pairs(device, shape, base):
    x, positions = torch.randn(shape), torch.tensor([0, 1, 2, 5, 9, 100, 101])
    out = rotate(x.to(device), positions.to(device), base).cpu().double()
    torch.testing.assert_close(out, turn(x, positions, base), rtol=1e-4, atol=1e-4)
    exact = rotate(x.double(), positions, base)
    assert exact.dtype == torch.float64
    torch.testing.assert_close(exact, turn(x, positions, base), rtol=1e-11, atol=1e-11)


def test_position_zero_changes_nothing():
    x = torch.randn(2, 1, 8)
    assert torch.equal(rotate(x, torch.tensor([0])), x)


def test_scores_depend_on_the_distance_only():
    q, k = torch.randn(2, 1, 16, dtype=torch.float64)

    def score(i, j):
        return rotate(q, torch.tensor([i])) @ rotate(k, torch.tensor([j])).mT

    torch.testing.assert_close(score(9, 4), score(1009, 1004))
    assert not torch.allclose(score(9, 4), score(9, 5))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once_even_far_into_the_sequence(device, dtype):
    x, positions = torch.randn(3, 4, 16).to(dtype), torch.tensor([257, 4099, 8191, 12345])
    out = rotate(x.to(device), positions.to(device))
    assert out.dtype == dtype
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(out.cpu().double(), turn(x, positions), rtol=eps, atol=2e-3)


def test_argument_is_left_unchanged():
    x = torch.randn(3, 8)
    before = x.clone()
    rotate(x, torch.arange(3))
    assert torch.equal(x, before)


def test_odd_head_dim_is_an_error_with_the_number():
    with pytest.raises(ValueError, match="head_dim=5 is odd"):
        rotate(torch.randn(2, 3, 5), torch.arange(3))


@pytest.mark.parametrize("positions", [torch.arange(2), torch.arange(4), torch.zeros(1, 3)])
def test_positions_must_be_one_for_each_token(positions):
    with pytest.raises(ValueError, match="T=3 tokens"):
        rotate(torch.randn(2, 3, 4), positions)
