"""Whose a file is in the zip of hand-ins that a platform makes, by how it names them.

- Moodle (mod/assign/locallib.php): `Ada Lovelace_501_assignsubmission_file/NAME`, or the same in
  one name; 501 is the participant of the grading worksheet.
- Canvas (lib/content_zipper.rb): `lovelaceada_LATE_77123_5551_NAME`: Canvas's ids of the student
  and of the file.
- Blackboard: `ASSIGNMENT_s001_attempt_2027-01-15-10-30-00_NAME`.
- ILIAS (Modules/Exercise): `Lovelace_Ada_s001_6001/NAME`, in ASCII.
- A folder that is called as the student's id: what a person makes. It is read with ILIAS's.

A student chooses NAME, and may choose one that another platform would write for somebody else. So
one zip is read in one platform's way: that of most of its files, or the one that is named.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from grading.classroom.known import Finder
from grading.nb.texts import printable

_MOODLE = re.compile(r"(?P<name>[^_]+)_(?P<number>\d+)_assignsubmission_file(?:_(?P<file>.*))?")
_CANVAS = re.compile(r"(?P<name>[^_].*?)_(?P<late>LATE_)?(?P<id>\d+)_\d+_(?P<file>.+)")
_ANONYMOUS = re.compile(r"(anon_|.*_anon_)\w+_\d+_.+")
_BLACKBOARD = re.compile(
    r"(?P<who>.+?)_attempt_(?P<at>\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d)(?:_(?P<file>.+)|\.txt)"
)
_ILIAS = re.compile(r"(?P<who>.+)_\d+")


@dataclass(frozen=True)
class Named:
    """What the name of a file in a zip says.

    Attributes:
        who: the student's part of it, as it is there.
        file: the name that the student gave the file; "" for one that the platform made.
        student: the student's id, or "".
        why: why there is no student.
        at: when it was handed in, by a clock that is not named.
        late: whether the platform calls it late.
    """

    who: str
    file: str
    student: str = ""
    why: str = ""
    at: datetime | None = None
    late: bool = False


PLATFORMS = ("moodle", "canvas", "blackboard", "ilias")


class Names:
    """Reads names of files for the students of a class."""

    def __init__(
        self,
        finder: Finder,
        people: Mapping[str, tuple[str, str]],
        participants: Mapping[str, str] | None = None,
    ):
        """Take who is in the class.

        Args:
            finder: finds students by logins and ids.
            people: id -> first and last name.
            participants: number in Moodle's grading worksheet -> id.
        """
        self._finder = finder
        self._participants = participants
        self._called: dict[str, set[str]] = {}
        self._ways = {
            "moodle": self._moodle_s,
            "canvas": self._canvas,
            "blackboard": self._blackboard,
            "ilias": self._ilias,
        }
        for student, (first, last) in people.items():
            for name in (f"{first} {last}", f"{last} {first}"):
                for folded in _folded(name) if first or last else ():
                    self._called.setdefault(folded, set()).add(student)

    def platform_of(self, paths: Iterable[str]) -> str:
        """Return the platform that names files as most of these are named.

        Raises:
            ValueError: none does, or two do of which one must be meant.
        """
        counts = Counter(
            name for path in paths for name, read in self._ways.items() if read(*_split(path))
        )
        if not counts:
            raise ValueError(
                "no file in it is named as Moodle, Canvas, Blackboard or ILIAS name hand-ins, and "
                "no folder is called as a student of yours. Is the roster loaded?"
            )
        (first, most), *others = counts.most_common(2)
        if others and others[0][1] == most:
            raise ValueError(
                f"its names may be {first}'s or {others[0][0]}'s: say which, as in "
                f"--platform {first}."
            )
        return first

    def read(self, path: str, platform: str) -> Named:
        """Return what the path of a file in a zip says.

        Args:
            path: as it is there.
            platform: whose zip it is: moodle, canvas, blackboard or ilias.
        """
        folders, name = _split(path)
        return self._ways[platform](folders, name) or Named(
            folders[0] if folders else name, name, why="its name says no student of ours"
        )

    def _moodle_s(self, folders: list[str], name: str) -> Named | None:
        for part, rest in [*((folder, name) for folder in folders), (name, "")]:
            if found := self._moodle(part, rest):
                return found
        return None

    def _ilias(self, folders: list[str], name: str) -> Named | None:
        return next((one for folder in folders if (one := self._folder(folder, name))), None)

    def _moodle(self, part: str, rest: str) -> Named | None:
        found = _MOODLE.fullmatch(part)
        if not found:
            return None
        who, file = f"{found['name']}_{found['number']}", found["file"] or rest
        if self._participants is not None:
            student = self._participants.get(found["number"], "")
            why = "" if student else "the worksheet has no student of ours with this number"
            return Named(who, file, student, why)
        name, _, after = found["name"].partition("-")  # "GROUP-NAME"
        called = self._by_name(found["name"]) or (self._by_name(after) if name else set())
        return Named(who, file, *_one(called, found["name"]))

    def _canvas(self, _: list[str], name: str) -> Named | None:
        if _ANONYMOUS.fullmatch(name):
            return Named(name, name, why="Canvas made this zip without names: turn that off there")
        found = _CANVAS.fullmatch(name)
        if not found:
            return None
        student = self._finder.by("id", found["id"]) or ""
        why = (
            ""
            if student
            else (
                f"no roster has Canvas's id {found['id']}: load Canvas's gradebook file with "
                "`gqa roster`"
            )
        )
        who = f"{found['name']}_{found['id']}"
        return Named(who, found["file"], student, why, late=bool(found["late"]))

    def _blackboard(self, _: list[str], name: str) -> Named | None:
        found = _BLACKBOARD.fullmatch(name)
        if not found:
            return None
        student = self._at_end(found["who"])
        why = "" if student else "no student of ours has this user name"
        try:
            at = datetime.strptime(found["at"], "%Y-%m-%d-%H-%M-%S")
        except ValueError:  # no time that can be
            at = None
        return Named(found["who"], found["file"] or "", student, why, at)

    def _folder(self, folder: str, name: str) -> Named | None:
        if student := self._finder.by("login", folder):
            return Named(folder, name, student)
        found = _ILIAS.fullmatch(folder)
        if found and (student := self._at_end(found["who"])):
            return Named(folder, name, student)
        return None

    def _at_end(self, text: str) -> str:
        """Return the student whose login ends a text, after a "_": the longest such login."""
        parts = text.split("_")
        for start in range(1, len(parts)):
            if student := self._finder.by("login", "_".join(parts[start:])):
                return student
        return ""

    def _by_name(self, name: str) -> set[str]:
        return set().union(*(self._called.get(folded, set()) for folded in _folded(name)))


def _one(called: set[str], name: str) -> tuple[str, str]:
    """Return the one student of a name and "", or "" and why there is not one."""
    if len(called) == 1:
        return next(iter(called)), ""
    if not called:
        return "", f"no student of ours is called {printable(name)}: name Moodle's --worksheet"
    ids = ", ".join(map(printable, sorted(called)))
    return "", f"{ids} are called {printable(name)}: name Moodle's --worksheet"


def _split(path: str) -> tuple[list[str], str]:
    """Return the folders of a path in a zip, and the name in them."""
    *folders, name = path.replace("\\", "/").split("/")
    return [folder for folder in folders if folder], name


def _folded(name: str) -> Iterable[str]:
    """Return a person's name without what platforms change in it: case, accents, blanks."""
    lower = name.casefold()
    german = lower.translate({ord("ä"): "ae", ord("ö"): "oe", ord("ü"): "ue"})
    return {
        "".join(c for c in unicodedata.normalize("NFKD", one) if c.isalnum())
        for one in (lower, german)
    }
