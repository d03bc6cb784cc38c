"""What went wrong in a graded cell, in a line: the mistake that a check names, or else its kind."""

import re
from dataclasses import dataclass

from .texts import printable, sentence

STUB, NAMED, WRONG, STOPPED, ERROR = "stub", "named", "wrong", "stopped", "error"
_MOST = 250  # characters of a line: no check names a mistake in more
_NAMES = "That is what you get when "
_AFTER = re.compile(r" (?:Called with |Stuck\? hint\()")  # what a check says after its diagnosis
_STUBS = ("it is still a stub", "quiz: not yet. None of the ")
_RAISED = re.compile(r"it stopped with (\w+)")
_ITS_OWN = re.compile(  # texts and numbers of one submission
    r"'[^']*'|\"[^\"]*\"|\([^()]*\d[^()]*\)|\[[^][]*\]|-?\b\d[\w.,+-]*\b"
)


@dataclass(frozen=True)
class Diagnosis:
    """Why a graded cell has not all of its points.

    Attributes:
        kind: STUB, not answered; NAMED, a mistake that the check knows; WRONG, what else a check
            found; STOPPED, code that grading ended; ERROR, any other.
        says: a line for whoever handed it in.
        label: the same for everybody with this mistake, without anything of the submission's own.
    """

    kind: str
    says: str
    label: str


def diagnose(name: str, text: str) -> Diagnosis:
    """Return what an error of a graded cell comes to.

    Args:
        name: the error's class.
        text: its message; a check's has its finding first, then the mistake that it names.
    """
    if name == "NotImplementedError" and not text:
        return Diagnosis(STUB, "Not answered yet.", "not answered")
    if name == "NotYet":
        return _of_check(text)
    line = sentence(text) or name
    if name == "Stopped":
        return Diagnosis(STOPPED, _cut(line), _general(line))
    if name == "AssertionError":
        return Diagnosis(WRONG, _cut(line), _general(line))
    return Diagnosis(ERROR, _cut(line), f"it stopped with {printable(name)[:40]}")


def _of_check(text: str) -> Diagnosis:
    lines = text.split("\n")
    body = sentence(_AFTER.split(" ".join(lines[1:] or lines), maxsplit=1)[0])
    if body.startswith(_STUBS):
        return Diagnosis(STUB, "Not answered yet.", "not answered")
    _, names, mistake = body.partition(_NAMES)
    if names:
        return Diagnosis(NAMED, _cut(names + mistake), _first(mistake))
    if raised := _RAISED.match(body):
        return Diagnosis(WRONG, _cut(body), f"it stopped with {raised[1][:40]}")
    return Diagnosis(WRONG, _cut(body), _general(body))


def _general(line: str) -> str:
    """Return the first sentence, with an ellipsis for each number and quoted text."""
    return _first(_ITS_OWN.sub("…", line), ".")


def _first(text: str, ends: str = ".;:") -> str:
    """Return what is before the first of some signs that a space follows, a sentence for one."""
    return _cut(re.split(f"(?<=[{ends}]) ", text, maxsplit=1)[0].rstrip(ends))


def _cut(line: str) -> str:
    return line if len(line) <= _MOST else f"{line[:_MOST].rpartition(' ')[0] or line[:_MOST]}…"
