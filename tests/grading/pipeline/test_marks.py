"""Marks as they are written: late or not, with more time, by hand, and over earlier ones."""

import contextlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest
from classroom import NAME, RIGHT
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde
from nbgrader.converters.base import NbGraderException
from sqlalchemy.exc import OperationalError

from grading.intake.arrivals import Submissions
from grading.intake.class_file import ClassFile, read_class, write_class
from grading.intake.earlier import read_kept
from grading.nb.databases import telling
from grading.pipeline.late import renew_penalties

DUE = datetime(2026, 3, 1, 12)
WRONG = "def double(x):\n    return x"


def hand_in(room, code=RIGHT, why="Because.", *, late=timedelta(), student="ada"):
    """Put a submission into submitted/ as collecting does."""
    folder = room.folder("submitted", student)
    folder.mkdir(parents=True, exist_ok=True)
    stamp = f"{DUE + late:%Y-%m-%d %H:%M:%S.%f} UTC".encode()
    record = Submissions(NAME)
    record.collected(student, stamp)
    record.save()
    (folder / "timestamp.txt").write_bytes(stamp)
    nbformat.write(room.answered(code, why), folder / f"{NAME}.ipynb")


def set_due(room, due=DUE):
    with Gradebook(room.course.db_url) as gradebook:
        gradebook.update_or_create_assignment(NAME, duedate=due)


@contextlib.contextmanager
def notebook_of(room, student="ada"):
    with Gradebook(room.course.db_url) as gradebook:
        yield gradebook.find_submission_notebook(NAME, NAME, student)
        gradebook.db.commit()


def penalty(room):
    with notebook_of(room) as notebook:
        return notebook.late_submission_penalty


def mark_by_hand(room, **scores):
    """Enter marks as Formgrader does."""
    with notebook_of(room) as notebook:
        for grade in notebook.grades:
            if grade.name in scores:
                grade.manual_score, grade.needs_manual_grade = scores[grade.name], False


def waiting(room):
    """Return whose mark by hand waits for a person, and the marks."""
    with notebook_of(room) as notebook:
        given = [grade for grade in notebook.grades if grade.manual_score is not None]
        return (
            {grade.name for grade in given if grade.needs_manual_grade},
            {grade.name: grade.manual_score for grade in given},
        )


@pytest.fixture
def due(room):
    set_due(room)
    return room


# Late


def test_being_late_costs_what_the_class_says(due):
    write_class(ClassFile(percent_per_day=10.0))
    hand_in(due, late=timedelta(hours=30))
    assert due.autograde()
    assert penalty(due) == pytest.approx(0.4)  # of 2


def test_an_extension_given_before_the_hand_in_holds(due):
    until = DUE.replace(tzinfo=UTC) + timedelta(days=1)
    write_class(ClassFile(percent_per_day=10.0, extensions={NAME: {"ada": until}}))
    hand_in(due, late=timedelta(hours=20))
    hand_in(due, late=timedelta(hours=20), student="bob")
    assert due.autograde()
    assert penalty(due) is None
    with notebook_of(due, "bob") as notebook:
        assert notebook.late_submission_penalty == pytest.approx(0.2)


def test_a_penalty_is_made_anew_when_marks_or_deadlines_change(due):
    write_class(ClassFile(percent_per_day=10.0))
    hand_in(due, late=timedelta(hours=1))
    assert due.autograde()
    mark_by_hand(due, why=3.0)
    renew_penalties(due.course, due.log)
    assert penalty(due) == pytest.approx(0.5)  # of 5
    until = DUE.replace(tzinfo=UTC) + timedelta(days=1)
    write_class(replace(read_class(), extensions={NAME: {"ada": until}}))
    renew_penalties(due.course, due.log)
    assert not penalty(due)


def test_an_extension_never_ends_before_the_due_date_of_everybody(due):
    until = DUE.replace(tzinfo=UTC) - timedelta(days=1)
    write_class(ClassFile(percent_per_day=10.0, extensions={NAME: {"ada": until}}))
    hand_in(due)
    assert due.autograde()
    assert penalty(due) is None


def test_a_plugin_that_fails_costs_nobody_a_mark(due):
    hand_in(due, late=timedelta(hours=1))
    assert due.autograde()
    plugin = "class Broken(BasePlugin):\n    pass\n"
    module = Path(due.course.root) / "broken_plugin.py"
    module.write_text(f"from nbgrader.plugins import BasePlugin\n{plugin}")
    due.config.AssignLatePenalties.plugin_class = "broken_plugin.Broken"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(module.parent))
        assert not due.autograde()
    assert due.scores() == {"ada": 2.0}
    assert any("plugin for late penalties, Broken, stopped" in line for line in due.lines)


# By hand


def test_a_mark_by_hand_waits_again_where_the_answer_changed(due):
    hand_in(due)
    assert due.autograde()
    mark_by_hand(due, why=3.0)
    hand_in(due, why="For another reason.", late=timedelta(minutes=1))
    assert due.autograde()
    assert waiting(due) == ({"why"}, {"why": 3.0})


def test_a_mark_by_hand_stays_where_its_answer_did(due):
    hand_in(due)
    assert due.autograde()
    mark_by_hand(due, why=3.0)
    hand_in(due, code=f"{RIGHT}  # as before", late=timedelta(minutes=1))
    assert due.autograde()
    assert due.autograde()  # and a regrade asks nothing
    assert waiting(due) == (set(), {"why": 3.0})


def test_a_mark_over_a_check_waits_again_where_any_answer_or_its_points_changed(due):
    hand_in(due, code=WRONG)
    assert due.autograde()
    mark_by_hand(due, **{"double-check": 1.0})
    assert due.autograde()
    assert waiting(due) == (set(), {"double-check": 1.0})
    hand_in(due, late=timedelta(minutes=1))
    assert due.autograde()
    assert waiting(due) == ({"double-check"}, {"double-check": 1.0})


def test_a_mark_of_a_task_waits_again_with_each_new_submission(due):
    hand_in(due)
    assert due.autograde()
    mark_by_hand(due, draw=1.0)
    assert due.autograde()
    assert waiting(due) == (set(), {"draw": 1.0})
    hand_in(due, late=timedelta(minutes=1))
    assert due.autograde()
    assert waiting(due) == ({"draw"}, {"draw": 1.0})


def test_what_waits_goes_on_waiting_when_grading_stops_before_it_is_noted(due, monkeypatch):
    hand_in(due)
    assert due.autograde()
    mark_by_hand(due, why=3.0)
    hand_in(due, why="For another reason.", late=timedelta(minutes=1))
    with monkeypatch.context() as patch:
        stop = OSError("the disk is full")
        patch.setattr(
            "nbgrader.preprocessors.SaveAutoGrades.preprocess_cell",
            lambda *about: (_ for _ in ()).throw(stop),
        )
        assert not due.autograde()
    assert due.autograde()
    assert waiting(due) == ({"why"}, {"why": 3.0})


# Earlier submissions


def test_the_mark_that_a_new_submission_replaces_is_kept(due):
    hand_in(due)
    assert due.autograde()
    mark_by_hand(due, why=3.0)
    hand_in(due, code=WRONG, late=timedelta(minutes=1))
    assert due.autograde()
    assert due.autograde()
    (mark,) = read_kept(NAME, "ada", NAME).earlier
    assert (mark.at, mark.score, mark.penalty) == (DUE.isoformat(), 5.0, 0.0)
    assert mark.cells == {"double-check": 2.0, "why": 3.0, "draw": 0.0}
    assert due.scores() == {"ada": 0.0}


# A database that does not answer


@pytest.mark.parametrize(
    ("url", "why", "said"),
    [
        ("sqlite:///g.db", "database is locked", "Another program writes it"),
        ("sqlite:///g.db", "unable to open database file", "Can this user write"),
        ("postgresql+psycopg://gqa:hush@db/gqa", "terminated", "Is the database server running"),
    ],
)
def test_a_gradebook_that_does_not_answer_is_told_with_what_helps(url, why, said):
    with pytest.raises(OSError, match=said) as told, telling(url):  # noqa: PT012
        try:
            raise OperationalError("SELECT 1", {}, Exception(why))
        except OperationalError:
            raise NbGraderException("run `nbgrader db upgrade`")  # noqa: B904
    assert why in str(told.value)
    assert "upgrade" not in str(told.value)
    assert "hush" not in str(told.value)


def test_a_gradebook_of_an_older_version_is_still_told_to_be_upgraded():
    with pytest.raises(NbGraderException, match="upgrade"), telling("sqlite:///g.db"):  # noqa: PT012
        try:
            raise OperationalError("SELECT 1", {}, Exception("no such column: x"))
        except OperationalError:
            raise NbGraderException("run `nbgrader db upgrade`")  # noqa: B904


def test_the_record_is_text_that_other_programs_read(due):
    hand_in(due)
    assert due.run(Autograde)
    path = Path(due.course.root).parent / "marks" / NAME / "ada" / f"{NAME}.json"
    assert json.loads(path.read_text())["at"] == DUE.isoformat()
