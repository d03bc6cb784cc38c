"""Lesson 11: the allocator of blocks, checked by scripts that any order of blocks passes.

A step is "allocate", or "share" or "free" with the place of a block among those allocated so far,
as in "free 0"; "free #9" names a block by its number.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from numbers import Integral
from typing import Any

import torch

from .caches import number_of
from .exercise import Complaint, Exercise, Mistake
from .lesson06 import integers
from .wrong_allocators import WRONG_ALLOCATORS

_LESSON = "11-paged-attention"


def _script(generator, num_blocks=3, steps="", draws=0):
    script = steps.split(", ")
    if draws:
        num_blocks = integers(generator, *[4] * draws)[-1]
        script = _drawn_steps(generator, num_blocks)
    return num_blocks, script


def _drawn_steps(generator: torch.Generator, num_blocks: int) -> list[str]:
    """Return steps, some to be refused; a freed block is not named once it may be another's."""
    steps: list[str] = []
    references: list[int] = []
    freed: set[int] = set()  # since the last allocation
    for choice, place in zip(
        integers(generator, *[5] * 24), integers(generator, *[99] * 24), strict=True
    ):
        known = [i for i, n in enumerate(references) if n or i in freed]
        if choice <= 2 or not known:
            steps.append("allocate")
            if sum(map(bool, references)) < num_blocks:
                freed = set()
                references.append(1)
            continue
        block = known[place % len(known)]
        action, change = ("share", 1) if choice == 3 else ("free", -1)
        steps.append(f"{action} {block}")
        if references[block]:
            references[block] += change
            freed |= set() if references[block] else {block}
    return [*steps, f"free #{num_blocks}", "share #-1", "allocate"]


def _expected(num_blocks: int, steps: Sequence[str]) -> dict[str, Any]:
    """What is seen of a right allocator, from how often each allocated block is referred to."""
    references: Counter[int] = Counter()
    allocated = 0
    seen: dict[str, Any] = {"Free blocks of a new allocator": num_blocks}
    for label, action, place in _walk(steps):
        if action == "allocate":
            if len(+references) < num_blocks:
                references[allocated] = 1
                allocated += 1
        elif isinstance(place, int) and references[place]:
            references[place] += 1 if action == "share" else -1
        seen[f"{label}: free blocks"] = num_blocks - len(+references)
        for block in +references:
            seen[f"{label}: references of the block allocated as number {block}"] = references[
                block
            ]
    return seen | {"Free blocks of a second allocator": 2}


def _walk(steps: Sequence[str]):
    """Yield (the story so far, the action, its block: a place, a "#number", or None)."""
    done: list[str] = []
    for step in steps:
        done.append(step)
        action, _, block = step.partition(" ")
        story = ", ".join(done[-6:])
        yield (
            f"After {'..., ' * (len(done) > 6)}{story}",
            action,
            int(block) if block.isdigit() else block or None,
        )


def _observe(yours: Any, num_blocks: int, steps: Sequence[str]) -> dict[str, Any]:
    """What is seen of the learner's allocator after each step.

    Raises:
        Complaint: what no comparison of numbers would name.
    """
    allocator = yours(num_blocks)
    seen = {"Free blocks of a new allocator": number_of(allocator, "num_free")}
    references: Counter[int] = Counter()  # by the block's own number
    allocated: list[int] = []
    for label, action, place in _walk(steps):
        if action == "allocate" and len(+references) == num_blocks:
            _refused(allocator.allocate, (), label, "no block is free", num_blocks)
        elif action == "allocate":
            block = allocator.allocate()
            _check_block(block, num_blocks, references, label)
            references[block] = 1
            allocated.append(block)
        else:
            block = allocated[place] if isinstance(place, int) else int(str(place)[1:])
            method = getattr(allocator, action)
            if references[block]:
                method(block)
                references[block] += 1 if action == "share" else -1
            else:
                there = 0 <= block < num_blocks
                why = f"block {block} is free" if there else f"there is no block {block}"
                _refused(method, (block,), label, why, block)
        seen[f"{label}: free blocks"] = number_of(allocator, "num_free")
        for place, block in {one: i for i, one in enumerate(allocated)}.items():
            if references[place]:
                name = f"{label}: references of the block allocated as number {block}"
                seen[name] = _references(allocator, place)
    second = yours(2)
    return seen | {"Free blocks of a second allocator": number_of(second, "num_free")}


def _references(allocator: Any, block: int) -> Any:
    """References of a block, 0 where an allocator does not know that it is in use."""
    try:
        return allocator.references(block)
    except (KeyError, IndexError, ValueError):
        return 0


def _check_block(block: Any, num_blocks: int, references: Counter[int], label: str) -> None:
    if isinstance(block, bool) or not isinstance(block, Integral):
        raise Complaint(
            f"{label}: allocate() returned a {type(block).__name__}; a block is a whole number, "
            f"from 0 to {num_blocks - 1}."
        )
    block = int(block)
    if not 0 <= block < num_blocks:
        raise Complaint(
            f"{label}: allocate() returned block {block}; there are {num_blocks}, from 0 to "
            f"{num_blocks - 1}."
        )
    if references[block]:
        raise Complaint(
            f"{label}: allocate() returned block {block}, which is still in use. Two sequences "
            "would overwrite each other: hand out a block only while nobody refers to it."
        )


def _refused(method: Any, arguments: tuple, label: str, why: str, number: int) -> None:
    """Call what must raise a ValueError that says a number.

    Raises:
        Complaint: it does not.
    """
    wanted = "Raise a ValueError that says so, with the number in it, and change nothing."
    try:
        method(*arguments)
    except ValueError as error:
        if str(number) not in re.findall(r"-?\d+", str(error)):
            raise Complaint(
                f"{label}: {why}. The ValueError says {str(error)!r}; its reader needs the number "
                f"{number}."
            ) from None
    except (NotImplementedError, Complaint):
        raise
    except Exception as error:
        raise Complaint(
            f"{label}: {why}, and it stopped with {type(error).__name__}: {error}. {wanted}"
        ) from None
    else:
        raise Complaint(f"{label}: {why}, and nothing was raised. {wanted}")


BLOCK_ALLOCATOR = Exercise(
    name="BlockAllocator",
    lesson=_LESSON,
    make=_script,
    oracle=_expected,
    call=_observe,
    cases=(
        {"num_blocks": 6, "steps": "allocate, allocate, share 0, free 1, free 0"},
        {"num_blocks": 3, "steps": "allocate, allocate, free 0, allocate, allocate"},
        {
            "num_blocks": 2,
            "steps": "allocate, allocate, allocate, free 1, free 1, allocate",
        },
        {
            "num_blocks": 4,
            "steps": "allocate, share 0, allocate, share 0, free 0, allocate, free 0, share 1, "
            "free 0, free 0, share 0, allocate, allocate, allocate",
        },
        {"num_blocks": 3, "steps": "free #0, share #2, allocate, free #3, free #-1"},
        {"num_blocks": 1, "steps": "allocate, free 0, allocate, allocate, free 1"},
        {"draws": 1},
        {"draws": 2},
    ),
    mistakes=tuple(Mistake(says, partial(_observe, one)) for says, one in WRONG_ALLOCATORS),
)

EXERCISES = [BLOCK_ALLOCATOR]
