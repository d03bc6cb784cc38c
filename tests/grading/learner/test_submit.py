"""The learner's round: right, half-right, empty and broken submissions, and what may go wrong."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

import grading.learner.submit
from gqa_lib.course import places
from gqa_lib.course.manifest import find_lesson, lessons
from gqa_lib.learn import progress
from gqa_lib.learn.guide.work import put_lessons
from grading.authoring.catalogue import filled, first_right, picked
from grading.intake.reading import MAX_FILE
from grading.intake.rebuild import rebuild, unanswered
from grading.learner.demo import HALF_WAY
from grading.learner.report import report
from grading.learner.submit import SubmitError, release_all, submit, work_notebook
from grading.limited import sandbox
from grading.nb.cells import grade_id, read_notebook
from grading.safe import execute
from grading.settings import gradebook_url

LESSON = find_lesson("01")
BIN = Path(sys.executable).parent


@pytest.fixture(autouse=True)
def learner(tmp_path, monkeypatch):
    """A learner with fresh copies of the lessons and no records."""
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_WORK", str(tmp_path / "work"))
    monkeypatch.delenv("GQA_EXCHANGE", raising=False)
    put_lessons()
    return tmp_path


def write(notebook):
    nbformat.write(notebook, str(work_notebook(LESSON)))


def right():
    on_the_others = picked(LESSON, {"MultiHeadAttention": "weights used directly"})
    return filled(read_notebook(LESSON.pristine), first_right(LESSON) | on_the_others)


def half_way():
    return filled(read_notebook(LESSON.pristine), picked(LESSON, HALF_WAY))


def edited(change):
    """Write the right sample after `change(cells)` and return the notebook."""
    notebook = right()
    change(notebook.cells)
    write(notebook)
    return notebook


def place_of(cells, name):
    return next(i for i, cell in enumerate(cells) if grade_id(cell) == name)


def test_a_right_submission_gets_every_point_and_is_kept(learner):
    write(right())
    before = work_notebook(LESSON).read_bytes()
    marks = submit(LESSON)
    assert (marks.score, marks.max_score) == (16, 16)
    assert work_notebook(LESSON).read_bytes() == before
    assert "causal_mask" in marks.feedback.read_text(encoding="utf-8")
    assert progress.scores_of(LESSON.slug) == [(16, 16)]
    assert "16 of 16 points" in report(LESSON, marks)
    with Gradebook(f"sqlite:///{places.home()}/gradebook.db") as gradebook:
        submission = gradebook.assignment_submissions(LESSON.slug)[0]
        assert submission.score == 16

    write(half_way())
    again = submit(LESSON)
    assert {name: score for name, score, _ in again.scores} == {
        "causal_mask-check": 0,
        "attention-check": 4,
        "split_heads-check": 0,
        "merge_heads-check": 1,
        "MultiHeadAttention-check": 0,
        "quiz-check": 0,
    }
    assert again.feedback.name == "latest.html"
    assert "aligned to the top left" in again.feedback.read_text(encoding="utf-8")
    assert any("MultiHeadAttention" in note for note in again.notes)
    assert "best so far 16" in report(LESSON, again)
    kept = list((places.home() / "exchange" / "gqa" / "inbound").iterdir())
    assert len(kept) == 2


def test_an_untouched_notebook_gets_nothing_and_is_told_what_is_missing():
    marks = submit(LESSON)
    assert marks.score == 0
    assert "Not answered yet: causal_mask, attention" in marks.notes[0]
    assert "Quiz: not answered yet: Q" in marks.notes[1]


def test_one_broken_cell_costs_only_what_depends_on_it():
    def break_merge(cells):
        cells[place_of(cells, "merge_heads")].source = "def merge_heads(x:\n    return"

    edited(break_merge)
    scores = {name: score for name, score, _ in submit(LESSON).scores}
    assert scores["merge_heads-check"] == scores["MultiHeadAttention-check"] == 0
    assert scores["attention-check"] == 4


def test_a_warning_costs_nothing_and_cells_of_ones_own_are_not_run(learner):
    def change(cells):
        at = place_of(cells, "merge_heads")
        cells[at].source = "import warnings; warnings.warn('careful')\n" + cells[at].source
        cells.insert(0, nbformat.v4.new_code_cell("import time; time.sleep(3600)"))

    edited(change)
    marks = submit(LESSON)
    assert marks.score == 16
    assert any("You added 1 code cell." in note for note in marks.notes)


def test_gqa_submit_works_with_nothing_of_ours_on_the_path(learner):
    write(right())
    done = subprocess.run(
        [BIN / "gqa", "submit", "01"],
        env=os.environ | {"PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        cwd=learner,
    )
    assert done.returncode == 0, done.stderr
    assert "16 of 16 points" in done.stdout
    assert done.stderr == ""


def test_a_round_that_stops_half_way_changes_nothing(monkeypatch):
    submit(LESSON)
    gradebook = places.home() / "gradebook.db"
    before = gradebook.read_bytes()
    write(right())
    mine = work_notebook(LESSON).read_bytes()

    def die(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(grading.learner.submit, "GenerateFeedback", die)
    with pytest.raises(KeyboardInterrupt):
        submit(LESSON)
    assert gradebook.read_bytes() == before
    assert work_notebook(LESSON).read_bytes() == mine
    assert len(progress.scores_of(LESSON.slug)) == 1
    monkeypatch.undo()


def exercises_changed():
    """Make the gradebook's lesson one with another exercise, released some time ago."""
    with Gradebook(gradebook_url()) as gradebook:
        gradebook.add_grade_cell(
            "gone-check", LESSON.slug, LESSON.slug, max_score=1, cell_type="code"
        )
    shutil.rmtree(places.home() / "course" / "release" / LESSON.slug)


def test_a_lesson_whose_exercises_changed_can_be_submitted_again():
    submit(LESSON)
    exercises_changed()
    write(right())
    assert submit(LESSON).score == 16
    assert progress.scores_of(LESSON.slug) == [(0, 16), (16, 16)]


def test_a_lesson_whose_exercises_changed_keeps_the_marks_of_others():
    submit(LESSON)
    with Gradebook(gradebook_url()) as gradebook:
        gradebook.add_student("amelia")
        gradebook.add_submission(LESSON.slug, "amelia")
    exercises_changed()
    with pytest.raises(SubmitError, match="other people's marks"):
        submit(LESSON)
    with Gradebook(gradebook_url()) as gradebook:
        assert gradebook.find_submission(LESSON.slug, "amelia")


def test_a_class_submission_is_handed_in_and_not_graded_here(learner, monkeypatch):
    release_all()
    monkeypatch.setenv("GQA_EXCHANGE", str(places.home() / "exchange"))
    marks = submit(LESSON)
    (handed_in,) = (places.home() / "exchange" / "gqa" / "inbound").iterdir()
    assert (handed_in / f"{LESSON.slug}.ipynb").read_bytes() == work_notebook(LESSON).read_bytes()
    assert marks.scores == []
    assert "Feedback comes from your instructor" in report(LESSON, marks)


def test_a_process_that_ends_costs_its_own_exercise_and_says_why():
    def end(cells):
        cells[place_of(cells, "split_heads")].source = "import os; os._exit(3)"

    edited(end)
    marks = submit(LESSON)
    scores = {name.removesuffix("-check"): score for name, score, _ in marks.scores}
    assert (scores["split_heads"], scores["attention"], scores["merge_heads"]) == (0, 4, 1)
    assert "Your code was stopped: its process ended" in marks.feedback.read_text("utf-8")
    assert progress.scores_of(LESSON.slug) == [(marks.score, 16)]


def test_an_answer_that_imports_the_librarys_is_told_so():
    def borrow(cells):
        borrowed = "from gqa_lib.attention import GroupedQueryAttention as MultiHeadAttention"
        cells[place_of(cells, "MultiHeadAttention")].source = borrowed

    edited(borrow)
    marks = submit(LESSON)
    assert {name: score for name, score, _ in marks.scores}["MultiHeadAttention-check"] == 0
    page = marks.feedback.read_text("utf-8")
    assert "gqa_lib.attention holds the library" in page
    assert "because the cell of the answer stopped" in page


def test_ones_own_code_runs_without_a_sandbox_where_there_is_none_and_that_is_said(monkeypatch):
    monkeypatch.setattr(sandbox, "sandbox_problem", lambda: "bubblewrap (bwrap) is not installed.")
    monkeypatch.setattr(execute, "_processes", {})
    write(right())
    marks = submit(LESSON)
    assert marks.score == 16
    assert any("without a sandbox" in note for note in marks.notes)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "it is empty"),
        ("{", "not readable JSON"),
        ("1", "names no nbformat"),
        ("null", "names no nbformat"),
        ("[1, 2]", "names no nbformat"),
        ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{}]}', "not a valid"),
        ('{"nbformat": 4, "nbformat_minor": 6, "cells": [{"cell_type": "zz"}]}', "no known kind"),
        ('{"nbformat": 99, "nbformat_minor": 0, "metadata": {}, "cells": []}', "says nbformat 99"),
        (
            '{"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": '
            '[{"cells": [{"cell_type": "heading", "level": 1500000000, "source": "x"}]}]}',
            "takes more than 10 s or 1 GiB",
        ),
    ],
)
def test_an_unreadable_notebook_is_refused_with_a_sentence(content, said):
    work_notebook(LESSON).write_text(content)
    with pytest.raises(SubmitError, match=said):
        submit(LESSON)
    assert not (places.home() / "gradebook.db").exists()


def test_a_notebook_that_grading_would_not_read_is_not_submitted():
    with work_notebook(LESSON).open("a") as file:
        file.write(" " * MAX_FILE)
    with pytest.raises(SubmitError, match=r"larger than 50 MB.*Clear its outputs"):
        submit(LESSON)


def test_a_missing_or_renamed_notebook_is_named(learner):
    path = work_notebook(LESSON)
    path.rename(path.with_name("my attention.ipynb"))
    with pytest.raises(SubmitError, match=r"There is my attention.ipynb: .*rename it back"):
        submit(LESSON)
    shutil.rmtree(path.parent)
    with pytest.raises(SubmitError, match=r"is not there.*gqa lab 01"):
        submit(LESSON)


def test_the_command_reports_without_a_traceback(learner):
    work_notebook(LESSON).write_text("{")
    done = subprocess.run([BIN / "gqa", "submit", "1"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "not readable JSON" in done.stderr
    assert "Traceback" not in done.stderr


def test_nbgraders_own_commands_use_the_same_course(learner):
    release_all()
    listed = subprocess.run(
        [BIN / "nbgrader", "list"], capture_output=True, text=True, cwd=places.work()
    )
    for lesson in lessons():
        assert f"gqa {lesson.slug} (already downloaded)" in listed.stderr
    write(right())
    valid = subprocess.run(
        [BIN / "nbgrader", "validate", work_notebook(LESSON)], capture_output=True, text=True
    )
    assert "Your notebook passes all the tests" in valid.stdout, valid.stderr


# Rebuilding a submission


def rebuilt_from(change):
    notebook = edited(change)
    return rebuild(notebook, read_notebook(LESSON.pristine))


def test_a_deleted_exercise_comes_back_empty_and_is_noted():
    rebuilt, notes = rebuilt_from(lambda cells: cells.pop(place_of(cells, "attention")))
    assert unanswered(rebuilt, read_notebook(LESSON.pristine)) == ["attention"]
    assert any("attention is gone" in note for note in notes)


def test_a_deleted_or_edited_check_is_the_released_one():
    def change(cells):
        cells.pop(place_of(cells, "attention-check"))
        at = cells[place_of(cells, "causal_mask-check")]
        at.source, at.metadata["nbgrader"]["points"] = "pass", 99

    rebuilt, notes = rebuilt_from(change)
    released = read_notebook(LESSON.pristine)
    for name in ("attention-check", "causal_mask-check"):
        one, other = (n.cells[place_of(n.cells, name)] for n in (rebuilt, released))
        assert one == other
    assert any("attention-check was deleted" in note for note in notes)


def test_of_copied_exercises_the_last_edited_one_counts():
    def change(cells):
        at = place_of(cells, "attention")
        stub = read_notebook(LESSON.pristine).cells[at]
        cells.insert(at, nbformat.from_dict({**cells[at], "source": "first = 1"}))
        cells.insert(at + 2, stub)

    rebuilt, notes = rebuilt_from(change)
    assert "einsum" in rebuilt.cells[place_of(rebuilt.cells, "attention")].source
    assert any("is there 3 times" in note for note in notes)


def test_cells_that_skip_execution_do_not_skip_a_check():
    def change(cells):
        cells[place_of(cells, "attention-check")].metadata["tags"] = ["skip-execution"]

    rebuilt, _ = rebuilt_from(change)
    assert "tags" not in rebuilt.cells[place_of(rebuilt.cells, "attention-check")].metadata
