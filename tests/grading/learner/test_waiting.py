"""What a learner reads of an answer that a person has yet to mark, or that is not written."""

import nbformat
import pytest

from gqa_lib.course.manifest import find_lesson
from grading.intake.rebuild import rebuild, unanswered
from grading.learner.report import report
from grading.learner.submit import Marks

SCORES = [("double-check", 2.0, 2.0), ("argument", 0.0, 6.0)]
WRITTEN = {"grade_id": "argument", "grade": True, "solution": True, "points": 6}


def test_it_is_not_shown_as_failed(tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path))
    lines = report(find_lesson("01"), Marks(SCORES, waiting=("argument",))).splitlines()
    (line,) = (line for line in lines if "argument" in line)
    assert line.split() == ["?", "argument", "6", "points", "that", "a", "person", "gives"]
    assert "rubric" in "\n".join(lines)
    failed = report(find_lesson("01"), Marks(SCORES))
    assert "✗ argument" in failed
    assert "rubric" not in failed


@pytest.mark.parametrize(
    ("text", "left"), [("YOUR ANSWER HERE", ["argument"]), ("Because.", []), (" ", ["argument"])]
)
def test_a_text_that_is_not_written_is_named(text, left):
    def of(source):
        cell = nbformat.v4.new_markdown_cell(source, metadata={"nbgrader": dict(WRITTEN)})
        return nbformat.v4.new_notebook(cells=[cell])

    released = of("YOUR ANSWER HERE")
    assert unanswered(rebuild(of(text), released)[0], released) == left
