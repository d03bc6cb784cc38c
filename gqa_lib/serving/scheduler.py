"""Which sequences' tokens the next step computes, and which is preempted when blocks run out."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from .pool import Pool
from .request import Request


@dataclass(frozen=True)
class Chunk:
    """Tokens of one sequence that a step computes.

    Args:
        request: whose.
        start: its first token among them: as many are cached before.
        num_tokens: how many, 1 or more.
    """

    request: Request
    start: int
    num_tokens: int

    @property
    def end(self) -> int:
        """Tokens that are cached after the step."""
        return self.start + self.num_tokens

    @property
    def is_decode(self) -> bool:
        """Whether it is a token that was generated since the sequence was admitted."""
        return self.start >= self.request.prefill_length


@dataclass
class Plan:
    """What one step does.

    Args:
        chunks: the tokens that it computes, in the order in which sequences were admitted.
        admitted: requests that run from now on.
        preempted: requests that wait again.
        reused_tokens: tokens that admitted requests need not compute.
    """

    chunks: list[Chunk] = field(default_factory=list)
    admitted: list[Request] = field(default_factory=list)
    preempted: list[Request] = field(default_factory=list)
    reused_tokens: int = 0


class Scheduler:
    """First come, first served, as vLLM does it: decoding first, prompts in chunks.

    A request is admitted when all its tokens and one more have a block, so that it is not
    preempted at once. If a running one needs a block and none is free, the one that was admitted
    last is preempted: it loses all its blocks and becomes the first that waits, and what it has
    generated is computed again with its prompt. The first that runs is never preempted, so that it
    ends.

    Args:
        pool: the blocks.
        max_num_seqs: sequences that run at most.
        max_num_batched_tokens: tokens of a step at most, not below max_num_seqs.
    """

    def __init__(self, pool: Pool, max_num_seqs: int, max_num_batched_tokens: int):
        self._pool = pool
        self._max_num_seqs, self._max_tokens = max_num_seqs, max_num_batched_tokens
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []  # in the order of their admission

    def plan(self) -> Plan:
        """Return the next step, its blocks taken."""
        plan, left = Plan(), self._max_tokens
        index = 0
        # A prompt that is not complete took the rest of its step, so that none was admitted after
        # it: it is the last here, and those that decode come first.
        while index < len(self.running) and left:
            request = self.running[index]
            num_tokens = min(request.num_left, left)
            if not self._take_blocks(request, num_tokens, plan):
                break
            plan.chunks.append(Chunk(request, request.num_cached, num_tokens))
            left -= num_tokens
            index += 1
        while left and (new := self._admit(plan)):
            num_tokens = min(new.num_left, left)
            self._take_blocks(new, num_tokens, plan)
            plan.chunks.append(Chunk(new, new.num_cached, num_tokens))
            left -= num_tokens
        return plan

    def drop(self, request: Request) -> bool:
        """Take a request out and its blocks back; return whether it was there."""
        for requests in (self.running, self.waiting):
            if request in requests:
                requests.remove(request)
                self._give_back(request)
                return True
        return False

    def _take_blocks(self, request: Request, num_tokens: int, plan: Plan) -> bool:
        """Give a running request blocks for its next tokens; False if it was preempted itself."""
        missing = self._pool.blocks_for(request.num_cached + num_tokens) - len(request.blocks)
        while missing > self._pool.num_free:
            last = self.running.pop()
            self._give_back(last)
            last.preemptions += 1
            self.waiting.appendleft(last)
            plan.preempted.append(last)
            if last is request:
                return False
        request.blocks += [self._pool.allocate() for _ in range(missing)]
        return True

    def _admit(self, plan: Plan) -> Request | None:
        """Let the first that waits run, with the blocks that hold its first tokens already."""
        if not self.waiting or len(self.running) >= self._max_num_seqs:
            return None
        request, pool = self.waiting[0], self._pool
        # Its last token is computed whatever is cached: the next one is chosen by what comes out.
        # With it goes the whole block, in a block of its own: what is shared is never written.
        keys = request.keys(pool.block_size)[: (len(request.tokens) - 1) // pool.block_size]
        shared = pool.find(keys)
        idle = sum(not pool.references(block) for block in shared)  # no longer free once shared
        num_tokens = min(len(request.tokens) + 1, request.most_cached)
        if pool.blocks_for(num_tokens) - len(shared) > pool.num_free - idle:
            return None
        for block in shared:  # before any is allocated, which might take one of these
            pool.share(block)
        request.blocks, request.num_cached = shared, len(shared) * pool.block_size
        request.prefill_length = len(request.tokens)
        request.reused_tokens += request.num_cached
        plan.reused_tokens += request.num_cached
        self.running.append(self.waiting.popleft())
        plan.admitted.append(request)
        return request

    def _give_back(self, request: Request) -> None:
        self._pool.free(request.blocks)
        request.blocks, request.num_cached = [], 0
