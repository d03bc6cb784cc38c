"""What a student's process reports of its errors and calls, made into what the judge can use.

It may well be forged, and therefore only ever costs points.
"""

import builtins
from typing import Any

from gqa_lib.learn.watch import Observation

from ..student.wire import MAX_ITEMS


class StudentError(Exception):
    """An exception of a class that only the student's process knows."""


def exception_of(reported: Any) -> Exception:
    """Return the student's exception, as itself or as what it is a kind of in Python."""
    try:
        kinds, text, where = reported
        kinds = [str(kind)[:60] for kind in kinds[:20]]
        error = _kind(kinds)(str(text)[:2000])
    except (TypeError, ValueError, KeyError):
        return StudentError("it stopped with something that is not an error")
    vars(error)["where_elsewhere"] = str(where)[:300]
    return error


def _kind(names: list[str]) -> type[Exception]:
    """Return the class called by the first of these names: Python's, or one made of the next."""
    for place, name in enumerate(names):
        known = getattr(builtins, name, None)
        if isinstance(known, type) and issubclass(known, Exception):
            if issubclass(known, StopIteration | StopAsyncIteration | OSError | UnicodeError):
                known = StudentError  # made of other arguments, or with a meaning of its own
            return type(names[0], (known,), {}) if place and names[0].isidentifier() else known
    return StudentError


def seen_of(reported: Any, *, whole: bool = False) -> Observation:
    """Return what a process reports of a call; the student's may well be forged.

    Args:
        reported: the report.
        whole: nothing may be missing in it.

    Raises:
        StudentError: it is unreadable.
    """
    try:
        if not whole:
            reported = vars(Observation()) | dict(reported)
        return Observation(
            settings=[str(name)[:80] for name in reported["settings"][:5]],
            mixed=str(reported["mixed"])[:80],
            left_behind=bool(reported["left_behind"]),
            copied=_count(reported["copied"]),
            largest=_count(reported["largest"]),
            operation=str(reported["operation"])[:80],
            written=_count(reported["written"]),
            whole=str(reported["whole"])[:80],
            reads=[_count(n) for n in reported["reads"][:MAX_ITEMS]],
            reached=_count(reported["reached"]),
            rounded_dot=bool(reported["rounded_dot"]),
            keys_of_part=_count(reported["keys_of_part"]),
            small_dot=str(reported["small_dot"])[:80],
        )
    except (TypeError, KeyError, ValueError, OverflowError, AttributeError):
        raise StudentError("what was seen of its call is unreadable") from None


def _count(reported) -> int:
    return min(max(0, int(reported)), 2**62)  # no tensor has more elements
