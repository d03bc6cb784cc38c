"""A trace served step by step, as an engine would schedule it."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from .rules import Rules
from .step_time import StepTime, Work
from .supply import Supply

NEVER = -1  # the step in which a sequence ends that does not decode


class Found(NamedTuple):
    """What of a waiting request is there: tokens, in pieces, and in blocks that it left.

    `free` are blocks of the pieces that nobody holds.
    """

    tokens: int = 0
    pieces: int = 0
    free: int = 0
    own_blocks: int = 0
    swapped: bool = False


class Replay:
    """Requests on their way through an engine; see `simulate`.

    What decodes is kept as sums: all such sequences grow by a token a step, so a step costs what
    changes in it, however many run. Before step s, a sequence that decodes has `base + s` tokens
    cached, and needs a block in each step in which that is a multiple of block_size.

    Args:
        arrivals: seconds, in order.
        prompts, outputs: tokens, 1 or more.
        rules, step_time: as in `simulate`.
        hashes: of each request, the ids of its prompt's full pieces, or none.
    """

    def __init__(
        self,
        arrivals: Sequence[float],
        prompts: Sequence[int],
        outputs: Sequence[int],
        rules: Rules,
        step_time: StepTime,
        hashes: Sequence[Sequence[int]] | None,
    ):
        self._arrivals, self._prompts, self._outputs = arrivals, prompts, outputs
        self._rules, self._step_time, self._hashes = rules, step_time, hashes
        n, size = len(arrivals), rules.block_size
        self.supply = Supply(rules.num_blocks, rules.hash_tokens // size)
        self.first_s, self.last_s = array("d", bytes(8 * n)), array("d", bytes(8 * n))
        self.scheduled_s = array("d", [-1.0]) * n
        self.preemptions = array("l", bytes(array("l").itemsize * n))
        self.recomputed = self.reused = self.swapped = 0
        # Of each step: when it began, its seconds, sequences that decode, tokens of prompts, blocks
        # in use, requests that run and that wait.
        self.steps = {name: array(kind) for name, kind in STEP_COLUMNS.items()}
        self._waiting: deque[int] = deque()
        self._running: dict[int, None] = {}  # in the order of their admission
        self._generated, self._computed = [0] * n, [0] * n  # of those that do not decode
        self._held = [0] * n  # pieces that a request refers to
        self._pieces_left = [0] * n  # and those that it did when it was preempted
        self._base, self._ends = [0] * n, [NEVER] * n
        self._partial: int | None = None  # whose prompt is not complete; the last that runs
        self._decodes = self._context = 0
        self._needs = [0] * size  # decoding sequences by the steps in which they need a block
        self._ending: dict[int, list[int]] = {}
        self._by_length: list[tuple[int, int]] = []  # heap of (-base, request)
        self._copy_s = 0.0

    def run(self) -> None:
        """Serve all requests."""
        now, step, arrived, total = 0.0, 0, 0, len(self._arrivals)
        while arrived < total or self._waiting or self._running:
            while arrived < total and self._arrivals[arrived] <= now:
                self._waiting.append(arrived)
                arrived += 1
            if not self._waiting and not self._running:
                now = self._arrivals[arrived]
                continue
            now = self._step(step, now)
            step += 1

    def _step(self, step: int, now: float) -> float:
        """Serve one step; return when it is over."""
        self._copy_s = 0.0
        chunks = self._plan(step, now)
        prefills = [(new, self._computed[number]) for number, new in chunks]
        complete = [number for number, new in chunks if self._missing(number) == new]
        decodes, self._context = self._decodes, self._context + self._decodes
        longest = self._longest(step)
        work = Work(decodes, self._context, longest, prefills, decodes + len(complete))
        seconds = self._copy_s + self._step_time(work)
        self._note(now, seconds, sum(new for new, _ in prefills))
        now += seconds
        for number in self._ending.pop(step, ()):
            if self._ends[number] == step:
                self._stop_decoding(number, step + 1)
                self._end(number, now)
        for number, new in chunks:
            self._computed[number] += new
            self._partial = number if self._missing(number) else None
        for number in complete:
            self._complete(number, step, now)
        return now

    def _plan(self, step: int, now: float) -> list[tuple[int, int]]:
        """Give a step's sequences their blocks; return its prompts as (request, new tokens)."""
        preempted, chunks = self._give_blocks(step), []
        left = self._rules.max_num_batched_tokens - self._decodes
        if self._partial is not None and left:
            number = self._partial
            new = min(self._missing(number), left)
            if self._blocks(number, new) <= self.supply.available:
                self.supply.take(self._blocks(number, new))
                chunks.append((number, new))
                left -= new
            else:
                self._preempt(step)
                preempted = True
        most = self._rules.max_num_seqs
        while left and self._waiting and not preempted and len(self._running) < most:
            if not (new := self._admit(left, now)):
                break
            chunks.append((self._waiting.popleft(), new))
            left -= new
        return chunks

    def _missing(self, number: int) -> int:
        """Tokens that a request that does not decode has yet to compute."""
        return self._prompts[number] + self._generated[number] - self._computed[number]

    def _blocks(self, number: int, new: int) -> int:
        """Blocks that a request that does not decode needs for new tokens."""
        size, computed = self._rules.block_size, self._computed[number]
        return -(-(computed + new) // size) - -(-computed // size)

    def _give_blocks(self, step: int) -> bool:
        """Give the sequences that decode their blocks; return whether one was preempted."""
        residue = -step % self._rules.block_size
        if self._needs[residue] <= self.supply.available:
            self.supply.take(self._needs[residue])
            return False
        preempted = False
        for number in list(self._running):
            if number not in self._running or number == self._partial:
                break
            if self._base[number] % self._rules.block_size != residue:
                continue
            while not self.supply.available and number in self._running:
                self._preempt(step)
                preempted = True
            if number not in self._running:
                break
            self.supply.take(1)
        return preempted

    def _preempt(self, step: int) -> None:
        """Take the blocks of the request that was admitted last."""
        number, _ = self._running.popitem()
        if number == self._partial:
            self._partial = None
        else:
            self._generated[number] = self._base[number] + step - self._prompts[number] + 1
            self._stop_decoding(number, step)
        self._pieces_left[number] = self._held[number]
        self._release(number)
        self.preemptions[number] += 1
        if self._rules.preemption == "swap":
            self._copy(self._computed[number])
        self._waiting.appendleft(number)

    def _stop_decoding(self, number: int, step: int) -> None:
        """Take a sequence out of the sums, as it is before a step."""
        cached = self._computed[number] = self._base[number] + step
        self._needs[self._base[number] % self._rules.block_size] -= 1
        self._decodes -= 1
        self._context -= cached
        self._ends[number] = NEVER

    def _release(self, number: int) -> None:
        """Give back all blocks of a request."""
        held, supply = self._held[number], self.supply
        blocks = -(-self._computed[number] // self._rules.block_size) - held * supply.piece_blocks
        supply.leave(number, blocks)
        if held and self._hashes:
            supply.release(self._hashes[number][:held])
            self._held[number] = 0

    def _admit(self, left: int, now: float) -> int:
        """Let the first that waits run; return how many tokens it computes, 0 if it cannot."""
        number, rules, supply = self._waiting[0], self._rules, self.supply
        found = self._find(number)
        missing = self._prompts[number] + self._generated[number] - found.tokens
        if missing > left and not rules.chunked_prefill:
            return 0
        new = min(missing, left)
        end = found.tokens + (missing if rules.admission == "prompt" else new)
        shared = found.pieces * supply.piece_blocks + found.own_blocks
        if -(-end // rules.block_size) - shared > supply.available - found.free - found.own_blocks:
            return 0
        if found.pieces and self._hashes:
            supply.share(self._hashes[number][: found.pieces])
            self._held[number] = found.pieces
        if found.own_blocks:
            supply.take_back(number)
        if found.swapped:
            self._copy(found.tokens)
        else:
            self.reused += found.tokens
            self.recomputed += max(0, self._computed[number] - found.tokens)
        total = -(-(found.tokens + new) // rules.block_size)
        supply.take(max(0, total - shared))
        self._computed[number] = found.tokens
        self._running[number] = None
        if self.scheduled_s[number] < 0:
            self.scheduled_s[number] = now
        return new

    def _find(self, number: int) -> Found:
        """What of a waiting request's tokens is there already."""
        lost, rules, supply = self._computed[number], self._rules, self.supply
        if lost and rules.preemption == "swap":
            return Found(tokens=lost, swapped=True)
        if not rules.prefix_caching:
            return Found()
        # The last token is computed in any case: the next one is chosen by what comes out.
        most = self._prompts[number] + self._generated[number] - 1
        pieces, free = 0, 0
        if self._hashes:
            pieces, free = supply.find(self._hashes[number], most // rules.hash_tokens)
        tokens = pieces * rules.hash_tokens
        if not lost or pieces != self._pieces_left[number]:
            return Found(tokens, pieces, free)
        own = supply.left(number)
        size = rules.block_size
        tokens = min(tokens + own * size, lost // size * size, most // size * size)
        return Found(tokens, pieces, free, own)

    def _copy(self, tokens: int) -> None:
        """Count the time of keys and values on their way between device and host."""
        self.swapped += tokens
        moved = tokens * self._rules.kv_bytes_per_token
        self._copy_s += moved / self._rules.swap_bytes_per_s

    def _longest(self, step: int) -> int:
        """Tokens of the longest sequence that decodes, after a step."""
        while self._by_length:
            base, number = self._by_length[0]
            if self._ends[number] != NEVER and self._base[number] == -base:
                return step + 1 - base
            heappop(self._by_length)
        return 0

    def _complete(self, number: int, step: int, now: float) -> None:
        """Give a request whose prompt is computed its next token, and let it decode."""
        if self._hashes:
            held, full = self._held[number], self._prompts[number] // self._rules.hash_tokens
            self._held[number] += self.supply.keep(self._hashes[number][held:full])
        self._generated[number] += 1
        if self._generated[number] == 1:
            self.first_s[number] = now
        if self._generated[number] == self._outputs[number]:
            self._end(number, now)
            return
        self._base[number] = self._computed[number] - step - 1
        self._needs[self._base[number] % self._rules.block_size] += 1
        self._decodes += 1
        self._context += self._computed[number]
        end = step + self._outputs[number] - self._generated[number]
        self._ends[number] = end
        self._ending.setdefault(end, []).append(number)
        heappush(self._by_length, (-self._base[number], number))

    def _end(self, number: int, now: float) -> None:
        self.last_s[number] = now
        self._release(number)
        del self._running[number]

    def _note(self, start_s: float, seconds: float, prefill_tokens: int) -> None:
        row = (
            start_s,
            seconds,
            self._decodes,
            prefill_tokens,
            self.supply.num_blocks - self.supply.available,
            len(self._running),
            len(self._waiting),
        )
        for column, value in zip(self.steps.values(), row, strict=True):
            column.append(value)


STEP_COLUMNS = {
    "start_s": "d",
    "seconds": "d",
    "num_decodes": "l",
    "prefill_tokens": "l",
    "blocks_used": "l",
    "running": "l",
    "waiting": "l",
}
