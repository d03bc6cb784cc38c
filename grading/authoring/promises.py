"""Finds texts that send a reader to a lesson that is not there, or call one planned that is.

A lesson that is only planned may be named, in a paragraph that says so: "planned".
"""

import re
from collections.abc import Iterator

from gqa_lib.course.manifest import find_lesson, lessons, planned_lessons
from gqa_lib.course.places import course_root

# "lesson 4", "Lessons 04 and 07", "lessons 1, 2 or 3", "lessons 08 to 15"
_MORE = r"(?:(?:\s*,\s*|\s*[-–]\s*|\s+(?:and|or|to)\s+)\d{1,2})*"
_NAMED = re.compile(rf"\b(?:lesson\s+(\d{{1,2}})|lessons\s+(\d{{1,2}}{_MORE}))(?!\d|\.\d)", re.I)
_LINKED = re.compile(r"(?:\.\./|notebooks/|work/)(\d\d-[a-z0-9-]+)")
_SAYS_SO = re.compile(r"\bplanned\b", re.IGNORECASE)
_PARAGRAPHS = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*#|]|\d+\.)\s)")
_ANSWERS = "gqa_lib/learn/tutor/answers"
_TEXTS = (  # besides the notebooks, which the build has in hand
    "*.md",
    "course.toml",
    "docs/**/*.md",
    "gqa_lib/**/*.md",
    "gqa_lib/**/*.py",
    "gqa_lib/**/*.toml",
    "grading/**/*.md",
    "solutions/*.toml",
)


def empty_promises(text: str) -> list[str]:
    """Return what a text promises and the course does not have.

    That is a link to a lesson that is not written, and the number or the name of one in a paragraph
    that does not say "planned". The other way round, too: a paragraph that says so and names only
    lessons that are written.
    """
    found = [
        f"it links to {slug}, which is not there"
        for slug in dict.fromkeys(_LINKED.findall(text))
        if slug not in {lesson.slug for lesson in lessons()}
    ]
    for paragraph in _PARAGRAPHS.split(text):
        found += _promised(paragraph)
    return found


def _promised(paragraph: str) -> Iterator[str]:
    """Yield what one paragraph, list item or row of a table promises."""
    planned = {lesson.number: lesson for lesson in planned_lessons()}
    says_so = bool(_SAYS_SO.search(paragraph))
    numbers = dict.fromkeys(_numbers(paragraph))
    names = [lesson.name for lesson in planned.values() if lesson.name in paragraph]
    if says_so and numbers and not names and not planned.keys() & numbers:
        yield f"it calls lessons planned that are there ({', '.join(numbers)}): {_short(paragraph)}"
    for number in numbers:
        if number in planned and not says_so:
            yield f'it names lesson {number} without saying "planned": {_short(paragraph)}'
        elif number not in planned and not _is_written(number):
            yield f"it names lesson {number}, which the course does not have: {_short(paragraph)}"
    for lesson in planned.values():
        if lesson.name in paragraph and not says_so:
            yield f'it names "{lesson.name}" without saying "planned": {_short(paragraph)}'


def _numbers(paragraph: str) -> Iterator[str]:
    for named in _NAMED.finditer(paragraph):
        yield from (number.zfill(2) for number in re.findall(r"\d+", named[1] or named[2]))


def _is_written(number: str) -> bool:
    try:
        return bool(find_lesson(number))
    except ValueError:
        return False


def _short(paragraph: str) -> str:
    return " ".join(paragraph.split())[:80]


def lint_texts() -> list[str]:
    """Return the empty promises of the texts around the lessons, each with its file."""
    root = course_root()
    return [
        f"{path.relative_to(root)}: {problem}"
        for pattern in _TEXTS
        for path in sorted(root.glob(pattern))
        if path.parent != root / _ANSWERS  # whose questions are not ours; `answers` has the texts
        for problem in empty_promises(path.read_text(encoding="utf-8"))
    ]
