"""Runs a learner's plain code in its own notebook as it runs where a watch is believed."""

import contextlib
import io
import json
import linecache
import os
import random
import sys
from collections.abc import Iterator
from functools import cache, lru_cache
from types import FunctionType
from typing import Any

import torch

from .kernel_names import known_here, launcher
from .names import PlainNames, needs_kernel
from .rules import WATCHED, NotPlain
from .slices import readable, statements

_HERE = ("__main__", "builtins")  # what a notebook's cells define says that it is of one of these
_BROKEN = (SyntaxError, ValueError, RecursionError, MemoryError)
_last: dict[tuple, tuple[Any, Any]] = {}  # the plain twin made last: (its original, itself)


def refusal_here(yours: Any, kernel: bool = False) -> str:
    """Return what is not plain in a function or class of this notebook, or "".

    Args:
        yours: the learner's function, class or kernel.
        kernel: it has to be a Triton kernel.
    """
    try:
        plain_here(yours, kernel)
    except NotPlain as problem:
        return str(problem)
    return ""


def plain_here(yours: Any, kernel: bool = False) -> Any:
    """Return a function or class of this notebook as it is where only plain code has run.

    That is how it is graded: what is refused there is refused here. A kernel stays what it is, and
    so does what no cell of this notebook gave a name.

    Args:
        yours: the learner's function, class or kernel.
        kernel: it has to be a Triton kernel.

    Raises:
        NotPlain: it is not.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    cells = list(getattr(getattr(shell, "history_manager", None), "input_hist_raw", ()))
    names = getattr(shell, "user_ns", {})
    yours, twin = next((one for one in _last.values() if yours is one[1]), (yours, None))
    if twin is not None and not kernel:
        return twin
    name = _name_of(yours, names)
    if name and (key := (name, id(yours), kernel, len(cells))) in _last:
        return _last[key][1]
    told = PlainNames()
    if not (name and _tell(told, cells, names, name)):
        return _alone(yours, kernel)
    is_kernel = kernel or launcher(yours) is not yours
    known = known_here(getattr(yours, "fn", yours)) if is_kernel else ()
    needed = told.checked(name, kernel, known)
    if is_kernel or (needs_kernel(needed) and os.environ.get("TRITON_INTERPRET") != "1"):
        return yours
    twin = _made(told, name)
    _last.clear()
    _last[key] = yours, twin
    return twin


def _made(told: PlainNames, name: str) -> Any:
    try:
        with _aside():
            return told.get(name)
    except NotPlain:
        raise
    except Exception as error:
        why = f"What {name} needs stopped with {type(error).__name__}: {error}"
        raise NotPlain(f"{WATCHED} {why[:300]}") from error


def _alone(yours: Any, kernel: bool) -> Any:
    """Hold what is known of it, its own cell, against the rules."""
    made = getattr(yours, "fn", yours)  # Triton keeps a kernel's function there
    name, source = getattr(made, "__name__", ""), _cell_of(made)
    if name and source:
        _check_alone(source, name, kernel, frozenset(known_here(made) if kernel else ()))
    return yours


@lru_cache(8)  # a check launches a kernel dozens of times
def _check_alone(source: str, name: str, kernel: bool, known: frozenset[str]) -> None:
    told = PlainNames()
    told.answer(source)
    told.checked(name, kernel, known)


def _name_of(yours: Any, names: dict[str, Any]) -> str:
    """Return what a notebook calls a value, or ""."""
    found = [name for name, value in names.items() if value is yours and name[0] != "_"]
    own = getattr(getattr(yours, "fn", yours), "__name__", "")
    return own if own in found else next(iter(found), "")


def _tell(told: PlainNames, cells: list[str], names: dict[str, Any], name: str) -> bool:
    """Tell of a notebook's cells; return whether one of the learner's gave a name its value."""
    given = _of_lessons()
    own = [cell for cell in cells if cell.strip() and cell.strip() not in given]
    own = [cell for place, cell in enumerate(own) if cell not in own[place + 1 :]]  # run again
    known = {bound for cell in own for bound in _bound(cell)}
    if not given or name not in known:
        return False
    others = {one: value for one, value in names.items() if one not in known}
    for cell in cells:
        if cell.strip() in given:
            told.trusted_here(cell, others)
    for cell in own:
        told.answer(cell)
    return True


def _bound(cell: str) -> set[str]:
    """Return the names that a cell gives values, with those whose values it changes."""
    try:
        return {name for one in statements(readable(cell), "<cell>") for name in one.binds}
    except _BROKEN:
        return set()


@cache
def _of_lessons() -> set[str]:
    """Return the cells of all lessons in which a learner has nothing to write."""
    from gqa_lib.course.manifest import lessons

    found = set()
    with contextlib.suppress(Exception):  # where the course's files are not there
        for lesson in lessons():
            for cell in json.loads(lesson.pristine.read_text(encoding="utf-8"))["cells"]:
                if not cell["metadata"].get("nbgrader", {}).get("solution"):
                    found.add("".join(cell["source"]).strip())
    return found - {""}


@contextlib.contextmanager
def _aside() -> Iterator[None]:
    """Let nothing show of what runs meanwhile: no words, and no random numbers drawn."""
    numbers = sys.modules.get("numpy.random")
    python, state = random.getstate(), numbers.get_state() if numbers else None
    out, err = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    try:
        with torch.random.fork_rng(devices=[]), out, err:
            yield
    finally:
        random.setstate(python)
        if numbers:
            numbers.set_state(state)


def _cell_of(made: Any) -> str:
    """Return the source of the cell that defined something, or ""."""
    if isinstance(made, type) and made.__module__ in _HERE:
        members = (getattr(one, "__func__", one) for one in vars(made).values())
        made = next((one for one in members if isinstance(one, FunctionType)), None)
    if not isinstance(made, FunctionType) or made.__module__ not in _HERE:
        return ""
    return "".join(linecache.getlines(made.__code__.co_filename))
