"""A hunt in KV caches: the inputs are scripts of steps."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from ..caches import walk
from ..lesson02 import KV_CACHE
from ..wrong_caches import WRONG_CACHES
from .hunt import Bug, Hunt, Slip
from .inputs import count, kind, number

_CALL = "(max_seq_len, steps)"
_MOST_TOKENS, _MOST_STEPS = 100, 30


def _script(given: tuple) -> tuple:
    count(given, _CALL, 2)
    room, steps = number(given[0], "max_seq_len", 1, _MOST_TOKENS), given[1]
    if not isinstance(steps, list | tuple):
        raise Slip(f'steps must be a list such as [3, 1, "reset", 2]; it is {kind(steps)}.')
    if not 1 <= len(steps) <= _MOST_STEPS:
        raise Slip(f"steps has {len(steps)} steps; this hunt takes 1 to {_MOST_STEPS}.")
    held, ready = 0, []
    for step in steps:
        if isinstance(step, str) and step != "reset":
            raise Slip(f'A step is a number of new tokens or "reset"; it is {step!r}.')
        reset = isinstance(step, str)
        ready.append(step if reset else number(step, "a step", 1, _MOST_TOKENS))
        held = 0 if reset else held + ready[-1]
        if held > room:
            raise Slip(
                f"These steps come to {held} tokens, and max_seq_len is {room}. Each bug refuses "
                "that as it should: stay within it."
            )
    return room, ready


def _marked(tokens: int) -> torch.Tensor:
    """Return keys (2, 2, tokens, 3), every number of which is another one."""
    return torch.arange(1.0, 12.0 * tokens + 1).view(tokens, 2, 2, 3).permute(1, 2, 0, 3)


def _played(cache_class: Callable, room: int, steps: list) -> dict[str, Any]:
    """Return what a cache returns and says after each step."""
    k = _marked(sum(step for step in steps if step != "reset") or 1)
    cache, seen = cache_class(2, 2, room, 3, torch.float32, "cpu"), {}
    for label, step, first in walk(steps):
        if step == "reset":
            cache.reset()
        else:
            new = k[:, :, first : first + step]
            k_all, v_all = cache.append(new, -new)
            seen[f"{label}, k_all"], seen[f"{label}, v_all"] = k_all.clone(), v_all.clone()
        seen[f"{label}, length"] = cache.length
    return seen


def _right(room: int, steps: list) -> dict[str, Any]:
    k = _marked(sum(step for step in steps if step != "reset") or 1)
    held: list[int] = []
    seen: dict[str, Any] = {}
    for label, step, first in walk(steps):
        if step == "reset":
            held = []
        else:
            held = held + list(range(first, first + step))
            seen[f"{label}, k_all"], seen[f"{label}, v_all"] = k[:, :, held], -k[:, :, held]
        seen[f"{label}, length"] = len(held)
    return seen


def _bug(phrase: str, was: str, quiet: str) -> Bug:
    (cache,) = (one for says, one in WRONG_CACHES if phrase in says)
    return Bug(partial(_played, cache), was, quiet)


CACHE = Hunt(
    exercise=KV_CACHE,
    call=_CALL,
    does="keeps what is appended and returns all of it, oldest first. A step is a number of new "
    'tokens or "reset"; the course fills in the numbers and looks at k_all, v_all and `length`',
    example='hunt("KVCache", (8, [3]))',
    ready=_script,
    right=_right,
    axes=("sequence", "KV head", "slot", "channel"),
    bugs=(
        _bug(
            "length is advanced before",
            "It counted the new tokens before it wrote them, so they lay behind the place where "
            "they were looked for, as once in onnxruntime-genai.",
            "Reading and writing agree on the length, and shapes are right.",
        ),
        _bug(
            "returns the whole memory",
            "It returned its whole memory, slots without a token included.",
            "A cache that is full has no such slots.",
        ),
        _bug(
            "from slot 0",
            "Every append overwrote the oldest tokens.",
            "The first append belongs there.",
        ),
        _bug(
            "new tokens come first",
            "It put the newest tokens in front.",
            "After one append there are no others, and the shapes are always right.",
        ),
        _bug(
            "reset does not forget",
            "Its reset forgot nothing.",
            "Until the second text nobody resets.",
        ),
    ),
)

HUNTS = (CACHE,)
