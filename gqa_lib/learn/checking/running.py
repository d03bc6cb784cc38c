"""Runs a learner's code on arguments, and words what a learner reads when that fails."""

import inspect
import os
import re
import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gqa_lib.learn.exercises.exercise import Complaint, Exercise, NotYet, describe
from gqa_lib.learn.watch import NotSeen, where_seen

_LIBRARIES = {"torch", "triton"}  # whose lines are not the learner's
_ASSERTS = (
    "It asserts, where a ValueError is asked for. An assert checks the author's own reasoning, and "
    "is left out when Python runs with -O; a caller who gave wrong numbers needs an error to "
    'catch: raise ValueError(f"...").'
)
_TURNED = (
    "Note that .T reverses all dimensions of a tensor. To swap the last two write .mT, or "
    ".transpose(-2, -1)."
)


def run(exercise: Exercise, yours: Any, arguments: tuple) -> Any:
    """Return what the learner's code returns, or its ValueError where the oracle raises one too.

    Args:
        exercise: what is checked.
        yours: the learner's function or class.
        arguments: of one case, as `exercise.make` gives them.

    Raises:
        NotYet: it is still a stub, or stopped with another error; the learner's line is named.
    """
    try:
        result = exercise.call(yours, *arguments)
        return repr(result) if isinstance(result, Exception) else result  # returned, not raised
    except ValueError as error:
        if isinstance(outcome(exercise.oracle, arguments), ValueError):
            return error
        raise _stopped(exercise, error, arguments) from None
    except AssertionError as error:
        if isinstance(outcome(exercise.oracle, arguments), ValueError):
            raise not_yet(exercise, _ASSERTS, called_with(exercise, arguments)) from None
        raise _stopped(exercise, error, arguments) from None
    except NotImplementedError as error:
        if str(error):  # torch raises it too, with a message
            raise _stopped(exercise, error, arguments) from None
        raise not_yet(
            exercise,
            "it is still a stub. Write your code where it says YOUR CODE HERE, and delete the "
            "line that raises NotImplementedError.",
        ) from error
    except (Complaint, NotSeen) as complaint:
        raise not_yet(exercise, str(complaint)) from None
    except Exception as error:
        raise _stopped(exercise, error, arguments) from None


def watched(exercise: Exercise, yours: Any) -> Any:
    """Return a learner's code where what is seen of it counts.

    Args:
        exercise: what is checked.
        yours: the learner's function or class.

    Raises:
        NotYet: it cannot be watched; the message says why.
    """
    try:
        return where_seen(yours)
    except NotSeen as problem:
        raise not_yet(exercise, str(problem)) from None


def not_yet(exercise: Exercise, *lines: str) -> NotYet:
    """Return the exception whose text a learner reads.

    Args:
        exercise: what is not solved yet.
        lines: what is wrong, a paragraph each; empty ones are left out.
    """
    wrap = textwrap.TextWrapper(
        92, initial_indent="  ", subsequent_indent="  ", break_long_words=False
    )
    paragraphs = [*filter(None, lines), f"Stuck? hint({exercise.name!r})"]
    wrapped = [wrap.fill(line) for line in paragraphs]
    return NotYet("\n".join([f"{exercise.name}: not yet.", *wrapped]))


def outcome(function: Callable, arguments: tuple) -> Any:
    """Return what a call gives, or the exception that it raised.

    Args:
        function: what is called.
        arguments: in its order.
    """
    try:
        return function(*arguments)
    except Exception as error:
        return error


def _stopped(exercise: Exercise, error: Exception, arguments: tuple) -> NotYet:
    """Return NotYet naming the learner's own line and error, not this module's frames."""
    here = str(Path(__file__).parents[1])  # gqa_lib.learn, the exercises included
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(here) and not _LIBRARIES & {*frame.filename.split(os.sep)}
    ]
    where = f"in {frames[-1].name}, line {frames[-1].lineno}: {frames[-1].line}" if frames else ""
    where = getattr(error, "where_elsewhere", where)
    return not_yet(
        exercise,
        f"it stopped with {type(error).__name__}: {error}",
        where,
        _TURNED if re.search(r"\.T\b", where) else "",
        called_with(exercise, arguments),
    )


def called_with(exercise: Exercise, arguments: tuple) -> str:
    """Return a sentence with the arguments of a case, by name where the exercise has names.

    Args:
        exercise: what is checked.
        arguments: of one case.
    """
    named = inspect.signature(exercise.oracle).parameters.values()
    names = [one.name for one in named if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    names += [""] * (len(arguments) - len(names))
    shown = ", ".join(_named(*one) for one in zip(names, arguments, strict=False))
    floats = [x for x in arguments if isinstance(x, torch.Tensor) and x.is_floating_point()]
    odd = any(x.device.type != "meta" and not x.isfinite().all() for x in floats)
    aside = " Some of these numbers are NaN or infinite, on purpose." if odd else ""
    return f"Called with {shown}.{aside}"


def _named(name: str, value: Any) -> str:
    if not name:
        return describe(value)
    return (
        f"{name} {describe(value)}"
        if isinstance(value, torch.Tensor)
        else f"{name}={describe(value)}"
    )
