"""Sees whether learner's code uses the library's own answer to an exercise."""

import dis
from types import CodeType, FunctionType
from typing import Any

from gqa_lib.course.answers import holds_answers


def library_answer(yours: Any) -> str:
    """Return the part of the library that a function or class is or calls, or "".

    Follows the functions and classes of the same notebook that it calls.
    """
    return next(_used(yours, set()), "")


def _used(value, seen: set[int]):
    if id(value) in seen or len(seen) > 200:
        return
    seen.add(id(value))
    if isinstance(value, FunctionType | type) and (named := _of_the_library(value)):
        yield named
    elif isinstance(value, FunctionType):
        yield from _in_code(value.__code__, value.__globals__, seen)
    elif isinstance(value, type):
        for base in value.__mro__[1:]:
            yield from filter(None, [_of_the_library(base)])
        for member in vars(value).values():
            member = getattr(member, "fget", None) or getattr(member, "__func__", member)
            if isinstance(member, FunctionType):
                yield from _used(member, seen)


def _in_code(code: CodeType, names: dict, seen: set[int]):
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME" and holds_answers(str(step.argval)):
            yield str(step.argval)
        elif step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and step.argval in names:
            value = names[step.argval]
            if isinstance(value, FunctionType | type) and _is_near(value, names):
                yield from _used(value, seen)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _in_code(constant, names, seen)


def _is_near(value, names: dict) -> bool:
    """Return whether a value is the notebook's own or the library's: others are not looked into."""
    if getattr(value, "__globals__", None) is names:
        return True
    near = ("__main__", names.get("__name__"))
    return value.__module__ in near or bool(_of_the_library(value))


def _of_the_library(value) -> str:
    module, name = getattr(value, "__module__", None) or "", getattr(value, "__name__", "")
    return f"{module}.{name}" if holds_answers(module) else ""
