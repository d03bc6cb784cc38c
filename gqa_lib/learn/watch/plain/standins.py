"""What plain code finds in place of parts of the standard library that could lead it further."""

import contextlib
import dataclasses
import enum
import logging
import types
import typing
from typing import Any

import numpy
import torch

from .classes import ParameterDict, ParameterList, ndarray
from .harmless import (
    BARS,
    DISPLAY,
    WARNINGS,
    as_it_is,
    attrgetter,
    default_rng,
    get_args,
    methodcaller,
)

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
    if getattr(kind, "_is_protocol", False):  # a pattern of it would take any object's fields
        raise TypeError("plain code makes no dataclasses of protocols")
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


def _settings(**named) -> SimpleNamespace:
    return SimpleNamespace(**named)  # which code may set, and which change nothing


_MATMUL = _settings(allow_tf32=False, allow_fp16_reduced_precision_reduction=True)
_CUDNN = _settings(allow_tf32=True, benchmark=False, deterministic=False, enabled=True)

STAND_INS: dict[str, dict[str, Any]] = {  # module: name: what plain code gets for it
    "IPython.display": DISPLAY,
    "contextlib": dict.fromkeys(("redirect_stdout", "redirect_stderr"), contextlib.nullcontext),
    "dataclasses": {"dataclass": dataclass},
    "enum": {one.__name__: one for one in (Enum, IntEnum, StrEnum, Flag, IntFlag)},
    "functools": {"wraps": wraps},
    "logging": _LEVELS
    | {name: _Log().say for name in _SAY}
    | {"getLogger": _get_logger, "Logger": _Log},
    "operator": {"attrgetter": attrgetter, "methodcaller": methodcaller},
    "os": {"environ": {}, "getenv": _getenv},
    "numpy": {"ndarray": ndarray, "__version__": numpy.__version__},
    "numpy.random": {"default_rng": default_rng},
    "torch": {
        "from_numpy": _from_numpy,
        "__version__": torch.__version__,
        "compile": as_it_is,
    },
    "torch.jit": {"script": as_it_is},
    "torch.backends": {"cudnn": _CUDNN},
    "torch.backends.cuda": {"matmul": _MATMUL},
    "torch.nn": {"ParameterDict": ParameterDict, "ParameterList": ParameterList},
    "types": {"SimpleNamespace": SimpleNamespace},
    "typing": {"TypedDict": _TypedDict(), "get_args": get_args},
    "warnings": WARNINGS,
}
# Packages of which plain code gets no more than this: they are not even imported.
NOT_IMPORTED: dict[str, dict[str, Any]] = dict.fromkeys(
    ("tqdm", "tqdm.auto", "tqdm.notebook"), BARS
)
