"""Compares what a learner's code returned with the oracle, and says how they differ."""

import math
from typing import Any

import numpy as np
import torch

from gqa_lib.kernels.tolerances import LEARNERS


def difference(got: Any, expected: Any, dtype: torch.dtype | None = None) -> str | None:
    """Return one sentence on how `got` differs from `expected`, or None if it does not.

    Args:
        got: what the learner's code returned.
        expected: a tensor (compared with the tolerance of `got`'s dtype), a plain value, or a tuple
            or a dictionary of these.
        dtype: the dtype `got` must have, if it is a floating-point tensor.
    """
    if isinstance(expected, tuple):
        return _tuple_difference(got, expected, dtype)
    if isinstance(expected, dict):
        return _dict_difference(got, expected, dtype)
    if not isinstance(expected, torch.Tensor):
        return _plain_difference(got, expected)
    if not isinstance(got, torch.Tensor):
        return f"It returned {_article(got)}; a tensor is expected."
    if got.shape != expected.shape:
        return f"It returned shape {tuple(got.shape)}; expected {tuple(expected.shape)}."
    wanted = dtype if expected.is_floating_point() else expected.dtype
    if wanted is not None and got.dtype != wanted:
        return f"The shape is right, but the dtype is {got.dtype}; expected {wanted}."
    return _value_difference(got, expected)


def same(got: Any, expected: Any) -> bool:
    """Return whether two results agree in shape and value, whatever their dtypes."""
    if isinstance(expected, torch.Tensor) and isinstance(got, torch.Tensor):
        return got.shape == expected.shape and _value_difference(got, expected) is None
    return difference(got, expected) is None


def unchanged(now: Any, then: Any) -> bool:
    """Return whether an argument is what it was.

    Args:
        now: the argument after a call.
        then: a copy of it from before.
    """
    if isinstance(then, torch.Tensor):
        if not isinstance(now, torch.Tensor) or (now.dtype, now.shape) != (then.dtype, then.shape):
            return False
        return torch.allclose(now, then, rtol=0, atol=0, equal_nan=True)
    if type(now) is not type(then):
        return False
    if isinstance(then, dict):
        return now.keys() == then.keys() and all(unchanged(now[key], then[key]) for key in then)
    if isinstance(then, list | tuple):
        return len(now) == len(then) and all(map(unchanged, now, then))
    return now is then or now == then  # NaN is not equal to itself


def _value_difference(got: torch.Tensor, expected: torch.Tensor) -> str | None:
    if got.device.type == "meta":
        return "It is a tensor on the device 'meta', which has no values."
    if not expected.is_floating_point():
        wrong = got.cpu() != expected.cpu()
        if not wrong.any():
            return None
        place = tuple(wrong.nonzero()[0].tolist())
        return (
            f"The shape is right, but {int(wrong.sum())} of {wrong.numel()} entries differ; "
            f"the first, at {list(place)}, is {got[place].item()}, expected "
            f"{expected[place].item()}."
        )
    values, right = got.detach().cpu().double(), expected.cpu().double()
    if not torch.isfinite(values).all() and torch.isfinite(right).all():
        kind = "NaN" if values.isnan().any() else "infinity"
        return f"The result contains {kind}; every expected value is finite."
    tolerance = LEARNERS.get(got.dtype, LEARNERS[torch.float32])
    wrong = ~torch.isclose(values, right, rtol=tolerance, atol=tolerance, equal_nan=True)
    if not wrong.any():
        return None
    place = tuple(wrong.nonzero()[0].tolist())
    one, other = _apart(values[place].item(), right[place].item())
    return (
        f"The shape is right, but {int(wrong.sum())} of {wrong.numel()} values differ; the first, "
        f"at {list(place)}, is {one}, expected {other}." + _coarse(values, right, got.dtype)
    )


def _coarse(values: torch.Tensor, right: torch.Tensor, dtype: torch.dtype) -> str:
    """Return a question on float64 results that agree as float32 ones would."""
    near = torch.allclose(values, right, rtol=1e-4, atol=1e-4, equal_nan=True)
    if dtype != torch.float64 or not near:
        return ""
    return " In float64 they should agree to 1e-9: is something computed in float32?"


def _apart(one: float, other: float) -> tuple[str, str]:
    """Return two numbers with as many digits as it takes to see that they differ."""
    for digits in range(4, 17):
        texts = f"{one:#.{digits}g}", f"{other:#.{digits}g}"
        if texts[0] != texts[1]:
            break
    return texts


def _plain_difference(got, expected) -> str | None:
    got = _as_python_has_it(got)
    if isinstance(expected, int) and not isinstance(expected, bool):
        if isinstance(got, bool) or not isinstance(got, int):
            return f"It returned {_article(got)}; a whole number (int) is expected."
    elif isinstance(expected, float) and isinstance(got, int | float):
        return None if math.isclose(got, expected, rel_tol=1e-9) else _unequal(got, expected)
    if type(got) is type(expected) and got == expected:
        return None
    return _unequal(got, expected)


def _as_python_has_it(value):
    """Return a number or truth value of NumPy's as Python's."""
    return value.item() if isinstance(value, np.generic) else value


def _unequal(got, expected) -> str:
    returned = _article(got) if got is None else repr(got)
    return f"It returned {returned}; expected {expected!r}."


def _tuple_difference(got, expected: tuple, dtype) -> str | None:
    if not isinstance(got, tuple | list) or len(got) != len(expected):
        return f"It returned {_article(got)}; expected {len(expected)} results."
    for place, (one, right) in enumerate(zip(got, expected, strict=True)):
        if found := difference(one, right, dtype):
            return f"Result {place + 1} of {len(expected)}: {found}"
    return None


def _dict_difference(got, expected: dict, dtype) -> str | None:
    if not isinstance(got, dict) or got.keys() != expected.keys():
        return f"It returned {_article(got)}; expected {', '.join(map(str, expected))}."
    for key, right in expected.items():
        if found := difference(got[key], right, dtype):
            return f"{key}: {found.removeprefix('It returned ')}"
    return None


def _article(value) -> str:
    if value is None:
        return "None (is a `return` missing?)"
    name = type(value).__name__.replace("ndarray", "array of NumPy")
    return f"{'an' if name[0] in 'aeiouAEIO' else 'a'} {name}"
