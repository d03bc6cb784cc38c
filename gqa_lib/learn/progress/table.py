"""`gqa progress`: a learner's record, exercise by exercise."""

from .standing import ExerciseStanding, Standing, standings


def progress_table() -> str:
    """Return every lesson that was begun, with its exercises and graded cells, as text."""
    begun = [one for one in standings() if one.begun]
    if not begun:
        return "Nothing yet: checks, hints and marks appear here. `gqa lab` opens the course."
    return "\n\n".join("\n".join(_lesson(one)) for one in begun)


def _lesson(one: Standing) -> list[str]:
    lines = [f"{one.lesson.number}  {one.lesson.title}   {one.told()}"]
    if one.handed_in:
        lines += [f"    sha256 of {name}: {digest}" for name, digest in one.handed_in.files.items()]
    for exercise in one.exercises.values():
        lines.append(f"    {'✓' if exercise.solved else '○'} {exercise.name:<26} {_did(exercise)}")
    for name, hunted in one.hunts.items():
        lines.append(f"      {'bug hunt: ' + name:<34} {hunted.told()}")
    for cell in one.latest:
        last, best, there = one.latest[cell], one.best[cell], one.points[cell]
        earlier = f" (best {best:g})" if best > last else ""
        lines.append(f"      {'graded: ' + cell:<34} {last:g} of {there:g}{earlier}")
    return lines


def _did(exercise: ExerciseStanding) -> str:
    counts = (
        (exercise.checks, "check"),
        (exercise.hints, "hint"),
        (exercise.resets, "reset"),
    )
    parts = [f"{n} {what}{'s' if n > 1 else ''}" for n, what in counts if n]
    return ", ".join(parts) or "not tried"
