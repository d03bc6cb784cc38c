"""Numbers that a learner's code returns, whatever library made them."""

import math
from typing import Any

import numpy as np
import torch

from .exercise import Complaint

SINGLE = 5e-7  # how far a result computed in float32 may be off, as a share of it


def as_number(one: Any, otherwise: str) -> float:
    """Return a learner's result as a float.

    Args:
        one: a number of Python, NumPy or torch.
        otherwise: what the learner reads if it is something else, after its type and value.

    Raises:
        Complaint: it is not a number.
    """
    try:
        known = isinstance(one, int | float | np.number | np.ndarray | torch.Tensor)
        if known and not isinstance(one, bool | np.longdouble):
            return float(one)
    except (TypeError, ValueError, RuntimeError):
        pass
    raise Complaint(f"{otherwise.format(type=type(one).__name__, value=repr(one))}")


def nearly(got: float, right: float, share: float = SINGLE) -> float:
    """Return the right number if a learner's is as near as float32 allows, else the learner's.

    Args:
        got: the learner's.
        right: the right one.
        share: of the right one that it may be off.
    """
    near = math.isclose(got, right, rel_tol=share) or got == right
    return right if near else got
