"""The lessons of the course, read from `course.toml`, the one place that lists them."""

import os
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .places import course_root


@dataclass(frozen=True)
class Lesson:
    """One lesson: `slug` is its folder, its notebook and its nbgrader assignment."""

    number: str
    slug: str
    title: str
    part: str
    minutes: int
    points: int
    prerequisites: tuple[str, ...]
    key_terms: tuple[str, ...]
    claim: str

    @property
    def pristine(self) -> Path:
        """The generated student notebook; never worked in."""
        return course_root() / "notebooks" / self.slug / f"{self.slug}.ipynb"


@cache
def manifest() -> dict:
    """Return what `course.toml` says."""
    return tomllib.loads((course_root() / "course.toml").read_text(encoding="utf-8"))


@cache
def lessons() -> tuple[Lesson, ...]:
    """Return every lesson of the course, in order."""
    rows = (
        row | {k: tuple(row[k]) for k in ("prerequisites", "key_terms")}
        for row in manifest()["lessons"]
    )
    return tuple(Lesson(**row) for row in rows)


def find_lesson(name: str) -> Lesson:
    """Return the lesson called `name`: its number ("4", "04") or its slug.

    Raises:
        ValueError: no lesson has that number or slug.
    """
    wanted = name.strip().removesuffix(".ipynb")
    for lesson in lessons():
        if wanted in (lesson.slug, lesson.number) or wanted.zfill(2) == lesson.number:
            return lesson
    known = ", ".join(f"{lesson.number} ({lesson.title})" for lesson in lessons())
    raise ValueError(f"there is no lesson {name!r}. The lessons are {known}.")


def is_students_copy() -> bool:
    """Return whether this copy of the course was made by `gqa release --students`."""
    return "class" in manifest()


def class_exchange() -> Path | None:
    """Return the class's exchange folder: `GQA_EXCHANGE`, else the one a students' copy names."""
    named = os.environ.get("GQA_EXCHANGE") or manifest().get("class", {}).get("exchange")
    return Path(named).expanduser() if named else None
