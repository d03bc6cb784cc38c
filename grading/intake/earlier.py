"""Marks of a student's earlier submissions, which nbgrader's gradebook forgets with a new one.

They are kept among the records (`GQA_HOME`), a file for each student's notebook, with what tells
the submission that the gradebook's marks are of, and its answers.
"""

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from gqa_lib.course import places
from gqa_lib.course.files import make_private, replace_file

TIME = "when it came"  # among the answers


@dataclass(frozen=True)
class EarlierMark:
    """A submission's mark, as it was when another took its place.

    Attributes:
        at: when it was handed in, in UTC without a zone, as ISO text; "" if that is not known.
        score: the points, manual ones included.
        penalty: what being late took off them.
        cells: graded cell -> points.
    """

    at: str
    score: float
    penalty: float
    cells: dict[str, float]


@dataclass
class Kept:
    """What is kept of a student's notebook.

    Attributes:
        key: tells the submission that the gradebook's marks are of, or will be of in a moment.
        at: when that was handed in.
        answers: solution cell -> hash of its text, and when it came, as the marks were written.
        earlier: the marks that others had, oldest first.
    """

    key: str = ""
    at: str = ""
    answers: dict[str, str] = field(default_factory=dict)
    earlier: list[EarlierMark] = field(default_factory=list)


def read_kept(assignment: str, student: str, notebook: str) -> Kept:
    """Return what is kept of a student's notebook; of a file that is damaged, nothing.

    Args:
        assignment: its assignment's name.
        student: the student's id.
        notebook: its name.
    """
    try:
        said = json.loads(_path(assignment, student, notebook).read_text(encoding="utf-8"))
        said["earlier"] = [EarlierMark(**mark) for mark in said["earlier"]]
        return Kept(**said)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return Kept()


def write_kept(assignment: str, student: str, notebook: str, kept: Kept) -> None:
    """Keep it, for the instructor alone.

    Args:
        assignment: its assignment's name.
        student: the student's id.
        notebook: its name.
        kept: all of it.

    Raises:
        OSError: it cannot be written.
    """
    make_private(places.home())
    path = _path(assignment, student, notebook)
    replace_file(path, json.dumps(asdict(kept)) + "\n", mode=0o600)


def is_graded(assignment: str, student: str, at: datetime) -> bool:
    """Return whether a hand-in to an assignment has been graded, so that its mark is kept.

    Args:
        assignment: its name, which is its notebook's as well.
        student: the student's id.
        at: when it was handed in, in UTC without a zone.
    """
    kept = read_kept(assignment, student, assignment)
    return at.isoformat() in {kept.answers.get(TIME), *(mark.at for mark in kept.earlier)}


def earlier_marks(assignment: str) -> dict[str, list[EarlierMark]]:
    """Return student -> marks of earlier submissions of an assignment's notebook of that name."""
    students = sorted(folder.name for folder in _folder(assignment).glob("*"))
    found = {one: read_kept(assignment, one, assignment).earlier for one in students}
    return {student: marks for student, marks in found.items() if marks}


def _folder(assignment: str) -> Path:
    return places.home() / "marks" / assignment


def _path(assignment: str, student: str, notebook: str) -> Path:
    return _folder(assignment) / student / f"{notebook}.json"
