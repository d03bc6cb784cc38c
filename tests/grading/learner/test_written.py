"""A lesson with an answer that a person marks, handed in: solved, and as it was given out."""

import nbformat
import pytest
from nbgrader.api import Gradebook

from gqa_lib.course import places
from gqa_lib.course.manifest import find_lesson
from gqa_lib.learn import progress
from gqa_lib.learn.guide.work import put_lessons
from grading.authoring.catalogue import filled, first_right
from grading.learner.report import report
from grading.learner.submit import submit, work_notebook
from grading.nb.cells import is_written, known_id, read_notebook

LESSON = find_lesson("15")
TEXT = "Not now: nobody measured its quality."


@pytest.fixture(autouse=True)
def learner(tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_WORK", str(tmp_path / "work"))
    monkeypatch.delenv("GQA_EXCHANGE", raising=False)
    put_lessons()


def waiting():
    """Graded cells of the gradebook that a person has to mark."""
    with Gradebook(f"sqlite:///{places.home()}/gradebook.db") as gradebook:
        (submission,) = gradebook.assignment_submissions(LESSON.slug)
        (notebook,) = submission.notebooks
        return [grade.name for grade in notebook.grades if grade.needs_manual_grade]


def test_a_written_answer_waits_for_a_person_and_the_rest_is_graded():
    notebook = filled(read_notebook(LESSON.pristine), first_right(LESSON))
    (written,) = filter(is_written, notebook.cells)
    assert written.source == "YOUR ANSWER HERE"
    written.source = TEXT
    nbformat.write(notebook, str(work_notebook(LESSON)))
    marks = submit(LESSON)
    points = written.metadata.nbgrader["points"]
    assert marks.waiting == (known_id(written),)
    assert (marks.score, marks.max_score) == (LESSON.points - points, LESSON.points)
    assert waiting() == ["argument"]
    assert not [note for note in marks.notes if "Not answered" in note]
    said = report(LESSON, marks)
    assert f"{points} points that a person gives" in said
    page = marks.feedback.read_text(encoding="utf-8")
    assert TEXT in page
    assert f"not marked yet ({points} points)" in page
    assert progress.scores_of(LESSON.slug) == [(LESSON.points - points, LESSON.points)]


def test_one_that_is_not_written_gets_nothing_and_is_named():
    marks = submit(LESSON)
    assert marks.score == 0
    assert any("argument" in note for note in marks.notes)
    assert waiting() == []
    assert "✗ argument" in report(LESSON, marks)
