"""The device at hand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gqa_lib.arguments import check_kind

from .environment import cpu_model, ram_bytes

if TYPE_CHECKING:
    import torch


def pick_device(override: str | None = None) -> torch.device:
    """The device to work on: the override, else $GQA_DEVICE, else the best there is.

    Args:
        override: "cpu", "cuda", "cuda:1", "mps".

    Returns:
        A torch.device; without a wish cuda before mps before cpu.

    Raises:
        ValueError: the device that was asked for is not there.
    """
    import torch

    if override is not None:
        check_kind(str, "Give a name such as 'cuda'.", override=override)
    there = ["cpu"]
    if torch.backends.mps.is_available():
        there.insert(0, "mps")
    there[:0] = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    wanted = override or os.environ.get("GQA_DEVICE")
    if not wanted:
        return torch.device(there[0].removesuffix(":0"))
    if wanted not in there and f"{wanted}:0" not in there:
        asked = "the argument" if override else "GQA_DEVICE"
        raise ValueError(
            f"device {wanted!r} (from {asked}) is not available: this torch ({torch.__version__}) "
            f"sees {', '.join(there)}. Choose one of those, or install a torch built for it."
        )
    return torch.device(wanted)


def device_name(device: torch.device) -> str:
    """What a device is called: the GPU's or the CPU's model, else the kind of device."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).name
    return cpu_model() or device.type


def memory_bytes(device: torch.device) -> int:
    """Bytes of memory of a device; what torch recommends to use at most where CPU and GPU share.

    Raises:
        ValueError: the system does not say.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    memory = ram_bytes()
    if memory is None:
        raise ValueError("this system does not say how much memory it has: build Hardware by hand.")
    return memory
