"""Grading a class: in parallel, changed submissions only, killed and resumed, honest marks."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from nbgrader.utils import compute_checksum

import grading.pipeline.ahead
import grading.pipeline.batch
from gqa_lib.course.manifest import find_lesson
from grading.authoring.catalogue import catalogue, filled, first_right
from grading.classroom.round import grade_class
from grading.intake.class_file import set_course_seed
from grading.limited import sandbox
from grading.nb.cells import grade_id, read_notebook
from grading.nb.steps import course_of
from grading.pipeline.autograde import autograde
from grading.pipeline.batch import NOTE, GradeError
from grading.safe import execute
from grading.safe.outputs import error_output
from grading.settings import gradebook_url, nbgrader_config

pytestmark = pytest.mark.skipif(
    bool(sandbox.sandbox_problem()), reason=f"no sandbox here: {sandbox.sandbox_problem()}"
)
LESSON = find_lesson("00")
RIGHT = first_right(LESSON)
EXERCISE, _ = RIGHT  # and the quiz, which nobody here answers
WRONG = next(one.source for one in catalogue(LESSON) if not one.right)
FULL, NOTHING = 2.0, 0.0


@pytest.fixture
def course(tmp_path, monkeypatch, released):
    """A class in which lesson 00 is released."""
    released(LESSON, tmp_path)
    monkeypatch.setenv("GQA_HOME", str(tmp_path))
    return course_of(LESSON, nbgrader_config())


def hand_in(course, student, answer, at="2026-11-20 12:00:00.000000 UTC"):
    folder = Path(course.format_path(course.submitted_directory, student, LESSON.slug))
    folder.mkdir(parents=True, exist_ok=True)
    notebook = filled(read_notebook(LESSON.pristine), {EXERCISE: answer})
    nbformat.write(notebook, str(folder / f"{LESSON.slug}.ipynb"))
    (folder / "timestamp.txt").write_text(at)


def scores():
    with Gradebook(gradebook_url()) as gradebook:
        return {s.student.id: s.score for s in gradebook.assignment_submissions(LESSON.slug)}


def test_a_class_is_graded_and_then_only_what_changed(course, capsys):
    answers = {"ada": RIGHT[EXERCISE], "ben": WRONG, "cy": "def " + EXERCISE + "(:"}
    for student, answer in answers.items():
        hand_in(course, student, answer)
    assert sorted(grade_class(LESSON, workers=2).graded) == ["ada", "ben", "cy"]
    assert scores() == {"ada": FULL, "ben": NOTHING, "cy": NOTHING}
    assert "3 graded" in capsys.readouterr().out

    hand_in(course, "ben", RIGHT[EXERCISE])
    again = grade_class(LESSON)
    assert (again.graded, sorted(again.unchanged)) == (["ben"], ["ada", "cy"])
    assert scores()["ben"] == FULL
    told = capsys.readouterr().out
    assert "ben" in told
    assert "1 up by 2 points" in told

    assert grade_class(LESSON, students=["ada"], everything=True).graded == ["ada"]
    set_course_seed(7)  # other draws: every mark is to be made again
    assert len(grade_class(LESSON).graded) == 3
    assert grade_class(LESSON).graded == []


def test_equal_submissions_are_run_ahead_each_and_never_a_second_time(course, monkeypatch):
    for student in ("ada", "ben", "cy"):
        hand_in(course, student, RIGHT[EXERCISE])
    monkeypatch.setattr(execute, "processes_for", None)  # where what did not run ahead would run
    assert sorted(grade_class(LESSON, workers=2).graded) == ["ada", "ben", "cy"]
    assert scores() == dict.fromkeys(("ada", "ben", "cy"), FULL)


def test_what_took_too_long_beside_others_runs_once_more_after_all_others(course, monkeypatch):
    for student in ("ada", "ben", "cy"):
        hand_in(course, student, RIGHT[EXERCISE])
    hand_in(course, "ben", f"# slow\n{RIGHT[EXERCISE]}")
    real, ran = grading.pipeline.ahead.run_cells, []

    def too_long_for_ben(cells, *rest):
        ran.append(slow := any("# slow" in cell.source for cell in cells))
        real(cells, *rest)
        if slow and ran.count(True) == 1:
            for cell in cells:
                cell.outputs = [error_output("Stopped", "time limit")]
        return slow  # it would be too long alone, too: that then stands

    monkeypatch.setattr(grading.pipeline.ahead, "run_cells", too_long_for_ben)
    assert sorted(grade_class(LESSON, workers=2).graded) == ["ada", "ben", "cy"]
    assert (len(ran), ran.count(True), ran[-1]) == (4, 2, True)
    assert scores() == dict.fromkeys(("ada", "ben", "cy"), FULL)


def test_one_at_a_time_too_what_took_too_long_beside_others_runs_once_more(course, monkeypatch):
    hand_in(course, "ada", RIGHT[EXERCISE])
    real, ran = execute.grade_notebook, []

    def too_long_at_first(cells, *rest):
        ran.append(real(cells, *rest))
        return True

    monkeypatch.setattr(execute, "grade_notebook", too_long_at_first)
    course.student_id = "ada"
    autograde(course, logging.getLogger("quiet"))
    assert len(ran) == 2
    assert scores() == {"ada": FULL}


def test_a_new_test_regrades_what_was_graded(course):
    hand_in(course, "ada", RIGHT[EXERCISE])
    grade_class(LESSON)
    with Gradebook(gradebook_url()) as gradebook:
        cell = gradebook.find_source_cell(f"{EXERCISE}-check", LESSON.slug, LESSON.slug)
        new = next(c for c in read_notebook(LESSON.pristine).cells if grade_id(c) == cell.name)
        new.source = "assert False, 'a new test'"
        cell.source, cell.checksum = new.source, compute_checksum(new)
        gradebook.db.commit()
    assert grade_class(LESSON).graded == ["ada"]
    assert scores() == {"ada": NOTHING}


def test_one_submission_that_cannot_be_read_stops_no_other(course):
    hand_in(course, "ada", RIGHT[EXERCISE])
    hand_in(course, "ben", RIGHT[EXERCISE])
    broken = Path(course.format_path(course.submitted_directory, "ben", LESSON.slug))
    (broken / f"{LESSON.slug}.ipynb").write_text("{")
    outcome = grade_class(LESSON)
    assert sorted(outcome.graded) == ["ada", "ben"]
    assert scores() == {"ada": FULL, "ben": NOTHING}
    assert grade_class(LESSON).graded == []


HOSTILE = {  # a file's content, and what its student reads
    "one": (b"1", "it names no nbformat"),
    "null": (b"null", "it names no nbformat"),
    "kind": (
        b'{"cells": [{"cell_type": "zz"}], "nbformat": 4, "nbformat_minor": 6}',
        "its cell number 1 is of no known kind",
    ),
    "heading": (
        b'{"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells":'
        b'[{"cell_type": "heading", "level": 1500000000, "metadata": {}, "source": "x"}]}]}',
        "reading it takes more than 10 s or 1 GiB of memory",
    ),
}


def test_hostile_notebooks_get_their_verdict_and_the_others_marks_and_feedback(
    course, capsys, monkeypatch
):
    for student in ("ada", "zoe", "ben"):
        hand_in(course, student, RIGHT[EXERCISE])
    for student, (content, _) in HOSTILE.items():
        hand_in(course, student, "")
        folder = Path(course.format_path(course.submitted_directory, student, LESSON.slug))
        (folder / f"{LESSON.slug}.ipynb").write_bytes(content)
    fingerprint = grading.pipeline.batch._fingerprint

    def fails_for_ben(folder, *rest):
        if folder.parent.name == "ben":
            raise OSError("no disk")
        return fingerprint(folder, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(grading.pipeline.batch, "_fingerprint", fails_for_ben)
        outcome = grade_class(LESSON, feedback=True)
    assert outcome.failed == {"ben": "no disk"}
    assert sorted(outcome.graded) == sorted(["ada", "zoe", *HOSTILE])
    assert outcome.without_feedback == {}
    assert scores() == dict.fromkeys(HOSTILE, NOTHING) | {"ada": FULL, "zoe": FULL}
    told = capsys.readouterr().out
    assert "ben: not graded: no disk" in told
    assert "Feedback of 6 released." in told
    for student in outcome.graded:
        page = Path(course.format_path(course.feedback_directory, student, LESSON.slug))
        text = (page / f"{LESSON.slug}.html").read_text(encoding="utf-8")
        assert HOSTILE.get(student, ("", f"{LESSON.slug}: 2 of "))[1] in text

    assert grade_class(LESSON).graded == ["ben"]
    assert scores()["ben"] == FULL


@pytest.mark.parametrize("step", ["batch._fingerprint", "ahead._cells_to_run"])
def test_an_exception_before_nbgraders_steps_loses_no_submission(course, monkeypatch, step):
    for student in ("ada", "ben"):
        hand_in(course, student, RIGHT[EXERCISE])
    module, _, name = step.partition(".")
    module = getattr(grading.pipeline, module)
    real = getattr(module, name)

    def fails_for_ben(folder, *rest):
        if folder.parent.name == "ben":
            raise TypeError("something unforeseen")
        return real(folder, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, fails_for_ben)
        outcome = grade_class(LESSON, workers=2)
    assert (sorted(outcome.graded), outcome.failed) == (["ada", "ben"], {})
    assert scores() == {"ada": FULL, "ben": FULL}
    log = (Path(os.environ["GQA_HOME"]) / "grade.log").read_text()
    assert "stopped with `TypeError: something unforeseen`" in log
    assert grade_class(LESSON).unchanged == (
        ["ada"] if step == "batch._fingerprint" else ["ada", "ben"]
    )


def test_a_folder_whose_name_is_no_text_is_named_and_stops_nobody(course, capsys):
    odd = os.fsdecode(b"J\xfcrgen")
    for student in ("ada", odd):
        hand_in(course, student, RIGHT[EXERCISE])
    outcome = grade_class(LESSON, workers=2, feedback=True)
    assert outcome.graded == ["ada"]
    assert list(outcome.failed) == [odd]
    said = capsys.readouterr().out
    said.encode()
    assert "J?rgen: not graded: " in said
    with pytest.raises(GradeError, match=r"There are J\?rgen, ada") as error:
        grade_class(LESSON, students=["zoe"])
    str(error.value).encode()


def test_students_without_a_submission_and_two_gradings_at_once_are_named(course):
    with pytest.raises(GradeError, match="Collect first"):
        grade_class(LESSON)
    hand_in(course, "ada", RIGHT[EXERCISE])
    with pytest.raises(GradeError, match=r"zoe: no submission.*There are ada"):
        grade_class(LESSON, students=["zoe"])
    with (Path(os.environ["GQA_HOME"]) / "grade.lock").open("w") as lock:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(GradeError, match="another `gqa grade` is running"):
            grade_class(LESSON)


def test_a_grading_that_is_killed_goes_on_and_grades_each_once(course, tmp_path):
    everyone = [f"s{number:02}" for number in range(8)]
    for number, student in enumerate(everyone):
        hand_in(course, student, RIGHT[EXERCISE] if number % 2 else WRONG)
    noted: dict[str, float] = {}

    def notes():
        return {p.parents[1].name: p.stat().st_mtime for p in tmp_path.rglob(NOTE)}

    command = [sys.executable, "-m", "gqa_lib.cli", "grade", LESSON.number, "--workers", "2"]
    for least in (1, 4):
        nowhere = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
        running = subprocess.Popen(command, **nowhere)
        give_up = time.monotonic() + 600
        while len(notes()) < least and running.poll() is None and time.monotonic() < give_up:
            time.sleep(0.02)
        running.send_signal(signal.SIGKILL)
        running.wait()
        noted |= {student: at for student, at in notes().items() if student not in noted}
    outcome = grade_class(LESSON)
    assert sorted([*outcome.graded, *outcome.unchanged]) == everyone
    assert set(outcome.unchanged) == set(noted)  # once noted, never graded again
    assert all(notes()[student] == at for student, at in noted.items())
    expected = {s: FULL if n % 2 else NOTHING for n, s in enumerate(everyone)}
    assert scores() == expected


def test_other_peoples_code_is_refused_without_a_sandbox(course, monkeypatch):
    hand_in(course, "ada", RIGHT[EXERCISE])
    monkeypatch.setattr(sandbox, "sandbox_problem", lambda: "bubblewrap (bwrap) is not installed.")
    with pytest.raises(sandbox.NoSandbox, match="bubblewrap"):
        grade_class(LESSON)
    assert scores() == {}


def test_nbgraders_own_autograde_takes_the_same_way(course):
    hand_in(course, "ada", RIGHT[EXERCISE])
    hand_in(course, "eve", "import os\nos._exit(0)")
    hand_in(course, "one", "")
    broken = Path(course.format_path(course.submitted_directory, "one", LESSON.slug))
    (broken / f"{LESSON.slug}.ipynb").write_text("1")
    binary = Path(sys.executable).with_name("nbgrader")
    done = subprocess.run(
        [binary, "autograde", LESSON.slug], capture_output=True, text=True, cwd=course.root
    )
    assert done.returncode == 0, done.stderr
    assert scores() == {"ada": FULL, "eve": NOTHING, "one": NOTHING}
    assert "names no nbformat" in (broken / f"{LESSON.slug}.ipynb").read_text()
    page = Path(course.format_path(course.autograded_directory, "eve", LESSON.slug))
    graded = json.loads((page / f"{LESSON.slug}.ipynb").read_text())
    told = [o for cell in graded["cells"] for o in cell.get("outputs", []) if "evalue" in o]
    assert any("Your code was stopped: its process ended" in one["evalue"] for one in told)
    shutil.rmtree(page)
