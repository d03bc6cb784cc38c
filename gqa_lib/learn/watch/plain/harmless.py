"""Parts of libraries that honest answers use, as plain code may have them."""

import contextlib
import operator
import typing
import warnings
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import torch

from .rules import may_name

_NOT_BY_NAME = {"format", "format_map", "compile", "keywords"}  # of which guards look at the object
_DRAWS = (
    *("choice", "exponential", "integers", "normal", "permutation", "permuted", "poisson"),
    *("random", "shuffle", "standard_normal", "uniform"),
)


def _named(name: Any) -> str:
    parts = name.split(".") if type(name) is str else [""]
    for part in parts:
        if not part or part.startswith("_") or part in _NOT_BY_NAME or not may_name(part):
            raise AttributeError(f"plain code has no attribute {part!r} by its name")
    return name


def _attrgetter(*names):
    return operator.attrgetter(*map(_named, names))


def _methodcaller(name, /, *arguments, **named):
    return operator.methodcaller(_named(name), *arguments, **named)


def _get_args(kind):
    """Return the values of a Literal; other types are made of what plain code does not get."""
    if typing.get_origin(kind) is not typing.Literal:
        raise TypeError("plain code asks for the values of a Literal only")
    return typing.get_args(kind)


@contextlib.contextmanager
def _catch_warnings(*, record=False, action=None, category=Warning, lineno=0, append=False):
    with warnings.catch_warnings(record=record) as caught:
        if action is not None:
            warnings.simplefilter(action, category, lineno, append)
        yield caught


def _as_it_is(function=None, /, **options):
    """Return a function as it is written: what is watched is not compiled."""
    return (lambda given: given) if function is None else function


def _default_rng(seed=None):
    """Return what draws numbers; NumPy's own leads to its memory."""
    import numpy

    if seed is not None and type(seed) not in (int, list, tuple):
        raise TypeError(f"plain code has whole numbers as seeds, not a {type(seed).__name__}")
    numbers = numpy.random.default_rng(seed)
    return SimpleNamespace(**{name: getattr(numbers, name) for name in _DRAWS})


HARMLESS: dict[str, dict[str, Any]] = {  # module: name: what plain code gets for it
    "numpy": {"__version__": version("numpy")},
    "numpy.random": {"default_rng": _default_rng},
    "operator": {"attrgetter": _attrgetter, "methodcaller": _methodcaller},
    "torch": {"__version__": torch.__version__, "compile": _as_it_is},
    "torch.jit": {"script": _as_it_is},
    "typing": {"get_args": _get_args},
    "warnings": {"catch_warnings": _catch_warnings},
}
