"""Every lesson runs to its end with its solutions."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import short_training
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

from gqa_lib.course.manifest import lessons
from gqa_lib.learn.quiz.questions import DRAWN
from grading.authoring.source import lesson_notebook, source_of

PATIENCE_S = 3600  # it is not about time: two cores may be busy with other things
SHORTEN = f"__import__('runpy').run_path({short_training.__file__!r}, run_name='__main__');"


def trains(lesson):
    return "from gqa_lib.train import" in source_of(lesson).read_text()


TRAINING = [lesson for lesson in lessons() if trains(lesson)]


def runs_to_its_end(lesson, folder: Path, *before: str):
    notebook = lesson_notebook(lesson)
    notebook.cells[:0] = map(new_code_cell, before)
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


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.slug)
def test_a_solved_lesson_runs_without_error_or_warning(lesson, tmp_path, monkeypatch):
    """Where it trains models, with few of their steps."""
    monkeypatch.setenv("GQA_HOME", str(tmp_path))
    runs_to_its_end(lesson, tmp_path, *[SHORTEN] * trains(lesson))


@pytest.mark.slow
@pytest.mark.parametrize("lesson", TRAINING, ids=lambda lesson: lesson.slug)
def test_a_lesson_that_trains_models_runs_with_all_their_steps(lesson, tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path))
    runs_to_its_end(lesson, tmp_path)
