"""`gqa class` and the queue of what needs a person: of a class whose records are made up."""

import json
import os
import re
import shutil
from datetime import timedelta

import glance
import pytest
from bs4 import BeautifulSoup
from glance import DUE, NAMED, STUB, TILED, UNSCALED, hand_in, notebook_of, put
from nbgrader.api import Gradebook
from sqlalchemy import event

from gqa_lib.cli import main
from gqa_lib.course import places
from gqa_lib.course.manifest import find_lesson
from gqa_lib.learn.progress.standing import graded_cells
from grading.classroom.gradebook import open_gradebook
from grading.classroom.known import keep_roster
from grading.intake.class_file import ClassFile, write_class
from grading.intake.troubles import keep_collecting, keep_grading
from grading.overview import graded
from grading.overview.at_a_glance import class_at_a_glance, needs_after_grading
from grading.overview.marks import read_marks
from grading.quiz.bank import load_bank
from grading.settings import COURSE_ID

LESSON, OTHER = find_lesson("04"), find_lesson("05")
CELLS = [name for name in graded_cells(LESSON)[1] if name != "quiz-check"]
EXERCISE = CELLS[1].removesuffix("-check")
HOSTILE = "<img src=x onerror=fired()>"
NOTICE = r"The submitted file was not accepted: it is not readable JSON\. \<b\>ada\</b\>"
REFUSED = {"eve+04+x": f"it says it is from eve and belongs to mallory {HOSTILE}"}


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    path = tmp_path_factory.mktemp("empty") / "gradebook.db"
    Gradebook(f"sqlite:///{path}", COURSE_ID).close()
    return path


@pytest.fixture(autouse=True)
def home(empty, tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GQA_GRADEBOOK", raising=False)
    (tmp_path / "home").mkdir(mode=0o700)
    shutil.copy(empty, tmp_path / "home")
    return tmp_path / "home"


def failed(text, *cells, says=""):
    told = {name: text.format(name=name.removesuffix("-check"), says=says) for name in cells}
    return {name: ("NotYet", said) for name, said in told.items()}


@pytest.fixture
def room(home):
    """A class in which each kind of thing has gone wrong in lesson 04."""
    ids = {f"s{n}": f"Given{n}" for n in range(5)} | {"ada": "Ada", "bob": HOSTILE, "eva": "Eva"}
    questions = {one.id: one for one in load_bank() if one.closes == LESSON.number}
    right = {name: one.answer for name, one in questions.items()}
    wrong = {name: next(x for x in "ABCD" if x != letter) for name, letter in right.items()}
    with open_gradebook() as gradebook:
        for student, name in ids.items():
            gradebook.add_student(student, first_name=name, last_name="Family")
        gradebook.add_student("ADA")
        glance.release(gradebook, LESSON)
        for student in ("s0", "s1", "s2"):
            errors = failed(NAMED, CELLS[1], says=TILED)
            hand_in(gradebook, home, student, LESSON, notebook_of(LESSON, errors, right))
        errors = failed(NAMED, CELLS[1], says=UNSCALED) | failed(STUB, CELLS[2])
        book = notebook_of(LESSON, errors, wrong)
        late = DUE + timedelta(hours=5)
        scores = {"quiz-check": 0.0}
        hand_in(gradebook, home, "s3", LESSON, book, at=late, waiting=[CELLS[0]], scores=scores)
        stubs = failed(STUB, *graded_cells(LESSON)[1])
        hand_in(gradebook, home, "ada", LESSON, notebook_of(LESSON, stubs, notice=NOTICE))
        hand_in(gradebook, home, "bob", LESSON, notebook_of(LESSON, stubs))
        hand_in(gradebook, home, "ADA", LESSON, notebook_of(LESSON, None, right))
        gradebook.db.commit()
    put(home, "submitted", "eva", LESSON, None, "2025-01-15 12:00:00.000000 UTC")
    keep_roster({student: {} for student in ids})
    keep_collecting(LESSON.slug, dict(REFUSED), {})
    keep_grading(LESSON.slug, [], {"s2": "No space left on device"}, {})
    return ids


def counts_in(text):
    line = next(line for line in text.splitlines() if line.startswith("handed in: "))
    return dict(part.split(": ") for part in line.split(", "))


def test_a_lesson_has_a_row_per_exercise_with_the_mistakes_that_its_check_names(room):
    text = class_at_a_glance(LESSON)
    lines = text.splitlines()
    row = next(n for n, line in enumerate(lines) if line.startswith(f"{EXERCISE} "))
    assert lines[row].split() == [EXERCISE, "2", "5", "1"]
    assert lines[row + 1 : row + 3] == [
        "    3: the heads are tiled (K0 K1 K0 K1 ...)",
        "    1: the scores are not scaled by the square root of head_dim",
    ]
    stub = next(line for line in lines if line.startswith(f"{CELLS[2].removesuffix('-check')} "))
    assert stub.split()[2:] == ["4", "4"]
    quiz = next(line for line in lines if line.startswith("quiz "))
    assert quiz.split()[2:] == ["5", "4"]  # whoever has none right has answered, too
    assert counts_in(text) == {
        **{"handed in": "8", "missing": "1", "late": "1", "refused": "1"},
        **{"technical 0": "1", "off roster": "1", "to mark": "1"},
    }


def test_the_class_has_a_row_per_released_lesson_and_its_most_frequent_mistake(room, capsys):
    with open_gradebook() as gradebook:
        glance.release(gradebook, OTHER, due=None)
        gradebook.update_or_create_assignment(find_lesson("06").slug)  # has a due date at most
    assert main(["class"]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert [line.split(" · ")[0] for line in lines if " · " in line][:2] == ["4", "5"]
    assert "6 · " not in text
    assert f"    {EXERCISE}: the heads are tiled (K0 K1 K0 K1 ...) (3)" in lines


def test_every_need_says_how_many_who_why_and_what_to_type(room):
    text = needs_after_grading(LESSON)
    needs = [line for line in text.splitlines() if line.startswith("  ") and line[2] != " "]
    assert [line.split(": ")[0].strip() for line in needs] == [
        "1 hand-in not collected",
        "1 hand-in not graded",
        "1 hand-in collected and not graded yet",
        "1 student with 0 points for a technical reason",
        "1 student with answers that a person marks",
        "1 student not on the roster",
        "1 student late without a penalty",
        "All of it",
    ]
    assert all("`" in line for line in needs[:-1])
    assert "`gqa grade 04 --students ada --all`" in text
    assert (
        "    ada: The submitted file was not accepted: it is not readable JSON. <b>ada</b>" in text
    )
    assert "    s2: No space left on device" in text
    assert "    ADA: the roster has ada" in text
    assert f"    s3: {CELLS[0]}" in text
    assert "    s3: 5 hours late" in text
    assert "    bob" not in text  # who answered nothing has 0 for no technical reason


def test_a_zero_is_technical_where_code_was_stopped_or_nothing_of_it_ran(room, home):
    stopped = dict.fromkeys(CELLS, ("Stopped", "Your code was stopped: 9 GB of memory."))
    broken = dict.fromkeys(graded_cells(LESSON)[1], ("NameError", "name 'np' is not defined"))
    differs = failed(NAMED, *graded_cells(LESSON)[1], says=TILED)
    none = dict.fromkeys(graded_cells(LESSON)[1], 0.0)
    with open_gradebook() as gradebook:
        for student, errors in {"s4": stopped, "x1": broken, "x2": differs}.items():
            gradebook.update_or_create_student(student, first_name="X")
            book = notebook_of(LESSON, errors)
            hand_in(gradebook, home, student, LESSON, book, scores=none)
        gradebook.db.commit()
    text = needs_after_grading(LESSON)
    assert "3 students with 0 points for a technical reason" in text
    assert "    s4: Your code was stopped: 9 GB of memory." in text
    assert "    x1: name 'np' is not defined" in text
    assert "    x2: " not in text


@pytest.mark.parametrize("chosen", ["right", "wrong"])
def test_points_for_the_quiz_hide_no_notebook_that_was_refused(room, home, chosen):
    errors = failed(STUB, *CELLS)
    if chosen == "wrong":
        errors["quiz-check"] = ("NotYet", "quiz: not yet. 1 of 3 is right.")
    refused = r"The submitted file was not accepted: it is empty\."
    with open_gradebook() as gradebook:
        scores = {"quiz-check": 1.0}
        book = notebook_of(LESSON, errors, notice=refused)
        hand_in(gradebook, home, "s4", LESSON, book, scores=scores)
        gradebook.db.commit()
    text = needs_after_grading(LESSON)
    assert "2 students with 0 points for a technical reason" in text
    assert "    s4: The submitted file was not accepted: it is empty." in text


@pytest.mark.parametrize(
    "output",
    [
        {
            "output_type": "stream",
            "text": ["1 of 3.\n", "Not asked here, so it does not count: Q9."],
        },
        {
            "output_type": "error",
            "ename": "NotYet",
            "evalue": "quiz: not yet. The answers are to Q9",
        },
        {
            "output_type": "error",
            "ename": "NotYet",
            "evalue": "quiz: not yet. None of the 3.\nThe saved choices (x) do not count: .",
        },
    ],
)
def test_choices_that_do_not_count_are_told_although_there_are_points(room, home, output):
    book = notebook_of(LESSON)
    book["cells"][-1]["outputs"] = [output]
    with open_gradebook() as gradebook:
        hand_in(gradebook, home, "s4", LESSON, book)
        gradebook.db.commit()
    text = needs_after_grading(LESSON)
    assert "2 students with 0 points for a technical reason" in text
    assert "    s4: in the quiz: " in text


def test_what_was_mended_is_gone_from_the_queue_and_its_file(room, home):
    needs_after_grading(LESSON)
    path = home / "needs-you.txt"
    assert "No space left on device" in path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o077 == 0
    keep_collecting(LESSON.slug, {}, {})
    keep_grading(LESSON.slug, ["s2"], {}, {})
    shutil.rmtree(home / "course" / "submitted" / "eva")
    keep_roster({"ADA": {}})
    with open_gradebook() as gradebook:
        for one in gradebook.assignment_submissions(LESSON.slug):
            if one.student_id == "ada":
                gradebook.db.delete(one)
                continue
            for grade in one.notebooks[0].grades:
                grade.needs_manual_grade = False
            one.notebooks[0].late_submission_penalty = 1.0
        gradebook.db.commit()
    assert needs_after_grading(LESSON) == "Nothing needs you."
    assert path.read_text(encoding="utf-8") == "Nothing needs you.\n"


def test_those_who_share_a_folder_can_read_the_page_in_it(room, tmp_path):
    (tmp_path / "desk").mkdir()
    for mode, page in (0o2770, 0o640), (0o2775, 0o600), (0o770, 0o600):
        (tmp_path / "desk").chmod(mode)
        class_at_a_glance(LESSON, tmp_path / "desk" / "c.html")
        assert (tmp_path / "desk" / "c.html").stat().st_mode & 0o777 == page


def test_other_lessons_needs_are_counted_after_grading_one(room):
    with open_gradebook() as gradebook:
        glance.release(gradebook, OTHER)
    said = needs_after_grading(OTHER)
    assert said.splitlines()[1] == "  In other lessons: 7 things, see `gqa class`"


def feedback_page(home, student, points):
    folder = home / "course" / "feedback" / student / LESSON.slug
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"{LESSON.slug}.html"
    page.write_text(f"<title>{LESSON.slug}: {points} of 21</title>")
    return page


def test_feedback_is_missed_once_somebody_has_some(room, home):
    assert "up-to-date feedback" not in needs_after_grading(LESSON)
    feedback_page(home, "s0", 19)
    feedback_page(home, "s1", 12)
    os.utime(feedback_page(home, "s2", 19), (1, 1))
    keep_grading(LESSON.slug, [], {}, {"bob": "disk full"})
    text = (needs_after_grading(LESSON), (home / "needs-you.txt").read_text(encoding="utf-8"))[1]
    assert "--all --feedback`" in text
    assert "    s0: " not in text
    assert "    s1: it says 12 points, and the marks have changed" in text
    assert "    s2: it is older than the marks" in text
    assert "    bob: disk full" in text
    assert "    ADA: there is none" in text


def test_the_page_tells_all_of_it_and_what_students_wrote_is_text(room, tmp_path, capsys):
    write_class(ClassFile(timezone="Europe/Berlin"))
    assert main(["class", "04", "--html", str(tmp_path / "c.html")]) == 0
    assert all(line.isprintable() for line in capsys.readouterr().out.splitlines())
    text = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert (tmp_path / "c.html").stat().st_mode & 0o077 == 0
    assert "15 Jan 2025, 23:59 CET" in text
    page = BeautifulSoup(text, "html.parser")
    assert page.find_all(["script", "img", "link", "iframe", "form"]) == []
    assert not any("://" in str(tag.attrs) for tag in page.find_all(True))
    assert HOSTILE in page.text
    assert "<b>ada</b>" in page.text
    for bar in page.find_all(class_="track"):  # what a bar shows is next to it as text
        around = bar.find_parent("tr") or bar.find_parent("li")
        assert any(c.isdigit() for c in around.find(class_="figure").text)
    assert all(table.caption.text for table in page.find_all("table"))
    assert [h.text for h in page.find_all(["h1", "h2"])] == ["The class at a glance", LESSON.name]
    marks, times = page.find_all("table", class_="chart")
    assert sum(int(td.text) for td in marks.find_all("td", class_="figure")) == 7
    told = {row.th.text: int(row.find_all("td")[1].text) for row in times.tbody.find_all("tr")}
    assert (told["1 to 24 hours late"], told["6 to 24 hours before"]) == (1, 1)
    assert told["1 to 3 days before"] == 6


def test_the_page_has_what_was_chosen_in_the_quiz_with_the_trap_of_each_wrong_option(
    room, tmp_path
):
    class_at_a_glance(LESSON, tmp_path / "c.html")
    page = BeautifulSoup((tmp_path / "c.html").read_text(encoding="utf-8"), "html.parser")
    bank = {one.id: one for one in load_bank()}
    asked = page.find_all(class_="question")
    assert len(asked) == 3
    for article in asked:
        question = bank[article["aria-label"]]
        for option, known in zip(article.find_all("li"), question.options, strict=True):
            letter = option.find("b").text
            trap = "Trap" if letter != question.answer else "Right"
            assert option.find(class_="tag").text == trap
            assert known.why.replace("`", "") in option.text
        counts = [int(o.find(class_="figure").text.split()[0]) for o in article.find_all("li")]
        assert sorted(counts) == [0, 0, 1, 4]


def test_without_names_nobody_is_named_and_no_small_number_is_told(room, tmp_path, capsys):
    command = ["class", "04", "--names", "none", "--html", str(tmp_path / "c.html")]
    assert main(command) == 0
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    said = capsys.readouterr().out
    shown = BeautifulSoup(page, "html.parser").find("main").text
    for text in (page, said):
        known = [*room, *room.values(), "ADA", "Family", "mallory", "needs-you"]
        assert [one for one in known if re.search(rf"\b{re.escape(one)}", text)] == []
    assert "missing: fewer than 3" in said
    assert "fewer than 3 students late" in said
    assert "fewer than 3: the scores are not scaled" in said
    assert "3: the heads are tiled" in said
    assert "fewer than 3" in shown
    assert "fewer" not in class_at_a_glance(LESSON)


def test_a_lesson_or_class_without_a_release_is_one_line(capsys, room, tmp_path):
    assert main(["class", "05"]) == 1
    assert "lesson 05 is not released" in capsys.readouterr().err
    assert main(["class", "--html", str(tmp_path)]) == 1
    assert "is a folder" in capsys.readouterr().err


def test_an_empty_gradebook_is_one_line(capsys):
    assert main(["class"]) == 1
    assert "the gradebook has no lesson yet" in capsys.readouterr().err


def test_a_graded_notebook_is_read_once_until_it_changes(room, home, monkeypatch):
    before = class_at_a_glance(LESSON)
    read = []
    real = graded.in_short
    monkeypatch.setattr(graded, "in_short", lambda book: read.append(1) or real(book))
    assert class_at_a_glance(LESSON) == before
    assert read == []
    put(home, "autograded", "s0", LESSON, notebook_of(LESSON), "2025-01-14 22:59:59.000000 UTC")
    assert "    2: the heads are tiled" in class_at_a_glance(LESSON)
    assert read == [1]
    (home / "overview" / f"{LESSON.slug}.json").write_text('{"no": "record"}')
    assert "    2: the heads are tiled" in class_at_a_glance(LESSON)
    assert len(read) == 8


def test_a_damaged_graded_notebook_stops_nothing(room, home):
    path = home / "course" / "autograded" / "s0" / LESSON.slug / f"{LESSON.slug}.ipynb"
    for content in ("[]", "{", json.dumps({"cells": [{"metadata": 1}]})):
        path.write_text(content)
        assert "    2: the heads are tiled" in class_at_a_glance(LESSON)


def test_the_gradebook_is_asked_as_often_however_large_the_class_is(room, home):
    def asked():
        with open_gradebook() as gradebook:
            statements = []
            engine = gradebook.engine
            event.listen(engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
            read_marks(gradebook.db)
            return len(statements)

    before = asked()
    with open_gradebook() as gradebook:
        for number in range(5):
            gradebook.add_student(f"more{number}", first_name="More")
            hand_in(gradebook, home, f"more{number}", LESSON, notebook_of(LESSON))
        gradebook.db.commit()
    assert asked() == before
    assert places.home() == home
