"""Numbers as small whole ones, with a scale and a zero for those that lie along one dimension."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gqa_lib.arguments import check_choice
from gqa_lib.kernels.checks import check_tensor

BITS = 8, 4


class Codes(NamedTuple):
    """What stands for a tensor: number i of those that share a scale is zero + codes[i] * scale.

    Attributes:
        codes: uint8, from 0 to 2**bits - 1, not packed.
        scale: the distance of two neighbouring codes, in the tensor's dtype, size 1 where shared.
        zero: what code 0 stands for, the smallest of the numbers, like scale.
    """

    codes: Tensor
    scale: Tensor
    zero: Tensor


def quantise(x: Tensor, bits: int, dim: int) -> Codes:
    """Return codes for a tensor, with a scale and a zero for the numbers along one dimension.

    The smallest of these numbers is kept exactly; the others are off by half a scale at most, up to
    the rounding of the calculation, where none is infinite and their range does not exceed the
    largest float32.

    Args:
        x: of any shape, floating-point.
        bits: of a code, 8 or 4.
        dim: along which numbers share a scale: -2 for keys (.., S, D), whose channels differ in
            size, -1 for values.

    Returns:
        Codes of x's shape; scale and zero have size 1 in `dim` and x's dtype.

    Raises:
        ValueError: x is not a floating-point tensor, has nothing along dim, or bits are others.

    Source: Liu et al. 2024, "KIVI" (arXiv 2402.02750), section 3.
    """
    check_bits(bits)
    check_tensor(x, "x")
    if not x.dtype.is_floating_point or not x.dim() or not x.shape[dim]:
        raise ValueError(
            f"x is {x.dtype} {tuple(x.shape)}: the scale is worked out from the smallest and the "
            f"largest of the numbers along dim={dim}. Pass floating-point ones, and one or more."
        )
    levels = 2**bits - 1
    numbers = x.to(wide_dtype(x.dtype))
    zero, most = numbers.aminmax(dim=dim, keepdim=True)
    scale = _rounded_up((most - zero) / levels, x.dtype)
    steps = scale.to(numbers.dtype)
    codes = ((numbers - zero) / steps.masked_fill(steps == 0, 1)).round_().clamp_(0, levels)
    return Codes(codes.to(torch.uint8), scale, zero.to(x.dtype))


def dequantise(codes: Codes) -> Tensor:
    """Return the numbers that codes stand for, in float32, or in float64 where the scale is."""
    wide = wide_dtype(codes.scale.dtype)
    return codes.codes.to(wide).mul_(codes.scale.to(wide)).add_(codes.zero.to(wide))


def pack(codes: Tensor, bits: int) -> Tensor:
    """Return codes with as many in a byte as fit.

    A byte of 4-bit codes holds code i of the last dimension in its low half and code
    i + ceil(D / 2) in its high half, so that each half of the row is unpacked in one piece.

    Args:
        codes: (.., D) uint8, each below 2**bits.
        bits: 8 or 4.

    Returns:
        (.., D) uint8 for 8 bits, as it is; (.., ceil(D / 2)) for 4.
    """
    if bits == 8:
        return codes
    half = packed_size(codes.shape[-1], bits)
    packed, high = codes[..., :half].clone(), codes[..., half:]
    packed[..., : high.shape[-1]] |= high << 4
    return packed


def unpack(packed: Tensor, bits: int, size: int) -> Tensor:
    """Return codes of which several were packed into a byte.

    Args:
        packed: as `pack` returns it.
        bits: 8 or 4.
        size: D, the codes of a row.

    Returns:
        (.., D) uint8.
    """
    if bits == 8:
        return packed
    return torch.cat((packed & 15, packed >> 4), -1)[..., :size]


def packed_size(size: int, bits: int) -> int:
    """Return the bytes of a row of codes.

    Args:
        size: codes of the row.
        bits: of a code.
    """
    return -(-size * bits // 8)


def check_bits(bits: int) -> None:
    """Raise ValueError unless codes can have so many bits."""
    check_choice(BITS, bits=bits)


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype to calculate in: float32, or float64 for float64."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _rounded_up(scale: Tensor, dtype: torch.dtype) -> Tensor:
    """A scale in a dtype, not smaller than it was: the largest number would else have no code."""
    info = torch.finfo(dtype)
    return (scale * (1 + info.eps / 2) + info.tiny * info.eps / 2).to(dtype)
