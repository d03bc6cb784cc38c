"""What a student reads of calls that hidden tests make: the verdict, and not the code's own words.

Whatever a student's code prints there, or says in an exception, may hold the arguments of the call.
The checks see all of it; what is shown in feedback is the class of the exception and its line,
where the notebook has such a line in a function of that name.
"""

import ast
import builtins
import re
from collections.abc import Iterable, Sequence
from typing import Any

BEGIN = "### BEGIN HIDDEN TESTS"  # nbgrader's mark
UNSHOWN = "(not shown: a hidden test called it)"
PRINTED = "(What your code prints when hidden tests call it is not shown.)\n"
_PLACE = re.compile(r"in ([A-Za-z_]\w{0,39}), line (\d{1,5})(?!\w)")
_TELLING = 8  # characters: a shorter text may be anywhere, and is taken out where it is quoted only
_EACH = 6  # pairs of words for each report, at most
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

    def __init__(self, cells: Iterable[tuple[bool, str]] = ()) -> None:
        """Know the cells, whose lines may be named.

        Args:
            cells: (whether it is the lesson's own, source) of the notebook's cells so far.
        """
        self.printed = False
        self._cells = [source for _, source in cells]
        self._lines: dict[str, set[int]] | None = None
        self._words: list[tuple[str, str]] = []

    def add(self, reported: Any) -> None:
        """Note an exception as the student's process reports it: classes, text, place."""
        try:
            kinds, text, where = reported
            name, text, where = str(kinds[0])[:60], str(text)[:2000], str(where)[:300]
        except (TypeError, ValueError, IndexError):
            return
        named = isinstance(getattr(builtins, name, None), type)
        kind = name if named else "an error of its own"
        self._words += [
            (where, self._place(where)),
            (f"{name}: {text}", f"{kind} {UNSHOWN}"),
            (text if len(text) >= _TELLING else "", UNSHOWN),
            *([(form, instead) for form, instead in _short(text)] if len(text) < _TELLING else []),
            ("" if named else name, kind),
        ]
        del self._words[: -_EACH * _MOST]

    def _place(self, where: str) -> str:
        """Return the function and the line that a report names, if the cells have them."""
        if not (named := _PLACE.match(where)):
            return ""
        if self._lines is None:
            self._lines = _lines_of(self._cells)
        return named[0] if int(named[2]) in self._lines.get(named[1], ()) else ""

    def out_of(self, text: str) -> str:
        """Return a text that a test ends with, without these words."""
        for words, instead in sorted(set(self._words), key=lambda one: -len(one[0])):
            for form in {words, repr(words)[1:-1]}:
                if pattern := _however_wrapped(form):
                    pattern += r"(?!\w)" if form[-1].isalnum() else ""
                    text = re.sub(pattern, instead.replace("\\", r"\\"), text)
        return text


def _lines_of(sources: Iterable[str]) -> dict[str, set[int]]:
    """Return the lines of each function in some cells, by its name."""
    lines: dict[str, set[int]] = {}
    for source in sources:
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # then it did not run either
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                there = range(node.lineno, (node.end_lineno or node.lineno) + 1)
                lines.setdefault(node.name, set()).update(there)
    return lines


def _short(text: str) -> list[tuple[str, str]]:
    """Return the forms in which a test quotes a short text, each with what is shown for it."""
    if not text.strip():
        return []
    return [(f": {text}", f": {UNSHOWN}"), (repr(text), UNSHOWN), (f"({text})", f"({UNSHOWN})")]


def _however_wrapped(words: str) -> str:
    """Return a pattern of words that may be wrapped to lines anywhere."""
    letters: Iterable[str] = "".join(words.split())
    return r"\s*".join(map(re.escape, letters))
