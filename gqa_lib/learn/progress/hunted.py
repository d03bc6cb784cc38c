"""What a bug hunt came to, as the learner's record keeps it."""

import sqlite3
from dataclasses import dataclass

from .log import add

KIND = "hunt"


@dataclass(frozen=True)
class Hunted:
    """Bugs that a learner's inputs exposed.

    Attributes:
        caught: bugs exposed.
        bugs: all there were.
        inputs: with how many inputs.
    """

    caught: int
    bugs: int
    inputs: int

    def told(self) -> str:
        """Return it in words."""
        many = f"{self.inputs} input{'s' if self.inputs > 1 else ''}"
        return f"{self.caught} of {self.bugs} bugs caught with {many}"


def keep(lesson: str, name: str, hunted: Hunted) -> None:
    """Add a hunt to the learner's record.

    Args:
        lesson: slug of its lesson.
        name: of its exercise.
        hunted: what it came to.
    """
    add(lesson, name, KIND, float(hunted.caught), float(hunted.bugs), str(hunted.inputs))


def hunted_of(event: sqlite3.Row) -> Hunted | None:
    """Return the hunt in an event of a learner's record; None if it cannot be read."""
    try:
        found = Hunted(int(event["score"]), int(event["max_score"]), int(event["detail"]))
    except (TypeError, ValueError):  # changed on its way here
        return None
    return found if 0 < found.caught <= found.bugs and found.inputs > 0 else None


def better(one: Hunted | None, other: Hunted) -> Hunted:
    """Return the better of two hunts: more bugs, or as many with fewer inputs; `one` if equal.

    Args:
        one: a hunt, if there is one.
        other: another.
    """
    if one is None or (other.caught, -other.inputs) > (one.caught, -one.inputs):
        return other
    return one
