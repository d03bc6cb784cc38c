"""What a learner hands to a hunt: taken apart, and refused in words where it is no input."""

from collections.abc import Callable, Iterable
from itertools import islice
from numbers import Integral
from typing import Any

import torch

from .hunt import Slip

MOST_INPUTS = 8
MOST_NUMBERS = 100_000  # of one tensor
MOST_HEADS = 128
_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def inputs_of(given: Iterable[Any]) -> list[tuple]:
    """Return the inputs in what a learner gave: tuples, lists of these, functions that make them.

    Raises:
        Slip: there is something else in it, or too many.
    """
    found: list[tuple] = []
    for one in given:
        made = _made_by(one) if callable(one) else one
        several = made if isinstance(made, list) else [made]
        found += [_one_input(each) for each in several]
    if len(found) > MOST_INPUTS:
        raise Slip(f"That is more than {MOST_INPUTS} inputs. A good hunt needs one or two.")
    return found


def _made_by(function: Callable) -> list | tuple:
    try:
        made = function()
        if isinstance(made, tuple | torch.Tensor):
            return [made]
        return list(islice(made, MOST_INPUTS + 1))
    except Exception as error:
        said = f": {error}" if f"{error}" else ""
        raise Slip(
            f"The function that makes the inputs stopped with {type(error).__name__}{said}. It "
            "is called without arguments and returns one input, a tuple, or a list of inputs."
        ) from None


def _one_input(value: Any) -> tuple:
    if not isinstance(value, tuple):
        raise Slip(
            f"An input is a tuple of arguments, in brackets of its own; this is {kind(value)}."
        )
    return value


def count(given: tuple, call: str, *allowed: int) -> None:
    """Refuse an input with another number of arguments.

    Args:
        given: the input.
        call: how one is typed.
        allowed: the numbers that are right.

    Raises:
        Slip: it has another.
    """
    if len(given) not in allowed:
        raise Slip(f"An input of this hunt is {call}; this one has {len(given)} in it.")


def tensor(
    value: Any, name: str, axes: str, *, whole: bool = False, endless: bool = False
) -> torch.Tensor:
    """Return a tensor of an input, a copy on the CPU.

    Args:
        value: what was given.
        name: what the hunt calls it.
        axes: its shape in words, such as "(B, T, d_model)"; "(...)" is any.
        whole: whole numbers are as good, such as those of torch.arange.
        endless: minus infinity is allowed in it.

    Raises:
        Slip: it is none, or too large, or of another shape or kind.
    """
    if not isinstance(value, torch.Tensor):
        raise Slip(f"{name} must be a tensor {axes}; it is {kind(value)}.")
    if "..." not in axes and value.dim() != axes.count(",") + 1:
        raise Slip(f"{name} must have the shape {axes}; it has {tuple(value.shape)}.")
    if value.numel() == 0:
        raise Slip(f"{name} has the shape {tuple(value.shape)}: there is nothing in it.")
    if value.numel() > MOST_NUMBERS:
        raise Slip(
            f"{name} has {value.numel():,} numbers. A hunt takes {MOST_NUMBERS:,} at most, and "
            "small inputs are easier to read."
        )
    if value.device.type == "meta":
        raise Slip(f"{name} is on the device 'meta', so it has no values to compare.")
    if value.dtype not in _DTYPES and not (whole and value.dtype in (torch.int32, torch.int64)):
        raise Slip(f"{name} is {value.dtype}; make it floating point, as with {name}.float().")
    copy = value.detach().cpu().clone()
    odd = copy.isnan() | (copy.isinf() & (copy > 0) if endless else copy.isinf())
    if odd.any():
        raise Slip(f"{name} has NaN or infinity in it: right and wrong answers drown in those.")
    return copy


def number(value: Any, name: str, least: int, most: int) -> int:
    """Return a whole number of an input.

    Args:
        value: what was given.
        name: what the hunt calls it.
        least, most: between which it must be.

    Raises:
        Slip: it is none, or not between them.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise Slip(f"{name} must be a whole number; it is {kind(value)}.")
    whole = int(value)
    if not least <= whole <= most:
        raise Slip(f"{name} is {whole}; this hunt takes {least} to {most:,}.")
    return whole


def kind(value: Any) -> str:
    """Return what a value is, in words."""
    if value is None:
        return "None"
    if isinstance(value, torch.Tensor):
        return f"a tensor {tuple(value.shape)}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
