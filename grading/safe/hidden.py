"""What a student reads of calls that hidden tests make: the verdict, and not the code's own words.

Whatever a student's code prints there, or says in an exception, may hold the arguments of the call.
The checks see all of it; what is shown in feedback is the class of the exception and its line.
"""

import ast
import builtins
import re
from collections.abc import Iterable, Sequence
from typing import Any

BEGIN = "### BEGIN HIDDEN TESTS"  # nbgrader's mark
UNSHOWN = "(not shown: a hidden test called it)"
PRINTED = "(What your code prints when hidden tests call it is not shown.)\n"
_PLACE = re.compile(r"in [A-Za-z_]\w{0,39}, line \d{1,5}")
_TELLING = 8  # characters: a shorter text may be anywhere, and is taken out with its class only
_MOST = 20  # reports of one test that are looked for; the last ones are those that it ends with


def split(source: str, body: Sequence[ast.stmt]) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """Return a test's statements before its hidden part, and the rest.

    Args:
        source: the test.
        body: its statements.
    """
    lines = source.split("\n")
    first = next((n for n, line in enumerate(lines, 1) if BEGIN in line), len(lines) + 1)
    return [s for s in body if s.lineno < first], [s for s in body if s.lineno >= first]


class Unshown:
    """The words of a student's code in hidden calls."""

    def __init__(self) -> None:
        self.printed = False
        self._words: list[tuple[str, str]] = []

    def add(self, reported: Any) -> None:
        """Note an exception as the student's process reports it: classes, text, place."""
        try:
            kinds, text, where = reported
            name, text, where = str(kinds[0])[:60], str(text)[:2000], str(where)[:300]
        except (TypeError, ValueError, IndexError):
            return
        place, named = _PLACE.match(where), hasattr(builtins, name)
        kind = name if named else "an error of its own"
        self._words += [
            (where, place[0] if place else ""),
            (f"{name}: {text}", f"{kind} {UNSHOWN}"),
            (text if len(text) >= _TELLING else "", UNSHOWN),
            ("" if named else name, kind),
        ]
        del self._words[: -4 * _MOST]

    def out_of(self, text: str) -> str:
        """Return a text that a test ends with, without these words."""
        for words, instead in sorted(set(self._words), key=lambda one: -len(one[0])):
            for form in {words, repr(words)[1:-1]}:
                if pattern := _however_wrapped(form):
                    text = re.sub(pattern, instead.replace("\\", r"\\"), text)
        return text


def _however_wrapped(words: str) -> str:
    """Return a pattern of words that may be wrapped to lines anywhere."""
    letters: Iterable[str] = "".join(words.split())
    return r"\s*".join(map(re.escape, letters))
