"""Runs lessons and benchmarks for the site, and keeps what came out until its content changes.

A lesson is the student's notebook with the solutions filled in, so that every later cell has
something to show. Hidden tests are not in it, and a quiz is left unanswered.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from gqa_lib import bench
from gqa_lib.bench.kernel import kernel_manager
from gqa_lib.course.files import replace_file
from gqa_lib.course.manifest import Lesson
from gqa_lib.course.places import course_root
from gqa_lib.measure import environment
from grading.authoring.source import read_source, source_of
from grading.nb.cells import CHECK, QUIZ, as_text, grade_id, is_solution

LIMIT_S = 600  # of one lesson or benchmark
MADE, FINDING = "made", "finding"  # metadata: where and when it was run, and what came out
_LEFT_OUT = "skip-execution"
_CODE = ("*.py", "*.csv", "*.css", "*.js", "*.json", "*.jsonl", "*.h", "*.cpp")


def executed_lesson(lesson: Lesson, cache: Path) -> NotebookNode:
    """Return the student's notebook with the outputs of the solved one; solutions are in it.

    Args:
        lesson: the lesson.
        cache: the folder of what was run before.
    """
    notebook = nbformat.read(lesson.pristine, as_version=4)
    solutions = {grade_id(cell): cell.source for cell in read_source(source_of(lesson)).cells}
    for cell in notebook.cells:
        if grade_id(cell) == CHECK:
            cell.metadata["tags"] = [_LEFT_OUT]
        elif is_solution(cell) and grade_id(cell) != QUIZ:
            cell.source = solutions[grade_id(cell)]
    return cached(lesson.slug, nbformat.writes(notebook), cache, lambda: _run(notebook))


def executed_benchmark(name: str, cache: Path) -> NotebookNode:
    """Return a benchmark notebook run at its defaults, as `gqa bench` runs it.

    Raises:
        RuntimeError: it did not reach its end.
    """
    path = bench.benchmarks()[name]
    return cached(name, path.read_text(encoding="utf-8"), cache, lambda: _run_benchmark(path))


def finding(executed: NotebookNode) -> str:
    """Return what a benchmark found, in a line."""
    return executed.metadata[FINDING]


def cached(name: str, text: str, cache: Path, run: Callable[[], NotebookNode]) -> NotebookNode:
    """Return what `run` gives, or gave when notebook, library and versions were the same."""
    digest = hashlib.sha256(text.encode() + _library().encode()).hexdigest()[:16]
    kept = cache / f"{name}-{digest}.ipynb"
    if not kept.exists():
        print(f"{name}: running ...", flush=True)
        about = environment()
        notebook = run()
        notebook.metadata[MADE] = {
            key: about[key] for key in ("utc", "cpu_model", "cpu_affinity", "torch")
        }
        for old in cache.glob(f"{name}-{'?' * len(digest)}.ipynb"):
            old.unlink()
        replace_file(kept, as_text(notebook))
    return nbformat.read(kept, as_version=4)


def _library() -> str:
    """Return a digest of all that a notebook's outputs depend on in addition to itself."""
    root, found = course_root(), hashlib.sha256(version("torch").encode())
    paths = [path for pattern in _CODE for path in (root / "gqa_lib").rglob(pattern)]
    for path in [*sorted(paths), root / "course.toml"]:
        found.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return found.hexdigest()


def _run(notebook: NotebookNode) -> NotebookNode:
    with tempfile.TemporaryDirectory(prefix="gqa-") as scratch:
        kernel = kernel_manager(scratch)()
        resources = {"metadata": {"path": scratch}}
        client = NotebookClient(notebook, km=kernel, timeout=LIMIT_S, resources=resources)
        client.skip_cells_with_tag = _LEFT_OUT
        places = {"GQA_HOME": scratch, "GQA_WORK": scratch}
        return client.execute(env=os.environ | places, cleanup_kc=True)


def _run_benchmark(path: Path) -> NotebookNode:
    with tempfile.TemporaryDirectory(prefix="gqa-") as scratch:
        record = bench.run_one(path, {}, Path(scratch), timeout_s=LIMIT_S)
        if record["status"] != "ok":
            raise RuntimeError(
                f"the benchmark {path.stem} ended with {record['status']}: {record['error']}. "
                f"The site shows its results: run `gqa bench {path.stem}` to see what is wrong."
            )
        notebook = nbformat.read(Path(scratch) / record["folder"] / "executed.ipynb", as_version=4)
        notebook.metadata[FINDING] = record["result"]["finding"]
        text = json.dumps(notebook).replace(record["folder"], "RUN")
        return nbformat.from_dict(json.loads(text))
