"""What torch's functions are called with while they are watched: values, and no code.

A mode of torch is off while its own handler runs, so code that torch calls back from there, by an
`__index__` or a function among the arguments, would not be seen.
"""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import numpy
import torch

from .plain.rules import DENIED

_CALLED = {  # by functions that take numbers or lists, of the objects they are given
    *("__index__", "__int__", "__float__", "__complex__", "__bool__", "__len__", "__getitem__"),
    *("__iter__", "__next__", "__contains__", "__call__", "__eq__", "__hash__", "__str__"),
}
_VALUES = {int, float, complex, bool, str, bytes, type(None), type(...), range, torch.Tensor}
_VALUES |= {torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Generator}
_HERE = "__main__"


def refuse_code(function: Any, *given: Any) -> None:
    """Hold what a function of torch is called with against what it may be.

    Args:
        function: torch's.
        given: its arguments.

    Raises:
        TypeError: one has code of its own that torch would call.
    """
    name = getattr(function, "__name__", "")
    if name not in DENIED and any(map(_has_code, given)):
        raise TypeError(
            f"{name} is given an object or a function that torch would call while it is watched. "
            "What runs there is not seen: give it tensors and numbers."
        )


def _has_code(value: Any) -> bool:
    kind = type(value)
    if kind in _VALUES or isinstance(value, torch.Tensor):
        return False
    if isinstance(value, type):
        return value.__module__ == _HERE
    own = [one for one in kind.__mro__ if one.__module__ == _HERE]
    if any(name in _CALLED or isinstance(v, property) for one in own for name, v in _of(one)):
        return True
    if kind is slice:
        return any(map(_has_code, (value.start, value.stop, value.step)))
    if isinstance(value, numpy.ndarray | numpy.generic):
        return value.dtype.hasobject
    if isinstance(value, Fraction):
        return not {type(value.numerator), type(value.denominator)} <= {int}
    if callable(value) or isinstance(value, Iterator):
        return True
    if isinstance(value, Mapping) and any(map(_has_code, value.values())):
        return True
    return isinstance(value, Iterable) and any(map(_has_code, value))


def _of(kind: type) -> list[tuple[str, Any]]:
    """Return what a class defines, less what Python made for a class of named values."""
    made = vars(kind).get("__dataclass_fields__") is not None or hasattr(kind, "_fields")
    return [(n, v) for n, v in vars(kind).items() if not (made and n in ("__eq__", "__hash__"))]
