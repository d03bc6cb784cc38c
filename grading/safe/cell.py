"""A code cell as grading runs it, and what came of it."""

from dataclasses import dataclass, field

TRUSTED, ANSWER, TEST, OWN = "trusted", "answer", "test", "own"
ALONE, WHOLE, BOTH = "alone", "whole", "both"  # the tries of `grade_notebook`


@dataclass
class Cell:
    """A code cell: what it is to grading, its source, its points, and what came of it.

    A `TRUSTED` cell is the lesson's own and runs on both sides, an `ANSWER` is the student's, and
    a `TEST` runs before the judge. An `OWN` cell is one that the student added. `tries` are those
    in which it runs.
    """

    kind: str
    source: str
    points: float = 0
    outputs: list[dict] = field(default_factory=list)
    tries: str = BOTH

    def reached(self) -> float:
        """Return the points that a test's outputs give."""
        if self.errors():
            return 0.0
        given = [o["data"]["text/plain"] for o in self.outputs if o["output_type"] == CREDIT]
        return float(given[-1]) if given else self.points

    def is_right(self) -> bool:
        """Return whether a test went through and gives all of its points."""
        return not self.errors() and self.reached() >= self.points

    def errors(self) -> list[dict]:
        """Return the errors among its outputs."""
        return [output for output in self.outputs if output["output_type"] == "error"]


CREDIT = "execute_result"  # the type of the output that has part of a test's points
