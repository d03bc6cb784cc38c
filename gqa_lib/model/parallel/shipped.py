"""Functions of a notebook's cells, sent to another process with what they name.

pickle sends a function as the name of its module, and a notebook is not a module that another
process can import.
"""

from __future__ import annotations

import builtins
import dis
import marshal
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from types import CodeType, FunctionType, ModuleType
from typing import Any

_MAIN = "__main__"


def packed(fn: Callable[..., Any], args: tuple[Any, ...], by_value: bool) -> bytes:
    """Return a call as bytes; `unpacked` makes a call of them again.

    Args:
        fn: the function.
        args: what it is called with after the rank.
        by_value: whether functions of __main__ are sent with their code, as a notebook's must be.

    Raises:
        ValueError: the function or an argument cannot be sent.
    """
    sent = _Sent()
    call = (sent.out(fn), [sent.out(one) for one in args]) if by_value else (fn, args)
    try:
        return pickle.dumps((*call, sent.functions, sent.names))
    except (pickle.PicklingError, AttributeError, TypeError) as trouble:
        raise ValueError(
            f"{getattr(fn, '__name__', fn)!r:.60} and its arguments cannot be sent to other "
            f"processes: {trouble}. Give a function of a module or a notebook's cell, not one "
            "inside another function, and arguments of tensors, numbers, text and lists of them."
        ) from None


def unpacked(data: bytes) -> tuple[Callable[..., Any], list[Any]]:
    """Return the function and the arguments that were packed.

    Args:
        data: from `packed`, in this version of Python.
    """
    fn, args, functions, values = pickle.loads(data)
    made: list[FunctionType] = []
    names: dict[str, Any] = {"__name__": _MAIN, "__builtins__": __builtins__}
    for name, code, defaults, keywords in functions:
        one = FunctionType(marshal.loads(code), names, name, defaults)
        one.__kwdefaults__ = keywords
        made.append(one)
    names |= {name: _back(value, made) for name, value in values.items()}
    return _back(fn, made), [_back(one, made) for one in args]


@dataclass(frozen=True)
class _Function:
    """Stands for a function that is sent by value."""

    number: int


@dataclass(frozen=True)
class _Module:
    """Stands for a module, which the other process imports."""

    name: str


def _back(value: Any, made: list[FunctionType]) -> Any:
    if isinstance(value, _Function):
        return made[value.number]
    return import_module(value.name) if isinstance(value, _Module) else value


class _Sent:
    """The functions of __main__ that a call needs, each once, and what they name."""

    def __init__(self) -> None:
        self.functions: list[tuple[str, bytes, Any, Any]] = []
        self.names: dict[str, Any] = {}
        self._numbers: dict[FunctionType, int] = {}

    def out(self, value: Any) -> Any:
        """Return what stands for a value in the bytes that are sent."""
        if isinstance(value, ModuleType):
            return _Module(value.__name__)
        if not isinstance(value, FunctionType) or value.__module__ != _MAIN:
            return value
        if value not in self._numbers:
            self._add(value)
        return _Function(self._numbers[value])

    def _add(self, fn: FunctionType) -> None:
        if fn.__closure__:
            raise ValueError(
                f"{fn.__qualname__} uses {', '.join(fn.__code__.co_freevars)} of the function it "
                "is in, which another process does not have. Define it at the top of a cell, and "
                "give what it uses as arguments."
            )
        self._numbers[fn] = len(self.functions)
        code = marshal.dumps(fn.__code__)
        self.functions.append((fn.__name__, code, fn.__defaults__, fn.__kwdefaults__))
        for name in _names_in(fn.__code__):
            if name not in fn.__globals__ or name in self.names:
                continue
            value = fn.__globals__[name]
            if getattr(value, "__wrapped__", None) is getattr(builtins, name, fn):
                continue  # IPython puts its own `open` into a notebook
            self.names[name] = None  # functions may name each other
            self.names[name] = self.out(value)


def _names_in(code: CodeType) -> Iterator[str]:
    for one in dis.get_instructions(code):
        if one.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield one.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)
