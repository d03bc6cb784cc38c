"""Colab, Kaggle and Binder: what a lesson has where the course names its address, or has not."""

import ast
import subprocess
import sys
from importlib import metadata

import nbformat
import pytest

from gqa_lib.course import manifest
from gqa_lib.course.manifest import find_lesson, repository
from gqa_lib.course.places import course_root
from grading.authoring import build, elsewhere
from grading.authoring.lint import lint_lesson
from grading.authoring.source import lesson_notebook
from grading.nb.cells import grade_id

ADDRESS = "https://github.com/OWNER/NAME"
ZERO, FOUR = find_lesson("00"), find_lesson("04")


@pytest.fixture
def published(monkeypatch):
    """A course whose course.toml names an address."""
    said = manifest.manifest() | {"repository": ADDRESS}
    monkeypatch.setattr(manifest, "manifest", lambda: said)


def test_this_course_names_none_and_its_lessons_have_neither_link_nor_cell():
    assert repository() == ""
    assert elsewhere.links(FOUR) == ""
    made = lesson_notebook(FOUR)
    assert not [cell for cell in made.cells if "pip" in cell.source]
    assert "colab" not in made.cells[0].source.lower()


@pytest.mark.parametrize(
    ("named", "means"),
    [("", ""), (ADDRESS, ADDRESS), (f"{ADDRESS}/", ADDRESS), (f"{ADDRESS}.git", ADDRESS)],
)
def test_an_address_is_read(monkeypatch, named, means):
    monkeypatch.setattr(manifest, "manifest", lambda: {"repository": named})
    assert repository() == means


@pytest.mark.parametrize("named", ["OWNER/NAME", "https://github.com/OWNER", f"{ADDRESS}/tree/x"])
def test_what_no_service_could_open_is_refused(monkeypatch, named):
    monkeypatch.setattr(manifest, "manifest", lambda: {"repository": named})
    with pytest.raises(ValueError, match="which Colab, Kaggle and Binder could not open"):
        repository()


def test_a_published_lesson_has_links_and_below_its_card_the_cell(published):
    card, cell = lesson_notebook(FOUR).cells[:2]
    place = "notebooks/04-grouped-query-attention/04-grouped-query-attention.ipynb"
    assert f"[Colab](https://colab.research.google.com/github/OWNER/NAME/blob/main/{place})" in (
        card.source
    )
    assert f"[Kaggle](https://www.kaggle.com/kernels/welcome?src={ADDRESS}/blob/main/{place})" in (
        card.source
    )
    assert "[Binder](https://mybinder.org/v2/gh/OWNER/NAME/main?urlpath=lab/tree/work/04-" in (
        card.source
    )
    assert cell.source == elsewhere.installing_source(ADDRESS)
    assert grade_id(cell) is None
    assert "Open in [Colab](" in build._readme()


def test_a_published_lesson_passes_the_lint(published, tmp_path):
    student = nbformat.reads(build.student_notebook(ZERO, tmp_path), as_version=4)
    assert student.cells[1].source == elsewhere.installing_source(ADDRESS)
    assert lint_lesson(ZERO, lesson_notebook(ZERO), student) == []


def test_the_page_shows_the_cell():
    page = (course_root() / "docs" / "anywhere.md").read_text(encoding="utf-8")
    assert f"```python\n{elsewhere.installing_source(ADDRESS)}\n```" in page


@pytest.fixture
def pip(monkeypatch):
    """What the cell asks of pip, without pip."""
    asked = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: asked.append(command))
    return asked


def test_where_the_course_is_installed_the_cell_does_nothing(pip):
    exec(elsewhere.installing_source(ADDRESS), {})
    assert pip == []


def test_elsewhere_it_installs_the_course_and_keeps_torch_and_numpy(pip, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    exec(elsewhere.installing_source(ADDRESS), {})
    (command,) = pip
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    kept = [f"{name}=={metadata.version(name)}" for name in ("torch", "numpy")]
    assert command[-3:-1] == kept
    assert command[-1] == f"gqa-course[notebook] @ git+{ADDRESS}"
    assert not {"-U", "--upgrade", "--force-reinstall", "--ignore-installed"} & set(command)


def test_the_cell_is_python_without_a_magic():
    ast.parse(elsewhere.installing_source(ADDRESS))
