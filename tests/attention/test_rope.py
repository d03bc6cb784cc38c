"""Rotary position embedding against its definition as complex numbers."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gqa_lib.attention import (
    DynamicScaling,
    LinearScaling,
    Llama3Scaling,
    Rope,
    YarnScaling,
    rotate,
)


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


# ---- what a Rope refuses, and what it does not make


@pytest.mark.parametrize("head_dim", [4, 16])
def test_heads_of_another_width_are_an_error(head_dim):
    good, bad = torch.randn(1, 2, 6, 8), torch.randn(1, 2, 6, head_dim)
    for rope in (Rope(8), Rope(8, rotary_dim=4)):
        for tensors in ((bad,), (good, bad)):
            with pytest.raises(ValueError, match=f"head_dim={head_dim} and this Rope is for 8"):
                rope.rotate(torch.arange(6), *tensors)


def test_every_tensor_needs_its_positions():
    q, longer, other = torch.randn(2, 2, 6, 8), torch.randn(2, 2, 7, 8), torch.randn(3, 2, 6, 8)
    with pytest.raises(ValueError, match="T=7 tokens"):
        Rope(8).rotate(torch.arange(6), q, longer)
    with pytest.raises(ValueError, match="T=6 tokens"):
        Rope(8).rotate(torch.arange(6).expand(2, 6), q, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.uint8])
def test_positions_that_do_not_count_are_an_error(dtype):
    with pytest.raises(ValueError, match=f"positions are {dtype}: tokens are counted"):
        Rope(4).rotate(torch.ones(3, dtype=dtype), torch.randn(3, 4))
    x = torch.randn(3, 4)
    out = Rope(4).rotate(torch.arange(3, dtype=torch.int32), x)[0]
    assert torch.equal(out, Rope(4).rotate(torch.arange(3), x)[0])


@pytest.mark.parametrize("base", [0.0, -1.0, float("nan"), float("inf")])
def test_a_base_that_gives_no_frequencies_is_an_error(base):
    with pytest.raises(ValueError, match=f"base={base}"):
        Rope(4, base)
    with pytest.raises(ValueError, match=f"base={base}"):
        rotate(torch.randn(3, 4), torch.arange(3), base)


@pytest.mark.parametrize("shape", [(2, 3, 0, 8), (0, 3, 5, 8)])
def test_no_token_and_no_row_are_turned_into_none(shape):
    x = torch.randn(shape)
    for positions in (torch.arange(shape[2]), torch.arange(shape[2]).expand(shape[0], -1)):
        assert Rope(8).rotate(positions, x, x)[1].shape == shape


class Largest(TorchDispatchMode):
    """Sees how many elements the largest result has."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.elements = max(self.elements, out.numel())
        return out


@pytest.mark.parametrize("scaling", [None, LinearScaling(4.0), YarnScaling(4.0, 4096)])
def test_a_few_far_positions_need_no_table_up_to_there(scaling):
    positions, x = torch.tensor([[0, 2_999_999], [70_000, 5]]), torch.randn(2, 3, 2, 8)
    with Largest() as seen:
        out = Rope(8, scaling=scaling).rotate(positions, x)[0]
    assert seen.elements <= x.numel()
    near = Rope(8, scaling=scaling)
    near.rotate(torch.arange(70_001), torch.randn(70_001, 8))  # with a table
    assert torch.equal(out[1], near.rotate(positions[1], x[1])[0])
    if scaling is None:
        torch.testing.assert_close(out[0].double(), turn(x[0], positions[0]), rtol=1e-5, atol=1e-5)


def test_decoding_after_a_long_prompt_goes_on_by_the_table():
    rope, x = Rope(8), torch.randn(1, 8)
    rope.rotate(torch.arange(70_000), torch.randn(70_000, 8))
    for position in (70_000, 131_071, 131_072):  # the last makes it twice as long, once
        rope.rotate(torch.tensor([position]), x)
    assert not worked_out(rope, torch.tensor([131_073]), x)


WRONG_SCALINGS = [
    (lambda: LinearScaling(0), "factor=0"),
    (lambda: LinearScaling(-1.0), r"factor=-1\.0"),
    (lambda: LinearScaling(float("nan")), "factor=nan"),
    (lambda: LinearScaling(float("inf")), "factor=inf"),
    (lambda: DynamicScaling(2.0, 0), "trained_len=0"),
    (lambda: DynamicScaling(0.0, 16), r"factor=0\.0"),
    (lambda: Llama3Scaling(0, 16), "factor=0"),
    (lambda: Llama3Scaling(2.0, -1), "trained_len=-1"),
    (lambda: Llama3Scaling(2.0, 16, 4.0, 1.0), r"low_freq_factor=4\.0 and high_freq_factor=1\.0"),
    (lambda: Llama3Scaling(2.0, 16, 1.0, 1.0), r"high_freq_factor=1\.0"),
    (lambda: YarnScaling(0, 16), "factor=0"),
    (lambda: YarnScaling(2.0, 0), "trained_len=0"),
    (lambda: YarnScaling(2.0, 16, beta_slow=0), "beta_slow=0"),
    (lambda: YarnScaling(2.0, 16, beta_fast=1.0, beta_slow=32.0), r"beta_fast=1\.0 is less than"),
    (lambda: YarnScaling(2.0, 16, attention_factor=0.0), r"attention_factor=0\.0"),
    (lambda: Rope(2, scaling=DynamicScaling(2.0, 16)), "DynamicScaling with dim=2"),
    (lambda: Rope(8, 1.0, YarnScaling(2.0, 16)), r"YarnScaling with base=1\.0"),
]


@pytest.mark.parametrize(("make", "message"), WRONG_SCALINGS)
def test_a_scaling_that_cannot_stretch_is_an_error_with_its_numbers(make, message):
    with pytest.raises(ValueError, match=message):
        make()
    with pytest.raises(ValueError, match="DynamicScaling with dim=2"):
        DynamicScaling(2.0, 16).frequencies_at(torch.tensor([20]), 10000.0, 2)


@pytest.mark.parametrize(
    "scaling",
    [
        LinearScaling(1),
        DynamicScaling(1.0, 16),
        Llama3Scaling(8.0, 16, 0.0, 4.0),
        YarnScaling(2.0, 16, beta_fast=8.0, beta_slow=8.0),
    ],
)
def test_a_scaling_at_its_limits_gives_numbers(scaling):
    out = Rope(8, scaling=scaling).rotate(torch.arange(40), torch.randn(40, 8))[0]
    assert out.isfinite().all()
