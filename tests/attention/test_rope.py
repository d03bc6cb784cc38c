"""Rotary position embedding against its definition as complex numbers."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gqa_lib.attention import DynamicScaling, Rope, rotate


def turn(x, positions, base=10000.0):
    """The definition, as complex numbers: pair i turned by position * base^(-2i/D)."""
    half = x.shape[-1] // 2
    pairs = torch.complex(x[..., :half].double(), x[..., half:].double())
    frequency = torch.tensor([base ** (-i / half) for i in range(half)], dtype=torch.float64)
    angles = positions.double()[:, None] * frequency
    pairs = pairs * torch.polar(torch.ones_like(angles), angles)
    return torch.cat((pairs.real, pairs.imag), -1)


def by_tables(x, positions, base=10000.0):
    return Rope(x.shape[-1], base).rotate(positions, x)[0]


both = pytest.mark.parametrize("rotated", [rotate, by_tables])


@both
@pytest.mark.parametrize("base", [10000.0, 500000.0])
@pytest.mark.parametrize("shape", [(7, 6), (2, 3, 7, 10), (2, 7, 2)])
def test_the_two_halves_turn_as_complex_pairs(device, rotated, shape, base):
    x, positions = torch.randn(shape), torch.tensor([0, 1, 2, 5, 9, 100, 101])
    out = rotated(x.to(device), positions.to(device), base).cpu().double()
    torch.testing.assert_close(out, turn(x, positions, base), rtol=1e-4, atol=1e-4)
    exact = rotated(x.double(), positions, base)
    assert exact.dtype == torch.float64
    torch.testing.assert_close(exact, turn(x, positions, base), rtol=1e-11, atol=1e-11)


@both
def test_position_zero_changes_nothing(rotated):
    x = torch.randn(2, 1, 8)
    assert torch.equal(rotated(x, torch.tensor([0])), x)


@both
def test_scores_depend_on_the_distance_only(rotated):
    q, k = torch.randn(2, 1, 16, dtype=torch.float64)

    def score(i, j):
        return rotated(q, torch.tensor([i])) @ rotated(k, torch.tensor([j])).mT

    torch.testing.assert_close(score(9, 4), score(1009, 1004))
    assert not torch.allclose(score(9, 4), score(9, 5))


@both
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once_even_far_into_the_sequence(device, rotated, dtype):
    x, positions = torch.randn(3, 4, 16).to(dtype), torch.tensor([257, 4099, 8191, 12345])
    out = rotated(x.to(device), positions.to(device))
    assert out.dtype == dtype
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(out.cpu().double(), turn(x, positions), rtol=eps, atol=2e-3)


@both
def test_rows_may_be_at_different_positions(device, rotated):
    x = torch.randn(3, 2, 4, 6, device=device)
    positions = torch.tensor([[0, 1, 2, 3], [900, 901, 902, 903], [7, 7, 8, 9]])
    out = rotated(x, positions)
    for b in range(3):
        torch.testing.assert_close(out[b], rotated(x[b], positions[b]))
    torch.testing.assert_close(rotated(x[:, 0], positions), out[:, 0])  # without heads


@both
def test_argument_is_left_unchanged(rotated):
    x = torch.randn(3, 8)
    before = x.clone()
    rotated(x, torch.arange(3))
    assert torch.equal(x, before)


@both
def test_odd_head_dim_is_an_error_with_the_number(rotated):
    with pytest.raises(ValueError, match="head_dim=5 is odd"):
        rotated(torch.randn(2, 3, 5), torch.arange(3))


@both
@pytest.mark.parametrize(
    "positions", [torch.arange(2), torch.arange(4), torch.zeros(1, 3), torch.zeros(2, 3, 1)]
)
def test_positions_must_be_one_for_each_token(rotated, positions):
    with pytest.raises(ValueError, match="T=3 tokens"):
        rotated(torch.randn(2, 3, 4), positions)


# ---- tables


class Operators(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def worked_out(rope, positions, x):
    """Whether a call works out cosines, rather than looking them up."""
    with Operators() as seen:
        rope.rotate(positions, x)
    return "cos" in seen.names


def test_tables_are_made_once_and_grow_past_their_end():
    rope, x = Rope(6), torch.randn(2, 2, 6)
    assert worked_out(rope, torch.arange(2), x)
    assert not worked_out(rope, torch.tensor([1022, 1023]), x)
    assert not worked_out(rope, torch.arange(2), x.bfloat16())  # in fp32, too
    assert worked_out(rope, torch.tensor([1023, 1024]), x)
    assert not worked_out(rope, torch.tensor([2046, 2047]), x)
    far = torch.tensor([3, 70000])
    out = rope.rotate(far, x.double())[0]
    torch.testing.assert_close(out, turn(x, far), rtol=1e-11, atol=1e-11)


def test_queries_and_keys_turn_alike_in_one_call():
    q, k, positions = torch.randn(2, 6, 3, 8), torch.randn(2, 2, 3, 8), torch.tensor([4, 9, 6])
    turned = Rope(8).rotate(positions, q, k)
    for got, x in zip(turned, (q, k), strict=True):
        torch.testing.assert_close(got, rotate(x, positions))


def test_tables_made_in_inference_serve_training():
    rope, x = Rope(6), torch.randn(2, 6, requires_grad=True)
    with torch.inference_mode():
        rope.rotate(torch.arange(2), x)
    rope.rotate(torch.arange(2), x)[0].sum().backward()
    assert x.grad is not None


def test_tables_follow_the_tensors_device():
    rope, x = Rope(6), torch.randn(2, 6)
    expected = rope.rotate(torch.arange(2), x)[0]
    assert rope.rotate(torch.arange(2), x.to("meta"))[0].device.type == "meta"
    assert torch.equal(rope.rotate(torch.arange(2), x)[0], expected)


def test_part_of_a_head_turns_and_the_rest_stays():
    x, positions = torch.randn(2, 3, 10), torch.tensor([5, 8, 2000])
    out = Rope(10, rotary_dim=4).rotate(positions, x)[0]
    torch.testing.assert_close(out[..., :4], rotate(x[..., :4], positions))
    assert torch.equal(out[..., 4:], x[..., 4:])


@pytest.mark.parametrize(
    ("rotary_dim", "message"),
    [(3, "rotary_dim=3 is odd"), (0, "rotary_dim=0 of head_dim=8"), (10, "from 2 to 8")],
)
def test_the_part_that_turns_must_be_an_even_part_of_the_head(rotary_dim, message):
    with pytest.raises(ValueError, match=message):
        Rope(8, rotary_dim=rotary_dim)


def test_negative_positions_are_an_error_and_not_the_end_of_the_table():
    with pytest.raises(ValueError, match="positions go down to -1"):
        Rope(4).rotate(torch.tensor([-1, 0]), torch.randn(2, 4))


def test_a_base_that_grows_does_so_for_each_row_alone():
    rope, x = Rope(8, scaling=DynamicScaling(2.0, trained_len=10)), torch.randn(3, 2, 4, 8)
    positions = torch.stack([torch.arange(start, start + 4) for start in (0, 30, 8)])
    out = rope.rotate(positions, x)[0]
    for b in range(3):
        torch.testing.assert_close(out[b], rope.rotate(positions[b], x[b])[0])
    torch.testing.assert_close(out[0], rotate(x[0], positions[0]))
    assert not torch.allclose(out[1], rotate(x[1], positions[1]), atol=1e-2)
