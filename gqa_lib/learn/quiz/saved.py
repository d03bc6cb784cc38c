"""`quiz_answers.json` next to a notebook: what a learner chose in the panel.

Grading reads it as an untrusted file, with the same function that reads it here.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gqa_lib.course.files import replace_file

from .questions import LETTERS

FILE = "quiz_answers.json"
MAX_BYTES = 20_000
_ID = re.compile(r"[A-Za-z0-9_-]{1,20}")
_LIMIT = 500  # answers


@dataclass(frozen=True)
class Saved:
    """The choices of an attempt: question id -> letter."""

    attempt: int = 1
    answers: Mapping[str, str] = field(default_factory=dict)


def parse(content: bytes) -> Saved:
    """Return what a file says.

    Raises:
        ValueError: it is not such a file; the message says in what.
    """
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    try:
        data = json.loads(
            content.decode("utf-8-sig"), object_pairs_hook=_no_key_twice, parse_constant=_no_number
        )
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    except json.JSONDecodeError:
        raise ValueError("it is not readable JSON") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if type(data) is not dict or data.keys() != {"version", "attempt", "answers"}:
        raise ValueError("it does not have version, attempt and answers, and nothing else")
    attempt, answers = data["attempt"], data["answers"]
    if type(data["version"]) is not int or data["version"] != 1:
        raise ValueError("its version is not 1")
    if type(attempt) is not int or not 1 <= attempt <= 1000:
        raise ValueError("its attempt is not a number from 1 to 1000")
    if type(answers) is not dict or len(answers) > _LIMIT:
        raise ValueError(f"its answers are not at most {_LIMIT} pairs of question and letter")
    for name, letter in answers.items():
        if not _ID.fullmatch(name) or letter not in tuple(LETTERS):
            raise ValueError("one of its answers is not a question's id with one of A, B, C, D")
    return Saved(attempt, answers)


def read(folder: Path) -> Saved:
    """Return what was saved in a folder; nothing, if there is no file.

    Raises:
        ValueError: the file is damaged.
        OSError: it cannot be read.
    """
    try:
        with (folder / FILE).open("rb") as file:
            return parse(file.read(MAX_BYTES + 1))
    except FileNotFoundError:
        return Saved()


def write(folder: Path, saved: Saved) -> None:
    """Write the choices so that the file is never there in part.

    Raises:
        OSError: it cannot be written.
    """
    data = {"version": 1, "attempt": saved.attempt, "answers": dict(sorted(saved.answers.items()))}
    replace_file(folder / FILE, json.dumps(data, indent=1) + "\n")


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("it names something twice")
    return made


def _no_number(name: str):
    raise ValueError(f"it holds {name}, which is not a number")
