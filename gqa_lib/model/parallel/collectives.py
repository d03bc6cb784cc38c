"""What ranks send each other, counted where that is asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

Group = dist.ProcessGroup | None  # None is the default group

_counters: list[Messages] = []


@dataclass
class Messages:
    """What one rank gave to collectives.

    Attributes:
        count: calls of collectives.
        bytes: of the tensors that this rank gave them. How often these go over a link is the
            algorithm's business: a ring sends 2 (n - 1) / n of an all-reduce's.
        seconds: from the calls until their results were there, waiting for other ranks included.
    """

    count: int = 0
    bytes: int = 0
    seconds: float = 0.0


@contextmanager
def count_messages() -> Iterator[Messages]:
    """Yield what this rank gives to this package's collectives inside the block.

    On a GPU each collective is waited for while it is counted.
    """
    messages = Messages()
    _counters.append(messages)
    try:
        yield messages
    finally:
        _counters[:] = [one for one in _counters if one is not messages]


def rank_of(group: Group) -> tuple[int, int]:
    """Return this process's rank, and how many there are.

    Raises:
        RuntimeError: there is no group.
    """
    if not (dist.is_available() and dist.is_initialized()):
        raise RuntimeError(
            "this process belongs to no group of ranks, so that nothing can be added up over "
            "them. Call it in a function that run_ranks(fn, num_ranks) runs, or in a script that "
            "torchrun starts, inside `with join_torchrun():`."
        )
    return dist.get_rank(group), dist.get_world_size(group)


def sum_over_ranks(x: Tensor, group: Group) -> Tensor:
    """Return the sum of all ranks' x, the same in each; x itself may be overwritten.

    Args:
        x: of one shape and dtype in all ranks.
        group: the ranks.
    """
    x = x.contiguous()
    with _counted(x):
        dist.all_reduce(x, group=group)
    return x


def from_first_rank(x: Tensor, group: Group) -> Tensor:
    """Return the first rank's x in all ranks; x itself may be overwritten.

    Args:
        x: of one shape and dtype in all ranks.
        group: the ranks.
    """
    x = x.contiguous()
    first = 0 if group is None else dist.get_global_rank(group, 0)
    with _counted(x):
        dist.broadcast(x, first, group=group)
    return x


def gather(x: Tensor, group: Group) -> Tensor:
    """Return all ranks' x, (ranks, ...), the same in each.

    Args:
        x: of one shape and dtype in all ranks.
        group: the ranks.
    """
    x = x.contiguous()
    parts = [torch.empty_like(x) for _ in range(dist.get_world_size(group))]
    with _counted(x):
        dist.all_gather(parts, x, group=group)
    return torch.stack(parts)


def least_over_ranks(number: int, group: Group, device: torch.device) -> int:
    """Return the smallest of all ranks' numbers.

    Args:
        number: this rank's.
        group: the ranks.
        device: on which they can send each other something.
    """
    least = torch.tensor(number, dtype=torch.int64, device=device)
    with _counted(least):
        dist.all_reduce(least, dist.ReduceOp.MIN, group=group)
    return int(least)


@contextmanager
def _counted(x: Tensor) -> Iterator[None]:
    if not _counters:
        yield
        return
    _wait(x)
    start = time.perf_counter()
    yield
    _wait(x)
    for messages in _counters:
        messages.count += 1
        messages.bytes += x.nbytes
        messages.seconds += time.perf_counter() - start


def _wait(x: Tensor) -> None:
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
