"""Lesson 11: what share of the memory holds a token."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from .exercise import Exercise, Mistake
from .lesson06 import integers

_LESSON = "11-paged-attention"
Share = Callable[[int, int, int], int]  # of a sequence's length, its reserved and block_size
PARTS = ("used", "reserved", "internal")


def _sequences(generator, lengths=(), reserved=(), block_size=1, draws=0, count=0):
    for _ in range(draws):
        block_size, few = integers(generator, 9, 7)
        count = count or few
        lengths = [one - 1 for one in integers(generator, *[40] * count)]
        reserved = [one - 1 for one in integers(generator, *[60] * count)]
    return list(lengths), block_size, list(reserved)


def _ceil(tokens: int, block_size: int) -> int:
    return -(-tokens // block_size)


def _used(length: int, reserved: int, size: int) -> int:
    return length


def _reserved(length: int, reserved: int, size: int) -> int:
    """Slots of blocks that are set aside and hold no token."""
    return max(0, _ceil(reserved, size) - _ceil(length, size)) * size


def _internal(length: int, reserved: int, size: int) -> int:
    """Empty slots of the block that is begun."""
    return -length % size


def shares(
    lengths: Sequence[int],
    block_size: int,
    reserved: Sequence[int],
    *,
    parts: Sequence[Share] = (_used, _reserved, _internal),
    slots: Share | None = None,
    scale: int = 1,
) -> dict[str, float]:
    """Return the shares of all slots that hold a token, wait for one, and never will get one.

    Args:
        lengths: tokens of each sequence.
        block_size: tokens of a block.
        reserved: tokens for which each got memory in advance.
        parts: how many slots of a sequence are of each kind.
        slots: how many it has in all; None is the sum of its parts.
        scale: of the shares.
    """
    pairs = list(zip(lengths, reserved, strict=True))
    counts = [sum(part(n, r, block_size) for n, r in pairs) for part in parts]
    every = sum(counts) if slots is None else sum(slots(n, r, block_size) for n, r in pairs)
    share = [scale * float(Fraction(one, every)) if every else 0.0 for one in counts]
    return dict(zip(PARTS, share, strict=True))


def _call(yours: Callable, lengths: list[int], block_size: int, reserved: list[int]) -> Any:
    """Call a learner's function; what rounding leaves of a share of 0 is 0."""
    result = yours(lengths, block_size, reserved)
    if not isinstance(result, dict):
        return result
    rest = {part for part, one in result.items() if isinstance(one, float) and abs(one) < 1e-12}
    return {part: 0.0 if part in rest else one for part, one in result.items()}


def _mean_of_shares(lengths, block_size, reserved):
    each = [shares([n], block_size, [r]) for n, r in zip(lengths, reserved, strict=True)]
    return {part: sum(one[part] for one in each) / (len(each) or 1) for part in PARTS}


def _wrong(**steps) -> Callable:
    return lambda lengths, block_size, reserved: shares(lengths, block_size, reserved, **steps)


FRAGMENTATION = Exercise(
    name="fragmentation",
    lesson=_LESSON,
    make=_sequences,
    oracle=lambda lengths, block_size, reserved: shares(lengths, block_size, reserved),
    call=_call,
    cases=(
        {"lengths": (6, 11, 3), "reserved": (20, 20, 20), "block_size": 4},
        {"lengths": (6, 11, 3), "reserved": (0, 0, 0), "block_size": 4},
        {"lengths": (7, 30, 2, 9), "reserved": (16, 16, 16, 9), "block_size": 1},
        {"lengths": (8, 16, 5), "reserved": (8, 12, 13), "block_size": 8},
        {"lengths": (0, 5), "reserved": (12, 0), "block_size": 5},
        {"lengths": (0, 0), "reserved": (0, 0), "block_size": 4},
        {"lengths": (), "reserved": (), "block_size": 3},
        {"draws": 1},
    ),
    mistakes=(
        Mistake(
            "the shares of the sequences are averaged. A long sequence has more memory: add up "
            "slots over all of them, and divide once.",
            _mean_of_shares,
        ),
        Mistake(
            "blocks are rounded down: the last tokens of a sequence need a block, too.",
            lambda lengths, block_size, reserved: shares(
                lengths,
                block_size,
                reserved,
                parts=(
                    _used,
                    lambda n, r, size: (max(n, r) // size - n // size) * size,
                    lambda n, r, size: n // size * size - n,
                ),
            ),
        ),
        Mistake(
            "a sequence whose last block is full gets one more. One comes with its first token.",
            _wrong(
                parts=(
                    _used,
                    lambda n, r, size: max(0, _ceil(r, size) - n // size - 1) * size,
                    lambda n, r, size: size - n % size,
                )
            ),
        ),
        Mistake(
            "a sequence that outgrew what was reserved for it is cut off: it has blocks for all "
            "of its tokens, whatever was reserved.",
            lambda lengths, block_size, reserved: shares(
                [min(pair) for pair in zip(lengths, reserved, strict=True)], block_size, reserved
            ),
        ),
        Mistake(
            "everything without a token is called reserved. The empty slots of a block that holds "
            "some token are internal.",
            _wrong(
                parts=(
                    _used,
                    lambda n, r, size: _reserved(n, r, size) + _internal(n, r, size),
                    lambda n, r, size: 0,
                )
            ),
        ),
        Mistake(
            "everything without a token is called internal. Blocks that hold no token at all are "
            "reserved.",
            _wrong(
                parts=(
                    _used,
                    lambda n, r, size: 0,
                    lambda n, r, size: _reserved(n, r, size) + _internal(n, r, size),
                )
            ),
        ),
        Mistake(
            "what is reserved is ignored: a sequence has its blocks from the start.",
            lambda lengths, block_size, reserved: shares(lengths, block_size, [0] * len(lengths)),
        ),
        Mistake(
            "reserved tokens are counted, not slots: memory comes in whole blocks.",
            _wrong(parts=(_used, lambda n, r, size: max(0, r - n), _internal)),
        ),
        Mistake(
            "reserved comes on top of the tokens. It is what the sequence got in advance, the "
            "tokens that it holds by now included.",
            lambda lengths, block_size, reserved: shares(
                lengths, block_size, [n + r for n, r in zip(lengths, reserved, strict=True)]
            ),
        ),
        Mistake("the shares are in percent: give them from 0 to 1.", _wrong(scale=100)),
        Mistake(
            "slots are divided by the tokens. A share is of all slots.",
            _wrong(slots=_used),
        ),
    ),
)

EXERCISES = [FRAGMENTATION]
