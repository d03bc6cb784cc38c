"""The lessons of the course, read from `course.toml`, the one place that lists them."""

import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

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
    related: tuple[str, ...] = ()
    before: str = ""
    able: tuple[str, ...] = ()
    teaser: str = ""

    @property
    def name(self) -> str:
        """Number and title, as the lesson's own heading has them."""
        return _name(self)

    @property
    def pristine(self) -> Path:
        """The generated student notebook; never worked in."""
        return course_root() / "notebooks" / self.slug / f"{self.slug}.ipynb"

    def link(self, section: str = "", *, start: str = "../") -> str:
        """Return the address of the lesson, or of a section in it, as JupyterLab follows it.

        Args:
            section: a heading, without backticks.
            start: the way to the folder of all lessons; the default is from within a lesson.
        """
        return f"{start}{self.slug}/{self.slug}.ipynb{'#' + anchor_of(section) if section else ''}"


@dataclass(frozen=True)
class Planned:
    """A lesson that is not written yet: it has no notebook, no points and no promised length."""

    number: str
    slug: str
    title: str
    part: str
    claim: str

    @property
    def name(self) -> str:
        """Number and title, as the lesson's own heading will have them."""
        return _name(self)


def _name(lesson: Lesson | Planned) -> str:
    return f"{int(lesson.number)} · {lesson.title}"


@dataclass(frozen=True)
class Term:
    """A key term: what it means, and the lesson and section that explain it."""

    name: str
    lesson: Lesson
    section: str
    means: str

    def linked(self, within: Lesson | None = None) -> str:
        """Return the term as a Markdown link to its section, for the text of a lesson."""
        near = self.lesson == within
        address = f"#{anchor_of(self.section)}" if near else self.lesson.link(self.section)
        return f"[{self.name}]({address})"


def anchor_of(section: str) -> str:
    """Return the id of a section: what JupyterLab gives its heading, where a link can name that.

    A browser writes what is not ASCII in a link's fragment in another way, and JupyterLab then
    finds no such heading; the build puts an anchor of this name below those.
    """
    if section.isascii():
        return section.replace(" ", "-")
    return re.sub(r"\W+", "-", section, flags=re.ASCII).strip("-").lower()


@cache
def manifest() -> dict:
    """Return what `course.toml` says."""
    return tomllib.loads((course_root() / "course.toml").read_text(encoding="utf-8"))


def repository() -> str:
    """Return the address of the course on GitHub, or "" if `course.toml` names none.

    Raises:
        ValueError: it names something else.
    """
    address = manifest().get("repository", "").removesuffix("/").removesuffix(".git")
    if address and not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", address):
        raise ValueError(
            f"course.toml names the repository {address!r}, which Colab, Kaggle and Binder could "
            'not open lessons from. Give one such as "https://github.com/OWNER/NAME", or "".'
        )
    return address


@cache
def outline() -> tuple[Lesson | Planned, ...]:
    """Return every lesson of the course in order, those that are only planned among them."""
    rows: Iterator[dict[str, Any]] = (
        {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
        for row in manifest()["lessons"]
    )
    return tuple(Planned(**row) if row.pop("planned", False) else Lesson(**row) for row in rows)


@cache
def lessons() -> tuple[Lesson, ...]:
    """Return every lesson that is written, in the order of the course."""
    return tuple(lesson for lesson in outline() if isinstance(lesson, Lesson))


@cache
def planned_lessons() -> tuple[Planned, ...]:
    """Return the lessons that are planned and not written yet, in the order of the course."""
    return tuple(lesson for lesson in outline() if isinstance(lesson, Planned))


@cache
def terms() -> dict[str, Term]:
    """Return every key term by its name, in the order the course explains them."""
    return {
        name: Term(name, find_lesson(row["lesson"]), row["section"], row["means"])
        for name, row in manifest()["terms"].items()
    }


def find_lesson(name: str) -> Lesson:
    """Return the lesson called `name`: its number ("4", "04") or its slug.

    Raises:
        ValueError: no lesson has that number or slug, or it is planned and not written yet.
    """
    found = next((lesson for lesson in outline() if _is_called(lesson, name)), None)
    if isinstance(found, Lesson):
        return found
    known = ", ".join(f"{lesson.number} ({lesson.title})" for lesson in lessons())
    if found:
        raise ValueError(
            f"lesson {found.number} ({found.title}) is planned, not written yet. "
            f"The lessons there are: {known}."
        )
    raise ValueError(f"there is no lesson {name!r}. The lessons are {known}.")


def _is_called(lesson: Lesson | Planned, name: str) -> bool:
    wanted = name.strip().removesuffix(".ipynb")
    return wanted == lesson.slug or (wanted != "" and wanted.zfill(2) == lesson.number)


def is_students_copy() -> bool:
    """Return whether this copy of the course was made by `gqa release --students`."""
    return "class" in manifest()


def class_exchange() -> Path | None:
    """Return the class's exchange folder: `GQA_EXCHANGE`, else the one a students' copy names."""
    named = os.environ.get("GQA_EXCHANGE") or manifest().get("class", {}).get("exchange")
    return Path(named).expanduser() if named else None


def class_release(assignment: str) -> Path | None:
    """Return the folder in the class's exchange that students take an assignment from."""
    exchange = class_exchange()
    return exchange / "gqa" / "outbound" / assignment if exchange else None
