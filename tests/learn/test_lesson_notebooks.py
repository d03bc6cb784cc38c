"""Every lesson runs to its end with its solutions."""

from tempfile import TemporaryDirectory

import pytest
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient

from gqa_lib.course.manifest import lessons
from gqa_lib.learn.quiz.questions import DRAWN
from grading.authoring.source import lesson_notebook

PATIENCE_S = 3600  # it is not about time: two cores may be busy with other things


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.slug)
def test_a_solved_lesson_runs_without_error_or_warning(lesson, tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path))
    notebook = lesson_notebook(lesson)
    with TemporaryDirectory() as sockets:  # a short path, and no TCP port to race for
        kernel = AsyncKernelManager(transport="ipc", ip=f"{sockets}/k")
        where = {"metadata": {"path": tmp_path}}
        client = NotebookClient(notebook, km=kernel, timeout=PATIENCE_S, resources=where)
        client.execute(cleanup_kc=True)
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"] == []
    figures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert figures or lesson.number == DRAWN  # the quiz has none
    assert all(o.metadata["image/png"]["alt"] for o in figures)
