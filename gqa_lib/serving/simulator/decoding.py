"""The sequences of a simulated engine that decode, kept as sums."""

from __future__ import annotations

from heapq import heappop, heappush


class Decoding:
    """All sequences that decode grow by a token a step, so that what they need is known ahead.

    A sequence has its `base` + s tokens cached before step s, and needs a block in each step in
    which that is a multiple of block_size. Nothing here depends on how many sequences there are.

    Args:
        num_requests: all there will be, decoding or not.
        block_size: tokens of a block.
    """

    def __init__(self, num_requests: int, block_size: int):
        self._block_size = block_size
        self.num = 0  # sequences
        self.context = 0  # tokens that all of them have cached before the next step
        self._base, self._last = [0] * num_requests, [-1] * num_requests
        self._needs = [0] * block_size  # sequences by the steps in which they need a block
        self._ending: dict[int, list[int]] = {}  # by the step that gives their last token
        self._ends: list[int] = []  # heap of these steps
        self._by_length: list[tuple[int, int]] = []  # heap of (-base, request)

    def __contains__(self, number: int) -> bool:
        return self._last[number] >= 0

    def add(self, number: int, cached: int, step: int, last: int) -> None:
        """Let a request decode.

        Args:
            number: the request's.
            cached: its tokens that are cached before that.
            step, last: its first step and the one that gives its last token.
        """
        self._base[number] = base = cached - step
        self._last[number] = last
        self._needs[base % self._block_size] += 1
        self.num += 1
        self.context += cached
        if last not in self._ending:
            self._ending[last] = []
            heappush(self._ends, last)
        self._ending[last].append(number)
        heappush(self._by_length, (-base, number))

    def remove(self, number: int, step: int) -> int:
        """Take a request out before a step; return how many of its tokens are cached.

        Args:
            number: the request's.
            step: before which it ends.
        """
        cached = self._base[number] + step
        self._needs[self._base[number] % self._block_size] -= 1
        self._last[number] = -1
        self.num -= 1
        self.context -= cached
        return cached

    def blocks(self, step: int) -> int:
        """Return how many sequences need a block in a step.

        Args:
            step: which.
        """
        return self._needs[-step % self._block_size]

    def quiet_steps(self, step: int, most: int, free: int) -> int:
        """Return how many steps after one decode the same sequences, and have their blocks.

        Args:
            step: which.
            most: steps at most.
            free: blocks that nobody holds.
        """
        most = min(self._ends[0] - step, most)
        if self.num * (most // self._block_size + 1) <= free:
            return most
        for more in range(most):
            free -= self.blocks(step + 1 + more)
            if free < 0:
                return more
        return most

    def blocks_of(self, step: int, num_steps: int) -> int:
        """Return how many blocks sequences need in several steps.

        Args:
            step: the first of them.
            num_steps: how many.
        """
        rounds, rest = divmod(num_steps, self._block_size)
        needed = rounds * self.num
        if rest:
            first = -(step + rest - 1) % self._block_size
            end = first + rest
            needed += sum(self._needs[first:end])
            if end > self._block_size:
                needed += sum(self._needs[: end - self._block_size])
        return needed

    def needs_block(self, number: int, step: int) -> bool:
        """Return whether a request that decodes needs one in a step.

        Args:
            number: the request's.
            step: which.
        """
        return not (self._base[number] + step) % self._block_size

    def longest(self, step: int) -> int:
        """Return the tokens of the longest sequence after a step, 0 if there is none.

        Args:
            step: which.
        """
        while self._by_length:
            base, number = self._by_length[0]
            if number in self and self._base[number] == -base:
                return step + 1 - base
            heappop(self._by_length)
        return 0

    @property
    def next_end(self) -> int:
        """The next step that may give a sequence its last token; -1 if there is none."""
        return self._ends[0] if self._ends else -1

    def pop_ended(self, step: int) -> list[int]:
        """Return the requests that a step gives their last token, which must then be removed.

        Args:
            step: which; no step with an end may be passed over.
        """
        if self.next_end != step:
            return []
        heappop(self._ends)
        return [number for number in self._ending.pop(step) if self._last[number] == step]
