"""What learning platforms call the columns of their class lists, in English, German and French."""

import re
from collections.abc import Iterable, Mapping

from .table import Table, plain

# A student's id is the user name they submit under, so a column of logins is preferred.
LOGIN = (
    *("username", "login", "login id", "SIS Login ID", "netid"),
    *("Benutzername", "Anmeldename", "Benutzerkennung", "Kennung"),
    *("Nom d'utilisateur", "Identifiant", "Identifiant de connexion"),
)
NUMBER = (
    *("student id", "ID number", "OrgDefinedId", "SIS User ID"),
    *("Matrikelnummer", "Matrikelnr", "Matrikel-Nr.", "ID-Nummer", "Personalnummer"),
    *("Numéro d'identification", "Numéro d'étudiant", "Numéro étudiant"),
)
ID = (*LOGIN, "id", *NUMBER)
FIRST = ("first name", "given name", "forename", "Vorname", "Prénom")
LAST = ("last name", "surname", "family name", "Nachname", "Familienname", "Nom de famille", "Nom")
FULL = (
    *("student", "name", "full name", "Vollständiger Name", "Teilnehmer/in", "Nom complet"),
    "Nom/Prénom",
)
EMAIL = (
    *("email", "e-mail", "email address", "mail", "E-Mail-Adresse"),
    *("Adresse de courriel", "Adresse e-mail", "Adresse mail", "Courriel"),
)
_KINDS = {
    **{plain(name): "login" for name in LOGIN},
    **{plain(name): "number" for name in NUMBER},
    **{plain(name): "email" for name in EMAIL},
    "id": "id",
}
_TEST = {"test student", "student, test", "student test", "teststudent", "etudiant test"}


def kind_of(column: str) -> str:
    """Return what a column tells a student by: login, number, email or id; "" for none of these."""
    return _KINDS.get(plain(column), "")


def is_canvas(columns: Iterable[str]) -> bool:
    """Return whether these are the columns of a file of Canvas's."""
    names = set(map(plain, columns))
    named = "student" in names or {"lastname", "firstname"} <= names
    return named and {"id", "section"} <= names


def is_points(row: Mapping[str, str]) -> bool:
    """Return whether a row of Canvas's has the points of its columns."""
    return next(iter(row.values()), "").strip().casefold() == "points possible"


def is_nobody(table: Table, row: Mapping[str, str]) -> bool:
    """Return whether a platform added a row that is no student: points, a test student, notes.

    Args:
        table: the class list.
        row: one of its rows.
    """
    full, first, last, login = (table.column(*names) for names in (FULL, FIRST, LAST, LOGIN))
    if login and row[login].casefold().endswith("_previewuser"):  # Blackboard's
        return True
    if full and row[full].casefold() in ("points possible", "student, test"):
        return True
    if not is_canvas(table.columns):
        return False
    name = row[full] if full else " ".join(row[one] for one in (first, last) if one)
    notes = (re.fullmatch(r"(?i)(muted|manual posting.*)?", cell) for cell in row.values())
    return name.strip().casefold() in _TEST or is_points(row) or all(notes)
