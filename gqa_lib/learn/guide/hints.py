"""`hint`: shows the next hint of an exercise, from a first nudge to a worked step."""

import json
from functools import cache
from importlib.resources import files

from gqa_lib.learn import progress
from gqa_lib.learn.checking.check import record
from gqa_lib.learn.exercises import find_exercise
from gqa_lib.learn.show import show


@cache
def all_hints() -> dict[str, list[list[str]]]:
    """Return exercise -> [[title, text], ...]; `gqa build` takes them from the lessons."""
    return json.loads((files("gqa_lib") / "data" / "hints.json").read_text(encoding="utf-8"))


def hint(name: str) -> None:
    """Show the next hint of an exercise; the ones already seen stay in view.

    Args:
        name: the exercise, as its heading calls it.
    """
    exercise = find_exercise(name)
    ladder = all_hints()[name]
    seen = sum(e["exercise"] == name for e in progress.events(exercise.lesson, "hint"))
    shown = ladder[: seen + 1]
    if seen < len(ladder):
        record(exercise, "hint", detail=str(seen + 1))
    for title, text in shown:
        show(f"**{title}**\n\n{text}")
    rest = len(ladder) - len(shown)
    show(f"*{rest} more: run it again.*" if rest else "*That was the last one.*")
