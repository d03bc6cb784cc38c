"""Where a learner stands, by lesson and exercise: what the map, the endings and the CLI show."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

from gqa_lib.course.manifest import Lesson, class_exchange, is_students_copy, lessons
from gqa_lib.learn import progress

from . import hunted
from .due import due_of, shown
from .hunted import Hunted
from .receipts import KIND, Receipt, receipt_of

DRAWN = "16"  # the lesson that is a quiz on all others


@dataclass
class ExerciseStanding:
    """What is known of one exercise: checks since ever, whether it is solved now."""

    name: str
    solved: bool = False
    checks: int = 0
    hints: int = 0
    resets: int = 0


@dataclass
class Standing:
    """What is known of one lesson."""

    lesson: Lesson
    exercises: dict[str, ExerciseStanding]
    points: dict[str, float]  # graded cell -> points to be had
    best: dict[str, float]  # graded cell -> best mark
    latest: dict[str, float]  # graded cell -> last mark
    marks: list[tuple[float, float]]  # (score, max_score) of each submission
    touched: str = ""  # when something last happened
    handed_in: Receipt | None = None  # the last of a class's receipts
    due: datetime | None = None  # in a class
    hunts: dict[str, Hunted] = field(default_factory=dict)  # exercise -> the best bug hunt

    @property
    def solved(self) -> list[str]:
        """The exercises whose check passes."""
        return [name for name, exercise in self.exercises.items() if exercise.solved]

    @property
    def best_mark(self) -> tuple[float, float] | None:
        """The best submission's (score, max_score)."""
        return max(self.marks, default=None)

    @property
    def done(self) -> bool:
        """Whether nothing is left to do: full marks, or in a class every check passed."""
        if self.best_mark:
            return self.best_mark[0] >= self.best_mark[1]
        return in_a_class() and bool(self.exercises) and len(self.solved) == len(self.exercises)

    @property
    def begun(self) -> bool:
        """Whether anything was done."""
        return bool(self.touched)

    def told(self) -> str:
        """Return it in words."""
        if self.marks:
            latest, best = self.marks[-1], max(self.marks)
            text = f"submitted: {latest[0]:g} of {latest[1]:g} points"
            return text + (f" (best {best[0]:g})" if best > latest else "")
        if self.handed_in:
            return self.handed_in.standing()
        due = f", due {shown(self.due)}" if self.due else ""
        if self.begun:
            return f"begun: {len(self.solved)} of {len(self.exercises)} exercises checked{due}"
        return f"not begun{due}"


def in_a_class() -> bool:
    """Return whether someone else grades, so that no marks come here."""
    return class_exchange() is not None or is_students_copy()


@cache
def graded_cells(lesson: Lesson) -> tuple[tuple[str, ...], dict[str, float]]:
    """Return a lesson's exercises, of which its quiz is none, and its graded cells with points."""
    cells = json.loads(lesson.pristine.read_text(encoding="utf-8"))["cells"]
    ours = [cell["metadata"].get("nbgrader", {}) for cell in cells]
    answered = (c["grade_id"] for c in ours if c.get("solution") and not c.get("grade"))
    exercises = tuple(name for name in answered if name != "quiz")
    return exercises, {c["grade_id"]: c["points"] for c in ours if c.get("grade")}


def standings() -> list[Standing]:
    """Return where the learner stands in each lesson, in the order of the course."""
    by_lesson: dict[str, list[sqlite3.Row]] = {}
    for event in progress.events():
        by_lesson.setdefault(event["lesson"], []).append(event)
    return [_standing(lesson, by_lesson.get(lesson.slug, [])) for lesson in lessons()]


def standing(lesson: Lesson) -> Standing:
    """Return where the learner stands in one lesson."""
    return _standing(lesson, progress.events(lesson.slug))


def next_lesson(all_standings: list[Standing]) -> Standing | None:
    """Return what to go on with: the lesson last worked on, else the first that is not done.

    The quiz on everything counts as the last of all, however lately it was taken.

    Args:
        all_standings: as from `standings`.
    """
    lessons_alone = [s for s in all_standings if s.lesson.number != DRAWN]
    last = max(lessons_alone, key=lambda s: s.touched)
    if last.begun and not last.done:
        return last
    return next((s for s in all_standings if not s.done), None)


def _standing(lesson: Lesson, events: Iterable[sqlite3.Row]) -> Standing:
    names, points = graded_cells(lesson)
    exercises = {name: ExerciseStanding(name) for name in names}
    found = Standing(lesson, exercises, points, best={}, latest={}, marks=[])
    found.due = due_of(lesson.slug)
    for event in events:
        _take(found, event)
    return found


def _take(found: Standing, event: sqlite3.Row) -> None:
    name, kind, score = event["exercise"], event["kind"], event["score"]
    if kind != "draw":  # looking at a quiz is not yet taking it
        found.touched = max(found.touched, event["at"])
    if kind == "mark" and name == "":
        found.marks.append((score, event["max_score"]))
    elif kind == "mark" and name in found.points:
        found.latest[name] = score
        found.best[name] = max(score, found.best.get(name, score))
    elif kind == KIND:
        found.handed_in = receipt_of(event) or found.handed_in
    elif kind == hunted.KIND:
        if new := hunted.hunted_of(event):
            found.hunts[name] = hunted.better(found.hunts.get(name), new)
    elif kind == "reset" and name == "":
        for exercise in found.exercises.values():
            exercise.solved, exercise.resets = False, exercise.resets + 1
    elif name in found.exercises:
        exercise = found.exercises[name]
        if kind == "check":
            exercise.checks += 1
            exercise.solved = exercise.solved or bool(score)
        elif kind == "hint":
            exercise.hints += 1
        elif kind == "reset":
            exercise.solved, exercise.resets = False, exercise.resets + 1
