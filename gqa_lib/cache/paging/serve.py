"""Requests served in steps from one memory: how full it gets by each way of reserving it.

No model runs: a request is the tokens of its prompt and of its output.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Protocol

from gqa_lib.arguments import check_choice, check_whole, several

from .checks import check_block_size, whole_numbers
from .contiguous_allocator import ContiguousAllocator
from .fragmentation import RULES, Fragmentation, reserved_slots


@dataclass(eq=False)
class _Sequence:
    """A request while it is served: tokens that it has and will have, and its places for them."""

    tokens: int
    final: int
    start: int = 0
    places: int = 0


@dataclass
class Served:
    """What became of the memory, step by step.

    Args:
        steps: its places after the tokens of each step were added.
        running: requests that had some of it, at each step.
        waiting: requests that had none yet, at each step.
        preemptions: how often one lost its blocks again.
        recomputed_tokens: tokens that were lost with them.
    """

    steps: list[Fragmentation] = field(default_factory=list)
    running: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    preemptions: int = 0
    recomputed_tokens: int = 0

    @property
    def total(self) -> Fragmentation:
        """All steps together: its shares are weighted with how long each place was what it was."""
        return _sum(self.steps)

    @property
    def while_waiting(self) -> Fragmentation:
        """Those steps together in which some request waited for memory."""
        pairs = zip(self.steps, self.waiting, strict=True)
        return _sum(step for step, waiting in pairs if waiting)


class _Memory(Protocol):
    """How sequences get their places."""

    num_slots: int

    def admit(self, sequence: _Sequence) -> bool:
        """Give a new sequence places for its tokens and one more; False if there are too few."""

    def grow(self, sequence: _Sequence) -> bool:
        """Give it a place for one more token; False if there is none."""

    def release(self, sequence: _Sequence) -> None:
        """Take all its places back."""

    def external(self, sequence: _Sequence) -> int:
        """Free places, enough for a sequence that waits, in ranges too short for it."""


class _Ranges:
    def __init__(self, num_slots: int, rule: str, max_length: int):
        self.num_slots, self._rule, self._max_length = num_slots, rule, max_length
        self._allocator = ContiguousAllocator(num_slots)

    def size(self, sequence: _Sequence) -> int:
        return reserved_slots(sequence.final, self._rule, max_length=self._max_length)

    def admit(self, sequence: _Sequence) -> bool:
        size = self.size(sequence)
        if size > self._allocator.largest_free:
            return False
        sequence.start, sequence.places = self._allocator.allocate(size), size
        return True

    def grow(self, sequence: _Sequence) -> bool:
        return True  # its places are for all that it will have

    def release(self, sequence: _Sequence) -> None:
        self._allocator.free(sequence.start)

    def external(self, sequence: _Sequence) -> int:
        free = self._allocator.num_free
        return free if self._allocator.largest_free < self.size(sequence) <= free else 0


class _Blocks:
    def __init__(self, num_blocks: int, block_size: int):
        self.num_slots, self._size, self._free = num_blocks * block_size, block_size, num_blocks

    def admit(self, sequence: _Sequence) -> bool:
        blocks = -(-(sequence.tokens + 1) // self._size)
        if blocks > self._free:
            return False
        self._free -= blocks
        sequence.places = blocks * self._size
        return True

    def grow(self, sequence: _Sequence) -> bool:
        if sequence.tokens == sequence.places:
            if not self._free:
                return False
            self._free -= 1
            sequence.places += self._size
        return True

    def release(self, sequence: _Sequence) -> None:
        self._free += sequence.places // self._size
        sequence.places = 0

    def external(self, sequence: _Sequence) -> int:
        return 0  # any free block serves any sequence


def serve_contiguous(
    requests: Iterable[Sequence[int]], num_slots: int, rule: str, max_length: int | None = None
) -> Served:
    """Serve requests whose tokens lie one after the other, in places reserved beforehand.

    All wait from the first step on, and are admitted in order, each once a free range is as long
    as the rule wants. A step caches the prompts of those that it admits and one token of each that
    runs; a request that has all its tokens leaves after it.

    Args:
        requests: (tokens of the prompt, tokens of the output) of each, from 0 and from 1.
        num_slots: places for tokens.
        rule: "longest", "power_of_two" or "exact", as in `reserved_slots`.
        max_length: for "longest"; None is the longest request.

    Raises:
        ValueError: a request that never fits, another rule, or numbers that are not whole.

    Source: Kwon et al. 2023 (arXiv 2309.06180), figure 2 and section 6.1.
    """
    check_choice([rule for rule in RULES if rule != "paged"], rule=rule)
    check_whole(num_slots=num_slots)
    waiting = _read(requests)
    longest = max((one.final for one in waiting), default=1)
    memory = _Ranges(num_slots, rule, longest if max_length is None else max_length)
    _check_fit(max(map(memory.size, waiting), default=0), num_slots)
    return _serve(waiting, memory)


def serve_paged(requests: Iterable[Sequence[int]], num_blocks: int, block_size: int = 16) -> Served:
    """Serve requests in blocks, which they take as they grow.

    As `serve_contiguous`, but a request is admitted when its tokens and one more have a block. If
    one that runs needs a block and none is free, the one that was admitted last loses its blocks
    and waits first; what it had is computed again with its prompt.

    Args:
        requests: as in `serve_contiguous`.
        num_blocks: blocks.
        block_size: tokens of a block.

    Raises:
        ValueError: a request that never fits, or numbers that are not whole.

    Source: Kwon et al. 2023 (arXiv 2309.06180), sections 4.3 and 4.5.
    """
    check_whole(num_blocks=num_blocks)
    check_block_size(block_size)
    waiting = _read(requests)
    _check_fit(max((one.final for one in waiting), default=0), num_blocks * block_size)
    return _serve(waiting, _Blocks(num_blocks, block_size))


def _read(requests: Iterable[Sequence[int]]) -> deque[_Sequence]:
    read: deque[_Sequence] = deque()
    for i, one in enumerate(several(requests, "requests", "pairs")):
        numbers = whole_numbers(one, f"requests[{i}]", 0)
        if len(numbers) != 2 or not numbers[1]:
            raise ValueError(
                f"requests[{i}]={numbers}: a request is the tokens of its prompt and of its "
                "output, of which there is one or more. Give two numbers, such as (512, 64)."
            )
        read.append(_Sequence(numbers[0], sum(numbers)))
    return read


def _check_fit(most: int, num_slots: int) -> None:
    if most > num_slots:
        raise ValueError(
            f"a request needs {most} places and the memory has {num_slots}: it would wait for "
            "ever. Leave it out, or give more memory."
        )


def _serve(waiting: deque[_Sequence], memory: _Memory) -> Served:
    served, running = Served(), deque[_Sequence]()  # in the order of admission
    while waiting or running:
        lost = _grow(running, memory)
        waiting.extendleft(lost)
        served.preemptions += len(lost)
        served.recomputed_tokens += sum(one.tokens for one in lost)
        while not lost and waiting and memory.admit(waiting[0]):
            running.append(waiting.popleft())
        used = later = reserved = 0
        for one in running:
            one.tokens += 1
            used += one.tokens
            reserved += one.places
            later += min(one.places, one.final) - one.tokens
        external = memory.external(waiting[0]) if waiting else 0
        served.steps.append(Fragmentation(memory.num_slots, reserved, used, later, external))
        served.running.append(len(running))
        served.waiting.append(len(waiting))
        for one in [one for one in running if one.tokens == one.final]:
            memory.release(one)
            running.remove(one)
    return served


def _grow(running: deque[_Sequence], memory: _Memory) -> list[_Sequence]:
    """Give each a place for one more token; return those that lost theirs, the last one first."""
    lost: list[_Sequence] = []
    index = 0
    while index < len(running):
        if memory.grow(running[index]):
            index += 1
        else:
            lost.append(running.pop())
            memory.release(lost[-1])
    return lost


def _sum(steps: Iterable[Fragmentation]) -> Fragmentation:
    return reduce(add, steps, Fragmentation(0, 0, 0))
