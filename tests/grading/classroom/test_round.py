"""Collecting from the terminal and from cron: what is told, what waits, what is filled in."""

import os
import shutil
import subprocess
import threading
import time
from datetime import UTC, datetime

import pytest
from filelock import FileLock
from nbgrader.utils import get_username

from gqa_lib.cli import main
from gqa_lib.course import places
from gqa_lib.course.manifest import find_lesson
from grading.classroom import cron, round
from grading.classroom.cron import crontab
from grading.classroom.gradebook import open_gradebook
from grading.intake import collect
from grading.intake.arrivals import HandIns
from grading.intake.class_file import ClassFile, write_class
from grading.intake.exchange import prepare_exchange
from grading.intake.inbound import claimed_time
from grading.intake.troubles import read_troubles
from grading.pipeline.batch import GradeError, Outcome

LESSON = find_lesson("00")
FILE = f"{LESSON.slug}.ipynb"


@pytest.fixture
def graded(tmp_path, monkeypatch, released):
    """A class in which lesson 00 is released; what is to be graded is only noted."""
    released(LESSON, tmp_path / "home")
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_EXCHANGE", str(tmp_path / "exchange"))
    monkeypatch.delenv("GQA_GRADEBOOK", raising=False)
    prepare_exchange(tmp_path / "exchange", "gqa")
    done = []

    def grade(course, *args, **named):
        done.append(course.assignment_id)
        return Outcome()

    monkeypatch.setattr(round, "grade", grade)
    return done


def hand_in(tmp_path, student, at="now"):
    folder = tmp_path / "exchange" / "gqa" / "inbound" / f"{student}+{LESSON.slug}+{at}+x"
    folder.mkdir()
    (folder / FILE).write_bytes(LESSON.pristine.read_bytes())
    (folder / "timestamp.txt").write_text("2026-03-01 12:00:00 UTC")
    return folder


def test_how_many_were_not_collected_and_why_is_told(graded, tmp_path, capsys):
    hand_in(tmp_path, get_username())
    for number in range(7):
        hand_in(tmp_path, "nobodys", at=str(number))
    round.grade_class(LESSON, collect=True)
    said = capsys.readouterr().out
    assert "Not collected: 7\n" in said
    assert f"it says it is from nobodys and belongs to {get_username()}" in said
    assert "and 2 lines more" in said
    assert "grade.log" in said
    assert graded == [LESSON.slug]


def test_that_all_were_collected_is_not_told(graded, tmp_path, capsys):
    hand_in(tmp_path, get_username())
    round.grade_class(LESSON, collect=True)
    assert "ot collected" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("exchange", "home", "said"),
    [
        ("elsewhere", "home", "elsewhere"),
        ("", "home", "set GQA_EXCHANGE, in a crontab too"),
        ("", "new", "set GQA_EXCHANGE, in a crontab too"),
    ],
)
def test_an_exchange_that_is_not_there_is_one_line(
    graded, tmp_path, monkeypatch, capsys, exchange, home, said
):
    monkeypatch.setenv("GQA_EXCHANGE", exchange and str(tmp_path / exchange))
    monkeypatch.setenv("GQA_HOME", str(tmp_path / home))
    with pytest.raises(GradeError, match="nothing was collected or graded") as refused:
        round.grade_class(LESSON, collect=True)
    assert said in str(refused.value)
    assert main(["grade", LESSON.number, "--collect"]) == 1
    assert "Nothing needs you" not in capsys.readouterr().out
    assert graded == []


def test_collecting_looks_at_once_and_waits_for_a_running_grading(graded, tmp_path):
    folder = hand_in(tmp_path, get_username())
    place = places.home() / "course" / "submitted" / get_username() / LESSON.slug
    with FileLock(places.home() / "grade.lock"):
        second = threading.Thread(target=lambda: round.grade_class(LESSON, collect=True))
        second.start()
        end = time.monotonic() + 60
        while "came" not in HandIns(LESSON.slug).kept["hand_ins"].get(folder.name, {}):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert second.is_alive()
        assert (graded, place.exists()) == ([], False)
    second.join(60)
    assert (graded, place.exists()) == ([LESSON.slug], True)


def test_the_crontab_runs_without_a_profile(graded, tmp_path):
    lines = crontab([LESSON]).splitlines()
    settings = dict(line.split("=", 1) for line in lines[:-1])
    command = lines[-1].removeprefix("0 0 * * * ")
    assert command.endswith("grade 00 --collect")
    environment = settings | {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True)
    assert "Collect first" in ran.stderr, ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_crontab_has_the_minute_after_a_lesson_is_due(graded, tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        with open_gradebook() as gradebook:
            due = datetime(2027, 1, 15, 22, 59, 59, tzinfo=UTC)
            gradebook.update_or_create_assignment(LESSON.slug, duedate=due)
        assert crontab([LESSON]).splitlines()[-1].startswith("0 0 16 1 * ")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_crontab_has_no_password_and_cron_reads_its_percent_signs(graded, monkeypatch):
    monkeypatch.setattr(cron, "_gqa", lambda: "/srv/50%/gqa")
    url = f"sqlite:///{places.home()}/gradebook.db"
    monkeypatch.setattr(cron, "open_gradebook", lambda: open_gradebook(url))
    monkeypatch.setenv("GQA_GRADEBOOK", "postgresql+psycopg://gqa:hush@localhost/gqa")
    said = crontab([LESSON])
    assert "hush" not in said
    assert r"/srv/50\%/gqa grade 00" in said
    assert os.environ["GQA_EXCHANGE"] in said


def test_what_was_not_collected_is_told_until_it_is_gone(graded, tmp_path, capsys):
    folder = hand_in(tmp_path, "nobodys", at="1")
    assert main(["grade", LESSON.number, "--collect"]) == 0
    why = f"it says it is from nobodys and belongs to {get_username()}"
    assert why in read_troubles(LESSON.slug).not_collected[folder.name]
    said = capsys.readouterr().out
    assert "Needs you:\n  1 hand-in not collected: " in said
    for _ in range(2):  # the log of a run starts empty, this does not
        assert main(["grade", LESSON.number]) == 0
        assert f"    {folder.name}: {why}" in capsys.readouterr().out
    shutil.rmtree(folder)
    assert main(["grade", LESSON.number, "--collect"]) == 0
    assert capsys.readouterr().out.endswith("Nothing needs you.\n")


def test_what_was_not_graded_is_told_until_it_is(graded, monkeypatch, capsys):
    outcomes = [
        Outcome(failed={"ada": "No space left on device", "bob": "the disk is full"}),
        Outcome(graded=["bob"]),
        Outcome(unchanged=["ada", "bob"]),
    ]
    monkeypatch.setattr(round, "grade", lambda *args, **named: outcomes.pop(0))
    assert main(["grade", LESSON.number]) == 1
    assert "2 hand-ins not graded: the machine failed: `gqa grade 00`" in capsys.readouterr().out
    assert main(["grade", LESSON.number, "--students", "bob"]) == 0
    said = capsys.readouterr().out
    assert "    ada: No space left on device" in said
    assert "bob" not in said
    assert main(["grade", LESSON.number]) == 0
    assert capsys.readouterr().out.endswith("Nothing needs you.\n")


def test_what_came_in_time_is_graded_before_what_came_late(graded, tmp_path, monkeypatch):
    write_class(ClassFile(percent_per_day=10.0))
    monkeypatch.setattr(collect, "arrival", lambda folder, names: claimed_time(folder))
    with open_gradebook() as gradebook:
        due = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
        gradebook.update_or_create_assignment(LESSON.slug, duedate=due)
    hand_in(tmp_path, get_username(), at="1")
    late = hand_in(tmp_path, get_username(), at="2")
    (late / "timestamp.txt").write_text("2026-03-01 13:00:00 UTC")
    round.grade_class(LESSON)
    assert graded == [LESSON.slug]
    round.grade_class(LESSON, collect=True)
    assert graded == [LESSON.slug] * 3


def test_where_the_best_counts_a_mark_that_fell_is_told_with_that(graded, monkeypatch, capsys):
    with open_gradebook() as gradebook:
        gradebook.add_student("ada")
        gradebook.add_submission(LESSON.slug, "ada")
    monkeypatch.setattr(round, "grade", lambda *args, **named: Outcome(graded=["ada"]))
    for counts, told in (None, False), ("best", True):
        write_class(ClassFile(lessons=counts))
        round.grade_class(LESSON)
        assert ("the best counts: `gqa export`" in capsys.readouterr().out) is told


def test_marks_by_hand_that_wait_again_and_penalties_are_seen_to(graded, capsys):
    write_class(ClassFile(percent_per_day=10.0))
    with open_gradebook() as gradebook:
        due = datetime(2026, 3, 1, 12, tzinfo=UTC)
        gradebook.update_or_create_assignment(LESSON.slug, duedate=due)
        gradebook.add_student("ada")
        late = gradebook.add_submission(LESSON.slug, "ada", timestamp=datetime(2026, 3, 1, 13))
        late.notebooks[0].grades[0].manual_score = 1.0
        gradebook.db.commit()
    round.grade_class(LESSON)
    assert "Marked by hand, and changed since: 1." in capsys.readouterr().out
    with open_gradebook() as gradebook:
        submission = gradebook.find_submission(LESSON.slug, "ada")
        assert submission.notebooks[0].late_submission_penalty == pytest.approx(0.1)
