"""`wrap_up`: the end of a lesson - what was earned, and what is missing."""

import os

from gqa_lib.course.manifest import Lesson, find_lesson
from gqa_lib.learn.progress.standing import Standing, in_a_class, standing
from gqa_lib.learn.show import show

from .feedback import LATEST, latest_feedback
from .predictions import calibration, predictions


def wrap_up(number: str) -> None:
    """Show what a lesson earned so far and what is left; run the cell again to update it.

    Args:
        number: the lesson, such as "04".
    """
    if "NBGRADER_EXECUTION" not in os.environ:  # graded elsewhere, it would show nobody's record
        show(ending(find_lesson(number)))


def ending(lesson: Lesson) -> str:
    """Return what a lesson earned and what is left in it, as Markdown."""
    now = standing(lesson)
    page = latest_feedback(lesson)
    feedback = [f"- [Feedback on the last submission]({LATEST})"] if page else []
    return "\n".join([*_earned(now), *_predicted(lesson), *_missing(now), *feedback])


def _predicted(lesson: Lesson) -> list[str]:
    """Return how near the learner's predictions came, in this lesson and in all."""
    everything = predictions()
    if not (here := calibration(one for one in everything if one.asked.lesson == lesson)):
        return []
    overall = calibration(everything)
    return [f"- Predictions: {here}" + (f" (in all: {overall})" if overall != here else "")]


def _earned(now: Standing) -> list[str]:
    lines = []
    if now.exercises:
        lines.append(f"- Exercises checked: {len(now.solved)} of {len(now.exercises)}")
    if now.best_mark:
        best, there = now.best_mark
        several = f", the best of {len(now.marks)} submissions" if len(now.marks) > 1 else ""
        lines.append(f"- Points: {best:g} of {there:g}{several}")
        quiz = [name for name in now.points if "quiz" in name and name in now.best]
        if quiz:
            got, all_of_it = sum(now.best[n] for n in quiz), sum(now.points[n] for n in quiz)
            lines.append(f"- Questions: {got:g} of {all_of_it:g} points")
    elif not in_a_class():
        lines.append(f"- Points: none yet, out of {now.lesson.points}")
    lines += [f"- Bug hunt `{name}`: {best.told()}" for name, best in now.hunts.items()]
    return lines


def _missing(now: Standing) -> list[str]:
    """Return what is left to do in this lesson."""
    submit = f'`submit("{now.lesson.number}")` in a cell'
    open_ones = [name for name in now.exercises if name not in now.solved]
    if now.done and not open_ones:
        return ["- Nothing is missing." if now.marks else f"- To hand in: save, then {submit}."]
    lines = []
    if open_ones:
        lines.append("- Not checked yet: " + ", ".join(f"`{name}`" for name in open_ones))
    short = [n for n, points in now.points.items() if now.marks and now.best.get(n, 0) < points]
    if short:
        lines.append("- Points are left in " + ", ".join(f"`{name}`" for name in short))
    return [*lines, f"- To {'hand in' if in_a_class() else 'have it graded'}: save, then {submit}."]
