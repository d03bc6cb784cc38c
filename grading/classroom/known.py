"""Who is in the class: what rosters said of each student, and who that is in a platform's file.

`gqa roster` keeps it among the records (`GQA_HOME`): a platform knows a student by its own numbers,
too, and a gradebook has only one id for each.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nbgrader.api import Gradebook

from gqa_lib.course import places
from gqa_lib.course.files import make_private, replace_file
from grading.nb.texts import printable

from .columns import kind_of

Roster = dict[str, dict[str, str]]  # a student's id -> kind of column -> what it says


def kept_roster() -> Roster:
    """Return what all rosters that were loaded said; nothing if none was.

    Raises:
        ValueError: the record cannot be read.
    """
    path = places.home() / "roster.json"
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be read ({error}): remove it and load your roster again."
        ) from error


def keep_roster(students: Roster) -> None:
    """Keep what a roster says of its students; who is in an earlier one stays."""
    make_private(places.home())
    known = kept_roster()
    merged = known | {one: known.get(one, {}) | said for one, said in students.items()}
    text = json.dumps(merged, ensure_ascii=False, indent=0)
    replace_file(places.home() / "roster.json", text + "\n", mode=0o600)


@dataclass(frozen=True)
class OffRoster:
    """A student in the gradebook who is in no roster.

    Attributes:
        student: the id.
        like: the id in the roster that differs only by upper and lower case, or "".
    """

    student: str
    like: str = ""

    def __str__(self) -> str:
        """Return it as text for the terminal."""
        if self.like:
            return f"{printable(self.student)} (the roster has {printable(self.like)})"
        return printable(self.student)


def off_roster(gradebook: Gradebook) -> list[OffRoster]:
    """Return who is in a gradebook and in no roster; nobody as long as no roster was loaded."""
    if not (roster := kept_roster()):
        return []
    strangers = sorted({student.id for student in gradebook.students} - roster.keys())
    like = dict(ids_alike(strangers, roster))
    return [OffRoster(student, like.get(student, "")) for student in strangers]


class Conflict(ValueError):
    """Two cells of a row name two students."""


class Finder:
    """Finds whom of our students a row of a platform's file is about.

    A value counts only in the kind of column that it came from: the number that one platform gives
    a student may be another's login. Our own ids count as logins and as numbers.
    """

    def __init__(self, emails: Mapping[str, str], roster: Roster):
        """Take what is known.

        Args:
            emails: id -> email of the students in the gradebook.
            roster: what rosters said of them.
        """
        self._known: dict[tuple[str, str], set[tuple[str, str]]] = {}
        for student, email in emails.items():
            said = roster.get(student, {})
            own = [("login", student), ("number", student), ("own", student), ("email", email)]
            for kind, value in [*own, *said.items()]:
                if value:
                    self._known.setdefault((kind, value.casefold()), set()).add((value, student))

    def by(self, kind: str, value: str) -> str | None:
        """Return the one student of whom a kind of column says this; None if there is not one.

        Args:
            kind: login, number, email or id.
            value: what it says. Case matters only between two that differ by nothing else.
        """
        found = self._known.get((kind, value.strip().casefold()), set())
        exact = {student for said, student in found if said == value.strip()}
        for students in (exact, {student for _, student in found}):
            if len(students) == 1:
                return next(iter(students))
        return None

    def find(self, row: Mapping[str, str]) -> str | None:
        """Return the student that a row is about, or None.

        Raises:
            Conflict: its cells name different students.
        """
        found: dict[str, str] = {}
        for column, value in row.items():
            if (kind := kind_of(column)) and (student := self.by(kind, value)):
                found.setdefault(student, f"{column} {value}")
        if not found:
            columns = (column for column in row if kind_of(column) == "id")
            return next((one for c in columns if (one := self.by("own", row[c]))), None)
        if len(found) > 1:
            said = ", ".join(f"{printable(said)} is {one}" for one, said in found.items())
            raise Conflict(f"its cells name different students: {said}")
        return next(iter(found))


def ids_alike(ids: Iterable[str], others: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of an id and one of the others that differ only by case.

    Args:
        ids, others: the ids.
    """
    folded: dict[str, list[str]] = {}
    for one in others:
        folded.setdefault(one.casefold(), []).append(one)
    return [
        (one, other)
        for one in sorted(ids)
        for other in sorted(folded.get(one.casefold(), []))
        if other != one
    ]
