"""`wrap_up`: the end of a lesson - what was earned, what is missing, where to go on."""

import os

from .manifest import Lesson, find_lesson, lessons, terms
from .show import show
from .standing import Standing, in_a_class, standing


def wrap_up(number: str) -> None:
    """Show what a lesson earned so far and what comes after; run the cell again to update it.

    Args:
        number: the lesson, such as "04".
    """
    if "NBGRADER_EXECUTION" not in os.environ:  # graded elsewhere, it would show nobody's record
        show(ending(find_lesson(number)))


def ending(lesson: Lesson) -> str:
    """Return the end of a lesson as Markdown."""
    now = standing(lesson)
    lines = [f"**Lesson {lesson.name}**", "", *_earned(now), *_missing(now), "", *_ahead(lesson)]
    return "\n".join(lines)


def _earned(now: Standing) -> list[str]:
    lines = [f"- Exercises checked: {len(now.solved)} of {len(now.exercises)}"]
    if now.best_mark:
        best, there = now.best_mark
        several = f", the best of {len(now.marks)} submissions" if len(now.marks) > 1 else ""
        lines.append(f"- Points: {best:g} of {there:g}{several}")
        quiz = [name for name in now.points if "quiz" in name and name in now.best]
        if quiz:
            got, all_of_it = sum(now.best[n] for n in quiz), sum(now.points[n] for n in quiz)
            lines.append(f"- Questions: {got:g} of {all_of_it:g} points")
    elif not in_a_class():
        lines.append(f"- Points: none yet, {now.lesson.points} to be had")
    return lines


def _missing(now: Standing) -> list[str]:
    """Return what is left to do in this lesson."""
    submit = f"`gqa submit {now.lesson.number}`"
    open_ones = [name for name in now.exercises if name not in now.solved]
    if now.done and not open_ones:
        return ["- Nothing is missing." if now.marks else f"- To hand in: {submit} in a terminal."]
    lines = []
    if open_ones:
        lines.append("- Not checked yet: " + ", ".join(f"`{name}`" for name in open_ones))
    short = [n for n, points in now.points.items() if now.marks and now.best.get(n, 0) < points]
    if short:
        lines.append("- Points are left in " + ", ".join(f"`{name}`" for name in short))
    return [*lines, f"- To {'hand in' if in_a_class() else 'have it graded'}: save, then {submit}."]


def _ahead(lesson: Lesson) -> list[str]:
    place = lessons().index(lesson)
    following = lessons()[place + 1 : place + 2]
    lines = [f"**Next:** [{one.name}]({one.link()}), {one.minutes} minutes" for one in following]
    if not following:
        lines = ["**This is the last lesson there is.** `gqa map` shows what is left."]
    if related := related_lessons(lesson):
        lines += ["", related]
    if names := key_terms(lesson):
        lines += ["", names]
    return lines


def key_terms(lesson: Lesson, within: Lesson | None = None) -> str:
    """Return the line of a lesson's key terms, each linked to where it is explained.

    Args:
        lesson: the lesson.
        within: the lesson in whose text the line stands; what it explains is linked in place.
    """
    linked = ", ".join(terms()[name].linked(within) for name in lesson.key_terms)
    return f"**Key terms:** {linked}" if linked else ""


def related_lessons(lesson: Lesson) -> str:
    """Return the line of the lessons that go with this one."""
    linked = ", ".join(f"[{one.name}]({one.link()})" for one in map(find_lesson, lesson.related))
    return f"**Related lessons:** {linked}" if linked else ""
