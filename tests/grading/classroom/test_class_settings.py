"""The class's settings: one file, checked, kept whole by commands, and what it makes of marks."""

import shutil
import tomllib
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from nbgrader.api import Gradebook

from gqa_lib.cli import main
from gqa_lib.course import places
from gqa_lib.course.manifest import find_lesson
from grading.classroom.export import export, read_marks
from grading.classroom.gradebook import open_gradebook
from grading.intake.class_file import (
    BEST,
    IN_TIME,
    LATEST,
    ClassFile,
    class_path,
    make_class_file,
    read_class,
    set_course_seed,
    write_class,
)
from grading.intake.earlier import EarlierMark, Kept, write_kept
from grading.intake.lateness import ClassPenalty
from grading.settings import COURSE_ID

LESSON, QUIZ = find_lesson("04"), find_lesson("16")
ALL_SET = ClassFile(
    seed=7,
    quiz_attempts=(datetime(2027, 2, 1, 9, tzinfo=UTC),),
    timezone="Europe/Berlin",
    percent_per_day=12.5,
    max_percent=50.0,
    lessons=IN_TIME,
    quiz=LATEST,
    extensions={LESSON.slug: {'o"hara.b': datetime(2027, 1, 17, 23, tzinfo=UTC)}},
)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    path = tmp_path_factory.mktemp("empty") / "gradebook.db"
    Gradebook(f"sqlite:///{path}", COURSE_ID).close()
    return path


@pytest.fixture(autouse=True)
def instructor(empty, tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    shutil.copy(empty, tmp_path / "home")


@pytest.mark.parametrize("settings", [ClassFile(), ALL_SET])
def test_what_is_written_is_read_again(settings):
    write_class(settings)
    assert read_class() == settings


def test_a_new_file_explains_every_setting_and_sets_none():
    make_class_file()
    text = class_path().read_text()
    assert tomllib.loads(text) == {"late": {}, "counts": {}}
    uncommented = "\n".join(
        line.removeprefix("# ") if " = " in line and line.startswith("# ") else line
        for line in text.splitlines()
    )
    assert tomllib.loads(uncommented)["late"] == {"percent_per_day": 10, "max_percent": 100}
    class_path().write_text(uncommented)
    assert read_class().percent_per_day == 10


def test_a_command_keeps_the_other_settings():
    write_class(ALL_SET)
    set_course_seed(None)
    assert main(["due", "--late-penalty", "none"]) == 0
    assert read_class() == replace(ALL_SET, seed=None, percent_per_day=0.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sed = 3", "unknown setting 'sed'.*seed, quiz_attempts"),
        ("[late]\nper_day = 3", "unknown setting 'per_day'.*percent_per_day"),
        ("[late]\npercent_per_day = 120", "percent_per_day = 120.*0 to 100"),
        ("[late]\npercent_per_day = true", "percent_per_day = True"),
        ("[counts]\nquiz = 'first'", "quiz = 'first'.*'best'"),
        ("timezone = 'Berlin'", "time zone 'Berlin'.*Europe/Berlin"),
        ("timezone = 1", "time zone 1"),
        ("late = 10", r"late = 10: write it as a table, \[late\]"),
        ("[extensions.04]\nada = 2027-01-17", "extension of 'ada'.*time zone"),
        ("[extensions]\nada = 2", r"write it as a table, \[extensions.ada\]"),
        ("late = ", "cannot be read"),
    ],
)
def test_a_wrong_setting_is_named_with_what_may_stand_there(text, said):
    class_path().write_text(text)
    with pytest.raises(ValueError, match=said) as refused:
        read_class()
    assert str(class_path()) in str(refused.value)


def test_an_extension_written_by_hand_may_name_the_lesson_by_its_number():
    class_path().write_text("[extensions.04]\nada = 2027-01-17T12:00:00+01:00")
    assert read_class().until(LESSON.slug, "ada") == datetime(2027, 1, 17, 11)


@pytest.mark.parametrize(
    ("settings", "late_costs", "lesson", "quiz"),
    [
        (ClassFile(), False, LATEST, BEST),
        (ClassFile(), True, BEST, BEST),
        (ClassFile(lessons=IN_TIME, quiz=LATEST), True, IN_TIME, LATEST),
    ],
)
def test_which_hand_in_counts(settings, late_costs, lesson, quiz):
    assert settings.counts(LESSON.slug, late_costs=late_costs) == lesson
    assert settings.counts(QUIZ.slug, late_costs=late_costs) == quiz


@pytest.mark.parametrize(
    ("seconds", "penalty"), [(1, 1.0), (86_400, 1.0), (86_401, 2.0), (9 * 86_400, 4.0)]
)
def test_each_day_begun_costs_its_percent_up_to_the_most(seconds, penalty):
    write_class(ClassFile(percent_per_day=10.0, max_percent=40.0))
    assert ClassPenalty().late_submission_penalty("ada", 10.0, seconds) == pytest.approx(penalty)


def test_without_a_setting_being_late_costs_nothing():
    assert ClassPenalty().late_submission_penalty("ada", 10.0, 1) is None
    assert ClassPenalty(penalty_method="zero").late_submission_penalty("ada", 10.0, 1) == 10.0


def add_mark(gradebook, lesson, score, at):
    gradebook.add_assignment(lesson.slug)
    gradebook.add_notebook(lesson.slug, lesson.slug)
    gradebook.add_grade_cell("a", lesson.slug, lesson.slug, max_score=9, cell_type="code")
    submission = gradebook.add_submission(lesson.slug, "ada", timestamp=at)
    submission.notebooks[0].grades[0].auto_score = score
    submission.notebooks[0].grades[0].needs_manual_grade = False
    gradebook.db.commit()


@pytest.mark.parametrize(
    ("earlier", "counts"),
    [((8.0, 0.0), 8.0), ((8.0, 5.0), 4.0), ((3.0, 0.0), 4.0)],
)
def test_of_a_quiz_the_best_attempt_counts_after_its_penalty(earlier, counts, capsys):
    first, second = datetime(2027, 1, 1), datetime(2027, 1, 2)
    with open_gradebook() as gradebook:
        gradebook.add_student("ada")
        for lesson in (QUIZ, LESSON):
            add_mark(gradebook, lesson, 4.0, second)
            mark = EarlierMark(first.isoformat(), *earlier, {"a": earlier[0]})
            write_kept(lesson.slug, "ada", lesson.slug, Kept("key", "", {}, [mark]))
        marks = read_marks(gradebook.db)
    assert marks["ada", LESSON.slug].score == 4.0
    assert marks["ada", QUIZ.slug].score == counts
    assert marks["ada", QUIZ.slug].submitted_at == (second if counts == 4.0 else first)
    write_class(ClassFile(quiz=LATEST))
    export()
    assert capsys.readouterr().out.splitlines()[1].endswith(",4,4,8")


def test_a_damaged_record_of_earlier_marks_costs_nothing_that_is_there():
    with open_gradebook() as gradebook:
        gradebook.add_student("ada")
        add_mark(gradebook, QUIZ, 4.0, datetime(2027, 1, 2))
        place = places.home() / "marks" / QUIZ.slug / "ada"
        place.mkdir(parents=True)
        (place / f"{QUIZ.slug}.json").write_text('{"earlier": 3}')
        assert read_marks(gradebook.db)["ada", QUIZ.slug].score == 4.0
