"""Functions of a notebook's cells, sent to another process with what they name.

pickle sends a function as the name of its module, and a notebook is not a module that another
process can import.
"""

from __future__ import annotations

import builtins
import dis
import io
import marshal
import pickle
from collections.abc import Callable, Iterator
from importlib import import_module
from types import CodeType, FunctionType, ModuleType
from typing import Any

_MAIN = "__main__"


def packed(fn: Callable[..., Any], args: tuple[Any, ...], by_value: bool) -> bytes:
    """Return a call as bytes; `unpacked` makes a call of them again.

    Args:
        fn: the function.
        args: what it is called with after the rank.
        by_value: whether functions of __main__ are sent with their code, as a notebook's must be,
            wherever they are named: in lists, too, or as another one's default.

    Raises:
        ValueError: the function or an argument cannot be sent.
    """
    try:
        if by_value:
            return _Sent().packed(fn, args)
        return pickle.dumps([]) + pickle.dumps((fn, args, [], {}))
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
    file = io.BytesIO(data)
    names = {"__name__": _MAIN, "__builtins__": __builtins__}
    made = [FunctionType(marshal.loads(code), names, name) for name, code in pickle.load(file)]
    fn, args, defaults, values = _Unpickler(file, made).load()
    for one, (usual, keywords) in zip(made, defaults, strict=True):
        one.__defaults__, one.__kwdefaults__ = usual, keywords
    names |= values
    return fn, list(args)


class _Unpickler(pickle.Unpickler):
    """Reads what _Pickler wrote, once its functions are made."""

    def __init__(self, file: io.BytesIO, made: list[FunctionType]) -> None:
        super().__init__(file)
        self.made = made

    def persistent_load(self, pid: int | str) -> FunctionType | ModuleType:
        """Return the function of a number, or the module of a name."""
        return import_module(pid) if isinstance(pid, str) else self.made[pid]


class _Pickler(pickle.Pickler):
    """Writes the name of a module, and the number of a function that is sent by value."""

    def __init__(self, file: io.BytesIO, sent: _Sent) -> None:
        super().__init__(file)
        self.sent = sent

    def persistent_id(self, obj: Any) -> int | str | None:
        """Return what stands for an object in the bytes; None where it is sent as usual."""
        if isinstance(obj, ModuleType):
            return obj.__name__
        if isinstance(obj, type) and obj.__module__ == _MAIN:
            raise ValueError(
                f"{obj.__qualname__} is a class of a notebook's cell, which another process does "
                "not have. Write it into a file and import it, or use tuples and dictionaries."
            )
        return self.sent.number(obj) if _is_of_main(obj) else None


class _Sent:
    """The functions of __main__ that a call needs, each once, and what they name."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}
        self._numbers: dict[FunctionType, int] = {}

    def packed(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> bytes:
        """Return a call as bytes: first the functions' code, then all that refers to them."""
        found = -1
        while found < len(self._numbers):  # until writing has found no more functions
            found = len(self._numbers)
            rest = io.BytesIO()
            defaults = [(one.__defaults__, one.__kwdefaults__) for one in self._numbers]
            _Pickler(rest, self).dump((fn, args, defaults, dict(self.names)))
        code = [(one.__name__, marshal.dumps(one.__code__)) for one in self._numbers]
        return pickle.dumps(code) + rest.getvalue()

    def number(self, fn: FunctionType) -> int:
        """Return the number of a function, of which it and all that it names is kept.

        Args:
            fn: of __main__.
        """
        if fn in self._numbers:
            return self._numbers[fn]
        if fn.__closure__:
            raise ValueError(
                f"{fn.__qualname__} uses {', '.join(fn.__code__.co_freevars)} of the function it "
                "is in, which another process does not have. Define it at the top of a cell, and "
                "give what it uses as arguments."
            )
        self._numbers[fn] = len(self._numbers)
        for name in _names_in(fn.__code__):
            if name not in fn.__globals__ or name in self.names:
                continue
            value = fn.__globals__[name]
            if getattr(value, "__wrapped__", None) is getattr(builtins, name, fn):
                continue  # IPython puts its own `open` into a notebook
            self.names[name] = value
            if _is_of_main(value):
                self.number(value)
        return self._numbers[fn]


def _is_of_main(value: Any) -> bool:
    return isinstance(value, FunctionType) and value.__module__ == _MAIN


def _names_in(code: CodeType) -> Iterator[str]:
    for one in dis.get_instructions(code):
        if one.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield one.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)
