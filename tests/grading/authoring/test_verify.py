"""The planted-bug gate: no wrong answer passes, no right one is refused, nbgrader agrees."""

import random

import nbformat
import pytest

from gqa_lib.course.manifest import find_lesson, lessons
from gqa_lib.learn.exercises import find_exercise
from gqa_lib.learn.guide.work import put_lessons
from grading.authoring import catalogue as catalogue_module
from grading.authoring import verify as verify_module
from grading.authoring.catalogue import Answer, catalogue, filled, first_right
from grading.authoring.run import run_graded
from grading.authoring.source import lesson_notebook
from grading.authoring.verify import verify
from grading.learner.submit import submit, work_notebook
from grading.nb.cells import is_written, known_id, read_notebook
from grading.quiz import cases

FIRST, LESSON = find_lesson("00"), find_lesson("04")


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.slug)
def test_every_bug_is_refused_and_named_and_every_right_answer_accepted(lesson):
    assert verify([lesson]) == []


def planted(monkeypatch, **changes):
    answer = {
        "exercise": "expand_kv",
        "right": False,
        "title": "an answer",
        "says": "",
        "source": "def expand_kv(kv, q_per_kv):\n    return kv.repeat_interleave(q_per_kv, 1)",
    }
    monkeypatch.setattr(verify_module, "catalogue", lambda lesson: [Answer(**answer | changes)])


def problems():
    about_one = (found for found in verify([LESSON]) if "at least" not in found)
    return [found for found in about_one if "no planted bug shows" not in found]


def test_a_bug_that_passes_is_reported(monkeypatch):
    planted(monkeypatch)
    assert problems() == ["expand_kv, wrong: an answer passes"]


def test_a_right_answer_that_is_refused_is_reported(monkeypatch):
    planted(monkeypatch, right=True, source="def expand_kv(kv, q_per_kv):\n    return kv")
    (problem,) = problems()
    assert "expand_kv, right: an answer is refused: NotYet" in problem


def test_a_bug_that_is_not_named_is_reported(monkeypatch):
    source = "def expand_kv(kv, q_per_kv):\n    return kv"
    planted(monkeypatch, source=source, says="the heads are tiled")
    (problem,) = problems()
    assert "is not told 'the heads are tiled'" in problem


def test_a_cell_that_does_not_even_run_is_a_refused_bug(monkeypatch):
    planted(monkeypatch, source="def expand_kv(:")
    assert problems() == []


def test_too_few_answers_are_reported(monkeypatch):
    planted(monkeypatch)
    found = verify([LESSON])
    assert "expand_kv has 1 bugs; at least 8 are required" in found
    assert "kv_head_of has 0 other right answers; at least 2 are required" in found


def test_a_mistake_that_no_bug_shows_is_reported(monkeypatch):
    planted(
        monkeypatch, source="def expand_kv(kv, q_per_kv):\n    return kv.repeat(1, q_per_kv, 1, 1)"
    )
    (tiled,) = (m.says for m in find_exercise("expand_kv").mistakes if "tiled" in m.says)
    unshown = [found for found in verify([LESSON]) if "no planted bug shows" in found]
    assert unshown
    assert not [found for found in unshown if tiled in found]


def test_an_answer_to_no_exercise_is_an_error(monkeypatch):
    planted(monkeypatch, exercise="expand")
    with pytest.raises(ValueError, match="has no exercise 'expand'"):
        verify([LESSON])


def test_a_cell_that_cannot_be_read_is_an_error(monkeypatch, tmp_path):
    (tmp_path / "planted").mkdir()
    text = "# a file\n# %% wrong expand_kv: one\nx = 1\n# %% wrnog expand_kv: two\nx = 2\n"
    (tmp_path / "planted" / f"{LESSON.slug}.py").write_text(text)
    monkeypatch.setattr(catalogue_module, "__file__", str(tmp_path / "catalogue.py"))
    with pytest.raises(ValueError, match="of 2 cells 1 can be read"):
        catalogue(LESSON)


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.slug)
def test_nbgrader_gives_the_same_verdicts(lesson, tmp_path, monkeypatch):
    """One answer an exercise, drawn at random, graded in this process and through nbgrader."""
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_WORK", str(tmp_path / "work"))
    put_lessons()
    shuffled = random.Random(lesson.slug).sample(catalogue(lesson), len(catalogue(lesson)))
    answers = {answer.exercise: answer.source for answer in shuffled}
    answers["quiz"] = first_right(lesson)["quiz"]
    submitted = filled(read_notebook(lesson.pristine), answers)
    nbformat.write(submitted, str(work_notebook(lesson)))
    here = run_graded(filled(lesson_notebook(lesson), answers))
    marks = submit(lesson)
    written = {known_id(cell) for cell in submitted.cells if is_written(cell)}  # for a person
    assert {cell: score > 0 for cell, score, _ in marks.scores if cell not in written} == {
        cell: not error for cell, error in here.items()
    }


@pytest.mark.parametrize("spoil", [lambda right: 3, lambda right: max(0, right - 1), abs])
def test_a_quiz_that_counts_wrongly_is_reported(monkeypatch, spoil):
    mark = cases.mark_quiz
    monkeypatch.setattr(cases, "mark_quiz", lambda *told: spoil(float(mark(*told))))
    found = [problem for problem in verify([FIRST]) if problem.startswith("quiz of 00, ")]
    assert bool(found) == (spoil is not abs)
