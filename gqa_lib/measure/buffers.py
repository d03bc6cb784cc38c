"""Memory for timed calls to read, so much of it that no cache serves them, and no more than that.

The arms of one measurement share one pool (`cold_pool`): each call takes the next stretch, so what
it reads was last read a whole walk ago, by whichever arm. `rotating_buffers` keeps copies of one
arm's own tensors instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gqa_lib.arguments import check_callable, check_whole

from .environment import free_bytes

if TYPE_CHECKING:
    import torch

CACHE_MULTIPLE = 4  # last-level caches in a walk
MOST_BYTES = 2**30  # of a walk: where more caches than that add up, no core reaches them all
_FREE_SHARE = 8  # a walk takes at most this part of the memory that is free
_DRAWN = 2**22  # random numbers, repeated through a pool


def rotation_bytes(device: torch.device | str = "cpu") -> int:
    """Bytes to walk through before a cache has forgotten where the walk began.

    That is CACHE_MULTIPLE last-level caches, but at most MOST_BYTES and an eighth of the free
    memory: on a machine with a larger cache or little memory a walk of fewer caches has to do.

    Args:
        device: where the memory is.
    """
    wanted = min(CACHE_MULTIPLE * last_level_cache_bytes(device), MOST_BYTES)
    free = free_bytes(device)
    return wanted if free is None else max(1, min(wanted, free // _FREE_SHARE))


def cold_pool(
    largest: int, *, dtype: torch.dtype, device: torch.device | str = "cpu"
) -> Callable[..., torch.Tensor]:
    """A function that returns tensors of random numbers that no cache holds, all from one pool.

    It takes a shape, and each call returns the next stretch of the pool in it; at the pool's end it
    begins again. The pool is freed with the function. Every arm that is timed should take its
    tensors from the same one.

    Args:
        largest: elements of the largest tensor that will be asked for.
        dtype: of the tensors.
        device: where they are.

    Returns:
        The function; its tensors are views, made without a copy.

    Raises:
        ValueError: largest is below 1, or, from the function, a shape has more elements.
    """
    import torch

    check_whole(None, largest=largest)
    if largest < 1:
        raise ValueError(
            f"largest={largest}: a pool for tensors without elements holds nothing to read. Give "
            "the elements of the largest tensor."
        )
    length = largest + math.ceil(rotation_bytes(device) / dtype.itemsize)
    drawn = torch.randn(min(length, _DRAWN), device=device).to(dtype)
    pool = torch.empty(length, dtype=dtype, device=device)
    for start in range(0, length, len(drawn)):
        part = pool[start : start + len(drawn)]
        part.copy_(drawn[: len(part)])
    walked = 0

    def cold(*shape: int) -> torch.Tensor:
        """The next stretch of the pool in this shape."""
        nonlocal walked
        count = math.prod(shape)
        if count > largest:
            raise ValueError(
                f"a tensor of {count:,} elements from a pool made for {largest:,}: soon the same "
                "memory would be read again, out of a cache. Make the pool for the largest tensor."
            )
        start = walked if walked + count <= length else 0
        walked = start + count
        return pool[start:walked].view(shape)

    return cold


def rotating_buffers(
    make: Callable[[], Any], nbytes: int, *, device: torch.device | str = "cpu"
) -> list:
    """Enough results of `make()` that caches cannot serve a call that walks through them.

    The copies together are at least `rotation_bytes`. A copy that large by itself is made once.

    Args:
        make: returns one fresh set of tensors, say a (k, v) pair.
        nbytes: bytes of one set.
        device: where they are.

    Returns:
        A list of sets, to be indexed by call number modulo its length.

    Raises:
        ValueError: nbytes below 1.
    """
    check_callable(make, "make")
    check_whole(None, nbytes=nbytes)
    if nbytes < 1:
        raise ValueError(
            f"nbytes={nbytes}: an empty buffer cannot push anything out of a cache. Give the bytes "
            "of one set of tensors."
        )
    return [make() for _ in range(math.ceil(rotation_bytes(device) / nbytes))]


def last_level_cache_bytes(device: torch.device | str = "cpu") -> int:
    """Bytes of last-level cache: L2 of a CUDA device, all L3 of a CPU; 32 MiB where unknown."""
    if str(device).startswith("cuda"):
        import torch

        return torch.cuda.get_device_properties(device).L2_cache_size
    caches = {}  # cores that share one cache name each other in it
    for folder in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cache/index3"):
        try:
            size = (folder / "size").read_text().strip()
            caches[(folder / "shared_cpu_list").read_text()] = int(size.removesuffix("K")) * 1024
        except (OSError, ValueError):
            continue
    return sum(caches.values()) or 32 * 2**20
