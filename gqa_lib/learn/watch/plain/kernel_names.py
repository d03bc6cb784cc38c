"""Where plain kernels run: a place of their own, with Triton, numbers and other kernels."""

import ast
import builtins
import linecache
from typing import Any

from .facades import facade
from .kernels import BUILTINS, text_of
from .rules import WATCHED, NotPlain


class KernelNames:
    """The names that a notebook's kernels see.

    Triton's interpreter puts its own modules into a kernel's globals, and a kernel has a way to all
    of them. So these are not those of other plain code, which gets no more of a kernel than what
    launches it.
    """

    def __init__(self, module: str):
        self._names: dict[str, Any] = {}
        self._module = module
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
            self._names[name] = number(value)
        except TypeError as error:
            raise NotPlain(f"{WATCHED} {name}: {error}, and kernels know numbers only.") from None

    def define(self, node: ast.FunctionDef, lines: list[str]) -> Any:
        """Define a kernel, and return what launches it.

        Args:
            node: the kernel, once it has been checked.
            lines: of its cell.
        """
        if "tl" not in self._names:
            from triton import language

            known = {name: getattr(builtins, name) for name in BUILTINS}
            self._names |= {"__builtins__": known, "__name__": self._module}
            self._names |= {"tl": language, "triton": facade("triton")}
        self._made += 1
        text, file = text_of(node, lines), f"<kernel {self._made}>"
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        exec(compile(text, file, "exec", 0, True), self._names)
        return _launcher(self._names[node.name])

    def __getitem__(self, name: str) -> Any:
        return self._names[name]


def _launcher(kernel: Any) -> Any:
    class Launcher:
        def __getitem__(self, grid):
            def launch(*arguments, **named):
                return kernel[grid](*arguments, **named)

            return launch

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
