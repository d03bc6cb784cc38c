"""What a code cell of a lesson does: one authored line each, kept in the cell itself."""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gqa_lib.course.manifest import find_lesson

from .passages import Section, sections

DOES = "does"  # the name in a code cell's metadata
_ASKED = re.compile(
    r"\b(?:what|whats|explain|describe|was)\b.*\b(?:cell|code|lines?|snippet|zelle)\b|"
    r"\b(?:cell|zelle) (?:no\.? ?|number )?\d+\b.*\b(?:do|does|for|mean|macht)\b"
)
_NUMBER = re.compile(
    r"\b(?:cell|zelle)\s+(?:no\.?\s*|number\s+|#)?\[?(\d+)|\[(\d+)\]|"
    r"\b(\d+)(?:st|nd|rd|th)\s+(?:code )?cell"
)
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "last": -1}


@dataclass(frozen=True)
class CodeCell:
    """A code cell: its number among the lesson's, its text, what it does, where it stands."""

    number: int
    source: str
    does: str
    section: Section | None


def asked_of_cells(question: str) -> bool:
    """Return whether a question is what a cell does."""
    return bool(_ASKED.search(question.lower()))


def cells_of(lesson: str) -> tuple[CodeCell, ...]:
    """Return the code cells of a lesson that say what they do.

    Args:
        lesson: its number or slug.
    """
    path = find_lesson(lesson).pristine
    if not path.exists():
        return ()
    state = path.stat()
    return _read(lesson, path, (state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=32)
def _read(lesson: str, path: Path, _state: tuple) -> tuple[CodeCell, ...]:
    slug = find_lesson(lesson).slug
    by_id = {section.cell_id: section for section in sections() if section.lesson.slug == slug}
    found: list[CodeCell] = []
    number, within = 0, None
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        within = by_id.get(cell.get("id"), within)
        if cell["cell_type"] == "code":
            number += 1
            if does := cell["metadata"].get(DOES):
                found.append(CodeCell(number, "".join(cell["source"]), does, within))
    return tuple(found)


def find_cell(question: str, lesson: str) -> CodeCell | None:
    """Return the cell that a question names by its number, or by some of its code.

    Args:
        question: the learner's.
        lesson: number or slug of the lesson it is in.
    """
    there = cells_of(lesson)
    number = _numbered(question.lower())
    if number is not None:
        if number < 0:
            return there[-1] if there else None
        return next((cell for cell in there if cell.number == number), None)
    pasted = _lines(question)
    best = max(there, key=lambda cell: len(pasted & _lines(cell.source)), default=None)
    return best if best and pasted & _lines(best.source) else None


def _numbered(text: str) -> int | None:
    if found := _NUMBER.search(text):
        return int(next(group for group in found.groups() if group))
    for word, number in _ORDINALS.items():
        if re.search(rf"\b{word} (?:code )?cell\b", text):
            return number
    return None


def _lines(text: str) -> set[str]:
    """Return the lines of a text that are code, without blanks; "what does x = 1 do" has some."""
    bare = re.sub(r"^.*?\b(?:what|explain)\b[^:\n]*?\b(?:cell|code|lines?)\b[^:\n]*:", "", text)
    lines = ("".join(line.split()) for line in bare.strip().strip("`").splitlines())
    return {line for line in lines if len(line) >= 8 and not line.startswith("#")}
