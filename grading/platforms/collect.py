"""`gqa collect`: hand-ins that a learning platform took, into `submitted/`, to be graded.

They come in as those of the exchange do: `admit` reads each notebook, and what it refuses is graded
0 with the reason. Nothing of the zip becomes a path: a folder has the id of a student of ours, and
in it are the names that the lesson expects.
"""

import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from filelock import FileLock, Timeout

from gqa_lib.course import places
from gqa_lib.course.files import make_private
from gqa_lib.course.manifest import Lesson, lessons
from gqa_lib.learn.quiz import saved
from grading.classroom.due import zone_of
from grading.classroom.gradebook import open_gradebook
from grading.classroom.known import Conflict, Finder, kept_roster
from grading.classroom.table import read_table
from grading.intake.admit import Refused
from grading.intake.platform_hand_in import Place, put_hand_in
from grading.intake.submitted import expected_notebooks
from grading.nb.steps import course_of, file_log, quietly
from grading.nb.texts import printable, sentence
from grading.settings import nbgrader_config

from .archive import Entry, content, entries, opened_zip
from .names import Names


@dataclass
class Collected:
    """What came of a zip.

    Attributes:
        platform: whose it was taken for.
        lines: student or name in the zip -> what became of the hand-in.
        taken, left: how many were put into `submitted/`, and how many were not.
        without_time: whether its files tell times that were not used.
    """

    platform: str
    lines: dict[str, str] = field(default_factory=dict)
    taken: int = 0
    left: int = 0
    without_time: bool = False


def collect_zip(
    path: Path,
    lesson: Lesson,
    *,
    platform: str | None = None,
    timezone: str | None = None,
    worksheet: Path | None = None,
    replace: bool = False,
) -> Collected:
    """Put the hand-ins of a platform's zip into `submitted/`.

    Args:
        path: the zip.
        lesson: the lesson that they are for.
        platform: whose zip it is, where its names do not say so.
        timezone: of the times in Blackboard's names; without it hand-ins count as on time.
        worksheet: Moodle's grading worksheet of the assignment, which tells participants apart.
        replace: take also what would replace a hand-in from the exchange.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: it is no such zip, the lesson is not released, nobody is in the gradebook, or
            the class is being graded.
    """
    zone = zone_of(timezone) if timezone else None
    with quietly(), _alone(lesson), opened_zip(path) as archive:
        course = course_of(lesson, nbgrader_config())
        course.log = file_log("collect")
        expected = expected_notebooks(course, lesson.slug)
        names = _names(worksheet)
        whose, found = entries(archive, names, platform)
        done = Collected(whose)
        by_student: dict[str, list[Entry]] = {}
        for entry in found:
            if entry.named.student:
                by_student.setdefault(entry.named.student, []).append(entry)
            else:
                done.lines[entry.named.who] = f"not taken: {entry.named.why}"
        done.left = len(done.lines)
        place = Place(course, expected, replace=replace)
        for student, theirs in sorted(by_student.items()):
            _take(archive, place, student, theirs, zone, done)
    return done


def _take(
    archive: zipfile.ZipFile,
    place: Place,
    student: str,
    theirs: list[Entry],
    zone: tzinfo | None,
    done: Collected,
) -> None:
    """Put one student's hand-in into its place, and say what became of it."""
    try:
        (name,) = place.names
        chosen, said = _notebook(theirs, name)
        at = _utc(chosen.named.at, zone)
        done.without_time |= chosen.named.at is not None and at is None
        files = {name: content(archive, chosen)}
        if choices := _choices(theirs, chosen):
            files[saved.FILE] = content(archive, choices)
        what, verdict = put_hand_in(place, student, files, at)
        done.taken += 1
        when = f", handed in {at:%Y-%m-%d %H:%M} UTC" if at else ""
        late = ", late as the platform says" if chosen.named.late else ""
        zero = f"; it will get 0: {verdict}" if verdict else ""
        done.lines[student] = f"{what}{said}{when}{late}{zero}"
    except Exception as error:  # of this student's only: the class goes on
        done.left += 1
        done.lines[student] = f"not taken: {sentence(str(error)) or type(error).__name__}"
        place.course.log.error("%s: not taken", student, exc_info=error)


def _notebook(theirs: list[Entry], name: str) -> tuple[Entry, str]:
    """Return a student's notebook of the lesson, the latest if there are more, and what to say.

    Raises:
        Refused: there is none, or it is not clear which it is.
    """
    notebooks = [one for one in theirs if one.is_notebook]
    stem = name.removesuffix(".ipynb")
    right = [one for one in notebooks if _own_name(one.named.file) == stem]
    if right:
        chosen = max(right, key=_order)
        return chosen, f", the latest of {len(right)}" if len(right) > 1 else ""
    if not notebooks:
        held = ", ".join(printable(one.named.file) for one in theirs[:3] if one.named.file)
        raise Refused(f"there is no notebook in it{', only ' * bool(held)}{held}")
    others = {lesson.slug for lesson in lessons()}
    for one in notebooks:
        if (other := _own_name(one.named.file)) in others:
            raise Refused(f"it is {other}, not {stem}")
    if len(notebooks) > 1:
        listed = ", ".join(printable(one.named.file) for one in notebooks[:3])
        raise Refused(f"none of its notebooks is called {name}: {listed}")
    return notebooks[0], f", which was called {printable(notebooks[0].named.file)}"


def _own_name(file: str) -> str:
    """Return the stem of a file's name without what browsers and platforms add to it."""
    stem = re.sub(r"\.\w+$", "", file).strip()
    stem = stem.rpartition(" - ")[2]  # ILIAS: "Late Submission - NAME"
    return re.sub(r"(\s*\(\d+\)|-\d{1,2})$", "", stem).strip()


def _order(entry: Entry) -> tuple:
    """Return what grows from a student's earlier to the later of two files."""
    count = re.search(r"(\d+)\)?\.\w+$", entry.named.file)
    return entry.named.at or datetime.min, int(count[1]) if count else 0


def _choices(theirs: list[Entry], notebook: Entry) -> Entry | None:
    """Return the file of quiz answers that came with a notebook, else the latest."""
    own = saved.FILE.removesuffix(".json")
    found = [
        one
        for one in theirs
        if one.named.file.lower().endswith(".json") and _own_name(one.named.file) == own
    ]
    with_it = [one for one in found if one.named.at == notebook.named.at]
    return max(with_it or found, key=_order, default=None)


def _utc(at: datetime | None, zone: tzinfo | None) -> datetime | None:
    """Return a time of the platform's clock in UTC, as the gradebook has times."""
    if at is None or zone is None:
        return None
    return at.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)


def _names(worksheet: Path | None) -> Names:
    with open_gradebook() as gradebook:
        students = list(gradebook.students)
        finder = Finder({one.id: one.email or "" for one in students}, kept_roster())
        people = {one.id: (one.first_name or "", one.last_name or "") for one in students}
    if not people:
        raise ValueError(
            "nobody is in the gradebook, so no hand-in can be told to be anybody's. Load your "
            "class list first: `gqa roster FILE`."
        )
    return Names(finder, people, _participants(worksheet, finder) if worksheet else None)


def _participants(path: Path, finder: Finder) -> Mapping[str, str]:
    """Return number of a participant -> student, from Moodle's grading worksheet.

    Raises:
        ValueError: it has no such column.
    """
    table = read_table(path)
    column = table.need("Moodle's number of the participant", "Identifier", "Identifiant", "ID")
    found = {}
    for line, row in table.rows:
        number = re.search(r"\d+$", row[column])
        try:
            student = finder.find({name: cell for name, cell in row.items() if name != column})
        except Conflict as conflict:
            raise ValueError(f"{path}: line {line}: {conflict}.") from conflict
        if number and student:
            found[number[0]] = student
    return found


@contextmanager
def _alone(lesson: Lesson) -> Iterator[None]:
    """Keep grading and collecting away while hand-ins are put in place."""
    make_private(places.home())
    make_private(places.home() / "arrivals")
    lock = FileLock(places.home() / "grade.lock")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(
            "the class is being graded with these records: nothing was collected. Collect again "
            "when that has ended."
        ) from None
    with held, FileLock(places.home() / "arrivals" / f"{lesson.slug}.lock"):
        yield


def lines_of(done: Collected) -> Iterator[str]:
    """Yield what came of a zip as lines for the terminal."""
    yield f"Read as {done.platform}'s: {done.taken} taken, {done.left} not taken."
    for who, what in done.lines.items():
        yield f"  {printable(who)}: {what}"
    if done.without_time:
        yield (
            "Its names tell when each was handed in, without a time zone: not used, so all count "
            "as on time. Add --timezone, such as Europe/Berlin, to use them."
        )
