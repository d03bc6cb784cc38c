"""Torch's and NumPy's classes whose own ways would lead plain code further, as it gets them."""

import operator
from collections.abc import Iterable
from typing import Any

import numpy
from torch import nn

from .rules import is_pythons


class ParameterDict(nn.ParameterDict):
    """As torch's, of which a key is also an attribute: with no names by which Python treats it."""

    def __getitem__(self, key: Any) -> Any:
        name = str.__str__(key)
        if is_pythons(name) or name not in self._keys:
            raise KeyError(key)
        return getattr(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(_plain(name), value)

    def copy(self) -> "ParameterDict":
        """Return one with the same parameters."""
        return ParameterDict(dict(self.items()))

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> "ParameterDict":
        """Return one with these keys, all of them for the same value."""
        return ParameterDict(dict.fromkeys(keys, default))


class ParameterList(nn.ParameterList):
    """As torch's, of which a number is also an attribute."""

    def __getitem__(self, place):
        if isinstance(place, slice):
            return super().__getitem__(place)
        return getattr(self, str(range(vars(self)["_size"])[operator.index(place)]))

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(_plain(name), value)


def _plain(name: Any) -> str:
    name = str.__str__(name)
    if is_pythons(name):
        raise AttributeError(f"plain code has no attribute {name!r}")
    return name


class _Arrays(type):
    def __instancecheck__(cls, value):
        return (
            isinstance(value, numpy.ndarray) if cls is ndarray else super().__instancecheck__(value)
        )

    def __subclasscheck__(cls, kind):
        return (
            issubclass(kind, numpy.ndarray) if cls is ndarray else super().__subclasscheck__(kind)
        )


class ndarray(numpy.ndarray, metaclass=_Arrays):
    """As NumPy's, which takes any bytes for the addresses of objects."""

    def __new__(cls, shape, dtype=float, buffer=None, *places, **named):
        """Make an array; over a buffer only of numbers."""
        dtype = numpy.dtype(dtype)
        of_numbers = isinstance(buffer, bytes | bytearray | numpy.ndarray)
        held = numpy.asarray(buffer).dtype if of_numbers else numpy.dtype(object)
        if buffer is not None and (dtype.hasobject or held.hasobject):
            raise TypeError("plain code takes no memory for objects")
        kind = numpy.ndarray if cls is ndarray else cls
        return numpy.ndarray.__new__(kind, shape, dtype, buffer, *places, **named)
