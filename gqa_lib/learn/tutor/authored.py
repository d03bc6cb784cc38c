"""The bank of authored answers: for each section, what learners ask about it and what is true.

`answers/NN.toml` has those of lesson NN: the section, questions in learners' words, an answer, and
the facts its figures rest on (`answers/sources.json` says where those were read).
"""

import json
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

ANSWERS = "answers"


@dataclass(frozen=True)
class Authored:
    """An answer of our own to questions about one section."""

    lesson: str
    section: str  # the section's title
    questions: tuple[str, ...]
    text: str
    facts: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()  # numbers of the text that follow from others in view


@cache
def bank() -> tuple[Authored, ...]:
    """Return every authored answer, in the order of the course."""
    folder = files(__package__) / ANSWERS
    found = []
    for path in sorted(folder.iterdir(), key=lambda one: one.name):
        if path.name.endswith(".toml"):
            rows = tomllib.loads(path.read_text(encoding="utf-8"))["answers"]
            found += [_authored(path.name.removesuffix(".toml"), row) for row in rows]
    return tuple(found)


def _authored(lesson: str, row: dict) -> Authored:
    text = " ".join(row["text"].split())
    facts, derived = (tuple(row.get(name, ())) for name in ("facts", "derived"))
    return Authored(lesson, row["section"], tuple(row["questions"]), text, facts, derived)


@cache
def sources() -> dict[str, str]:
    """Return where the facts that answers rest on were read, by the fact's number."""
    path = files(__package__) / ANSWERS / "sources.json"
    return json.loads(path.read_text(encoding="utf-8"))
