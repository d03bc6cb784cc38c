"""What lessons ask to predict, and a learner's predictions: what was kept, and what came out."""

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from gqa_lib.course.manifest import Lesson, lessons
from gqa_lib.learn import progress

GUESS, OUTCOME = "guess", "outcome"  # kinds of events; an outcome that was noise has no score
TIMES, SHARE = "times", "share"
FACTOR, APART = 2.0, 0.1  # a near guess: of a number, within a factor; of a share, this far away


@dataclass(frozen=True)
class Asked:
    """Something that a lesson asks to predict."""

    name: str
    lesson: Lesson
    unit: str

    def shown(self, value: float) -> str:
        """Return a value with its unit.

        Args:
            value: what was guessed or came out.
        """
        return _digits(value) if self.unit == SHARE else f"{_digits(value)} {self.unit}"

    def refused(self, value: float) -> str:
        """Return why a number cannot be such a value, or "".

        Args:
            value: what was guessed.
        """
        if self.unit == SHARE:
            return "" if 0 <= value <= 1 else "a share is from 0 to 1"
        return "" if math.isfinite(value) and value > 0 else "it has to be above 0, and finite"

    def distance(self, guessed: float, result: float) -> tuple[bool, str]:
        """Return whether a guess came near what came out, and how near in words.

        Args:
            guessed, result: what was expected, and what it is.
        """
        if self.unit == SHARE:
            apart = abs(guessed - result)
            near = apart <= APART + 1e-9
            return near, f"within {APART:g}" if near else f"{apart:.2g} apart"
        apart = max(guessed / result, result / guessed) if result > 0 else math.inf
        near = apart <= FACTOR * (1 + 1e-9)
        return near, f"within {FACTOR:g}x" if near else f"off by a factor of {_digits(apart)}"


@dataclass
class Prediction:
    """What became of a prediction.

    Attributes:
        asked: what it is about.
        first: the first guess, None where there was none in time.
        kept: the guess that counts: the last one before an outcome was shown.
        shown: whether an outcome was shown, be it noise.
        result: the first outcome that was not noise.
    """

    asked: Asked
    first: float | None = None
    kept: float | None = None
    shown: bool = False
    result: float | None = None

    def take(self, event: Mapping[str, Any]) -> None:
        """Take in an event of the record; they come oldest first.

        Args:
            event: one of this prediction.
        """
        value = event["score"]
        if event["kind"] == OUTCOME:
            self.shown = True
            self.result = value if self.result is None else self.result
        elif not self.shown and value is not None and not self.asked.refused(value):
            self.kept = value
            self.first = value if self.first is None else self.first


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def all_asked() -> dict[str, Asked]:
    """Return everything that lessons ask to predict, by name."""
    return {
        name: Asked(name, lesson, unit)
        for lesson in lessons()
        for name, unit in _units().get(lesson.number, {}).items()
    }


@cache
def _units() -> dict[str, dict[str, str]]:
    """Return lesson -> name -> unit, as the file has them."""
    return tomllib.loads((files(__package__) / "guesses.toml").read_text(encoding="utf-8"))


def prediction(asked: Asked) -> Prediction:
    """Return what became of one prediction."""
    return _folded([asked], progress.events(asked.lesson.slug))[asked.name]


def predictions() -> list[Prediction]:
    """Return what became of each prediction, in the order of the course."""
    events = [event for event in progress.events() if event["kind"] in (GUESS, OUTCOME)]
    return list(_folded(all_asked().values(), events).values())


def _folded(asked: Iterable[Asked], events: Iterable[Any]) -> dict[str, Prediction]:
    found = {one.name: Prediction(one) for one in asked}
    for event in events:
        one = found.get(event["exercise"])
        if one and event["kind"] in (GUESS, OUTCOME) and event["lesson"] == one.asked.lesson.slug:
            one.take(event)
    return found


def calibration(among: Iterable[Prediction]) -> str:
    """Return how near predictions came, such as "within 2x on 5 of 9"; "" where none is known.

    Args:
        among: the predictions to count.
    """
    near: dict[str, list[bool]] = {f"within {FACTOR:g}x": [], f"shares within {APART:g}": []}
    numbers, shares = near.values()
    for one in among:
        if one.kept is not None and one.result is not None:
            kind = shares if one.asked.unit == SHARE else numbers
            kind.append(one.asked.distance(one.kept, one.result)[0])
    return ", ".join(f"{how} on {sum(of)} of {len(of)}" for how, of in near.items() if of)
