"""What plain code finds in place of parts of the standard library that could lead it further."""

import dataclasses
import enum
import logging
import types
import typing
from typing import Any

import torch

MODULE = "__main__"  # of what plain code defines


class SimpleNamespace(types.SimpleNamespace):
    """As Python's, without the names by which Python treats objects."""

    def __init__(self, **named):
        if wrong := [name for name in named if name.startswith("__")]:
            raise TypeError(f"plain code has no attribute {wrong[0]!r}")
        super().__init__(**named)

    def __repr__(self) -> str:
        return types.SimpleNamespace(**vars(self)).__repr__()


def wraps(wrapped: Any) -> Any:
    """Give a function of the code's own the name and words of another."""

    def named(function):
        if type(function) is not types.FunctionType or function.__module__ != MODULE:
            raise TypeError("plain code wraps functions of its own")
        for name in ("__name__", "__qualname__", "__doc__"):
            setattr(function, name, getattr(wrapped, name, None) or getattr(function, name))
        return function

    return named


def dataclass(kind: Any = None, /, **keywords: Any) -> Any:
    """As Python's, for classes of the code's own."""
    if kind is None:
        return lambda kind: dataclass(kind, **keywords)
    if not isinstance(kind, type) or kind.__module__ != MODULE:
        raise TypeError("plain code makes dataclasses of classes of its own")
    fields = [name for one in kind.__mro__ for name in vars(one).get("__annotations__", ())]
    if not all(type(name) is str and name.isidentifier() for name in fields):
        raise TypeError("a dataclass has fields with names")
    return dataclasses.dataclass(kind, **keywords)


class _TypedDict:
    def __mro_entries__(self, bases):
        return typing.TypedDict.__mro_entries__(bases)  # type: ignore[attr-defined]


class _Listed(enum.EnumMeta):
    """Makes enumerations by `class` alone: names in a list could be any."""

    def __call__(cls, value, *more, **named):  # type: ignore[override]
        if more or named:
            raise TypeError("plain code makes enumerations with `class`")
        return super().__call__(value)


class Enum(enum.Enum, metaclass=_Listed):
    """As Python's."""


class IntEnum(enum.IntEnum, metaclass=_Listed):
    """As Python's."""


class StrEnum(enum.StrEnum, metaclass=_Listed):
    """As Python's."""


class Flag(enum.Flag, metaclass=_Listed):
    """As Python's."""


class IntFlag(enum.IntFlag, metaclass=_Listed):
    """As Python's."""


class _Log:
    """Takes what code says of itself, for nobody."""

    name, handlers, level = "", (), logging.WARNING

    def say(self, *words, **named) -> None:
        """Pass over it."""

    debug = info = warning = error = critical = exception = log = say
    setLevel = addHandler = say  # as Python's

    def isEnabledFor(self, level) -> bool:
        """Return that nobody reads it."""
        return False


def _get_logger(name=None):
    return _Log()


def _getenv(name, default=None):
    return default


_LEVELS = {name: getattr(logging, name) for name in ("DEBUG", "INFO", "WARNING", "ERROR")}
_SAY = ("debug", "info", "warning", "error", "critical", "exception", "log", "basicConfig")


def _from_numpy(array):
    return torch.from_numpy(array)  # which `devices` replaces while it watches


def show(*values, **named) -> None:
    """Display nothing: nobody looks."""


STAND_INS: dict[str, dict[str, Any]] = {  # module: name: what plain code gets for it
    "IPython.display": {"display": show},
    "dataclasses": {"dataclass": dataclass},
    "enum": {one.__name__: one for one in (Enum, IntEnum, StrEnum, Flag, IntFlag)},
    "functools": {"wraps": wraps},
    "logging": _LEVELS
    | {name: _Log().say for name in _SAY}
    | {"getLogger": _get_logger, "Logger": _Log},
    "os": {"environ": types.MappingProxyType({}), "getenv": _getenv},
    "torch": {"from_numpy": _from_numpy},
    "types": {"SimpleNamespace": SimpleNamespace},
    "typing": {"TypedDict": _TypedDict()},
}
