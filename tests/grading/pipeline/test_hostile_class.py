"""`gqa grade --feedback` of a class in which most hand in something made to stop or own the grader.

Each has a verdict or marks of its own, the honest have theirs, and no page acts.
"""

import json
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from hostile_images import DOTS, header, png, text
from nbgrader.api import Gradebook

from gqa_lib.course import places
from gqa_lib.course.manifest import find_lesson
from grading.authoring.catalogue import filled, first_right
from grading.classroom.gradebook import open_gradebook
from grading.classroom.round import grade_class
from grading.limited import sandbox
from grading.nb.cells import read_notebook
from grading.nb.steps import course_of
from grading.overview.needs import needs_of
from grading.overview.standing import standing_of_class
from grading.settings import gradebook_url, nbgrader_config

pytestmark = pytest.mark.skipif(
    bool(sandbox.sandbox_problem()), reason=f"no sandbox here: {sandbox.sandbox_problem()}"
)
LESSON = find_lesson("00")
RIGHT = first_right(LESSON)
EXERCISE, _ = RIGHT
FILE = f"{LESSON.slug}.ipynb"
FULL = 2.0


def notebook(**told) -> bytes:
    cell = {"cell_type": "code", "metadata": {}, "source": "1", "outputs": []}
    cell |= {"execution_count": None}
    whole = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell | told]}
    return json.dumps(whole).encode()


SHOWS = "from IPython.display import Image, display\nimport base64\n"
BOMB = text(png(header(60_000, 60_000), DOTS))
FILES = {  # a file's content, and what its student reads
    "a1": (b"1", "it names no nbformat"),
    "a2": (b"true", "it names no nbformat"),
    "a3": (b'"nbformat"', "it names no nbformat"),
    "deep": (b"[" * 100_000, "it is not readable JSON"),
    "deeper": (notebook(source=json.loads("[" * 200 + "]" * 200)), "more than 100 levels deep"),
    "wide": (b'{"nbformat": 4, "cells": [' + b"[]," * 250_000 + b"[]]}", "more than 200000 parts"),
    "many": (notebook().replace(b'"cells": [', b'"cells": [' + b"{}," * 1500), "1501 cells"),
    "huge": (b'{"nbformat": ' + b"9" * 100_000 + b"}", "so it is not a notebook"),
    "link": (notebook(cell_type="[Show](http://127.0.0.1/formgrader?path=X)"), "[Show](http://"),
    "codes": (notebook(cell_type="\x1b]0;title\x07\u202e\r"), "is not a valid notebook"),
    "half": (notebook(cell_type="\ud800"), "is not a valid notebook"),
    "long": (notebook(source="x" * 200_001), "is longer than 200000 characters"),
    "cut": (notebook()[:-9], "it is not readable JSON"),
}
ANSWERS = {  # put before a right answer; what its student reads
    "blanks": ("x = 1\n" + " \n" * 49_000, "Shown without formatting: that takes more than"),
    "bomb": (f"{SHOWS}display(Image(data=base64.b64decode({BOMB!r})))\n", f"{LESSON.slug}: 2 of"),
    "frames": ("# </pre><script>fired()</script>\nprint('<script>fired()</script>')\n", "fired()"),
    "regions": ("'''\n### BEGIN HIDDEN TESTS\n" + "line\n" * 9000 + "'''\n", "HIDDEN TESTS"),
    "terminal": ("print('\\x1b]0;title\\x07\\x1b[2J' * 5000)\n", f"{LESSON.slug}: 2 of"),
}


@pytest.fixture
def course(tmp_path, monkeypatch, released):
    """A class in which lesson 00 is released."""
    released(LESSON, tmp_path)
    monkeypatch.setenv("GQA_HOME", str(tmp_path))
    return course_of(LESSON, nbgrader_config())


def hand_in(course, student: str, content: bytes) -> None:
    folder = Path(course.format_path(course.submitted_directory, student, LESSON.slug))
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(content)
    (folder / "timestamp.txt").write_text("2026-11-20 12:00:00.000000 UTC")


def answered(before: str = "") -> bytes:
    answer = before + RIGHT[EXERCISE]
    made = filled(read_notebook(LESSON.pristine), {EXERCISE: answer})
    return nbformat.writes(made).encode()


def page_of(course, student: str) -> BeautifulSoup:
    folder = Path(course.format_path(course.feedback_directory, student, LESSON.slug))
    page = (folder / f"{LESSON.slug}.html").read_text(encoding="utf-8")
    return BeautifulSoup(page, "html.parser")


def needs():
    with open_gradebook() as gradebook:
        found = standing_of_class(gradebook.db, nbgrader_config())
    return needs_of(found.lessons[0])


def test_a_class_of_hostile_notebooks_is_graded_to_its_end(course, capsys):
    for student, (content, _) in FILES.items():
        hand_in(course, student, content)
    for student, (before, _) in ANSWERS.items():
        hand_in(course, student, answered(before))
    hand_in(course, "ada", answered())
    crowd = Path(course.format_path(course.submitted_directory, "ada", LESSON.slug))
    for number in range(3000):
        (crowd / f"\x1b[31m{number}.ipynb").touch()
    outcome = grade_class(LESSON, feedback=True)
    assert outcome.failed == {}
    assert outcome.without_feedback == {}
    with Gradebook(gradebook_url()) as gradebook:
        found = gradebook.assignment_submissions(LESSON.slug)
        marks = {one.student.id: one.score for one in found}
    assert marks == dict.fromkeys(FILES, 0) | dict.fromkeys([*ANSWERS, "ada"], FULL)
    for student, (_, said) in {**FILES, **ANSWERS, "ada": ("", "2 of")}.items():
        page = page_of(course, student)
        assert said in page.text, student
        assert page.find_all(["script", "iframe", "link", "form"]) == []
        assert [a["href"] for a in page.find_all("a") if "formgrader" in a.get("href", "")] == []
    shown = [image["src"] for image in page_of(course, "bomb").find_all("img")]
    assert not any(BOMB in source for source in shown)
    told = capsys.readouterr().out
    assert all(line.isprintable() for line in told.splitlines())
    zeros = next(need for need in needs() if need.what == "with 0 points for a technical reason")
    assert zeros.who.keys() == FILES.keys()
    assert all(FILES[student][1][:20] in why for student, why in zeros.who.items())
    log = (places.home() / "grade.log").read_text(encoding="utf-8")
    assert all(c.isprintable() or c in "\n\t" for c in log)
