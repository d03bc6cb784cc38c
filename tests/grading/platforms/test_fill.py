import csv
import io
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbgrader.api import Gradebook

from gqa_lib.cli import main
from gqa_lib.course.manifest import find_lesson
from grading.classroom.known import off_roster
from grading.classroom.roster import load_roster
from grading.nb.steps import quietly
from grading.platforms.fill import fill
from grading.platforms.formats import names_lesson, recognise
from grading.platforms.sheet import read_cell, read_sheet
from grading.settings import COURSE_ID, gradebook_url

FILES = Path(__file__).parent / "files"
L04, L05 = find_lesson("04"), find_lesson("05")
SCORES = {
    ("s001", L04.slug): 12.5,
    ("s002", L04.slug): 60,
    ("s003", L04.slug): 7,
    ("s001", L05.slug): 0.1 + 0.2,
    ("mallory", L04.slug): 1,
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The records of a class: three students of a roster, one of none, marks in two lessons."""
    home = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch, quietly():
        patch.setenv("GQA_HOME", str(home))
        patch.delenv("GQA_GRADEBOOK", raising=False)
        load_roster(FILES / "canvas.csv")
        with Gradebook(gradebook_url(), COURSE_ID) as gradebook:
            gradebook.remove_student("s099")
            gradebook.add_student("mallory")
            for student, email in (("s001", "ada@uni.example"), ("s002", "zoe@uni.example")):
                gradebook.find_student(student).email = email
            for lesson, points in ((L04, 60), (L05, 40)):
                gradebook.add_assignment(lesson.slug)
                gradebook.add_notebook(lesson.slug, lesson.slug)
                where = ("a-check", lesson.slug, lesson.slug)
                gradebook.add_grade_cell(*where, max_score=points, cell_type="code")
            for (student, lesson), score in SCORES.items():
                submission = gradebook.add_submission(lesson, student)
                (grade,) = submission.notebooks[0].grades
                grade.auto_score, grade.needs_manual_grade = score, student == "s002"
            gradebook.db.commit()
    return home


@pytest.fixture(autouse=True)
def instructor(kept, tmp_path, monkeypatch):
    monkeypatch.delenv("GQA_GRADEBOOK", raising=False)
    shutil.copytree(kept, tmp_path / "home")
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))


def filled(name, tmp_path, *lessons):
    """Return the filled file's path and what was said."""
    done = fill(FILES / name, tmp_path / name, list(lessons) or None)
    return tmp_path / name, str(done)


def changes(before: Path, after: Path) -> dict[tuple[int, int], str]:
    """Return (row, column) -> what is written, of the cells whose bytes differ."""
    old, new = read_sheet(before), read_sheet(after)
    assert (old.ends, old.separator) == (new.ends, new.separator)
    assert old.source.mark == new.source.mark
    return {
        (i, j): cell
        for i, row in enumerate(new.rows)
        for j, cell in enumerate(row)
        if j >= len(old.rows[i]) or old.rows[i][j] != cell
    }


def imported_by_canvas(path: Path) -> dict[tuple[str, str], str]:
    """Read a file as Canvas's gradebook_importer.rb does; return (Canvas's id, title) -> grade."""
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    header = rows[0]
    assert "Student" in header[0]
    assert "ID" in header[1]
    assert (header[2], header[3]) == ("SIS User ID", "SIS Login ID")
    own = [name for name in header[5:] if name != "Notes"]  # a custom column of the course
    assignments = [name for name in own if not re.search("Current Score|Final Score", name)]
    grades = {}
    for row in rows[1:]:
        if "Points Possible" in row[0]:
            for name in assignments:
                grades["points", name] = row[header.index(name)]
        elif not all(re.fullmatch(r"(?i)\s*(muted|manual posting.*)?\s*", cell) for cell in row):
            for name in assignments:
                grades[row[1], name] = row[header.index(name)]
    return grades


def test_canvas_reads_the_marks_and_every_other_byte_is_as_before(tmp_path):
    path, said = filled("canvas.csv", tmp_path)
    grades = imported_by_canvas(path)
    old, new = "04 Grouped-query attention (98211)", "05 The KV cache in bytes"
    assert {key: value for key, value in grades.items() if key[1] in (old, new)} == {
        ("points", old): "60.00",
        ("77123", old): "12.5",
        ("77124", old): "60",
        ("77125", old): "EX",  # excused there
        ("77126", old): "",
        ("77999", old): "",
        ("points", new): "40",
        ("77123", new): "0.3",
        **{(one, new): "" for one in ("77124", "77125", "77126", "77999")},
    }
    assert not re.search(r"\(\d+\)$", new)  # else it would be some assignment's number
    assert changes(FILES / "canvas.csv", path).items() >= {(3, 6): "12.5", (4, 6): "60"}.items()
    assert not [place for place in changes(FILES / "canvas.csv", path) if place[1] < 6]
    assert "file of Canvas" in said
    assert "2 marks in '04 Grouped-query attention (98211)', 1 other than before, 1 that" in said
    assert "without a row: mallory (in no roster)." in said
    assert "Nobody, Nora" in said
    assert "Excused there, left so: line 6." in said


def test_a_semicolon_and_a_decimal_comma_are_canvas_s_too(tmp_path):
    path = tmp_path / "k.csv"
    path.write_text(
        "Student;ID;SIS Login ID;Section;04 Grouped-query attention (1)\n"
        "    Points Possible;;;;30,00\nLovelace, Ada;77123;s001;A;12,5\n"
    )
    done = fill(path, only=[L04])
    assert done.out == tmp_path / "k-gqa.csv"
    assert done.out.read_text().endswith("Lovelace, Ada;77123;s001;A;12.5\n")
    assert "60 points here and 30 there" in str(done)
    assert "other than before" not in str(done)


def test_blackboard_reads_the_marks_in_its_own_encoding(tmp_path):
    path, said = filled("blackboard.xls", tmp_path)
    assert path.read_bytes()[:2] == b"\xff\xfe"
    text = path.read_bytes().decode("utf-16")
    assert all(cell.startswith('"') for line in text.splitlines() for cell in line.split("\t"))
    rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t"))
    column = "04 Grouped-query attention [Total Pts: 16 Score] |17002"
    marks = {row["Username"]: (row[column], row["05 The KV cache in bytes"]) for row in rows}
    assert marks == {
        "S001": ("12.5", "0.3"),  # Blackboard's own spelling
        "s002": ("60", ""),
        "s099": ("3", ""),
        "teacher_previewuser": ("", ""),
    }
    assert "60 points here and 16 there" in said
    assert "make a column of that name in Blackboard first" in said


def test_moodle_reads_the_marks(tmp_path):
    path, said = filled("moodle.csv", tmp_path)
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    real = [row["Assignment: 04 Grouped-query attention (Real)"] for row in rows]
    assert real == ["12.5", "60", "-"]
    # of a new item Moodle takes all but "-" for a number
    assert [row["05 The KV cache in bytes"] for row in rows] == ["0.3", "-", "-"]
    assert rows[0]["Assignment: 04 Grouped-query attention (Percentage)"] == "-"
    assert "file of Moodle." in said


def test_a_moodle_worksheet_needs_its_lesson(tmp_path):
    with pytest.raises(ValueError, match="--lesson 04"):
        filled("moodle_worksheet.csv", tmp_path)
    path, _ = filled("moodle_worksheet.csv", tmp_path, L04)
    assert changes(FILES / "moodle_worksheet.csv", path) == {(1, 4): "12.5", (2, 4): "60"}


def test_the_status_file_of_ilias_says_which_rows_count(tmp_path):
    path, _ = filled("ilias_status.csv", tmp_path, L05)
    assert changes(FILES / "ilias_status.csv", path) == {(1, 0): '"1"', (1, 6): '"0.3"'}


def test_a_list_of_members_of_ilias_gets_columns(tmp_path):
    path, said = filled("ilias_members.csv", tmp_path)
    lines = path.read_bytes().decode().split("\r\n")
    assert lines[0].endswith(";Benutzername;04 Grouped-query attention;05 The KV cache in bytes")
    assert [line.split(";")[4:] for line in lines[1:]] == [
        ["s001", "12.5", "0.3"],
        ["s002", "60", ""],
    ]
    assert "ILIAS itself reads no marks" in said


def test_the_command_writes_next_to_the_file_and_never_over_it(tmp_path, capsys):
    path = tmp_path / "canvas.csv"
    shutil.copy(FILES / "canvas.csv", path)
    assert main(["export", "--into", str(path), "--lesson", "05"]) == 0
    assert "Written: " in capsys.readouterr().out
    assert set(changes(path, tmp_path / "canvas-gqa.csv").values()) >= {"40", "0.3"}
    assert main(["export", "--into", str(path), "-o", str(path)]) == 1
    assert "is not overwritten" in capsys.readouterr().err
    assert path.read_bytes() == (FILES / "canvas.csv").read_bytes()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("x;s001;zoe@uni.example", "username s001 is s001, email zoe@uni.example is s002"),
        ("=cmd()\x1b[2J;nobody;", "=cmd()?[2J, nobody"),
    ],
)
def test_a_row_that_is_not_clear_gets_no_mark(tmp_path, row, said):
    path = tmp_path / "file.csv"
    path.write_text(f"name;username;email;availability;04\n{row};yes;\n")
    done = fill(path, only=[L04])
    assert done.out.read_text().splitlines()[1] == f"{row};yes;"
    assert said in str(done)


def test_two_columns_for_a_lesson_are_not_guessed_between(tmp_path):
    path = tmp_path / "file.csv"
    path.write_text("username,availability,04,Lesson 4\ns001,Yes,,\n")
    with pytest.raises(ValueError, match="more than one column is for lesson 04: 04, Lesson 4"):
        fill(path)


def test_what_no_platform_writes_is_refused(tmp_path):
    path = tmp_path / "file.csv"
    path.write_text("colour,size\nred,1\n")
    with pytest.raises(ValueError, match="no platform is known that writes the columns colour"):
        fill(path)
    path.write_bytes(b"PK\3\4")
    with pytest.raises(ValueError, match="a workbook of Excel"):
        fill(path)
    path.write_text('username,availability\n"s001,Yes\n')
    with pytest.raises(ValueError, match="line 2 has a double quote that is not closed"):
        fill(path)


@pytest.mark.parametrize(
    ("column", "yes"),
    [
        ("04 Grouped-query attention (98211)", True),
        ("Assignment: 04 Grouped-query attention (Real)", True),
        ("Aufgabe: 04 Grouped-query attention (Punkte)", True),
        ("04-grouped-query-attention [Total Pts: 60 Score] |17", True),
        ("Grouped-query attention", True),
        ("Lesson 4: Grouped-query attention", True),
        ("Lektion 04", True),
        ("04", True),
        ("4", False),  # of another course, perhaps
        ("Assignment 4", False),
        ("Quiz: 4", False),
        ("04 Grouped-query attention (Percentage)", False),
        ("Aufgabe: 04 Grouped-query attention (Feedback)", False),
        ("14 Beyond GQA", False),
    ],
)
def test_a_column_names_a_lesson(column, yes):
    assert names_lesson(column, L04) is yes


def test_a_single_word_is_no_name_of_a_lesson():
    assert not names_lesson("Quality (12)", find_lesson("09"))
    assert names_lesson("09 Quality (12)", find_lesson("09"))


@pytest.mark.parametrize("path", sorted(FILES.iterdir()), ids=lambda path: path.name)
def test_a_sheet_that_nothing_is_put_into_has_the_same_bytes(path):
    sheet = read_sheet(path)
    assert sheet.content() == path.read_bytes()
    assert recognise(sheet.columns).name.split()[0].lower() == re.split(r"[_.]", path.name)[0]


_CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.lists(_CELLS, min_size=2, max_size=4), min_size=2, max_size=4),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_cells_are_read_as_pythons_csv_reads_them(tmp_path, rows, quoting, end):
    text = io.StringIO()
    header = ["a", "b", "c", "d"]
    csv.writer(text, quoting=quoting, lineterminator=end).writerows([header, *rows])
    path = tmp_path / "some.csv"
    path.write_bytes(text.getvalue().encode())
    sheet = read_sheet(path)
    assert sheet.content() == path.read_bytes()
    cells = [[read_cell(cell) for cell in row] for row in sheet.rows]
    assert cells == list(csv.reader(io.StringIO(text.getvalue(), newline="")))
    sheet.put(1, 3, 'a "b", c')
    path.write_bytes(sheet.content())
    assert list(csv.reader(path.open(encoding="utf-8", newline="")))[1][3] == 'a "b", c'


def test_who_is_in_no_roster_is_told(tmp_path, capsys):
    with quietly(), Gradebook(gradebook_url(), COURSE_ID) as gradebook:
        gradebook.add_student("S001")
        assert [str(one) for one in off_roster(gradebook)] == [
            "S001 (the roster has s001)",
            "mallory",
        ]
    assert main(["export", str(tmp_path / "marks.csv")]) == 0
    rows = csv.DictReader(io.StringIO((tmp_path / "marks.csv").read_text(encoding="utf-8-sig")))
    assert {r["ID"]: r["In no roster"] for r in rows} == {
        **{"s001": "", "s002": "", "s003": ""},
        **{"S001": "yes", "mallory": "yes"},
    }
