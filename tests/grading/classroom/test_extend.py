"""More time for one student, what students are told of due dates, and the class's own nbgrader."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from nbgrader.api import Gradebook
from nbgrader.plugins import BasePlugin

from gqa_lib.cli import main
from gqa_lib.course import places
from gqa_lib.course.manifest import find_lesson
from gqa_lib.learn.progress.due import due_of
from grading.classroom.cron import crontab
from grading.classroom.due import load_due_dates
from grading.classroom.extend import extend
from grading.classroom.gradebook import open_gradebook
from grading.classroom.hand_marks import marks_to_check, text_of
from grading.intake.class_file import ClassFile, read_class, write_class
from grading.intake.lateness import ClassPenalty, late_costs
from grading.nb.steps import course_of
from grading.pipeline.late import renew_penalties
from grading.settings import COURSE_ID, class_config, nbgrader_config, released_copy

LESSON, OTHER = find_lesson("04"), find_lesson("05")
DUE = datetime(2027, 1, 15, 12)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    path = tmp_path_factory.mktemp("empty") / "gradebook.db"
    Gradebook(f"sqlite:///{path}", COURSE_ID).close()
    return path


@pytest.fixture(autouse=True)
def instructor(empty, tmp_path, monkeypatch):
    """A gradebook with a lesson of 4 points that is due, and Ada, who has not handed in."""
    for name in ("home", "exchange", "jupyter"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_EXCHANGE", str(tmp_path / "exchange"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "jupyter"))
    shutil.copy(empty, tmp_path / "home")
    write_class(ClassFile(timezone="Europe/Berlin", percent_per_day=10.0))
    with open_gradebook() as gradebook:
        gradebook.add_student("ada")
        gradebook.add_assignment(LESSON.slug, duedate=DUE)
        gradebook.add_notebook(LESSON.slug, LESSON.slug)
        gradebook.add_grade_cell("a-check", LESSON.slug, LESSON.slug, max_score=4, cell_type="code")


def hand_in(late):
    """Enter a graded submission with full marks."""
    with open_gradebook() as gradebook:
        submission = gradebook.add_submission(LESSON.slug, "ada", timestamp=DUE + late)
        grade = submission.notebooks[0].grades[0]
        grade.auto_score, grade.needs_manual_grade = 4.0, False
        gradebook.db.commit()


def row():
    with open_gradebook() as gradebook:
        found = gradebook.find_submission(LESSON.slug, "ada")
        return found.extension, found.notebooks[0].late_submission_penalty


def renew(config=None):
    course = course_of(LESSON, config or class_config())
    renew_penalties(course, course.log)


def test_more_time_before_the_hand_in_holds_when_it_comes(capsys):
    assert main(["extend", "ada", "04", "--days", "2"]) == 0
    said = capsys.readouterr().out
    assert "ada has until 2027-01-17 13:00 CET" in said
    hand_in(late=DAY)
    renew()
    assert row() == (2 * DAY, None)


def test_more_time_after_the_hand_in_takes_the_penalty_back_and_can_be_taken_away():
    hand_in(late=DAY)
    renew()
    assert row()[1] == pytest.approx(0.4)
    assert main(["extend", "ada", "4", "--hours", "23"]) == 0
    assert row() == (DAY - timedelta(hours=1), pytest.approx(0.4))
    assert main(["extend", "ada", "4", "--until", "2027-01-16 14:00"]) == 0
    assert row() == (DAY + timedelta(hours=1), None)
    assert main(["extend", "ada", "4", "--none"]) == 0
    assert row() == (None, pytest.approx(0.4))
    assert read_class().extensions == {LESSON.slug: {}} or not read_class().extensions


def test_an_extension_by_nbgraders_own_way_is_left_alone():
    hand_in(late=DAY)
    with open_gradebook() as gradebook:
        gradebook.grant_extension(LESSON.slug, "ada", days=3)
    renew()
    assert row() == (3 * DAY, None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["adda", "04", "--days", "1"], "no student 'adda'.*There are ada"),
        (["ada", "05", "--days", "1"], "has no due date"),
        (["ada", "04", "--until", "2027-01-01"], "not after.*2027-01-15 13:00 CET"),
        (["ada", "04", "--until", "soon"], "'soon' is not a date"),
        (["ada", "04"], "give either"),
        (["ada", "04", "--days", "1", "--none"], "give either"),
        (["ada", "04", "--days", "-1"], "-1 days and 0 hours are not an extension"),
        (["ada", "04", "--days", "nan"], "are not an extension"),
        (["ada", "04", "--days", "1e300"], "are not an extension"),
    ],
)
def test_what_is_no_extension_is_refused_with_the_reason(arguments, said, capsys):
    before = read_class()
    assert main(["extend", *arguments]) == 1
    error = capsys.readouterr().err
    assert "Traceback" not in error
    with pytest.raises(ValueError, match=said):
        raise ValueError(error)
    assert read_class() == before


def test_due_lists_dates_penalty_and_who_has_more_time(capsys):
    extend("ada", LESSON, longer=DAY)
    capsys.readouterr()
    assert main(["due"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{LESSON.slug}: due 2027-01-15 13:00 CET, which is 2027-01-15 12:00 UTC",
        f"  {LESSON.slug}: ada has until 2027-01-16 13:00 CET",
        "Late penalty: 10 % a day, 100 % at most",
    ]
    assert main(["due", "--late-penalty", "20"]) == 0
    assert "20 % a day" in capsys.readouterr().out


def test_cron_collects_again_when_the_last_student_is_due():
    extend("ada", LESSON, longer=DAY)
    at = (DUE.replace(tzinfo=UTC) + DAY + timedelta(minutes=1)).astimezone()
    line = crontab([LESSON]).splitlines()[-1]
    assert line.startswith(f"{at.minute} {at.hour} {at.day} {at.month} * ")


def test_a_due_date_stands_next_to_the_release_where_students_read_it(tmp_path):
    folder = released_copy(LESSON).parent
    folder.mkdir(parents=True)
    dates = tmp_path / "due.csv"
    dates.write_text("lesson,due\n4,2027-02-01 18:00\n")
    load_due_dates(dates)
    assert (folder / "due.txt").read_text().startswith("Due 2027-02-01 18:00 CET\n")
    assert due_of(LESSON.slug) == datetime(2027, 2, 1, 17, tzinfo=UTC)
    dates.write_text("lesson,due\n4,\n")
    load_due_dates(dates)
    assert not list(folder.iterdir())
    assert due_of(LESSON.slug) is None


# nbgrader's own configuration


PLUGIN = """
from nbgrader.plugins import BasePlugin
class OnePerHour(BasePlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return 1.0
"""
NAMED = """
c = get_config()
c.AssignLatePenalties.plugin_class = "late_plugin.OnePerHour"
c.ExchangeCollect.check_owner = False
c.CourseDirectory.course_id = "another"
c.ClearSolutions.begin_solution_delimeter = "BEGIN MINE"
"""


@pytest.mark.parametrize("where", ["user", "course"])
def test_the_plugin_of_nbgraders_own_files_is_used(tmp_path, monkeypatch, where):
    folder = tmp_path / "jupyter"
    if where == "course":
        folder = Path(nbgrader_config().CourseDirectory.root)
        folder.mkdir(exist_ok=True)
    else:
        monkeypatch.syspath_prepend(str(folder))
    (folder / "nbgrader_config.py").write_text(NAMED)
    (folder / "late_plugin.py").write_text(PLUGIN)
    monkeypatch.delitem(__import__("sys").modules, "late_plugin", raising=False)
    config = class_config()
    assert late_costs(config)
    assert config.ExchangeCollect.check_owner is False
    assert config.CourseDirectory.course_id == "gqa"
    assert "begin_solution_delimeter" not in config.ClearSolutions
    assert "*.before-*.ipynb" in config.CourseDirectory.ignore.get_value(["x"])
    hand_in(late=timedelta(hours=1))
    renew(config)
    assert row()[1] == 1.0


def test_without_files_of_nbgraders_own_the_class_file_rules():
    config = class_config()
    assert config.AssignLatePenalties.plugin_class is ClassPenalty
    assert late_costs(config)
    write_class(ClassFile())
    assert not late_costs(config)
    config.AssignLatePenalties.plugin_class = BasePlugin
    assert late_costs(config)


def test_a_file_that_cannot_run_is_named_and_nothing_is_graded_without_it(tmp_path, capsys):
    (tmp_path / "jupyter" / "nbgrader_config.py").write_text("c = get_confg()")
    assert main(["grade", "04"]) == 1
    said = capsys.readouterr().err
    assert f"{tmp_path}/jupyter/nbgrader_config.py cannot be used (NameError" in said
    assert "late penalties" in said


# Marks by hand


def test_marks_by_hand_of_changed_answers_are_told(capsys):
    hand_in(late=timedelta())
    with open_gradebook() as gradebook:
        grade = gradebook.find_submission(LESSON.slug, "ada").notebooks[0].grades[0]
        grade.manual_score = 3.0
        gradebook.db.commit()
        assert text_of(marks_to_check(gradebook.db, LESSON)) == ""
        grade.needs_manual_grade = True
        gradebook.db.commit()
        said = text_of(marks_to_check(gradebook.db, LESSON))
    assert "changed since: 1" in said
    assert "  ada: a (3 of 4)" in said
    assert not (places.home() / "marks").exists()
