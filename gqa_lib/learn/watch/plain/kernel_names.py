"""Where plain kernels run: a place of their own, with Triton, numbers and other kernels."""

import ast
import builtins
import linecache
import math
import sys
from types import SimpleNamespace
from typing import Any

from .facades import facade
from .kernels import BUILTINS, MODULES, NUMBERS, SEMANTIC, TRITON, text_of
from .rules import WATCHED, NotPlain


class _Names(dict):
    """A kernel's globals, into which Triton's interpreter does not get its own modules.

    It puts all that it has imported there, and a kernel would have a way to it.
    """

    def __setitem__(self, name: str, value: Any) -> None:
        if name == SEMANTIC:
            super().__setitem__(name, value)


class KernelNames:
    """The names that a notebook's kernels see: Triton's, numbers and other kernels.

    They are not those of other plain code, which gets no more of a kernel than what launches it.
    """

    def __init__(self, module: str):
        self._names = _Names({"__name__": module})
        self._made = 0

    def number(self, name: str, value: Any) -> None:
        """Give a name a number.

        Args:
            name: that kernels know.
            value: of that name elsewhere.

        Raises:
            NotPlain: it is no number.
        """
        try:
            self._names.update({name: number(value)})
        except TypeError as error:
            raise NotPlain(f"{WATCHED} {name}: {error}, and kernels know numbers only.") from None

    def define(self, node: ast.FunctionDef, lines: list[str]) -> Any:
        """Define a kernel, and return what launches it.

        Args:
            node: the kernel, once it has been checked.
            lines: of its cell.
        """
        if "tl" not in self._names:
            import triton

            known = {name: getattr(builtins, name) for name in BUILTINS}
            part = SimpleNamespace(jit=triton.jit, **vars(facade("triton")))
            numbers = SimpleNamespace(**{name: getattr(math, name) for name in NUMBERS})
            self._names.update(__builtins__=known, tl=triton.language, triton=part)
            self._names.update(dict.fromkeys(MODULES, numbers))
        self._made += 1
        text, file = text_of(node, lines), f"<kernel {self._made}>"
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        made: dict[str, Any] = {}
        exec(compile(text, file, "exec", 0, True), self._names, made)
        self._names.update(made)
        return launcher(made[node.name])

    def __getitem__(self, name: str) -> Any:
        return self._names[name]


def launcher(value: Any) -> Any:
    """Return what does no more than launch a kernel, and any other value as it is."""
    jit = sys.modules.get("triton.runtime.jit")
    if jit is None or not isinstance(value, jit.KernelInterface):
        return value

    class Launcher:
        def __getitem__(self, grid):
            return lambda *arguments, **named: value[grid](*arguments, **named)

    return Launcher()


def number(value: Any) -> Any:
    """Return a value as a kernel may name it: a number, a word, one of Triton's types, or several.

    Raises:
        TypeError: it is anything else.
    """
    import numpy
    from triton import language

    kind = type(value)
    if kind in (tuple, list):
        return kind(map(number, value))
    if kind is language.constexpr:
        return language.constexpr(number(value.value))
    if isinstance(value, numpy.generic) and vars(numpy).get(kind.__name__) is kind:
        return number(value.item())
    if kind in (int, float, bool, str, type(None), language.dtype):
        return value
    raise TypeError(f"a {kind.__name__} is no number")


def known_here(function: Any) -> set[str]:
    """Return which names of a notebook, read by a kernel's function, are kernels or numbers."""
    code, names = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    read = names.keys() & {*(code.co_names if code else ())} - TRITON
    return {name for name in read if _is_known(names[name])}


def _is_known(value: Any) -> bool:
    if launcher(value) is not value:
        return True
    try:
        number(value)
    except TypeError:
        return False
    return True
