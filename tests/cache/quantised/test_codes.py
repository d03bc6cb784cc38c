"""Codes of 8 and 4 bits: how far off they are, what they keep exactly, how they are packed."""

import pytest
import torch

from gqa_lib.cache.quantised import Codes, dequantise, pack, quantise, unpack

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
BITS = [8, 4]


def restored(x, bits, dim):
    return dequantise(quantise(x, bits, dim)).double()


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("dim", [-1, -2])
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_no_number_is_off_by_more_than_half_a_scale(dtype, bits, dim, size):
    x = (torch.randn(2, 3, 33, 7) * size).to(dtype)
    codes = quantise(x, bits, dim)
    assert codes.codes.dtype == torch.uint8
    assert codes.codes.shape == x.shape
    assert codes.codes.max().item() < 2**bits
    assert codes.scale.dtype == codes.zero.dtype == dtype
    error = (dequantise(codes).double() - x.double()).abs()
    assert (error <= codes.scale.double() * (0.5 + 1e-4)).all()
    span = (x.amax(dim, True).double() - x.amin(dim, True).double()) / (2**bits - 1)
    assert (codes.scale.double() <= span * (1 + 2 * torch.finfo(dtype).eps) + 1e-7).all()


def test_numbers_share_a_scale_along_the_dimension_that_is_named():
    x = torch.randn(2, 3, 5, 7)
    assert quantise(x, 8, -2).scale.shape == (2, 3, 1, 7)
    assert quantise(x, 8, -1).zero.shape == (2, 3, 5, 1)


@pytest.mark.parametrize("dim", [-1, -2])
def test_the_error_falls_with_each_bit(dim):
    x = torch.randn(4, 64, 32)
    errors = [(restored(x, bits, dim) - x).norm() / x.norm() for bits in (8, 4)]
    assert errors[0] < 0.01 < 0.05 < errors[1] < 0.15


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("value", [0.0, -3.140625, 60000.0, 6e-8])
def test_equal_numbers_are_kept_exactly(bits, dtype, value):
    x = torch.full((2, 9, 5), value).to(dtype)
    for dim in (-1, -2):
        assert torch.equal(restored(x, bits, dim), x.double())


def test_one_number_alone_is_kept_exactly():
    x = torch.randn(3, 1, 4)
    assert torch.equal(restored(x, 4, -2), x.double())


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_smallest_number_is_kept_exactly(bits, dtype):
    x = torch.randn(3, 40, 6).to(dtype)
    assert torch.equal(restored(x, bits, -2).amin(1), x.double().amin(1))


@pytest.mark.parametrize("bits", BITS)
def test_an_outlier_channel_leaves_the_others_alone(bits):
    """This is why keys have a scale for each channel: across channels all would lose."""
    x = torch.randn(2, 64, 8)
    wild = x.clone()
    wild[..., 3] *= 1000
    rest = [0, 1, 2, 4, 5, 6, 7]
    assert torch.equal(restored(wild, bits, -2)[..., rest], restored(x, bits, -2)[..., rest])
    off = (restored(wild, bits, -1) - wild)[..., rest].abs().max()
    assert off > 10 * (restored(x, bits, -2) - x)[..., rest].abs().max()


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(
    ("dtype", "largest"),
    [(torch.float16, 65504.0), (torch.bfloat16, 1e38), (torch.float32, 1e38)],
)
def test_the_largest_numbers_stay_finite(dtype, largest, bits):
    x = torch.tensor([[-largest], [0.0], [largest / 2], [largest]]).to(dtype)
    codes = quantise(x, bits, 0)
    back = dequantise(codes)
    assert back.isfinite().all()
    assert ((back - x.float()).abs() <= codes.scale.float() * 0.51).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_smallest_numbers_are_not_divided_by_nothing(dtype):
    info = torch.finfo(dtype)
    x = torch.tensor([0.0, info.tiny * info.eps, info.tiny, 2 * info.tiny]).to(dtype)[:, None]
    back = restored(x, 8, 0)
    assert back.isfinite().all()
    assert (back - x.double()).abs().max() <= info.tiny


# ---- packing


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_two_codes_of_four_bits_share_a_byte(size):
    codes = torch.randint(0, 16, (3, 4, size), dtype=torch.uint8)
    packed = pack(codes, 4)
    assert packed.dtype == torch.uint8
    assert packed.shape == (3, 4, (size + 1) // 2)
    assert torch.equal(unpack(packed, 4, size), codes)


def test_which_half_of_a_byte_holds_which_code():
    packed = pack(torch.tensor([1, 2, 3, 4, 5], dtype=torch.uint8), 4)
    assert packed.tolist() == [1 + 16 * 4, 2 + 16 * 5, 3]


def test_packing_leaves_what_it_is_given():
    codes = torch.randint(0, 16, (2, 6), dtype=torch.uint8)
    before = codes.clone()
    pack(codes, 4)
    assert torch.equal(codes, before)


def test_codes_of_eight_bits_are_bytes_already():
    codes = torch.randint(0, 256, (3, 5), dtype=torch.uint8)
    assert torch.equal(unpack(pack(codes, 8), 8, 5), codes)


def test_codes_mean_zero_plus_so_many_scales():
    codes = Codes(torch.tensor([0, 3, 15], dtype=torch.uint8), *torch.tensor([[0.5], [-2.0]]))
    assert dequantise(codes).tolist() == [-2.0, -0.5, 5.5]


# ---- what is refused


@pytest.mark.parametrize("bits", [2, 16, 8.0, True, None])
def test_other_bits_are_refused(bits):
    with pytest.raises(ValueError, match=r"bits=.*Choose from 8, 4"):
        quantise(torch.randn(3, 4), bits, -1)


@pytest.mark.parametrize("x", [torch.arange(4), torch.empty(3, 0), torch.tensor(1.0)], ids=str)
def test_nothing_to_work_a_scale_out_from_is_refused(x):
    with pytest.raises(ValueError, match=r"x is torch\..*the scale is worked out"):
        quantise(x, 8, -1)
