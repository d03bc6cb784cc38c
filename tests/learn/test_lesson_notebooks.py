"""Every lesson runs to its end with its solutions."""

import re
from tempfile import TemporaryDirectory

import pytest
import short_lessons
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

from gqa_lib.course.manifest import find_lesson, lessons
from gqa_lib.learn import progress
from gqa_lib.learn.guide.predictions import all_asked
from gqa_lib.learn.quiz.questions import DRAWN
from grading.authoring.source import lesson_notebook, source_of

PATIENCE_S = 3600  # it is not about time: two cores may be busy with other things
EXPECTED = 0.75  # a guess that every unit has
GUESSED = ("01", "04", "13")  # the slow tests make guesses in all
TRAINS = "from gqa_lib.train import"


def shortened(lesson):
    """Return a solved lesson with cells before it that keep its timings and its training short."""
    notebook, what = lesson_notebook(lesson), ["shorten_timings"]
    if TRAINS in source_of(lesson).read_text():
        what.append("shorten_training")
    told = f"__import__('runpy').run_path({short_lessons.__file__!r})"
    notebook.cells[:0] = [new_code_cell(f"{told}[{one!r}]()") for one in what]
    return notebook


def with_guesses(notebook):
    """Return a notebook as of a learner who made every guess."""
    for cell in notebook.cells:
        number = rf"guess(\1, {EXPECTED})"
        cell.source = re.sub(r'^guess\((".*"), None\)', number, cell.source, flags=re.M)
    return notebook


def runs_to_its_end(notebook, lesson, folder, monkeypatch, *, guessing=False):
    monkeypatch.setenv("GQA_HOME", str(folder))
    with TemporaryDirectory() as sockets:  # a short path, and no TCP port to race for
        kernel = AsyncKernelManager(transport="ipc", ip=f"{sockets}/k")
        where = {"metadata": {"path": folder}}
        client = NotebookClient(notebook, km=kernel, timeout=PATIENCE_S, resources=where)
        client.execute(cleanup_kc=True)
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"] == []
    figures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert figures or lesson.number == DRAWN  # the quiz has none
    assert all(o.metadata["image/png"]["alt"] for o in figures)
    asked = {one.name for one in all_asked().values() if one.lesson == lesson}
    assert {event["exercise"] for event in progress.events(lesson.slug, "outcome")} == asked
    said = "".join(o.text for o in outputs if o.output_type == "stream")
    assert (f"Kept: you expect {EXPECTED}" in said) == (guessing and bool(asked))


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.slug)
def test_a_solved_lesson_runs_without_error_or_warning(lesson, tmp_path, monkeypatch):
    runs_to_its_end(shortened(lesson), lesson, tmp_path, monkeypatch)


@pytest.mark.parametrize("number", GUESSED)
def test_so_it_does_with_every_guess_made(number, tmp_path, monkeypatch):
    lesson = find_lesson(number)
    notebook = with_guesses(shortened(lesson))
    runs_to_its_end(notebook, lesson, tmp_path, monkeypatch, guessing=True)


@pytest.mark.slow
@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.slug)
def test_so_it_does_with_all_its_training_and_timing(lesson, tmp_path, monkeypatch):
    notebook = with_guesses(lesson_notebook(lesson))
    runs_to_its_end(notebook, lesson, tmp_path, monkeypatch, guessing=True)
