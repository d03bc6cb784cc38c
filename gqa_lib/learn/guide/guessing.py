"""`guess` keeps what a learner expects, `outcome` says what came out, `guessed` is for figures."""

import difflib
import math
import os
from typing import Any

from gqa_lib.learn import progress

from .predictions import GUESS, OUTCOME, Asked, Prediction, all_asked, prediction


def guess(name: str, value: float | None) -> None:
    """Keep what you expect before you measure it; the last guess before that counts.

    Args:
        name: what it is of, as the lesson has it.
        value: the number that you expect; None for no guess.
    """
    asked = _asked(name)
    if asked is None:
        return
    now = _known(asked)
    if value is None:
        print(_as_it_is(now))
        return
    number = _number(value)
    why = "it is not a number such as 2.0" if number is None else asked.refused(number)
    if number is None or why:
        stands = f" {_as_it_is(now)}" if now.shown or now.kept is not None else ""
        print(f"{value!r:.40} cannot be a guess of {name}: {why}.{stands}")
    elif now.shown:
        print(_too_late(now, number))
    elif number == now.kept:
        print(_kept(now, now))
    elif _added(asked, GUESS, number):
        print(_kept(now, _known(asked)))


def guessed(name: str) -> float | None:
    """Return the guess that counts, None where there is none."""
    asked = _asked(name)
    return _known(asked).kept if asked else None


def outcome(name: str, value: float, *, noisy: bool = False) -> None:
    """Say what came out next to the guess, and keep it, so that the map knows how near it was.

    Args:
        name: what it is of, as in `guess`.
        value: what was measured or computed.
        noisy: whether other programs disturbed the measurement: then it does not count.
    """
    asked = _asked(name)
    if asked is None:
        return
    number = _number(value)
    noisy = noisy or number is None or not math.isfinite(number)
    now = _known(asked)
    if not noisy and now.result is None:
        _added(asked, OUTCOME, number)
    elif not now.shown:
        _added(asked, OUTCOME, None)
    if number is None or noisy:
        print(f"{name}: too noisy to count. Measure again when the machine is idle.")
    elif now.kept is None:
        print(f"{name}: {asked.shown(number)}.")
    else:
        how = asked.distance(now.kept, number)[1]
        print(f"{name}: you expected {asked.shown(now.kept)}, it is {asked.shown(number)}: {how}.")


def _asked(name: str) -> Asked | None:
    """Return what a name is of; None while grading, and for a name that no lesson asks for."""
    if "NBGRADER_EXECUTION" in os.environ:  # graded elsewhere, it would be nobody's guess
        return None
    known = all_asked()
    if isinstance(name, str) and name in known:
        return known[name]
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f' Did you mean "{near[0]}"?' if near else ""
    print(f'No lesson asks to predict "{name!s:.60}".{hint}')
    return None


def _known(asked: Asked) -> Prediction:
    try:
        return prediction(asked)
    except Exception as trouble:  # a damaged or locked record must not stop a lesson
        print(f"(Your record could not be read: {trouble})")
        return Prediction(asked)


def _added(asked: Asked, kind: str, score: float | None) -> bool:
    try:
        progress.add(asked.lesson.slug, asked.name, kind, score)
    except Exception as trouble:  # a full disk must not, either
        print(f"(Progress was not saved: {trouble})")
        return False
    return True


def _number(value: Any) -> float | None:
    """Return a value as a number, None where it is none."""
    if isinstance(value, bool | str | bytes):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None


def _as_it_is(now: Prediction) -> str:
    """Return where a prediction stands, for a learner who gave no number."""
    name, shown = now.asked.name, now.asked.shown
    if now.shown:
        mine = f"you expected {shown(now.kept)}" if now.kept is not None else "you made no guess"
        result = f"; it was {shown(now.result)}" if now.result is not None else ""
        return f"{name}: {mine}{result}."
    if now.kept is not None:
        return f"{name}: you expect {shown(now.kept)}."
    return f"{name}: no guess yet. Put a number in place of None, or go on without one."


def _kept(before: Prediction, now: Prediction) -> str:
    asked = now.asked
    if now.kept is None:  # its event could not be read back
        return f"{asked.name}: not kept."
    instead = ""
    if before.kept is not None and before.kept != now.kept:
        instead = f" instead of {asked.shown(before.kept)}"
        if now.first is not None and now.first not in (before.kept, now.kept):
            instead += f"; {asked.shown(now.first)} was your first"
    return f"Kept: you expect {asked.shown(now.kept)}{instead} ({asked.name})."


def _too_late(now: Prediction, number: float) -> str:
    if number == now.kept:
        return _as_it_is(now)
    return (
        f"You have seen what came out, so {now.asked.shown(number)} no longer counts. "
        f"{_as_it_is(now)}"
    )
