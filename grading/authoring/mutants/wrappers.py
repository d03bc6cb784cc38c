"""Changes made to a whole function: its defaults, what comes in and what goes out.

What comes in or goes out passes a small function of `EFFECTS`, which notes whether it changed
anything: where it never does, the mutant is the reference and does not count.
"""

import ast
import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch

from .places import Change, change, first_written, functions

touched: set[str] = set()  # in this process: where an effect changed something, and what came in


def _over(value: Any, effect: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        return effect(value)
    if isinstance(value, tuple):
        return tuple(_over(one, effect) for one in value)
    return value


def _floats(effect: Callable[[torch.Tensor], torch.Tensor]) -> Callable:
    """Return what applies an effect to tensors of floating point, and notes it."""

    def applied(value: Any) -> Any:
        def one(x: torch.Tensor) -> torch.Tensor:
            if not x.is_floating_point():
                return x
            touched.add("floats")
            return effect(x)

        return _over(value, one)

    return applied


def _capped(most: int) -> Callable:
    """Return what keeps at most so many tokens (dimension -2), list entries or units."""

    def applied(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.dim() > 2:
            touched.add("capped")
            return value[..., -most:, :]
        if isinstance(value, list):
            touched.add("capped")
            return value[:most]
        if isinstance(value, int) and not isinstance(value, bool) and value > most:
            touched.add("capped")
            return most
        return value

    return applied


def _wrapped_positions(value: Any) -> Any:
    if isinstance(value, torch.Tensor) and not value.is_floating_point():
        touched.add("positions")
        return value % 4096
    return value


EFFECTS: dict[str, Callable] = {
    "in_float32": _floats(lambda x: x.float()),
    "in_float64": _floats(lambda x: x.double()),
    "in_bfloat16": _floats(lambda x: x.bfloat16()),
    "detached": _floats(lambda x: x.detach()),
    "clamped": _floats(lambda x: x.clamp(-1e30, 1e30)),
    "without_nan": _floats(lambda x: x.nan_to_num()),
    "at_most_32": _capped(32),
    "at_most_128": _capped(128),
    "modulo_4096": _wrapped_positions,
}
NEEDS = {  # what must come in for an effect on a parameter to change something
    "in_float32": {"floats"},
    "in_float64": {"floats"},
    "in_bfloat16": {"floats"},
    "at_most_32": {"floats", "list", "int"},
    "at_most_128": {"floats", "list", "int"},
    "modulo_4096": {"integers"},
}
_INTO = ("in_float32", "in_float64", "in_bfloat16", "at_most_32", "at_most_128", "modulo_4096")
_OUT = ("in_float32", "in_float64", "detached", "clamped", "without_nan")


def probe(name: str, value: Any) -> None:
    """Note what comes in as a parameter."""
    kind = type(value).__name__
    if isinstance(value, torch.Tensor):
        kind = "floats" if value.is_floating_point() else "integers"
    touched.add(f"{name}: {kind}")


def probed(source: str) -> str:
    """Return a solution that notes with `probe` what comes in as each parameter."""
    for function in reversed(list(functions(source))):
        names = [a.arg for a in function.args.args if a.arg != "self"]
        line = "; ".join(f"probe({name!r}, {name})" for name in names)
        if names:
            source = _before(first_written(source, function), "probe", line).applied(source)
    return source


def function_changes(source: str) -> Iterator[Change]:
    """Yield the changes to the functions of a solution as a whole."""
    is_kernel = "@triton.jit" in source
    for function in functions(source):
        yield from _defaults(function)
        if not is_kernel:
            yield from _what_comes_in(source, function)
            yield from _what_goes_out(source, function)


def _defaults(function: ast.FunctionDef) -> Iterator[Change]:
    arguments = function.args
    named = arguments.args[len(arguments.args) - len(arguments.defaults) :]
    for argument, default in zip(named, arguments.defaults, strict=True):
        if isinstance(default, ast.Constant) and isinstance(default.value, bool):
            yield change("default", default, repr(not default.value))
        both = copy.copy(default)
        both.lineno, both.col_offset = argument.lineno, argument.col_offset
        if argument is arguments.args[-1] or len(named) == 1:
            yield change("default", both, argument.arg)
        else:
            yield change("default", default, "...")


def _what_comes_in(source: str, function: ast.FunctionDef) -> Iterator[Change]:
    first = first_written(source, function)
    arguments = function.args
    required = len(arguments.args) - len(arguments.defaults)
    for place, argument in enumerate(arguments.args):
        name = argument.arg
        if name == "self":
            continue
        if place >= required:
            default = arguments.defaults[place - required]
            yield _before(first, "parameter ignored", f"{name} = {ast.unparse(default)}")
            if isinstance(default, ast.Constant) and isinstance(default.value, bool):
                yield _before(first, "parameter ignored", f"{name} = {not default.value}")
        for effect in _INTO:
            yield _before(first, effect, f"{name} = {effect}({name})")


def _what_goes_out(source: str, function: ast.FunctionDef) -> Iterator[Change]:
    first = first_written(source, function).lineno
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None and node.lineno >= first:
            for effect in _OUT:
                yield change(effect, node.value, f"{effect}({ast.unparse(node.value)})")


def _before(statement: ast.stmt, kind: str, line: str) -> Change:
    place = (statement.lineno, statement.col_offset)
    return Change(kind, *place, *place, f"{line}\n{' ' * statement.col_offset}")
