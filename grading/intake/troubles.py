"""What went wrong with a lesson's hand-ins and still does, kept until a later run makes it good.

The log of a run starts empty at the next; this is what `gqa class` and the end of `gqa grade` tell
of runs before.
"""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from gqa_lib.course import places
from gqa_lib.course.files import make_private, replace_file


@dataclass
class Troubles:
    """Hand-ins, users and students with what went wrong.

    Attributes:
        not_collected: hand-ins that were refused at the last collecting, and why.
        older: owners, and how many of their hand-ins were not looked at.
        failed: students whose hand-in could not be graded, and why.
        without_feedback: students whose feedback could not be made, and why.
    """

    not_collected: dict[str, str] = field(default_factory=dict)
    older: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    without_feedback: dict[str, str] = field(default_factory=dict)


def read_troubles(assignment: str) -> Troubles:
    """Return what is kept of an assignment."""
    try:
        kept = json.loads(_path(assignment).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Troubles()
    known = {one.name for one in fields(Troubles)}
    return Troubles(**{name: said for name, said in kept.items() if name in known})


def keep_collecting(assignment: str, not_collected: dict[str, str], older: dict[str, int]) -> None:
    """Keep what the last collecting of an assignment left.

    Args:
        assignment: its name.
        not_collected: hand-ins that were refused, and why.
        older: owners, and how many of their hand-ins were not looked at.
    """
    kept = read_troubles(assignment)
    kept.not_collected, kept.older = not_collected, older
    _keep(assignment, kept)


def keep_grading(
    assignment: str, done: list[str], failed: dict[str, str], without_feedback: dict[str, str]
) -> None:
    """Keep what a grading left; what is kept of students whom it did not come to stays.

    Args:
        assignment: its name.
        done: the students whom it came to, and graded.
        failed: students whose hand-in could not be graded, and why.
        without_feedback: students whose feedback could not be made, and why.
    """
    kept = read_troubles(assignment)
    for now, said in ((kept.failed, failed), (kept.without_feedback, without_feedback)):
        for student in done:
            now.pop(student, None)
        now |= said
    _keep(assignment, kept)


def _keep(assignment: str, troubles: Troubles) -> None:
    make_private(places.home())
    make_private(places.home() / "arrivals")
    replace_file(_path(assignment), json.dumps(asdict(troubles)) + "\n", mode=0o600)


def _path(assignment: str) -> Path:
    return places.home() / "arrivals" / f"{assignment}.troubles.json"
