"""Writes the site's sources, has Sphinx make pages of them, and checks the links.

OUT/executed   notebooks that were run, kept until their content or the library changes
OUT/source     what Sphinx reads
OUT/html       the site: index.html opens from the disk, and any web server can serve it
"""

import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import nbformat

from gqa_lib import bench
from gqa_lib.course.manifest import lessons
from gqa_lib.course.places import course_root

from . import front, pages, reference
from .dress import benchmark_page, lesson_page
from .execute import executed_benchmark, executed_lesson, finding
from .links import broken

SETTINGS = course_root() / "docs" / "site"


def build_site(out: Path, run: Collection[str] | None = None) -> list[str]:
    """Make the site in `out/html`; return what is wrong with it: warnings and broken links.

    Args:
        out: the folder for all of it.
        run: lesson numbers and benchmark names to show with their outputs; all by default.
    """
    source, html = out / "source", out / "html"
    shutil.rmtree(source, ignore_errors=True)
    _write(source, out / "executed", run)
    shutil.rmtree(html, ignore_errors=True)
    problems = make_pages(source, html)
    for left in ("objects.inv", ".buildinfo"):
        (html / left).unlink(missing_ok=True)
    return problems or broken(html)


def _write(source: Path, cache: Path, run: Collection[str] | None) -> None:
    """Write what Sphinx reads."""
    for lesson in lessons():
        is_run = run is None or lesson.number in run
        student = nbformat.read(lesson.pristine, as_version=4)
        page = lesson_page(student, executed_lesson(lesson, cache) if is_run else None, lesson)
        _write_notebook(page, source / "lessons" / lesson.slug / f"{lesson.slug}.ipynb")
    findings = {}
    for name, path in bench.benchmarks().items():
        is_run = run is None or name in run
        executed = executed_benchmark(name, cache) if is_run else None
        page = benchmark_page(nbformat.read(path, as_version=4), executed)
        _write_notebook(page, source / "benchmarks" / f"{name}.ipynb")
        findings[name] = finding(executed) if executed else ""
    made = {
        "index": pages.home(),
        "map": pages.map_page(),
        "glossary": pages.glossary(),
        "questions": pages.questions(),
        "benchmarks": pages.benchmarks(findings),
        "records": pages.recorded_page(),
        "anywhere": front.anywhere_page(),
        **reference.reference_pages(),
    }
    (source / "reference").mkdir()
    for name, text in made.items():
        (source / f"{name}.md").write_text(text, encoding="utf-8")
    for picture in front.PICTURES:
        shutil.copy(course_root() / "docs" / picture, source)


def _write_notebook(notebook, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def make_pages(source: Path, html: Path) -> list[str]:
    """Have Sphinx make pages of what is in a folder; return its warnings."""
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    folders: list[str | Path] = ["-c", SETTINGS, "-d", source.parent / "doctrees", source, html]
    done = subprocess.run([*command, *folders], capture_output=True, text=True)
    return (done.stderr.splitlines() or ["Sphinx failed"]) if done.returncode else []
