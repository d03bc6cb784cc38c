"""`gqa export --into`: the marks in a platform's own file, as its importer takes them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gqa_lib.course.files import replace_file
from gqa_lib.course.manifest import Lesson, lessons
from grading.classroom.columns import is_nobody, is_points
from grading.classroom.export import Mark, points_of, read_marks
from grading.classroom.gradebook import open_gradebook
from grading.classroom.known import Conflict, Finder, kept_roster, off_roster
from grading.classroom.table import Table, plain

from .filled import Filled
from .formats import Platform, names_lesson, points_in, recognise
from .sheet import Sheet, read_sheet

_EXCUSED = "ex"  # Canvas: the teacher excused the student


@dataclass(frozen=True)
class Marks:
    """What the gradebook has.

    Attributes:
        points: lesson -> its points.
        emails: student -> email.
        by: (student, lesson) -> mark.
        off: students who are in no roster.
    """

    points: Mapping[str, float]
    emails: Mapping[str, str]
    by: Mapping[tuple[str, str], Mark]
    off: frozenset[str] = field(default_factory=frozenset)


def fill(path: Path, out: Path | None = None, only: list[Lesson] | None = None) -> Filled:
    """Write a platform's file with the marks in it; the file itself stays as it is.

    Args:
        path: the gradebook file as the platform exported it.
        out: the file to write; next to it, with "-gqa" in its name, unless given.
        only: the lessons whose marks to enter; all that have marks unless given.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: no platform is known that writes such a file, a column is not clear, or `out`
            is the file itself.
    """
    out = out or path.with_name(f"{path.stem}-gqa{path.suffix}")
    if out.is_dir():
        raise ValueError(f"{out} is a folder: name a file in it.")
    if out.exists() and out.samefile(path):
        raise ValueError(f"{path} is not overwritten: name another file with -o.")
    sheet = read_sheet(path)
    platform = recognise(sheet.columns)
    marks = _marks()
    done = Filled(path, out, platform.name)
    columns = _columns(sheet, platform, marks, only, done)
    _fill_rows(sheet, platform, marks, columns, done)
    replace_file(out, sheet.content())
    return done


def _marks() -> Marks:
    with open_gradebook() as gradebook:
        return Marks(
            points_of(gradebook.db),
            {student.id: student.email or "" for student in gradebook.students},
            read_marks(gradebook.db),
            frozenset(one.student for one in off_roster(gradebook)),
        )


def _columns(
    sheet: Sheet, platform: Platform, marks: Marks, only: list[Lesson] | None, done: Filled
) -> dict[int, str]:
    """Return place of a column -> the lesson that it is for; columns that are missing are added.

    Raises:
        ValueError: two columns are for one lesson, or the file is of one lesson and `only` is not.
    """
    with_marks = {lesson for _, lesson in marks.by}
    chosen = [one for one in only or lessons() if one.slug in marks.points]
    if platform.mark:
        if only is None or len(chosen) != 1:
            raise ValueError(
                f"{done.path} is {platform.name}: it has the marks of one lesson and does not say "
                "which. Name a lesson that has marks, as in --lesson 04."
            )
        places = [i for i, c in enumerate(sheet.columns) if plain(c) in map(plain, platform.mark)]
        done.columns[chosen[0].slug] = sheet.columns[places[0]]
        return {places[0]: chosen[0].slug}
    found: dict[int, str] = {}
    for lesson in chosen:
        places = [i for i, c in enumerate(sheet.columns) if names_lesson(c, lesson)]
        if len(places) > 1:
            names = ", ".join(sheet.columns[place] for place in places)
            raise ValueError(
                f"{done.path}: more than one column is for lesson {lesson.number}: {names}. Leave "
                "one of them in the file, or leave the lesson out with --lesson."
            )
        if not places and lesson.slug not in with_marks:
            continue
        name = f"{lesson.number} {lesson.title}"
        if not places:
            places = [max(map(len, sheet.rows))]
            sheet.put(0, places[0], name)
            done.new.append(lesson.slug)
            done.about_new = platform.new
        found[places[0]] = lesson.slug
        done.columns[lesson.slug] = sheet.columns[places[0]]
        has = points_in(done.columns[lesson.slug])
        done.compare_points(lesson.slug, marks.points[lesson.slug], has)
    return found


def _fill_rows(
    sheet: Sheet, platform: Platform, marks: Marks, columns: dict[int, str], done: Filled
) -> None:
    """Enter the marks into each row of a student of ours."""
    table = Table(done.path, sheet.columns, [])
    finder = Finder(marks.emails, kept_roster())
    rows_of: Counter[str] = Counter()
    for number in range(1, len(sheet.rows)):
        row = sheet.row(number)
        if sheet.rows[number] == [""]:
            continue
        student = None
        if is_points(row):
            _put_points(sheet, number, marks, columns, done)
        elif not is_nobody(table, row):
            student = _student_in(finder, row, f"line {number + 1}", done)
        rows_of.update([student] if student else [])
        for place, lesson in columns.items():
            if mark := marks.by.get((student or "", lesson)):
                _put_mark(sheet, number, place, mark, lesson, done)
            elif place >= len(sheet.rows[number]):
                sheet.put(number, place, platform.no_mark)
        has_mark = any((student, lesson) in marks.by for lesson in columns.values())
        if platform.says_update and has_mark:
            sheet.put(number, sheet.columns.index("update"), "1")
    done.students = len(rows_of)
    done.twice = sorted(student for student, count in rows_of.items() if count > 1)
    with_marks = {student for student, lesson in marks.by if lesson in columns.values()}
    done.without_row = sorted(with_marks - rows_of.keys())
    done.off = marks.off


def _student_in(finder: Finder, row: dict[str, str], line: str, done: Filled) -> str | None:
    """Return whom of ours a row is about; note one that is about nobody, or not clear."""
    try:
        student = finder.find(row)
    except Conflict as conflict:
        done.conflicts.append(f"{line}: {conflict}")
        return None
    if student is None:
        done.strangers.append(", ".join(cell for cell in row.values() if cell)[:60])
    return student


def _put_mark(sheet: Sheet, number: int, place: int, mark: Mark, lesson: str, done: Filled) -> None:
    """Enter one mark, unless the platform has excused the student."""
    row = sheet.rows[number]
    before = sheet.row(number).get(sheet.columns[place], "") if place < len(row) else ""
    if before.casefold() == _EXCUSED:
        done.excused.append(f"line {number + 1}")
        return
    done.entered(lesson, before, mark)
    sheet.put(number, place, format(mark.score, ".10g"))


def _put_points(
    sheet: Sheet, number: int, marks: Marks, columns: dict[int, str], done: Filled
) -> None:
    """Enter the points of new columns into Canvas's row of them; compare the others'."""
    row = sheet.row(number)
    for place, lesson in columns.items():
        ours = marks.points[lesson]
        if lesson in done.new:
            sheet.put(number, place, format(ours, ".10g"))
            continue
        try:
            done.compare_points(lesson, ours, float(row[sheet.columns[place]].replace(",", ".")))
        except ValueError:  # "(read only)", or nothing
            continue
