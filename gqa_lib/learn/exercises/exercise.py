"""What an exercise is, and the message a learner sees when it is not solved yet."""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field, is_dataclass
from typing import Any


class NotYet(AssertionError):
    """A check that did not pass; notebooks show its message without a traceback."""

    def _render_traceback_(self) -> list[str]:  # the name IPython looks for
        lines = str(self).split("\n")  # JupyterLab would break long ones within words
        return ["\n".join(textwrap.fill(line, 92, break_long_words=False) for line in lines)]


class Complaint(Exception):
    """Raised while calling a learner's code, for what only the exercise can name."""


@dataclass(frozen=True)
class Mistake:
    """A wrong implementation, and the sentence for the learner whose results match it."""

    says: str
    wrong: Callable


@dataclass(frozen=True)
class Exercise:
    """One graded exercise.

    `make(generator, **case)` draws the arguments of one case; `oracle(*arguments)` gives
    the right result, in float64 where it is a tensor, or raises what is to be raised;
    `call(yours, *arguments)` runs the learner's function or class. Rectangular cases
    (T != S, several query heads per KV head) come first: square ones hide mistakes.
    `trains` says that a model may be trained through it: gradients must reach all its tensors.
    `copy_cases` are those of `check_no_copy`, q, k, v and causal: no other size may equal S or D,
    so that scores are not taken for keys. In `peak_case` K expanded is far larger than all else.
    `by_hand` says that attention's steps are what is to be written: torch's own are refused.
    """

    name: str
    lesson: str
    make: Callable[..., tuple]
    oracle: Callable
    cases: tuple[dict, ...]
    call: Callable = lambda yours, *arguments: yours(*arguments)
    mistakes: tuple[Mistake, ...] = ()
    trains: bool = False
    by_hand: bool = False
    copy_cases: tuple[dict, ...] = ()
    peak_case: dict = field(default_factory=dict)


def describe(value: Any) -> str:
    """Return a short description of an argument: shapes rather than numbers."""
    if hasattr(value, "shape"):
        return str(tuple(value.shape))
    if isinstance(value, dict):
        return "{...}" if any(hasattr(v, "shape") for v in value.values()) else repr(value)
    if hasattr(value, "bandwidth_bytes_per_s"):
        rates = f"flops_per_s={value.flops_per_s:g}, "
        rates += f"bandwidth_bytes_per_s={value.bandwidth_bytes_per_s:g}"
        return f"Hardware({value.name!r}, {rates}, memory_bytes={value.memory_bytes:g})"
    if is_dataclass(value):  # a ModelConfig
        return getattr(value, "name", type(value).__name__)
    return repr(value)
