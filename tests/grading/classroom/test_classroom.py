"""The class list, due dates, marks out and what a regrade changed."""

import csv
import io
import shlex
import shutil
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from nbgrader.api import Gradebook
from nbgrader.plugins.export import CsvExportPlugin

from gqa_lib.cli import main
from gqa_lib.course import places
from gqa_lib.course.manifest import find_lesson
from grading.classroom.due import load_due_dates
from grading.classroom.export import export
from grading.classroom.gradebook import open_gradebook
from grading.classroom.known import off_roster
from grading.classroom.regrade import (
    Change,
    diff_of_marks,
    marks_by_exercise,
    table_of_changes,
)
from grading.classroom.roster import load_roster
from grading.intake.class_file import ClassFile, write_class
from grading.settings import COURSE_ID, gradebook_url

LESSON, OTHER = find_lesson("01"), find_lesson("02")
NOON = datetime(2027, 1, 15, 12)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """The file of a gradebook with nothing in it, which takes nbgrader seconds to make."""
    path = tmp_path_factory.mktemp("empty") / "gradebook.db"
    Gradebook(f"sqlite:///{path}", COURSE_ID).close()
    return path


@pytest.fixture(autouse=True)
def instructor(empty, tmp_path, monkeypatch):
    """An instructor with an empty gradebook."""
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    shutil.copy(empty, tmp_path / "home")


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "file.csv"
    path.write_bytes(text.encode(encoding))
    return path


def students():
    with open_gradebook() as gradebook:
        return {s.id: (s.first_name, s.last_name, s.email) for s in gradebook.students}


# Roster


@pytest.mark.parametrize(
    "text",
    [
        "id,first_name,last_name,email\nada,Ada,Lovelace,ada@example.org\n",
        "\ufeffId;Last Name;First Name;E-Mail\r\nada;Lovelace;Ada;ada@example.org\r\n",
        "First name\tSurname\tUsername\tEmail address\nAda\tLovelace\tada\tada@example.org\n\n",
        'Student,ID,SIS Login ID,Section,Email\n"    Points Possible",,,,\n'
        '"Lovelace, Ada",1815,ada,1,ada@example.org\n"Student, Test",9,,1,\n',
        "OrgDefinedId,Username,Last Name,First Name,Email\n77,ada,Lovelace,Ada,ada@example.org\n",
        "Name,login,email\nAda Lovelace,ada,ada@example.org\n",
        "Matrikelnummer;Nachname;Vorname;E-Mail;Benutzername\r\n"
        "1815;Lovelace;Ada;ada@example.org;ada\r\n",
        'Vorname,Nachname,Anmeldename,"E-Mail-Adresse"\nAda,Lovelace,ada,ada@example.org\n',
        'Prénom,"Nom de famille","Nom d’utilisateur","Adresse de courriel"\n'
        "Ada,Lovelace,ada,ada@example.org\n",
        "Student,ID,SIS Login ID,Section,Email,01 (98)\n,,,,,Manual Posting\n"
        '"    Points Possible",,,,,16\n"Lovelace, Ada",1815,ada,1,ada@example.org,\n'
        '"Test Student",9,3f9a7b5c,1,,\n"Student, Test",9,,1,,\n',
        "LastName,FirstName,ID,SIS Login ID,Section,Email\n"
        "Lovelace,Ada,1815,ada,1,ada@example.org\nStudent,Test,9,3f9a,1,\n",
        '"Last Name","First Name","Username","Student ID","Email"\n'
        '"Lovelace","Ada","ada","1815","ada@example.org"\n"x","t","t_previewuser","",""\n',
    ],
    ids=[
        *("plain", "excel", "moodle", "canvas", "brightspace", "full name"),
        *("ilias", "moodle de", "moodle fr", "canvas test", "canvas names", "blackboard"),
    ],
)
def test_a_roster_is_read_as_platforms_write_it(tmp_path, text):
    load_roster(write(tmp_path, text))
    assert students() == {"ada": ("Ada", "Lovelace", "ada@example.org")}


def test_a_roster_in_utf16_keeps_its_accents(tmp_path):
    load_roster(write(tmp_path, "id\tname\nren\tRené Désirée Müller\n", "utf-16"))
    assert students() == {"ren": ("René Désirée", "Müller", None)}


def test_who_is_left_out_is_told_and_a_student_may_be_called_test(tmp_path):
    path = write(tmp_path, "Student,ID,SIS Login ID,Section\nTest Student,9,3f9a,1\n")
    assert "No students, left out: Test Student, 9, 3f9a, 1." in str(load_roster(path))
    path = write(tmp_path, "Name,login\nTest Student,test\n")
    assert load_roster(path).added == ["test"]


def test_ids_that_differ_only_by_case_are_told(tmp_path, monkeypatch, capsys):
    inbound = tmp_path / "exchange" / "gqa" / "inbound"
    (inbound / "s011+01-multi-head-attention+2027-01-15 12:00:00 UTC+x").mkdir(parents=True)
    monkeypatch.setenv("GQA_EXCHANGE", str(tmp_path / "exchange"))
    assert main(["roster", str(write(tmp_path, "id,name\nS011,Ada Lovelace\n"))]) == 0
    said = capsys.readouterr().out
    assert "S011 in this file and s011, who hands in or is in the gradebook, differ only by" in said
    change = load_roster(write(tmp_path, "id,name\ns011,Ada\nBob,B\nbob,B\n"))
    assert change.alike == [("Bob", "bob"), ("bob", "Bob"), ("s011", "S011")]


def test_a_roster_names_who_is_in_none(tmp_path):
    with open_gradebook() as gradebook:
        gradebook.add_student("eva")
        assert off_roster(gradebook) == []  # no roster was loaded
        load_roster(write(tmp_path, "id\nada\nEVA\n"))
        load_roster(write(tmp_path, "id\nbob\n"))  # another group of the class
        assert [(one.student, one.like) for one in off_roster(gradebook)] == [("eva", "EVA")]


def test_a_new_roster_changes_adds_and_deletes_nobody(tmp_path, capsys):
    first = "id,first_name,last_name,email\nada,Ada,Byron,a@b\nmary,Mary,S,m@b\njo,Jo,L,j@b\n"
    load_roster(write(tmp_path, first))
    again = write(tmp_path, "id,first_name,last_name,email\nada,Ada,Lovelace,\njo,Jo,L,j@b\nx,X,Y,")
    assert main(["roster", str(again)]) == 0
    said = capsys.readouterr().out
    assert "1 new, 1 changed, 1 as before" in said
    assert "kept with their marks: mary" in said
    assert students()["ada"] == ("Ada", "Lovelace", "a@b")
    assert set(students()) == {"ada", "mary", "jo", "x"}


def test_of_many_who_are_in_no_file_some_are_named_and_all_counted(tmp_path):
    load_roster(write(tmp_path, "id\n" + "".join(f"s{i:03d}\n" for i in range(120))))
    said = str(load_roster(write(tmp_path, "id\nada\n")))
    assert "120 in the gradebook and not in this file" in said
    assert "s009, and 110 more." in said
    assert "s010" not in said


def test_the_column_of_ids_can_be_named(tmp_path):
    path = write(tmp_path, "username,matriculation\nada,1815\n")
    assert load_roster(path, "Matriculation").added == ["1815"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("first_name,email\nAda,a@b\n", "no column holds the student's id.*first_name, email"),
        ("id,email\nada,a@b\n,b@c\n", "line 3: there is no id"),
        ("id,email\nada,a@b\nada,b@c\n", "line 3: the id ada is already in line 2"),
        ("id,email\n../ada,a@b\n", r"line 2: the id '../ada' cannot name a folder"),
        ("id,email\na+b,a@b\n", r"line 2: the id 'a\+b' cannot"),
        ("id,email\nada,a@b,c\n", "line 2: 3 cells for 2 columns"),
        ('id,name\nada,"two\nlines"\n,x\n', "line 4: there is no id"),
        (f"id,email\nada,{'a' * 129}\n", "line 2: email has 129 characters"),
    ],
)
def test_a_wrong_roster_is_refused_with_the_line_and_changes_nothing(tmp_path, text, said):
    load_roster(write(tmp_path, "id\neva\n"))
    with pytest.raises(ValueError, match=f"(?s){said}"):
        load_roster(write(tmp_path, text))
    assert set(students()) == {"eva"}


def test_a_roster_in_an_old_encoding_is_refused_with_the_line(tmp_path):
    path = write(tmp_path, "id,name\nada,Ada\nren,René\n", "latin-1")
    with pytest.raises(ValueError, match="line 3 is not UTF-8"):
        load_roster(path)


def test_many_errors_are_counted_not_poured_out(tmp_path):
    path = write(tmp_path, "id,email\n" + ",a@b\n" * 50)
    with pytest.raises(ValueError, match="and 40 more") as refused:
        load_roster(path)
    assert str(refused.value).count("\n") == 11


def test_the_command_names_a_file_that_is_not_there(capsys):
    assert main(["roster", "/no/such.csv"]) == 1
    assert "/no/such.csv" in capsys.readouterr().err


# Due dates


def due_in_utc():
    with open_gradebook() as gradebook:
        return {a.name: a.duedate for a in gradebook.assignments}


@pytest.mark.parametrize(
    ("cell", "utc"),
    [
        ("2027-01-15", datetime(2027, 1, 15, 22, 59, 59)),
        ("2027-01-15 18:00", datetime(2027, 1, 15, 17)),
        ("2027-07-15 18:00", datetime(2027, 7, 15, 16)),
        ("2027-01-15T18:00Z", datetime(2027, 1, 15, 18)),
        ("2027-01-15T18:00-05:00", datetime(2027, 1, 15, 23)),
        ("2027-01-15 18:00 America/New_York", datetime(2027, 1, 15, 23)),
        ("2027-01-15 UTC", datetime(2027, 1, 15, 23, 59, 59)),
    ],
)
def test_due_dates_have_a_time_zone(tmp_path, cell, utc):
    write_class(ClassFile(timezone="Europe/Berlin"))
    load_due_dates(write(tmp_path, f"lesson,due\n1,{cell}\n"))
    assert due_in_utc() == {LESSON.slug: utc}


def test_without_a_time_zone_the_machine_s_own_counts(tmp_path):
    load_due_dates(write(tmp_path, "lesson,due\n1,2027-07-15 18:00\n"))
    expected = datetime(2027, 7, 15, 18).astimezone(UTC).replace(tzinfo=None)
    assert due_in_utc() == {LESSON.slug: expected}


def test_due_dates_are_said_changed_and_taken_away(tmp_path, capsys):
    path = write(tmp_path, "Assignment;Due date\n01;2027-01-15 18:00\n02;2027-02-01\n")
    assert main(["due", str(path), "--timezone", "Europe/Berlin"]) == 0
    said = capsys.readouterr().out
    berlin = f"{LESSON.slug}: due 2027-01-15 18:00 CET, which is 2027-01-15 17:00 UTC"
    assert berlin in said
    main(["due"])  # the class keeps that time zone, so what names none means it from now on
    assert berlin in capsys.readouterr().out
    assert main(["due", "--timezone", "Mars/North"]) == 1
    assert main(["due", "--timezone", "UTC"]) == 0
    assert f"{LESSON.slug}: due 2027-01-15 17:00 UTC\n" in capsys.readouterr().out
    load_due_dates(write(tmp_path, f"lesson,due\n{LESSON.slug},\n"))
    assert due_in_utc()[LESSON.slug] is None
    assert due_in_utc()[OTHER.slug] is not None


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("77,2027-01-01", "line 3: there is no lesson '77'"),
        ("2,01/02/2027", "line 3: '01/02/2027' is not a date"),
        ("2,2027-02-30", "line 3: '2027-02-30' is not a date"),
        ("2,2027-01-01 18:00 Berlin", "line 3: there is no time zone 'Berlin'"),
        ("01,2027-01-02", "line 3: lesson 01 is already in line 2"),
    ],
)
def test_a_wrong_due_date_is_refused_with_the_line_and_changes_nothing(tmp_path, row, said):
    with pytest.raises(ValueError, match=said):
        load_due_dates(write(tmp_path, f"lesson,due\n1,2027-01-01\n{row}\n"))
    assert due_in_utc() == {}


# Export


def add_lesson(gradebook, slug, cells):
    gradebook.add_assignment(slug, duedate=NOON)
    gradebook.add_notebook(slug, slug)
    for name, points in cells.items():
        gradebook.add_grade_cell(name, slug, slug, max_score=points, cell_type="code")


def add_marks(gradebook, slug, student, scores, *, at=NOON, penalty=None, manual=()):
    """Enter auto scores, a penalty for lateness, and manual scores over some of them."""
    submission = gradebook.add_submission(slug, student, timestamp=at)
    notebook = submission.notebooks[0]
    notebook.late_submission_penalty = penalty
    for grade in notebook.grades:
        grade.auto_score, grade.needs_manual_grade = scores[grade.name], False
        if grade.name in manual:
            grade.manual_score = manual[grade.name]
    gradebook.db.commit()
    return submission


@pytest.fixture
def marked():
    """Three students and two lessons: late, penalised, extended, manual, waiting, not submitted."""
    with warnings.catch_warnings(), Gradebook(gradebook_url(), COURSE_ID) as gradebook:
        warnings.simplefilter("ignore")
        gradebook.add_student("ada", first_name="Ada", last_name="Lovelace", email="a@b")
        gradebook.add_student("bob", first_name="Bob", last_name="=cmd|' /C calc'!A0")
        gradebook.add_student("eva", last_name="Zuse")
        add_lesson(gradebook, OTHER.slug, {"c-check": 0.5, "d-check": 2})
        add_lesson(gradebook, LESSON.slug, {"a-check": 3, "b-check": 4})
        full = {"a-check": 3, "b-check": 4}
        late = NOON + timedelta(minutes=2)
        add_marks(gradebook, LESSON.slug, "ada", full, at=late, penalty=1.5)
        add_marks(gradebook, LESSON.slug, "bob", full, manual={"b-check": 1.25})
        first = add_marks(gradebook, OTHER.slug, "ada", {"c-check": 0.1, "d-check": 0.2}, at=late)
        first.extension = timedelta(minutes=1)
        last = add_marks(gradebook, OTHER.slug, "bob", {"c-check": 0, "d-check": 1}, penalty=99)
        last.notebooks[0].grades[0].needs_manual_grade = True
        last.notebooks[0].grades[0].extra_credit = 0.25
        gradebook.db.commit()


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_marks_as_a_platform_reads_them(marked, tmp_path, capsys):
    assert main(["export", str(tmp_path / "marks.csv")]) == 0
    assert "the marks of 3 students" in capsys.readouterr().out
    ada, bob, eva = sorted(
        rows_of((tmp_path / "marks.csv").read_text(encoding="utf-8")), key=lambda row: row["ID"]
    )
    assert list(ada) == [
        *("ID", "Last name", "First name", "Email"),
        *(f"{LESSON.slug} (7)", f"{OTHER.slug} (2.5)", "Total (9.5)"),
    ]
    assert list(ada.values()) == ["ada", "Lovelace", "Ada", "a@b", "5.5", "0.3", "5.8"]
    assert list(bob.values())[4:] == ["4.25", "0", "4.25"]
    assert list(eva.values())[2:] == ["", "", "", "", "0"]


def test_a_row_per_student_and_lesson(marked, capsys):
    assert main(["export", "--long"]) == 0
    rows = {(row["ID"], row["Lesson"]): row for row in rows_of(capsys.readouterr().out)}
    assert len(rows) == 6
    assert list(rows["ada", LESSON.slug].values())[2:] == [
        *("5.5", "7", "120", "2027-01-15T12:02:00Z", "no"),
    ]
    assert rows["ada", OTHER.slug]["Seconds late"] == "60"  # of an extension of a minute
    assert rows["bob", OTHER.slug]["Needs manual grade"] == "yes"
    assert list(rows["eva", LESSON.slug].values())[2:] == ["", "7", "", "", ""]


def test_the_values_are_nbgraders_own(marked, tmp_path):
    with Gradebook(gradebook_url(), COURSE_ID) as gradebook:
        plugin = CsvExportPlugin()
        plugin.to = str(tmp_path / "theirs.csv")
        plugin.export(gradebook)
        late = {
            (s.student.id, a.name): (s.total_seconds_late, s.needs_manual_grade)
            for a in gradebook.assignments
            for s in a.submissions
        }
    theirs = rows_of((tmp_path / "theirs.csv").read_text())
    export(tmp_path / "ours.csv", long=True)
    ours = {(r["ID"], r["Lesson"]): r for r in rows_of((tmp_path / "ours.csv").read_text())}
    assert len(theirs) == len(ours) == 6
    for row in theirs:
        mine = ours[row["student_id"], row["assignment"]]
        assert float(mine["Score"] or 0) == pytest.approx(float(row["score"]), abs=1e-9)
        assert float(mine["Max score"]) == float(row["max_score"])
        if row["timestamp"]:
            seconds, manual = late[row["student_id"], row["assignment"]]
            assert float(mine["Seconds late"]) == seconds
            assert (mine["Needs manual grade"] == "yes") is bool(manual)


def test_no_cell_is_a_formula(marked, tmp_path):
    with open_gradebook() as gradebook:
        for student in ("+1", "-1", "@x", "=1+1"):
            gradebook.add_student(student, first_name="\t=2", email="a=b")
    export(tmp_path / "marks.csv")
    with (tmp_path / "marks.csv").open(encoding="utf-8", newline="") as file:
        cells = {cell for row in csv.reader(file) for cell in row}
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t"))]
    assert {"'+1", "'=cmd|' /C calc'!A0", "a=b"} <= cells


def test_excel_reads_accents_and_no_file_begins_as_another_format(marked, tmp_path):
    export(tmp_path / "plain.csv")
    assert (tmp_path / "plain.csv").read_bytes().startswith(b'"ID",')  # ID alone is SYLK
    with open_gradebook() as gradebook:
        gradebook.find_student("ada").first_name = "Zoë"
        gradebook.db.commit()
    export(tmp_path / "accents.csv")
    assert (tmp_path / "accents.csv").read_bytes().startswith(b'\xef\xbb\xbf"ID",')


def test_an_empty_gradebook_says_so(capsys):
    assert main(["export"]) == 1
    assert "no lesson yet" in capsys.readouterr().err


# Regrade


def test_a_regrade_shows_who_changed(marked):
    before = marks_by_exercise(gradebook_url(), LESSON)
    assert before == {"ada": {"a": 3, "b": 4}, "bob": {"a": 3, "b": 1.25}}
    with open_gradebook() as gradebook:
        for student, name, score in (("ada", "a-check", 1), ("ada", "b-check", 3.5)):
            notebook = gradebook.find_submission_notebook(LESSON.slug, LESSON.slug, student)
            next(g for g in notebook.grades if g.name == name).auto_score = score
        gradebook.db.commit()
        add_marks(gradebook, LESSON.slug, "eva", {"a-check": 3, "b-check": 0})
    changes = diff_of_marks(before, marks_by_exercise(gradebook_url(), LESSON))
    assert changes == [
        Change("ada", "a", 3, 1),
        Change("ada", "b", 4, 3.5),
        Change("eva", "a", None, 3),
        Change("eva", "b", None, 0),
    ]
    lines = table_of_changes(changes).splitlines()
    assert lines[0].split() == ["ada", "a", "3", "->", "1", "-2"]
    assert lines[2].split() == ["eva", "a", "none", "->", "3", "+3"]
    assert lines[-1] == "2 students changed: 1 up by 3 points in all, 1 down by 2.5."


def test_points_that_only_moved_are_counted_as_such():
    changes = diff_of_marks({"ada": {"a": 1, "b": 0}}, {"ada": {"a": 0, "b": 1}})
    assert "1 student changed: 0 up" in table_of_changes(changes)
    assert table_of_changes(changes).endswith("1 with the same total.")


def test_a_regrade_that_changed_nothing_says_so(marked):
    marks = marks_by_exercise(gradebook_url(), LESSON)
    assert table_of_changes(diff_of_marks(marks, marks)) == "No mark changed."
    assert marks_by_exercise(gradebook_url(), find_lesson("05")) == {}


# The runbook


def test_the_runbooks_commands_exist():
    text = (places.course_root() / "docs" / "class.md").read_text(encoding="utf-8")
    names = {line.split()[1] for line in text.splitlines() if line.startswith("gqa ")}
    assert {"release", "roster", "due", "export", "grade"} <= names
    for line in text.splitlines():
        if line.startswith(("gqa release", "gqa roster", "gqa due", "gqa export")):
            with pytest.raises(SystemExit) as left:
                main([*shlex.split(line, comments=True)[1:], "--help"])
            assert left.value.code == 0, line


def test_the_setting_of_the_database_must_be_an_address(monkeypatch):
    monkeypatch.setenv("GQA_GRADEBOOK", str(Path("gradebook.db")))
    with pytest.raises(ValueError, match="not a database address"):
        gradebook_url()
