"""`gqa roster`: the class list, from a CSV file as learning platforms export it."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from nbgrader.api import Student

from gqa_lib.course import places
from gqa_lib.course.manifest import class_exchange
from grading.nb.texts import printable
from grading.settings import COURSE_ID

from .columns import EMAIL, FIRST, FULL, ID, LAST, is_nobody, is_points, kind_of
from .gradebook import open_gradebook
from .known import Roster, ids_alike, keep_roster
from .table import Table, read_table, refuse

_SHOWN = 10  # names in a line


@dataclass(frozen=True)
class RosterChange:
    """What a roster changed in the gradebook, by student id.

    Attributes:
        id_column: the column that the ids were read from.
        added, changed, same: students in the roster.
        missing: students in the gradebook that the roster lacks; they are kept.
        alike: ids of the roster, and others in use that differ from them only by case.
        left_out: rows that a platform adds and that are no students.
    """

    id_column: str
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    alike: list[tuple[str, str]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return it as text for the terminal."""
        lines = [
            f"{len(self.added)} new, {len(self.changed)} changed, {len(self.same)} as before "
            f"(ids from the column {self.id_column!r}).",
        ]
        if self.left_out:
            lines.append(f"No students, left out: {_some(self.left_out, '; ')}.")
        if self.missing:
            lines.append(
                f"{len(self.missing)} in the gradebook and not in this file, kept with their "
                f"marks: {_some(self.missing)}. `nbgrader db student remove ID` removes one."
            )
        lines += [
            f"{printable(one)} in this file and {printable(other)}, who hands in or is in the "
            f"gradebook, differ only by case, and count as two students. If they are one, write "
            f"{printable(other)} in the roster, load it again and remove {printable(one)}."
            for one, other in self.alike
        ]
        return "\n".join(lines)


def _some(names: list[str], between: str = ", ") -> str:
    """Return the first of many names, and how many more there are."""
    shown = between.join(map(printable, names[:_SHOWN]))
    more = len(names) - _SHOWN
    return f"{shown}{between}and {more} more" if more > 0 else shown


def load_roster(path: Path, id_column: str | None = None) -> RosterChange:
    """Enter a class list into the gradebook, all of it or nothing.

    Nobody is removed, and an empty cell erases nothing.

    Args:
        path: the CSV file; columns for the id, first and last name (or one full name) and email
            are found by the names that platforms give them.
        id_column: the column of the ids, if the wrong one is taken.

    Raises:
        ValueError: something in the file is wrong; the message has the lines.
    """
    table = read_table(path)
    chosen = table.need("the student's id", *([id_column] if id_column else ID))
    done = RosterChange(chosen)
    students = _students(table, chosen, done.left_out)
    with open_gradebook() as gradebook:
        known = {student.id: student for student in gradebook.students}
        for key, facts in students.items():
            facts = {name: value for name, value in facts.items() if value}
            if key not in known:
                gradebook.db.add(Student(id=key, **facts))
                done.added.append(key)
            elif any(getattr(known[key], name) != value for name, value in facts.items()):
                for name, value in facts.items():
                    setattr(known[key], name, value)
                done.changed.append(key)
            else:
                done.same.append(key)
        gradebook.db.commit()
        done.missing.extend(sorted(known.keys() - students.keys()))
    keep_roster(_said(table, chosen, students.keys()))
    done.alike.extend(ids_alike(students, known.keys() | students.keys() | _who_hands_in()))
    return done


def _said(table: Table, id_column: str, students: Iterable[str]) -> Roster:
    """Return id -> kind of column -> what the file says of each student there."""
    wanted, said = set(students), {}
    for _, row in table.rows:
        if row[id_column] in wanted:
            kinds = [(kind_of(c), value) for c, value in row.items() if kind_of(c) and value]
            said[row[id_column]] = dict(reversed(kinds))  # of two of a kind, the first
    return said


def _who_hands_in() -> set[str]:
    """Return the user names in `submitted/` and in the exchange, as far as they can be read."""
    folders = [places.home() / "course" / "submitted"]
    if exchange := class_exchange():
        folders.append(exchange / COURSE_ID / "inbound")
    names: set[str] = set()
    for folder in folders:
        if folder.is_dir() and os.access(folder, os.R_OK):
            names |= {name.partition("+")[0] for name in os.listdir(folder)}
    return {name for name in names if name and not name.startswith(".")}


def _students(table: Table, id_column: str, left_out: list[str]) -> dict[str, dict[str, str]]:
    """Return id -> first_name, last_name and email; add who is no student to `left_out`."""
    first, last, full, email = (table.column(*names) for names in (FIRST, LAST, FULL, EMAIL))
    students: dict[str, dict[str, str]] = {}
    lines: dict[str, int] = {}
    wrong = []
    for line, row in table.rows:
        if is_nobody(table, row):
            if not is_points(row) and any(row[column] for column in table.columns[:2]):
                left_out.append(", ".join(cell for cell in row.values() if cell)[:60])
            continue
        key = row[id_column]
        if problem := _wrong_id(key, lines.get(key)):
            wrong.append(f"line {line}: {problem}")
            continue
        lines[key] = line
        names = _split(row[full]) if full and not (first or last) else ("", "")
        students[key] = {
            "first_name": row[first] if first else names[0],
            "last_name": row[last] if last else names[1],
            "email": row[email] if email else "",
        }
        wrong += [
            f"line {line}: {name} has {len(value)} characters, of which the gradebook keeps 128"
            for name, value in students[key].items()
            if len(value) > 128
        ]
    refuse(table.path, wrong)
    return students


def _wrong_id(key: str, earlier: int | None) -> str:
    if not key:
        return "there is no id"
    if earlier:
        return f"the id {key} is already in line {earlier}"
    if any(c in key for c in "+*?[]/\\") or key.startswith(".") or len(key) > 128:
        return (
            f"the id {key!r} cannot name a folder of submissions: it must have none of + * ? [ ] / "
            "\\, no dot in front and at most 128 characters"
        )
    return ""


def _split(name: str) -> tuple[str, str]:
    """Return the first and the last name of "Last, First" or "First Last"."""
    if "," in name:
        last, _, first = name.partition(",")
    else:
        first, _, last = name.rpartition(" ")
    return first.strip(), last.strip()
