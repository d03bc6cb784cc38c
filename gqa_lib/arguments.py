"""Checks of arguments, the same for facts and kernels, without torch.

What is refused is named with its value, and with what it should be instead. Each takes the
arguments by name: `check_whole(num_heads=num_heads)`.
"""

import math
import operator
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any


def index(value: Any) -> int | None:
    """Return a whole number as an int, None for what is not one: True, 2.0, "2"."""
    if type(value) is int:
        return value
    if isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool"):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def is_number(value: Any) -> bool:
    """Return whether something is one real number; truth values, text and arrays are not."""
    if isinstance(value, bool | str) or getattr(value, "ndim", None):
        return False
    return hasattr(value, "__float__")


def plain(value: Any) -> Any:
    """Return a number of NumPy, of torch and the like as Python's own; anything else as it is.

    Python's own can be compared, written as JSON and read back from any checkpoint.
    """
    if type(value) in (bool, int, float) or getattr(value, "ndim", False):
        return value
    if str(getattr(value, "dtype", "")).endswith("bool"):
        return bool(value)
    number = index(value)
    if number is not None:
        return number
    return float(value) if is_number(value) else value


def make_plain(record: Any) -> None:
    """Make the numbers of a dataclass Python's own, as `plain` does; a frozen one included."""
    for name, value in vars(record).items():
        object.__setattr__(record, name, plain(value))


def place_for(value: Any, name: str) -> Path:
    """Return where something can be written, as a Path.

    Args:
        value: a path; what is there and what is above it may be missing.
        name: of the argument.

    Raises:
        ValueError: it is not a path, or it would lie inside a file.
    """
    check_kind((str, Path), "Give a path.", **{name: value})
    path = Path(value)
    above = path.absolute().parent
    while not above.exists():
        above = above.parent
    if not above.is_dir():
        raise ValueError(
            f"{name}={value}: {above} is a file, in which nothing can be written. Choose a path in "
            "a folder."
        )
    return path


def check_distinct(values: Collection[Any], name: str) -> None:
    """Refuse no values at all, and one that is there twice.

    Args:
        values: each can be compared with the others.
        name: of the argument.

    Raises:
        ValueError: there is none, or two are equal.
    """
    check_some(**{name: values})
    seen: list[Any] = []
    for one in values:
        if one in seen:
            raise ValueError(
                f"{name} has {shown(one)} twice: the same would be done twice and count as two "
                "results. Give each once."
            )
        seen.append(one)


def check_whole(least: int | None = 1, *, where: str = "", **values: Any) -> None:
    """Refuse what is not a whole number.

    Args:
        least: the smallest that is allowed; None is any.
        where: what the error begins with, such as a model's name.
        values: the arguments by their names.

    Raises:
        ValueError: one is something else, or smaller.
    """
    for name, value in values.items():
        number = value if type(value) is int else index(value)
        if number is None or (least is not None and number < least):
            begins, ends = ("", "") if least is None else (f" from {least}", f", {least} or more")
            raise ValueError(
                f"{_begin(where)}{name}={shown(value)} is not a whole number{begins}: it counts "
                f"something. Give {name} as a whole number{ends}."
            )


def check_number(
    least: float = -math.inf,
    *,
    above: float = -math.inf,
    endless: bool = False,
    where: str = "",
    **values: Any,
) -> None:
    """Refuse what is not a number, NaN included.

    Args:
        least: the smallest that is allowed.
        above: what it must be larger than.
        endless: whether infinity is allowed.
        where: what the error begins with.
        values: the arguments by their names.

    Raises:
        ValueError: one is something else, too small, or infinite.
    """
    for name, value in values.items():
        if not is_number(value):
            problem = f"is of type {type(value).__name__} and no number"
        elif math.isnan(value) or (math.isinf(value) and not endless):
            problem = "is no finite number"
        elif value < least or value <= above:
            problem = "is not positive" if above == 0 else "is too small"
        else:
            continue
        wanted = f" above {above:g}" if above > -math.inf else ""
        wanted = wanted or (f", {least:g} or more" if least > -math.inf else "")
        raise ValueError(
            f"{_begin(where)}{name}={shown(value)} {problem}: nothing can be worked out from it. "
            f"Give {name} as a number{wanted}."
        )


def check_kind(kind: type | tuple[type, ...], how: str, **values: Any) -> None:
    """Refuse what is of another type.

    Args:
        kind: the type, or several.
        how: what to give instead, a sentence.
        values: the arguments by their names.

    Raises:
        ValueError: one is of another type.
    """
    for name, value in values.items():
        if not isinstance(value, kind):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            names = " or ".join(one.__name__ for one in kinds)
            raise ValueError(
                f"{name}={shown(value)} is of type {type(value).__name__}, where {names} is needed."
                f" {how}"
            )


def check_callable(value: Any, name: str) -> None:
    """Refuse what cannot be called.

    Args:
        value: what should be a function.
        name: of the argument.

    Raises:
        ValueError: it cannot be called.
    """
    if not callable(value):
        raise ValueError(
            f"{name}={shown(value)} is of type {type(value).__name__}, which cannot be called. "
            "Give a function."
        )


def check_choice(choices: Collection[Any], **values: Any) -> None:
    """Refuse what is not among some choices.

    Args:
        choices: all that is allowed.
        values: the arguments by their names.

    Raises:
        ValueError: one is something else.
    """
    for name, value in values.items():
        if not any(type(value) is type(one) and value == one for one in choices):
            raise ValueError(
                f"{name}={shown(value)} is not known here. "
                f"Choose from {', '.join(map(str, choices))}."
            )


def several(values: Any, name: str, what: str) -> list[Any]:
    """Return some values as a list.

    Args:
        values: a sequence, an array, or anything else that gives them one by one.
        name: of the argument.
        what: what they are, in the plural.

    Raises:
        ValueError: it is one value, or text.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ValueError(
            f"{name}={shown(values)} is one value: several {what} are expected. Give a list, such "
            f"as [{shown(values)}]."
        )
    return list(values)


def check_some(**values: Any) -> None:
    """Refuse what is empty.

    Args:
        values: collections by their names.

    Raises:
        ValueError: there is nothing in one, or it is not a collection.
    """
    for name, value in values.items():
        if isinstance(value, str) or not hasattr(value, "__len__"):
            raise ValueError(
                f"{name}={shown(value)} is of type {type(value).__name__}, where several things "
                "are needed. Give a collection of them."
            )
        if not len(value):
            raise ValueError(f"{name}={shown(value)} is empty: nothing is there. Give one or more.")


def shown(value: Any) -> str:
    """Return a value as an error shows it: short, on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _begin(where: str) -> str:
    return where and f"{where}: "
