"""`gqa verify --mutants`: no mutant of a solution passes the checks, but for those reviewed.

Those are in `reviewed.toml`, by the reason why each is the same program or as right.
"""

import os
import random
import time
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

from gqa_lib.course.manifest import Lesson
from grading.nb.cells import QUIZ, is_solution, known_id

from ..source import read_source, source_of
from .grade import Outcome, outcomes
from .mutant import Mutant, mutants

REVIEWED = Path(__file__).parent / "reviewed.toml"
_SEED = "mutants"  # of the hidden tests: a verdict is the same on every day


def mutants_of(lesson: Lesson) -> list[Mutant]:
    """Return the mutants of a lesson's solutions, exercise after exercise."""
    cells = [c for c in read_source(source_of(lesson)).cells if c.cell_type == "code"]
    exercises = [c for c in cells if is_solution(c) and known_id(c) != QUIZ]
    return [mutant for c in exercises for mutant in mutants(known_id(c), c.source)]


def reviewed() -> dict[tuple[str, str, str], str]:
    """Return why a mutant that passes may: (exercise, before, after) to the reason.

    Raises:
        ValueError: an entry gives no reason, or there are two of one mutant.
    """
    reasons: dict[tuple[str, str, str], str] = {}
    for group in tomllib.loads(REVIEWED.read_text(encoding="utf-8"))["reviewed"]:
        for exercise, before, after in group["mutants"]:
            key = (exercise, before, after)
            if not group["because"] or key in reasons:
                raise ValueError(f"{REVIEWED.name}: {key} has no reason or is there twice.")
            reasons[key] = group["because"]
    return reasons


def verify_mutants(
    lessons: Sequence[Lesson], *, sample: int | None = None, seed: str = "", show_all: bool = False
) -> list[str]:
    """Grade the mutants of the lessons' solutions; print the table; return what is wrong.

    Args:
        lessons: whose exercises.
        sample: how many mutants of each lesson; all unless given.
        seed: which ones.
        show_all: print what a learner reads of each.
    """
    reasons, problems, totals = reviewed(), [], Counter[str]()
    start = time.perf_counter()
    print(
        f"{'':4}{'exercise':<32}{'mutants':>8}{'refused':>9}{'named':>7}{'reviewed':>10}{'left':>6}"
    )
    for lesson in lessons:
        made = mutants_of(lesson)
        stale = [] if sample is not None else _stale(made, reasons)
        chosen = made if sample is None else _drawn(made, sample, f"{seed}{lesson.number}")
        counts: dict[str, Counter[str]] = {m.exercise: Counter() for m in chosen}
        with patch.dict(os.environ, GQA_SEED=_SEED):
            for outcome in outcomes(lesson, chosen, os.cpu_count() or 1):
                kind = _kind(outcome, reasons)
                counts[outcome.mutant.exercise][kind] += 1
                counts[outcome.mutant.exercise]["named"] += "That is what" in outcome.refusal
                problems += [_survivor(outcome.mutant)] if kind == "left" else []
                if show_all and kind != "void":
                    print(_as_text(outcome, kind))
        for exercise, of in counts.items():
            totals += of
            print(_row(lesson.number, exercise, of))
        problems += stale
    print(_row("", "all", totals), f"{time.perf_counter() - start:.0f} s")
    return problems


def _drawn(made: list[Mutant], count: int, seed: str) -> list[Mutant]:
    return random.Random(seed).sample(made, min(count, len(made)))


def _kind(outcome: Outcome, reasons: dict) -> str:
    if outcome.refusal:
        return "refused"
    if not outcome.changed:
        return "void"
    return "reviewed" if outcome.mutant.key in reasons else "left"


def _stale(made: list[Mutant], reasons: dict) -> list[str]:
    """Return the reviewed mutants of these exercises that are made no more."""
    keys, exercises = {m.key for m in made}, {m.exercise for m in made}
    gone = [key for key in reasons if key[0] in exercises and key not in keys]
    return [f"{REVIEWED.name} has a mutant that is made no more: {key}" for key in gone]


def _survivor(mutant: Mutant) -> str:
    return f"{mutant.exercise}, {mutant.kind}: passes\n- {mutant.before}\n+ {mutant.after}"


def _row(number: str, exercise: str, counts: Counter[str]) -> str:
    made = sum(counts[kind] for kind in ("refused", "reviewed", "left"))
    rest = (counts[kind] for kind in ("refused", "named", "reviewed", "left"))
    refused, named, kept, left = rest
    return f"{number:4}{exercise:<32}{made:>8}{refused:>9}{named:>7}{kept:>10}{left:>6}"


def _as_text(outcome: Outcome, kind: str) -> str:
    mutant = outcome.mutant
    read = outcome.refusal.splitlines() or [kind]
    lines = (f"- {mutant.before}", f"+ {mutant.after}", *read)
    return "\n    ".join([f"\n{mutant.exercise}, {mutant.kind}", *lines])
