"""How a cache is checked: a script of steps, and what can be seen of the cache after each.

A step is a number of new tokens, which come from k and v in order, or "reset".
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import torch

from ..watch import Elsewhere, as_it_is_now, watching, where_seen
from .exercise import Complaint

Steps = Sequence[int | str]


def expected_of_cache(k: torch.Tensor, v: torch.Tensor, max_seq_len: int, steps: Steps) -> dict:
    """Return what `observe_cache` sees of a right cache, from a plain list of token numbers.

    Args:
        k, v: (B, Hkv, S, D), S tokens or more than all steps append.
        max_seq_len: tokens that the cache has room for.
        steps: what is done with it.
    """
    seen: dict[str, object] = {"Length of a new cache": 0}
    held: list[int] = []
    before = None
    for label, step, first in walk(steps):
        if step == "reset":
            held, before = [], None
        elif len(held) + step <= max_seq_len:
            held = held + list(range(first, first + step))
            seen |= {f"{label}, k_all": _tokens(k, held), f"{label}, v_all": _tokens(v, held)}
            if before is not None:
                seen[f"{label}, the k_all of the append before"] = before
            before = _tokens(k, held)
        seen[f"{label}, length"] = len(held)
    return seen | {
        f"{_SECOND}, k_all": _tokens(k, [0, 1, 5]),
        f"{_SECOND}, v_all": _tokens(v, [0, 1, 5]),
        f"{_SECOND}, length": 3,
        f"{_FIRST}, length": 2,
    }


_SECOND = "A second cache, after append 2, append 1"
_FIRST = "The first cache, after reset, append 2 in between"


def walk(steps: Sequence[Any]) -> Iterator[tuple[str, Any, int]]:
    """Yield (the story so far, step, number of its first token)."""
    done, first = [], 0
    for step in steps:
        done.append(step if step == "reset" else f"append {step}")
        yield f"After {', '.join(done)}", step, first
        first += 0 if step == "reset" else step


def _tokens(x, held):
    return torch.stack([x[:, :, token] for token in held], 2)


def observe_cache(
    yours: Any, k: torch.Tensor, v: torch.Tensor, max_seq_len: int, steps: Steps
) -> dict:
    """Return what can be seen of the learner's cache after each step.

    Args:
        yours: the learner's class.
        k, v, max_seq_len, steps: as in `expected_of_cache`.

    Raises:
        Complaint: something that no comparison of values would name.
    """
    yours = where_seen(yours)  # of a forged one it could not be told what memory it keeps
    cache = new_cache(yours, k, max_seq_len)
    seen, held, before = {"Length of a new cache": number_of(cache, "length")}, 0, None
    for label, step, first in walk(steps):
        if step == "reset":
            cache.reset()
            held, before = 0, None
        elif held + step > max_seq_len:
            _overflow(cache, k, v, first, step, held, max_seq_len)
        else:
            held += step
            if held == max_seq_len:
                k_all, v_all = _append_and_spoil(cache, k, v, first, first + step, held)
            else:
                k_all, v_all = append_tokens(cache, k, v, first, first + step)
            seen[f"{label}, k_all"] = _copied(k_all, held)
            seen[f"{label}, v_all"] = _copied(v_all, held)
            if before is not None:
                k_before, held_then = before
                seen[f"{label}, the k_all of the append before"] = _copied(
                    as_it_is_now(k_before), held_then
                )
            before = k_all, held
        seen[f"{label}, length"] = number_of(cache, "length")
    return seen | _observe_two(yours, cache, k, v, max_seq_len)


def _observe_two(yours, cache, k, v, max_seq_len) -> dict:
    second = new_cache(yours, k, max_seq_len)
    cache.reset()
    append_tokens(second, k, v, 0, 2)
    append_tokens(cache, k, v, 2, 4)
    k_all, v_all = append_tokens(second, k, v, 5, 6)
    return {
        f"{_SECOND}, k_all": _copied(k_all, 3),
        f"{_SECOND}, v_all": _copied(v_all, 3),
        f"{_SECOND}, length": number_of(second, "length"),
        f"{_FIRST}, length": number_of(cache, "length"),
    }


def new_cache(yours: Any, k: torch.Tensor, max_seq_len: int) -> Any:
    """Return a cache of the learner's class.

    Args:
        yours: the class.
        k: keys of the kind that it is to hold, (B, Hkv, any, D).
        max_seq_len: tokens that it is to have room for.
    """
    B, Hkv, _, D = k.shape
    return yours(B, Hkv, max_seq_len, D, k.dtype, k.device)


def append_tokens(
    cache: Any, k: torch.Tensor, v: torch.Tensor, start: int, end: int, spoil: bool = False
) -> Sequence[torch.Tensor]:
    """Return what append returns for the tokens from start to end, (k_all, v_all).

    Args:
        cache: the learner's.
        k, v: (B, Hkv, S, D).
        start, end: which of the S tokens.
        spoil: fill what append was given with NaN afterwards, as a caller may.

    Raises:
        Complaint: it returns something else, or changes what it was given.
    """
    given = k[:, :, start:end].clone(), v[:, :, start:end].clone()
    got = cache.append(*given)
    if not (isinstance(got, tuple | list) and len(got) == 2):
        raise Complaint(f"append returned {_kind(got)}; return the pair k_all, v_all.")
    for one in got:
        if not isinstance(one, torch.Tensor):
            raise Complaint(f"append returned a pair with {_kind(one)} in it; expected tensors.")
    if not (
        torch.equal(given[0], k[:, :, start:end]) and torch.equal(given[1], v[:, :, start:end])
    ):
        raise Complaint(
            "append changed the k or v it was given. The caller still needs them: copy their "
            "values into the cache and leave them as they are."
        )
    for one in given if spoil else ():
        one.fill_(torch.nan)
    return got


def _append_and_spoil(cache, k, v, start, end, held):
    """Return what append returned for the tokens from start to end, as it is a moment later.

    By then the tensors that it was given hold NaN.

    Raises:
        Complaint: so does what it returned.
    """
    elsewhere = isinstance(cache, Elsewhere)
    watched = watching(cache, arguments=True, spoil=True) if elsewhere else nullcontext()
    with watched:
        got = append_tokens(cache, k, v, start, end, spoil=not elsewhere)
    now = [as_it_is_now(one) for one in got]
    if any(one.shape[2:3] == (held,) and bool(one.isnan().any()) for one in now):
        raise Complaint(
            "The cache keeps the caller's tensors. What the caller writes into k and v after the "
            "append changes what is cached: copy their values into the cache's own memory."
        )
    return now


def _copied(tensor, held):
    """Return a copy; with the wrong number of tokens only its shape counts, not its content."""
    return tensor.clone() if tensor.shape[2:3] == (held,) else torch.zeros_like(tensor)


def _kind(value) -> str:
    return (
        "None (is a `return` missing?)"
        if value is None
        else f"something of type {type(value).__name__}"
    )


def number_of(cache: Any, name: str) -> Any:
    """Return a number that the cache has as an attribute.

    Args:
        cache: the learner's.
        name: of the attribute.

    Raises:
        Complaint: it is a method.
    """
    value = getattr(cache, name)
    if callable(value):
        raise Complaint(
            f"{name} is a method. It is read without parentheses, cache.{name}: put @property "
            "above it, or set it as an attribute."
        )
    return value


def refusal_of_append(
    cache: Any, k: torch.Tensor, v: torch.Tensor, start: int, stop: int, what: str
) -> str:
    """Return the message of the ValueError with which a cache refuses tokens that have no place.

    Args:
        cache: the learner's.
        k, v: as in `append_tokens`.
        start, stop: the tokens.
        what: why they have no place, for a complaint.

    Raises:
        Complaint: nothing was raised, or something else.
    """
    wanted = "Raise a ValueError that says both numbers, before anything is written."
    try:
        append_tokens(cache, k, v, start, stop)
    except ValueError as error:
        return str(error)
    except (NotImplementedError, Complaint):
        raise
    except Exception as error:
        raise Complaint(
            f"{what}: it stopped with {type(error).__name__}: {error}. {wanted}"
        ) from None
    raise Complaint(f"{what}, and nothing was raised. {wanted}")


def _overflow(cache, k, v, first, step, held, max_seq_len) -> None:
    """Append more tokens than fit.

    Raises:
        Complaint: this is not refused with a ValueError that names the numbers.
    """
    what = f"{held} tokens are cached, {step} more are appended, max_seq_len is {max_seq_len}"
    before = number_of(cache, "length")
    said = refusal_of_append(cache, k, v, first, first + step, what)
    numbers = set(re.findall(r"\d+", said))
    if str(max_seq_len) not in numbers or not {str(step), str(held + step)} & numbers:
        raise Complaint(
            f"{what}: the ValueError says {said!r}. Its reader needs both numbers: the "
            f"most tokens that fit, {max_seq_len}, and how many there would be, {held + step}."
        )
    if (after := number_of(cache, "length")) != before:
        raise Complaint(
            f"{what}: it was refused, and yet the length went from {before} to {after}. A "
            "refused append must leave the cache as it was: check for room first."
        )
