"""Which tokens each step of a simulated engine computes, and whose blocks it takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from .decoding import Decoding
from .rules import Rules
from .supply import Supply

Chunk = tuple[int, int]  # a request, and how many tokens of its prompt are computed


class Found(NamedTuple):
    """What of a waiting request is there: tokens, in pieces, and in blocks that it left.

    `free` are blocks of the pieces that nobody holds.
    """

    tokens: int = 0
    pieces: int = 0
    free: int = 0
    own_blocks: int = 0
    swapped: bool = False


NOTHING = Found()


class Schedule:
    """The state of all requests between two steps.

    Requests are numbers in the order of their arrival. What was generated of one that decodes is
    not kept: it follows from its cached tokens, and is written down when it is preempted.

    Args:
        prompts, outputs: tokens of each request, 1 or more.
        rules: the engine's.
        hashes: of each request, the ids of its prompt's full pieces, or none.
    """

    def __init__(
        self,
        prompts: Sequence[int],
        outputs: Sequence[int],
        rules: Rules,
        hashes: Sequence[Sequence[int]] | None,
    ):
        n = len(prompts)
        self._prompts, self._outputs, self._rules, self._hashes = prompts, outputs, rules, hashes
        self.supply = Supply(rules.num_blocks, rules.hash_tokens // rules.block_size)
        self.decoding = Decoding(n, rules.block_size)
        self.waiting: deque[int] = deque()
        self.running: dict[int, None] = {}  # in the order of their admission
        self.admitted: list[int] = []  # in the last step
        self.preempted: list[int] = []  # in the last step
        self.preemptions = [0] * n
        self.recomputed = self.reused = self.swapped = 0  # tokens
        self._generated, self._computed = [0] * n, [0] * n  # of requests that do not decode
        self._pieces: list[list[int]] = [[] for _ in range(n if hashes else 0)]  # referred to
        self._kept = [0] * n  # pieces of a request that others were let find
        self._before = [0] * n  # its first pieces, if it had no others, when it was preempted
        self._partial: int | None = None  # whose prompt is not complete: the last that runs

    def computed(self, number: int) -> int:
        """Return how many tokens of a request that does not decode are cached.

        Args:
            number: the request's.
        """
        return self._computed[number]

    def plan(self, step: int) -> Sequence[Chunk]:
        """Give the sequences of a step their blocks; return its prompts.

        Args:
            step: which.
        """
        if self.admitted or self.preempted:
            self.admitted, self.preempted = [], []
        self._give_blocks(step)
        if self._partial is None and not self.waiting:
            return ()
        chunks: list[Chunk] = []
        left = self._rules.max_num_batched_tokens - self.decoding.num
        if self._partial is not None and left:
            number = self._partial
            new = min(self._missing(number), left)
            blocks = self._blocks(self._computed[number] + new)
            blocks -= self._blocks(self._computed[number])
            if blocks <= self.supply.available:
                self.supply.take(blocks)
                self._keep_pieces(number, self._computed[number] + new)
                chunks.append((number, new))
                left -= new
            else:
                self._preempt(step)
        most = self._rules.max_num_seqs
        while left and self.waiting and not self.preempted and len(self.running) < most:
            if not (new := self._admit(left)):
                break
            chunks.append((self.waiting.popleft(), new))
            left -= new
        return chunks

    def finish_step(self, step: int, chunks: Sequence[Chunk]) -> tuple[list[int], list[int]]:
        """Take in what a step computed; return whose prompt is complete and who ended.

        Args:
            step: which.
            chunks: its prompts.
        """
        ended, complete = self.decoding.pop_ended(step), []
        for number in ended:
            self._computed[number] = self.decoding.remove(number, step + 1)
        for number, new in chunks:
            self._computed[number] += new
            self._partial = None
            if self._missing(number):
                self._partial = number
                continue
            self._generated[number] += 1
            complete.append(number)
            left = self._outputs[number] - self._generated[number]
            if left:
                self.decoding.add(number, self._computed[number], step + 1, step + left)
            else:
                ended.append(number)
        for number in ended:
            self._release(number)
            del self.running[number]
        return complete, ended

    def is_complete(self, chunk: Chunk) -> bool:
        """Return whether a chunk is the last of its prompt.

        Args:
            chunk: as `plan` returned it.
        """
        return self._missing(chunk[0]) == chunk[1]

    def _missing(self, number: int) -> int:
        """Tokens that a request that does not decode has yet to compute."""
        return self._prompts[number] + self._generated[number] - self._computed[number]

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self._rules.block_size)

    def _give_blocks(self, step: int) -> None:
        """Give the sequences that decode their blocks, and preempt others for them."""
        decoding, supply = self.decoding, self.supply
        if (needed := decoding.blocks(step)) <= supply.available:
            if needed:
                supply.take(needed)
            return
        for number in list(self.running):
            if number not in decoding or not decoding.needs_block(number, step):
                continue  # preempted by one before it, or still at its prompt
            while number in decoding and not supply.available:
                self._preempt(step)
            if number in decoding:
                supply.take(1)

    def _preempt(self, step: int) -> None:
        """Take the blocks of the request that was admitted last."""
        number, _ = self.running.popitem()
        if number == self._partial:
            self._partial = None
        else:
            self._computed[number] = cached = self.decoding.remove(number, step)
            self._generated[number] = cached - self._prompts[number] + 1
        self.preempted.append(number)
        if self._hashes:
            pieces, count = self._pieces[number], len(self._pieces[number])
            self._before[number] = count if pieces == self._hashes[number][:count] else -1
        self._release(number)
        self.preemptions[number] += 1
        if self._rules.preemption == "swap":
            self.swapped += self._computed[number]
        self.waiting.appendleft(number)

    def _release(self, number: int) -> None:
        """Give back all blocks of a request."""
        pieces, supply = self._pieces[number] if self._hashes else [], self.supply
        own = self._blocks(self._computed[number]) - len(pieces) * supply.piece_blocks
        own += self._rules.blocks_per_seq
        supply.leave(number, own)
        if pieces:
            supply.release(pieces)
            pieces.clear()
        self._kept[number] = 0

    def _admit(self, left: int) -> int:
        """Let the first that waits run; return how many tokens it computes, 0 if it cannot."""
        number, rules, supply = self.waiting[0], self._rules, self.supply
        new_here = not self._hashes and not self._computed[number]
        found = NOTHING if new_here else self._find(number)
        missing = self._prompts[number] + self._generated[number] - found.tokens
        if missing > left and not rules.chunked_prefill:
            return 0
        new = min(missing, left)
        needed = self._blocks(found.tokens + (missing if rules.admission == "prompt" else new))
        needed += rules.blocks_per_seq
        there = found.pieces * supply.piece_blocks + found.own_blocks
        if needed - there > supply.available - found.free - found.own_blocks:
            return 0
        if found.pieces and self._hashes:
            self._pieces[number] += self._hashes[number][: found.pieces]
            supply.share(self._pieces[number])
            self._kept[number] = found.pieces
        if found.own_blocks:
            supply.take_back(number, found.own_blocks)
        supply.take(max(0, self._blocks(found.tokens + new) - there) + rules.blocks_per_seq)
        if found.swapped:
            self.swapped += found.tokens
        else:
            self.reused += found.tokens
            self.recomputed += max(0, self._computed[number] - found.tokens)
        self._computed[number] = found.tokens
        self._keep_pieces(number, found.tokens + new)
        self.running[number] = None
        self.admitted.append(number)
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
        tokens, before = pieces * rules.hash_tokens, self._before[number]
        if not lost or not 0 <= before <= pieces:
            return Found(tokens, pieces, free)
        size = rules.block_size
        # Of the blocks that it left it takes back those that are full and needed, in order, but
        # for those that pieces found since then stand in for.
        left = min(supply.left(number), (min(lost, most) - before * rules.hash_tokens) // size)
        own = max(0, left - (pieces - before) * supply.piece_blocks)
        return Found(tokens + own * size, pieces, free, own)

    def _keep_pieces(self, number: int, end: int) -> None:
        """Let prompts that begin alike find the full pieces of a request's first `end` tokens.

        From now on, as in vLLM: whoever reads them in this same step reads after they are written.
        """
        if self._hashes and self._rules.prefix_caching:
            full = min(end, self._prompts[number]) // self._rules.hash_tokens
            if full > self._kept[number]:
                ids = self._hashes[number][self._kept[number] : full]
                self._pieces[number] += self.supply.keep(ids)
                self._kept[number] = full
