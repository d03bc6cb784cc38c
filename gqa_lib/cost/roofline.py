"""Whether bytes or FLOPs decide how long a piece of work takes."""

from __future__ import annotations

from gqa_lib.arguments import check_number
from gqa_lib.hardware import Hardware

from .positive import require_hardware, require_positive


def arithmetic_intensity(flops: float, bytes_moved: float) -> float:
    """FLOPs per byte moved.

    Args:
        flops: multiplications and additions, a multiply-add being 2.
        bytes_moved: between memory and processor.

    Returns:
        FLOP per byte. Shazeer 2019 has the inverse, memory over compute.

    Raises:
        ValueError: bytes_moved is not above 0, or flops is negative or not a number.

    Source: Williams, Waterman and Patterson 2009, "Roofline", CACM 52(4).
    """
    check_number(0, flops=flops)
    require_positive(bytes_moved=bytes_moved)
    return flops / bytes_moved


def ridge_point(hardware: Hardware) -> float:
    """Intensity in FLOP/byte at which this hardware's FLOPs and bytes take equally long.

    Args:
        hardware: its two ceilings.

    Returns:
        FLOP per byte.

    Source: Williams, Waterman and Patterson 2009, "Roofline", CACM 52(4).
    """
    require_hardware(hardware)
    return hardware.flops_per_s / hardware.bandwidth_bytes_per_s


def is_memory_bound(intensity: float, hardware: Hardware) -> bool:
    """True when moving the bytes takes longer than doing the FLOPs: intensity below the ridge.

    Args:
        intensity: FLOP per byte.
        hardware: its two ceilings.

    Returns:
        True or False; at the ridge itself both take equally long, so False.

    Source: Williams, Waterman and Patterson 2009, "Roofline", CACM 52(4).
    """
    check_number(0, endless=True, intensity=intensity)
    return intensity < ridge_point(hardware)


def roofline_time(flops: float, bytes_moved: float, hardware: Hardware) -> float:
    """The least seconds a piece of work can take: the longer of its bytes and its FLOPs.

    Args:
        flops: multiplications and additions, a multiply-add being 2.
        bytes_moved: between memory and processor.
        hardware: its two ceilings.

    Returns:
        Seconds.

    Raises:
        ValueError: flops or bytes_moved is negative or not a number.

    Source: Williams, Waterman and Patterson 2009, "Roofline", CACM 52(4).
    """
    check_number(0, flops=flops, bytes_moved=bytes_moved)
    require_hardware(hardware)
    return max(bytes_moved / hardware.bandwidth_bytes_per_s, flops / hardware.flops_per_s)
