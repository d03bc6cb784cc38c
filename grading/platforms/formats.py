"""The files in which learning platforms give and take marks, told apart by their columns.

What each does with such a file is in its own importer or manual:

- Canvas (lib/gradebook_importer.rb): finds students by ID, SIS User ID and SIS Login ID, and a
  column by the number in brackets at its end, else by its title; another title makes a new
  assignment, with the points that the row "Points Possible" has. Both 1.5 and 1,5 are numbers.
- Moodle (grade/import/csv): the teacher says which column names the students, and which grade item
  each column is, or a new one. "-" is no mark; numbers have a point.
- Moodle's worksheet of an assignment (mod/assign/feedback/offline): the column Grade is read.
- Blackboard: Username tells the student and the number after "|" the column; a column without one
  becomes a new column of texts, with 0 points possible.
- ILIAS itself reads no marks; the status file of its plugin ExerciseStatusFile has `mark`, and
  `update` says which rows count.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from gqa_lib.course.manifest import Lesson
from grading.classroom.columns import EMAIL, FIRST, is_canvas, kind_of
from grading.classroom.table import plain


@dataclass(frozen=True)
class Platform:
    """How a platform's file is filled.

    Attributes:
        name: of the platform and the kind of file.
        fits: whether a file has its columns.
        new: a sentence on what becomes of a column that the platform does not know yet.
        no_mark: what a new column says for who has none.
        mark: columns that hold the mark, where a file is of one lesson.
        says_update: whether a column `update` must be 1 in the rows that count.
    """

    name: str
    fits: Callable[[set[str]], bool]
    new: str = ""
    no_mark: str = ""
    mark: tuple[str, ...] = ()
    says_update: bool = False


def _is_blackboard(columns: set[str]) -> bool:
    other = {"lastaccess", "availability"} & columns or any("|" in one for one in columns)
    return "username" in columns and bool(other)


def _is_worksheet(columns: set[str]) -> bool:
    status = {"status", "statut", "gradecanbechanged", "bewertungkanngeändertwerden"}
    return bool(
        {"identifier", "id", "identifiant"} & columns and _GRADE & columns and status & columns
    )


def _is_moodle(columns: set[str]) -> bool:
    return bool({plain(n) for n in EMAIL} & columns and {plain(n) for n in FIRST} & columns)


def _is_status_file(columns: set[str]) -> bool:
    return {"update", "usrid", "login", "status", "mark"} <= columns


def _is_ilias(columns: set[str]) -> bool:
    moodle = {"idnumber", "idnummer", "institution", "département", "abteilung"}
    return bool({"login", "benutzername"} & columns) and not moodle & columns


_GRADE_NAMES = ("Grade", "Bewertung", "Note")
_GRADE = {plain(name) for name in _GRADE_NAMES}
PLATFORMS = (
    Platform(
        "ILIAS (status file of the plugin ExerciseStatusFile)",
        _is_status_file,
        mark=("mark",),
        says_update=True,
    ),
    Platform("Canvas", is_canvas, "A new column becomes an assignment there."),
    Platform(
        "Blackboard",
        _is_blackboard,
        "A new column becomes one of texts without points: make a column of that name in "
        "Blackboard first, and download the file again.",
    ),
    Platform("Moodle (grading worksheet)", _is_worksheet, mark=_GRADE_NAMES),
    Platform(
        "ILIAS",
        _is_ilias,
        "ILIAS itself reads no marks: enter them by this list, or use the status file of its "
        "plugin ExerciseStatusFile.",
    ),
    Platform("Moodle", _is_moodle, "Choose “new grade item” for a new column.", no_mark="-"),
)


def recognise(columns: list[str]) -> Platform:
    """Return the platform that writes a file with these columns.

    Raises:
        ValueError: none of those known does.
    """
    names = {plain(column) for column in columns}
    for platform in PLATFORMS:
        if platform.fits(names):
            return platform
    raise ValueError(
        f"no platform is known that writes the columns {', '.join(columns)}. Give the gradebook "
        "file as Canvas, Blackboard or Moodle export it, or a list of members of ILIAS."
    )


# What a column is besides a mark in points: "04 Grouped-query attention (Percentage)".
_NO_POINTS = re.compile(
    r"\((percentage|letter|feedback|prozent\w*|buchstaben?|rückmeldung|pourcentage|lettre)\)$",
    re.IGNORECASE,
)
_AROUND = re.compile(
    r"\s*\[[^\]]*\]\s*\|\s*\d+\s*$|\s*\[[^\]]*\]\s*$|\s*\|\s*\d+\s*$|\s*\([^()]*\)\s*$"
)
_MODULE = re.compile(r"^(assignment|quiz|aufgabe|test|devoir)\s*:\s*", re.IGNORECASE)  # Moodle's
_LESSON = re.compile(r"^(lesson|lektion|leçon)\s+0*", re.IGNORECASE)


def names_lesson(column: str, lesson: Lesson) -> bool:
    """Return whether a column is for a lesson's marks in points.

    A number alone must be as in the lesson's name: another course may have a column 4, too.

    Args:
        column: its name, such as "Assignment: 04 Grouped-query attention (Real)".
        lesson: the lesson.
    """
    if kind_of(column) or _NO_POINTS.search(column.strip()):
        return False
    name, before = _MODULE.sub("", column.strip()), ""
    while name != before:
        before, name = name, _AROUND.sub("", name).strip()
    words, number = _words(name), lesson.number
    if _LESSON.match(name):
        words, number = _words(_LESSON.sub("", name)), number.lstrip("0") or "0"
    titles = {_words(lesson.title), _words(lesson.slug[3:])}
    alone = {title for title in titles if " " in title}  # "Quality" may be anything
    return words in {number, *alone, *(f"{number} {title}" for title in titles)}


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def points_in(column: str) -> float | None:
    """Return the points that Blackboard's name of a column says it has, or None."""
    found = re.search(r"\[Total Pts: (?:up to )?([\d.]+)", column)
    return float(found[1]) if found else None
