"""Where a class stands, as a table for the terminal."""

from collections.abc import Iterable

from .counting import counted, percent
from .standing import ClassStanding, Exercise, Mistake, Standing

_MOST = 3  # mistakes of an exercise


def table_of_class(found: ClassStanding, *, names: bool = True) -> str:
    """Return a row for each lesson, and the mistake that is made most.

    Args:
        found: where the class stands.
        names: whether to give counts below 3.
    """
    rows = [["lesson", *counts_of(found.lessons[0]), "attempted", "right"]]
    notes = [""]
    for one in found.lessons:
        answers = len(one.came) * len(one.exercises)
        tried, right = (sum(getattr(e, n) for e in one.exercises) for n in ("attempted", "right"))
        shares = [percent(tried, answers) or "-", percent(right, answers) or "-"]
        counts = [counted(n, names=names) for n in counts_of(one).values()]
        rows.append([one.lesson.name, *counts, *shares])
        notes.append(_most_frequent(one, names))
    lines = []
    for line, note in zip(_aligned(rows), notes, strict=True):
        lines += [line, f"    {note}"] if note else [line]
    return "\n".join(lines)


def table_of_lesson(found: ClassStanding, *, names: bool = True) -> str:
    """Return a row for each exercise of the only lesson, with the mistakes that are made most.

    Args:
        found: where the class stands.
        names: whether to give counts below 3.
    """
    (one,) = found.lessons
    rows = [["exercise", "points", "attempted", "right"]]
    rows += [_row(exercise, names) for exercise in one.exercises]
    lines = [
        one.lesson.name,
        ", ".join(f"{what}: {counted(n, names=names)}" for what, n in counts_of(one).items()),
        "",
    ]
    for line, exercise in zip(_aligned(rows), (None, *one.exercises), strict=True):
        lines.append(line)
        if exercise:
            made = shown_mistakes(exercise.mistakes, names)[:_MOST]
            lines += [f"    {counted(m.count, names=names)}: {m.says}" for m in made]
    return "\n".join(lines)


def shown_mistakes(mistakes: Iterable[Mistake], names: bool) -> list[Mistake]:
    """Return the mistakes that may be shown, the named ones first.

    Args:
        mistakes: those of an exercise, the most frequent first.
        names: without, what a check does not name is left out where few have it.
    """
    may = [m for m in mistakes if names or m.named or counted(m.count, names=False).isdigit()]
    return sorted(may, key=lambda mistake: not mistake.named)


def _row(exercise: Exercise, names: bool) -> list[str]:
    tried, right = (counted(n, names=names) for n in (exercise.attempted, exercise.right))
    return [exercise.name, f"{exercise.points:g}", tried, right]


def counts_of(one: Standing) -> dict[str, int]:
    """Return how many students, or hand-ins that were refused, there are of each kind."""
    return {
        "handed in": len(one.came),
        "missing": len(one.missing),
        "late": len(one.late),
        "refused": len(one.troubles.not_collected),
        "technical 0": len(one.technical),
        "off roster": len(one.off_roster),
        "to mark": len(one.waiting),
    }


def _most_frequent(one: Standing, names: bool) -> str:
    named = [(m, exercise.name) for exercise in one.exercises for m in exercise.mistakes if m.named]
    if not named:
        return ""
    most, exercise = max(named, key=lambda found: found[0].count)
    return f"{exercise}: {most.says} ({counted(most.count, names=names)})"


def _aligned(rows: list[list[str]]) -> list[str]:
    """Return rows as lines: the first column aligned on the left, the others on the right."""
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(wide[0]), *map(str.rjust, row[1:], wide[1:])]).rstrip()
        for row in rows
    ]
