"""Holds a learner's code in its own notebook against the rules of plain code."""

import linecache
from types import FunctionType
from typing import Any

from .kernel_names import known_here
from .names import PlainNames
from .rules import NotPlain

_HERE = ("__main__", "builtins")  # what a notebook's cells define says that it is of one of these


def refusal_here(yours: Any, kernel: bool = False) -> str:
    """Return what is not plain in a function or class of this notebook, or "".

    Only its own cell is looked into, and only where its source is known.

    Args:
        yours: the learner's function, class or kernel.
        kernel: it has to be a Triton kernel.
    """
    made = getattr(yours, "fn", yours)  # Triton keeps a kernel's function there
    name, source = getattr(made, "__name__", ""), _cell_of(made)
    if not (name and source):
        return ""
    names = PlainNames()
    names.answer(source)
    try:
        names.checked(name, kernel, known_here(made) if kernel else ())
    except NotPlain as problem:
        return str(problem)
    return ""


def _cell_of(made: Any) -> str:
    """Return the source of the cell that defined something, or ""."""
    if isinstance(made, type) and made.__module__ in _HERE:
        members = (getattr(one, "__func__", one) for one in vars(made).values())
        made = next((one for one in members if isinstance(one, FunctionType)), None)
    if not isinstance(made, FunctionType) or made.__module__ not in _HERE:
        return ""
    return "".join(linecache.getlines(made.__code__.co_filename))
