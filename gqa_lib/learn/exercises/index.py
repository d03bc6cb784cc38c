"""Finds the exercises by their names."""

import difflib
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from .exercise import Exercise


@cache
def all_exercises() -> dict[str, Exercise]:
    """Return every exercise by its name."""
    found = {}
    for module in sorted(
        m.name for m in iter_modules([str(Path(__file__).parent)]) if m.name.startswith("lesson")
    ):
        for exercise in import_module(f"{__package__}.{module}").EXERCISES:
            assert exercise.name not in found, f"two exercises are called {exercise.name}"
            found[exercise.name] = exercise
    return found


def find_exercise(name: str) -> Exercise:
    """Return the exercise called `name`.

    Raises:
        ValueError: there is none; the message names the closest.
    """
    known = all_exercises()
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else f" There are {', '.join(known)}."
    raise ValueError(f"there is no exercise {name!r}.{hint}")
