"""`gqa map`: the lessons, and where the learner stands."""

from . import progress
from .manifest import Lesson, lessons


def lesson_map() -> str:
    """Return the map of the course as text, with the learner's record beside each lesson."""
    lines, part = [], None
    for lesson in lessons():
        if lesson.part != part:
            part = lesson.part
            lines += ["", part]
        title, minutes = f"{lesson.title:<28}", f"{lesson.minutes:>3} min"
        lines.append(f"  {lesson.number}  {title} {minutes}   {_standing(lesson)}")

    return "\n".join(lines).lstrip("\n")


def _standing(lesson: Lesson) -> str:
    marks = progress.marks(lesson.slug)
    if marks:
        latest, best = marks[-1], max(marks)
        text = f"submitted: {latest[0]:g} of {latest[1]:g} points"
        return text + (f" (best {best[0]:g})" if best > latest else "")
    passed = {e["exercise"] for e in progress.events(lesson.slug, "check") if e["score"]}
    if passed:
        return f"begun: {len(passed)} exercise{'s' if len(passed) > 1 else ''} checked"
    return "not begun"
