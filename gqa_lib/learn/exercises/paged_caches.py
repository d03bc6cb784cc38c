"""How paged caches are checked: a script of steps for several sequences, and what is then seen.

A step is "a.append(3)", "a.reset()", or a new sequence, "b = a.another()" or "b = a.fork()". The
first sequence is a; new tokens come from k and v in order.
"""

import re
from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import Any

import torch

from ..watch import place_of, where_seen
from .caches import append_tokens, number_of, refusal_of_append
from .exercise import Complaint

_STEP = re.compile(r"(?:(\w) = )?(\w)\.(append|reset|another|fork)\((\d*)\)")


class Model:
    """What a right cache has after each step, by names of tokens and blocks alone.

    Args:
        num_blocks, block_size: of the memory.
        steps: as above.
    """

    def __init__(self, num_blocks: int, block_size: int, steps: Sequence[str]):
        self.num_blocks, self._size, self._steps = num_blocks, block_size, steps
        self.tokens: dict[str, list[int]] = {"a": []}
        self.blocks: dict[str, list[int]] = {"a": []}
        self.replaced = 0  # blocks of the sequence that appended last
        self._next_block = self._next_token = 0

    @property
    def num_free(self) -> int:
        """Blocks that no sequence has."""
        return self.num_blocks - len({one for blocks in self.blocks.values() for one in blocks})

    def walk(self) -> Iterator[tuple[str, str, str, str, range, int]]:
        """Yield (the story so far, action, sequence, new sequence, new tokens, blocks missing).

        The tokens are those of an append that fits, and then nothing is missing. What is yielded
        has been done.
        """
        done: list[str] = []
        for step in self._steps:
            done.append(step)
            match = _STEP.fullmatch(step)
            assert match, step
            new, name, action, count = match.groups()
            tokens = range(self._next_token, self._next_token + int(count or 0))
            self._next_token = tokens.stop
            missing = 0
            if action == "append":
                missing = self._append(name, tokens)
            elif action == "reset":
                self.tokens[name], self.blocks[name] = [], []
            else:
                kept = action == "fork"
                self.tokens[new] = list(self.tokens[name]) if kept else []
                self.blocks[new] = list(self.blocks[name]) if kept else []
            yield f"After {'; '.join(done)}", action, name, new or "", tokens, missing

    def _append(self, name: str, tokens: range) -> int:
        """Append and return 0, or return how many blocks are needed where too few are free."""
        held, blocks = self.tokens[name], self.blocks[name]
        shared = any(blocks[-1:] == other[-1:] for one, other in self.blocks.items() if one != name)
        # blocks are shared in whole beginnings, so that a shared partial one is last in both
        own = bool(len(held) % self._size and shared)
        needed = -(-(len(held) + len(tokens)) // self._size) - len(blocks) + own
        if needed > self.num_free:
            return needed
        self.replaced = int(own)
        kept = blocks[: len(blocks) - own]
        more = range(self._next_block, self._next_block + needed)
        self._next_block = more.stop
        self.tokens[name], self.blocks[name] = [*held, *tokens], [*kept, *more]
        return 0


def expected_of_pages(
    k: torch.Tensor, v: torch.Tensor, num_blocks: int, block_size: int, steps: Sequence[str]
) -> dict[str, Any]:
    """Return what `observe_pages` sees of a right cache.

    Args:
        k, v: (1, Hkv, S, D), of S tokens, as many as all steps append.
        num_blocks, block_size: of the memory.
        steps: what is done.
    """
    model = Model(num_blocks, block_size, steps)
    seen: dict[str, Any] = {}
    for label, action, name, _, _, missing in model.walk():
        if action == "append" and not missing:
            seen[f"{label}: blocks replaced by others"] = model.replaced
            for which, x in (("k_all", k), ("v_all", v)):
                seen[f"{label}: {which}"] = x[:, :, model.tokens[name]]
        for one, tokens in model.tokens.items():
            seen[f"{label}: length of {one}"] = len(tokens)
            seen[f"{label}: blocks of {one}"] = len(model.blocks[one])
            for which, x in (("keys", k), ("values", v)):
                seen[f"{label}: {which} that the table of {one} finds"] = x[0][:, tokens]
        seen[f"{label}: free blocks"] = model.num_free
    return seen


def observe_pages(
    yours: Any,
    k: torch.Tensor,
    v: torch.Tensor,
    num_blocks: int,
    block_size: int,
    steps: Sequence[str],
) -> dict[str, Any]:
    """Return what can be seen of the learner's sequences after each step.

    Args:
        yours: the learner's class.
        k, v, num_blocks, block_size, steps: as in `expected_of_pages`.

    Raises:
        Complaint: what no comparison of values would name.
    """
    model, yours = Model(num_blocks, block_size, steps), where_seen(yours)
    _, Hkv, _, D = k.shape
    first = yours(Hkv, D, num_blocks, block_size, k.dtype, k.device)
    sequences, seen = {"a": first}, {}
    for label, action, name, new, tokens, missing in model.walk():
        one = sequences[name]
        if action in ("another", "fork"):
            sequences[new] = _new_sequence(getattr(one, action)(), action)
        elif action == "reset":
            one.reset()
        elif missing:
            _check_refused(one, k, v, tokens, label, missing, model)
        else:
            before = list(one.blocks)
            got = append_tokens(one, k, v, tokens.start, tokens.stop, spoil=True)
            replaced = sum(old != now for old, now in zip(before, one.blocks, strict=False))
            seen[f"{label}: blocks replaced by others"] = replaced
            for which, x in zip(("k_all", "v_all"), got, strict=True):
                all_there = x.shape[2:3] == (len(model.tokens[name]),)
                seen[f"{label}: {which}"] = x.clone() if all_there else torch.zeros_like(x)
        for one_name, sequence in sequences.items():
            _check_memory(sequence, first, f"{label}: {one_name}")
            seen |= _state(f"{label}:", one_name, sequence)
        seen[f"{label}: free blocks"] = number_of(first.allocator, "num_free")
    return seen


def _new_sequence(new: Any, action: str) -> Any:
    if new is None:
        raise Complaint(f"{action}() returned None (is a `return` missing?): return the sequence.")
    return new


def _check_memory(sequence: Any, first: Any, what: str) -> None:
    if place_of(sequence.k) != place_of(first.k) or place_of(sequence.v) != place_of(first.v):
        raise Complaint(
            f"{what} has a memory of its own. All sequences use the blocks of one memory: "
            "another() and fork() hand on k and v as they are, without a copy."
        )


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _state(label: str, name: str, sequence: Any) -> dict[str, Any]:
    """Return a sequence's length, blocks, and the tokens that its table finds in the memory."""
    length = number_of(sequence, "length")
    blocks = list(sequence.blocks)
    k, v = sequence.k, sequence.v
    num_blocks, block_size = k.shape[0], k.shape[2]
    if not all(_is_whole(one) and 0 <= one < num_blocks for one in blocks):
        raise Complaint(
            f"{label} blocks of {name} is {blocks}. It holds the numbers of its blocks, as "
            f"allocate() gives them: from 0 to {num_blocks - 1}."
        )
    if not _is_whole(length):
        raise Complaint(f"{label} length of {name} is a {type(length).__name__}, not an int.")
    seen: dict[str, Any] = {f"{label} length of {name}": length}
    seen[f"{label} blocks of {name}"] = len(blocks)
    placed = range(min(length, len(blocks) * block_size))
    for which, memory in (("keys", k), ("values", v)):
        rows = [memory[blocks[p // block_size], :, p % block_size] for p in placed]
        found = torch.stack(rows, 1) if rows else memory[0, :, :0]
        seen[f"{label} {which} that the table of {name} finds"] = found
    return seen


def _check_refused(sequence, k, v, tokens, label, needed, model) -> None:
    """Append more tokens than there are blocks for.

    Raises:
        Complaint: this is not refused with a ValueError that names numbers.
    """
    free = model.num_free
    what = (
        f"{label}: {needed} more {'block is' if needed == 1 else 'blocks are'} needed, {free} free"
    )
    said = refusal_of_append(sequence, k, v, tokens.start, tokens.stop, what)
    numbers = {int(one) for one in re.findall(r"\d+", said)}
    if not numbers & {free, needed, model.num_blocks}:
        raise Complaint(
            f"{what}. The ValueError says {said!r}. Its reader needs both numbers: how many blocks "
            "are needed, and how many are free."
        )
