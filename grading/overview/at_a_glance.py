"""`gqa class`: where a class stands, in the terminal or on a page, and what needs a person."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from gqa_lib.course.files import private_mode, replace_file
from gqa_lib.course.manifest import Lesson
from grading.classroom.gradebook import open_gradebook
from grading.nb.steps import quietly
from grading.settings import course_config

from .needs import SHOWN, Need, as_lines, keep_queue
from .page import page_of_class
from .standing import ClassStanding, standing_of_class
from .terminal import table_of_class, table_of_lesson

NOTHING = "Nothing needs you."


def class_at_a_glance(
    lesson: Lesson | None = None, page: Path | None = None, *, names: bool = True
) -> str:
    """Return where the class stands as text, and write the page where one is asked for.

    Args:
        lesson: this one; every lesson that is released unless given.
        page: the file of the page.
        names: whether to say who, and to give counts below 3.

    Raises:
        ValueError: nothing is released, or `page` is a folder.
    """
    if page and page.is_dir():
        raise ValueError(f"{page} is a folder: name a file in it, such as {page / 'class.html'}.")
    found = _standing()
    if not found.lessons:
        raise ValueError(
            "the gradebook has no lesson yet. `gqa release` enters the lessons; if you grade "
            "elsewhere, see GQA_HOME and GQA_GRADEBOOK."
        )
    path, needs = keep_queue(found)
    if lesson:
        found.lessons = [one for one in found.lessons if one.lesson == lesson]
        if not found.lessons:
            raise ValueError(
                f"lesson {lesson.number} is not released, so the class has nothing of it yet: "
                f"`gqa release {lesson.number}`."
            )
    if page:
        made = page_of_class(found, needs, datetime.now(UTC), names=names)
        replace_file(page, made, mode=private_mode(page) if names else 0o666)
    text = (table_of_lesson if lesson else table_of_class)(found, names=names)
    most = SHOWN if lesson else 0
    queue = [
        line
        for one in found.lessons
        for line in _of_lesson(one.lesson, needs[one.lesson.slug], most, names)
    ]
    text += f"\n\n{NOTHING}" if not queue else "\n\nNeeds you:\n" + "\n".join(queue)
    if queue and names:
        text += f"\n  All of it: {path}"
    return f"{text}\n{page}: written" if page else text


def needs_after_grading(lesson: Lesson) -> str:
    """Return what needs a person in a lesson that was graded; keep what does in every lesson."""
    path, needs = keep_queue(_standing())
    others = sum(map(len, needs.values())) - len(needs.get(lesson.slug, []))
    lines = as_lines(needs.get(lesson.slug, []), SHOWN)
    if others:
        things = "1 thing" if others == 1 else f"{others} things"
        lines.append(f"  In other lessons: {things}, see `gqa class`")
    if not lines:
        return NOTHING
    return "\n".join(["Needs you:", *lines, f"  All of it: {path}"])


def _standing() -> ClassStanding:
    with quietly(), open_gradebook() as gradebook:
        return standing_of_class(gradebook.db, course_config())


def _of_lesson(lesson: Lesson, needs: list[Need], most: int, names: bool) -> Iterator[str]:
    if needs:
        yield lesson.name
        yield from as_lines(needs, most, names=names)
