"""Every notebook runs to its end: lessons with their solutions, benchmarks at their defaults."""

import json

import nbformat
import pytest
from nbclient import NotebookClient

from gqa_lib import bench
from gqa_lib.learn.manifest import lessons
from gqa_lib.measure import read_jsonl
from grading.source import read_source, source_of


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.slug)
def test_a_solved_lesson_runs_without_error_or_warning(lesson, tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path))
    notebook = read_source(source_of(lesson))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"] == []
    figures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert figures
    assert all(o.metadata["image/png"]["alt"] for o in figures)


@pytest.mark.parametrize("name", bench.benchmarks())
def test_a_benchmark_runs_at_its_defaults(name, tmp_path):
    record = bench.run_one(bench.benchmarks()[name], {}, tmp_path, timeout_s=300)
    assert record["status"] == "ok", record["error"]
    assert record["result"]["finding"]
    samples = read_jsonl(tmp_path / record["folder"] / "samples.jsonl")
    assert {"metric", "unit", "value"} <= samples[0].keys()
    environment = read_jsonl(tmp_path / record["folder"] / "environment.jsonl")
    assert environment[0]["torch"]
    executed = nbformat.read(tmp_path / record["folder"] / "executed.ipynb", as_version=4)
    assert json.loads(executed.cells[-1].outputs[0].text)["finding"] == record["result"]["finding"]


def test_papermill_runs_a_benchmark_directly(tmp_path):
    import papermill

    out = tmp_path / "here"
    papermill.execute_notebook(
        str(bench.benchmarks()["kv-footprint"]),
        str(tmp_path / "executed.ipynb"),
        parameters={"models": ["Llama-3-8B"], "out_dir": str(out)},
        progress_bar=False,
    )
    rows = read_jsonl(out / "samples.jsonl")
    assert rows[0]["value"] == 128 * 1024
