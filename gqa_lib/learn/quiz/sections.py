"""The section of a lesson that explains a question: the one with most of its words."""

import json
import math
import re
from collections import Counter
from functools import cache

from gqa_lib.course.manifest import Lesson, find_lesson

from .questions import Question

_WORD = re.compile(r"[a-z][a-z0-9_]{2,}")
_NOT_EXPLAINED = re.compile(r"question|what you earned|in three lines|^exercise|spot the bug", re.I)


def linked_section(question: Question) -> str:
    """Return a Markdown link to where a question's subject is explained."""
    lesson = find_lesson(question.lesson)
    section = _nearest(lesson, f"{question.stem} {' '.join(question.options)}")
    if not section:
        return f"[{lesson.name}]({lesson.link()})"
    return f'[{lesson.name}, "{section}"]({lesson.link(section)})'


def _nearest(lesson: Lesson, text: str) -> str:
    """Return the heading of the section whose rare words a text shares most, "" for none."""
    sections = _sections(lesson)
    spread = Counter(word for words in sections.values() for word in words)
    wanted = set(_words(text))

    def likeness(heading: str) -> float:
        words = sections[heading]
        shared = sum(math.log(1 + len(sections) / spread[word]) for word in wanted & words.keys())
        return shared / (4 + math.sqrt(len(words)))

    best = max(sections, key=likeness, default="")
    return best if best and likeness(best) > 0 else ""


@cache
def _sections(lesson: Lesson) -> dict[str, Counter[str]]:
    """Return heading -> its words and how often, of the sections that explain."""
    found: dict[str, Counter[str]] = {}
    heading = ""
    try:
        cells = json.loads(lesson.pristine.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError):  # then the link goes to the lesson
        return {}
    for cell in cells:
        text = "".join(cell["source"])
        if cell["cell_type"] != "markdown" or "hints" in cell["metadata"]:
            continue
        if text.startswith("## "):
            heading = text.partition("\n")[0].removeprefix("## ").replace("`", "")
        if heading and not _NOT_EXPLAINED.search(heading):
            found.setdefault(heading, Counter()).update(_words(text))
    return found


def _words(text: str) -> list[str]:
    """Return the words of a text, without the ends that make a plural."""
    return [word.removesuffix("s") for word in _WORD.findall(text.lower())]
