"""Launches a learner's Triton kernel on buffers that show what it should not touch."""

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Protocol

import torch

from ..watch import Elsewhere, Observation, watching, where_seen
from .exercise import Complaint

NO_TRITON = (
    "Triton is not installed here, so no kernel can run. It is made for Linux, where "
    "`pip install triton` installs it; Colab and Kaggle have it. The rest of the lesson works "
    "without it, and kernels handed in are graded on Linux."
)
NO_KERNEL = "it cannot be launched as a kernel: keep the line @triton.jit above its def."


def launch(
    yours: Any, grid: tuple[int, ...], arguments: list, **constants
) -> tuple[list, Observation]:
    """Launch a kernel and return its arguments as it left them, and what was seen of it.

    Args:
        yours: the kernel, here or in another process.
        grid: programs in each direction.
        arguments: tensors on one device and numbers, in the kernel's order.
        constants: its tl.constexpr arguments.

    Raises:
        Complaint: Triton is missing, or this is not a kernel.
        NotImplementedError: the kernel is still a stub.
    """
    if find_spec("triton") is None:
        raise Complaint(NO_TRITON)
    interpreted = isinstance(yours, Elsewhere) or os.environ.get("TRITON_INTERPRET") == "1"
    yours = where_seen(yours, kernel=True)
    device = "cpu" if interpreted or not torch.cuda.is_available() else "cuda"
    given = [one.to(device) if isinstance(one, torch.Tensor) else one for one in arguments]
    tensors = [one for one in given if isinstance(one, torch.Tensor)]
    try:
        with watching(yours, given=tensors, arguments=True, kernels=True) as watch:
            _kernel(yours)[grid](*given, **constants)
    except Exception as error:
        if "NotImplementedError()" in f"{error!r} {error}":
            raise NotImplementedError from None
        raise
    home = tensors[0].device if device == "cuda" else torch.device("cpu")
    seen = watch.seen(None)
    if not interpreted:
        seen.reads = []  # nobody counts there
    elif len(seen.reads) != len(tensors):
        raise Complaint("what it reads could not be seen, so it cannot be judged.")
    return [_moved(one, home) for one in given], seen


class _Kernel(Protocol):
    def __getitem__(self, grid: tuple[int, ...]) -> Callable: ...


def _kernel(yours) -> _Kernel:
    if not hasattr(yours, "__getitem__"):
        raise Complaint(NO_KERNEL)
    return yours


def _moved(one, device: torch.device):
    return one.to(device) if isinstance(one, torch.Tensor) else one


def poisoned(values: torch.Tensor, room: int, token_major: bool = False) -> torch.Tensor:
    """Return a cache with these values in it and NaN in all other places.

    Args:
        values: keys or values, (B, Hkv, S, D).
        room: tokens that the cache has room for.
        token_major: tokens lie before heads in memory, (B, room, Hkv, D).

    Returns:
        (B, Hkv, room, D); the elements of a head lie next to each other.
    """
    B, Hkv, S, D = values.shape
    if token_major:
        cache = values.new_full((B, room, Hkv, D), torch.nan).transpose(1, 2)
    else:
        cache = values.new_full((B, Hkv, room, D), torch.nan)
    cache[:, :, :S] = values
    return cache


def untouched(buffer: torch.Tensor, rows: int, what: str) -> torch.Tensor:
    """Return a buffer's first rows, once it is seen that the kernel left the others alone.

    Args:
        buffer: (more rows, ...), NaN wherever the kernel did not write.
        rows: how many rows belong to it.
        what: its name.

    Raises:
        Complaint: a later row has been written.
    """
    if written := int((~buffer[rows:].isnan()).sum()):
        raise Complaint(
            f"it wrote {written} element{'s' * (written > 1)} past the last row of `{what}`, where "
            "the next tensor is: rows and keys that only pad its tile are not real. Mask the store "
            "with what is: r < R, and where there are keys, those below the end."
        )
    return buffer[:rows]
