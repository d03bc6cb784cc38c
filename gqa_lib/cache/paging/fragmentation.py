"""How much of the memory reserved for keys and values holds any: four ways to reserve it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from torch import Tensor

from gqa_lib.arguments import check_choice, check_whole

from .checks import check_block_size, whole_numbers

RULES = ("longest", "power_of_two", "exact", "paged")


@dataclass(frozen=True, slots=True)
class Fragmentation:
    """Places for tokens at one time, or added up over the steps of a run.

    Args:
        total: places that there are.
        reserved: places that sequences have.
        used: of these, with a token.
        later: reserved ones that hold no token yet, and will hold one of the same sequence.
        external: free ones, enough for the sequence that waits first, in ranges too short for it.
    """

    total: int
    reserved: int
    used: int
    later: int = 0
    external: int = 0

    @property
    def internal(self) -> int:
        """Reserved places that hold no token and, as far as is known, never will."""
        return self.reserved - self.used - self.later

    @property
    def free(self) -> int:
        """Places that no sequence has, the external ones among them."""
        return self.total - self.reserved

    @property
    def used_share(self) -> float:
        """Part of all places that hold a token; 0 if there is no place."""
        return self.share(self.used)

    def share(self, places: int) -> float:
        """Return which part of all places these are; 0 if there is none."""
        return places / self.total if self.total else 0.0

    def __add__(self, other: Fragmentation) -> Fragmentation:
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return Fragmentation(*(a + b for a, b in pairs))


def reserved_slots(
    num_tokens: int, rule: str, *, max_length: int | None = None, block_size: int = 16
) -> int:
    """Return how many places for tokens a sequence gets.

    Args:
        num_tokens: all that it will ever have; with "paged", those that it has now.
        rule: "longest" (max_length of them, whatever it needs), "power_of_two" (the next one, as a
            buddy allocator gives), "exact" (as if the length were known) or "paged" (blocks).
        max_length: for "longest".
        block_size: for "paged".

    Raises:
        ValueError: another rule, a number that is not whole, or more tokens than max_length.

    Source: Kwon et al. 2023 (arXiv 2309.06180), section 6.1: Orca (Max), (Pow2), (Oracle), vLLM.
    """
    check_choice(RULES, rule=rule)
    check_whole(0, num_tokens=num_tokens)
    num_tokens = int(num_tokens)
    if rule == "paged":
        check_block_size(block_size)
        return -(-num_tokens // int(block_size)) * int(block_size)
    if rule == "power_of_two":
        return 1 << (num_tokens - 1).bit_length() if num_tokens else 0
    if rule == "exact":
        return num_tokens
    check_whole(max_length=max_length)
    if max_length is None or num_tokens > max_length:
        raise ValueError(
            f"a sequence of {num_tokens} tokens is over max_length={max_length}: it would be cut "
            f"off. Give max_length={num_tokens} or more."
        )
    return int(max_length)


def fragmentation(
    lengths: Sequence[int] | Tensor,
    rule: str = "paged",
    *,
    final_lengths: Sequence[int] | Tensor | None = None,
    max_length: int | None = None,
    block_size: int = 16,
) -> Fragmentation:
    """Return what sequences use of the places that a rule reserves for them; total is all reserved.

    Nothing is placed, so that nothing is external: see `serve_contiguous`.

    Args:
        lengths: tokens that each has now.
        rule: as in `reserved_slots`.
        final_lengths: tokens that each will have at its end; None is no more than now.
        max_length: for "longest"; None is the longest at its end.
        block_size: for "paged".

    Raises:
        ValueError: a sequence ends with fewer tokens than it has, or as in `reserved_slots`.

    Source: Kwon et al. 2023 (arXiv 2309.06180), section 3.1 and figure 3.
    """
    check_choice(RULES, rule=rule)
    now = whole_numbers(lengths, "lengths", 0)
    ends = now if final_lengths is None else whole_numbers(final_lengths, "final_lengths", 0)
    if len(ends) != len(now) or any(end < n for n, end in zip(now, ends, strict=True)):
        raise ValueError(
            f"{len(now)} lengths up to {max(now, default=0)} with {len(ends)} final_lengths up to "
            f"{max(ends, default=0)}: a sequence ends with no fewer tokens than it has. "
            "Give the final length of each."
        )
    longest = max_length if max_length is not None else max([1, *ends])
    reserved = later = 0
    for n, end in zip(now, ends, strict=True):
        tokens = n if rule == "paged" else end
        places = reserved_slots(tokens, rule, max_length=longest, block_size=block_size)
        reserved += places
        later += min(places, end) - n
    return Fragmentation(reserved, reserved, sum(now), later)
