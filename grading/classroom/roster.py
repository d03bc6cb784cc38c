"""`gqa roster`: the class list, from a CSV file as learning platforms export it."""

from dataclasses import dataclass, field
from pathlib import Path

from nbgrader.api import Student

from .gradebook import open_gradebook
from .table import Table, read_table, refuse

# A student's id is the user name they submit under, so a column of logins is preferred.
LOGIN = ("username", "login", "login id", "SIS Login ID", "netid")
ID = (*LOGIN, "id", "student id", "ID number", "OrgDefinedId", "SIS User ID")
FIRST = ("first name", "given name", "forename")
LAST = ("last name", "surname", "family name")
FULL = ("student", "name", "full name")
EMAIL = ("email", "e-mail", "email address", "mail")
NO_STUDENT = {"points possible", "student, test"}  # rows that platforms add


@dataclass(frozen=True)
class RosterChange:
    """What a roster changed in the gradebook, by student id.

    Attributes:
        id_column: the column that the ids were read from.
        added, changed, same: students in the roster.
        missing: students in the gradebook that the roster lacks; they are kept.
    """

    id_column: str
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return it as text for the terminal."""
        lines = [
            f"{len(self.added)} new, {len(self.changed)} changed, {len(self.same)} as before "
            f"(ids from the column {self.id_column!r}).",
        ]
        if self.missing:
            lines.append(
                "In the gradebook and not in this file, kept with their marks: "
                f"{', '.join(self.missing)}. `nbgrader db student remove ID` removes one."
            )
        return "\n".join(lines)


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
    students = _students(table, chosen)
    done = RosterChange(chosen)
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
    return done


def _students(table: Table, id_column: str) -> dict[str, dict[str, str]]:
    """Return id -> first_name, last_name and email."""
    first, last, full, email = (table.column(*names) for names in (FIRST, LAST, FULL, EMAIL))
    students: dict[str, dict[str, str]] = {}
    lines: dict[str, int] = {}
    wrong = []
    for line, row in table.rows:
        if full and row[full].casefold() in NO_STUDENT:
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
