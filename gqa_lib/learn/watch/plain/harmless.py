"""What plain code gets for what shows, warns and names things: nobody looks here."""

import contextlib
import operator
import typing
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from .rules import WATCHED_NAMES, may_name

_DRAWS = (
    *("choice", "exponential", "integers", "normal", "permutation", "permuted", "poisson"),
    *("random", "shuffle", "standard_normal", "uniform"),
)


def show(*values, **named) -> None:
    """Show nothing."""


class Shown:
    """Something to be shown."""

    def __init__(self, *values, **named):
        self.data = values[0] if values else None


class Bar:
    """As tqdm's bar, without one."""

    def __init__(self, iterable=(), *rest, **named):
        self._iterable, self.n = iterable, 0

    def __iter__(self) -> Iterator:
        return iter(self._iterable)

    def __len__(self) -> int:
        return len(self._iterable)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *exception) -> None:
        """Close nothing."""

    set_description = set_postfix = set_postfix_str = set_description_str = show
    close = refresh = reset = write = clear = show

    def update(self, n: int = 1) -> None:
        """Go on."""
        self.n += n


def some(*numbers, **named) -> Bar:
    """As tqdm's `trange`."""
    return Bar(range(*numbers))


def caught(*, record: bool = False, **named) -> Any:
    """As `warnings.catch_warnings`: none are kept."""
    return contextlib.nullcontext([] if record else None)


def attrgetter(*names: str) -> Any:
    """As Python's, for attributes that are plain of any object."""
    return operator.attrgetter(*map(_plain, names))


def methodcaller(name: str, /, *values, **named) -> Any:
    """As Python's, for methods that are plain of any object."""
    return operator.methodcaller(_plain(name), *values, **named)


def _plain(path: str) -> str:
    path = str.__str__(path)
    for name in path.split("."):
        if name.startswith("_") or not may_name(name) or name in WATCHED_NAMES:
            raise AttributeError(f"plain code has no attribute {name!r}")
    return path


def get_args(of: Any) -> tuple:
    """As `typing`'s, of types and of literals.

    Raises:
        TypeError: there is a name among them, which Python would evaluate, or a kind of classes.
    """
    found = typing.get_args(of)
    known = all(isinstance(one, type | int | str | bytes | None) for one in found)
    if not known or any(isinstance(one, type) and issubclass(one, type) for one in found):
        raise TypeError("plain code gets no types that are only named, and no kinds of classes")
    return found


def as_it_is(function: Any = None, /, **options) -> Any:
    """Return a function as it is written: what is watched is not compiled."""
    return (lambda given: given) if function is None else function


def default_rng(seed: Any = None) -> SimpleNamespace:
    """Return what draws numbers; NumPy's own leads to its memory."""
    import numpy

    if seed is not None and type(seed) not in (int, list, tuple):
        raise TypeError(f"plain code has whole numbers as seeds, not a {type(seed).__name__}")
    numbers = numpy.random.default_rng(seed)
    return SimpleNamespace(**{name: getattr(numbers, name) for name in _DRAWS})


BARS = {"tqdm": Bar, "trange": some}
_SHOWN = ("HTML", "Markdown", "Latex", "Math", "Pretty", "Code", "JSON", "SVG", "Image")
DISPLAY = {"display": show, "clear_output": show} | dict.fromkeys(_SHOWN, Shown)
WARNINGS = {"catch_warnings": caught, "simplefilter": show, "filterwarnings": show}
WARNINGS |= {"resetwarnings": show}
