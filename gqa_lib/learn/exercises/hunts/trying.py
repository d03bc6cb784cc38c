"""Runs the wrong answers of a hunt and the right one on a learner's inputs."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from gqa_lib.kernels.tolerances import LEARNERS

from .hunt import Hunt, Slip


def exposed(hunt: Hunt, inputs: Sequence[tuple], *, more: bool = False) -> list[dict[int, str]]:
    """Return for each wrong answer the inputs that expose it: place -> how the results differ.

    Args:
        hunt: whose wrong answers.
        inputs: as `inputs_of` returns them.
        more: those that only grading knows, instead of the bugs.

    Raises:
        Slip: an input is none of this hunt; the message says which and why.
    """
    found: list[dict[int, str]] = [{} for _ in (hunt.more if more else hunt.bugs)]
    answers = hunt.more if more else tuple(bug.wrong for bug in hunt.bugs)
    for place, given in enumerate(inputs):
        try:
            ready = hunt.ready(given)
            right = _run(hunt.answer, ready)
            if isinstance(right, Exception):
                raise Slip(f"The right answer has none for this: {right}")
        except Slip as slip:
            which = f"Input {place + 1}: " if len(inputs) > 1 else ""
            raise Slip(f"{which}{slip}") from None
        dtype = next((x.dtype for x in ready if isinstance(x, torch.Tensor)), None)
        for answer, how in zip(answers, found, strict=True):
            if said := _apart(_run(answer, ready), right, dtype, hunt.axes):
                how[place] = said
    return found


def idle(found: Sequence[dict[int, str]], inputs: int) -> list[int]:
    """Return the places of inputs without which as many bugs would be caught, one at a time.

    Args:
        found: as from `exposed`.
        inputs: their number.
    """
    left = set(range(inputs))
    for place in reversed(range(inputs)):
        rest = left - {place}
        if rest and all(rest & how.keys() for how in found if how):
            left = rest
    return sorted(set(range(inputs)) - left)


def _run(function: Callable, arguments: tuple) -> Any:
    try:
        return function(*copy.deepcopy(arguments))
    except Exception as error:
        return error


def _apart(got: Any, right: Any, dtype: torch.dtype | None, axes: Sequence[str]) -> str:
    """Return how a result differs from the right one, or ""."""
    if isinstance(got, Exception):
        return f"it stops with {type(got).__name__}"
    if isinstance(right, dict):
        each = ((name, _apart(got[name], right[name], dtype, axes)) for name in right)
        return next((f"{name}: {said}" for name, said in each if said), "")
    if isinstance(right, torch.Tensor):
        return _tensors_apart(got, right, dtype, axes)
    near = isinstance(right, float) and math.isclose(got, right, rel_tol=1e-9)
    return "" if near or got == right else f"it gives {_shown(got)}, right is {_shown(right)}"


def _shown(value: Any) -> str:
    return f"{value:,.10g}" if isinstance(value, float) else str(value)


def _tensors_apart(
    got: torch.Tensor, right: torch.Tensor, dtype: torch.dtype | None, axes: Sequence[str]
) -> str:
    if got.shape != right.shape:
        return f"it returns the shape {tuple(got.shape)}, right is {tuple(right.shape)}"
    if dtype is not None and dtype.is_floating_point:
        got = got.to(dtype)  # as a learner's code would return it
    tolerance = LEARNERS.get(got.dtype, 0.0)
    one, other = got.double(), right.double()
    wrong = ~torch.isclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)
    if not wrong.any():
        return ""
    place = wrong.nonzero()[0].tolist()
    named = zip(axes, place, strict=True) if len(axes) == len(place) else ()
    where = ", ".join(f"{axis} {index}" for axis, index in named) or str(place)
    at = tuple(place)
    gives = f"it gives {one[at].item():.4g}, right is {other[at].item():.4g}"
    return f"at {where} {gives}" if place else gives
