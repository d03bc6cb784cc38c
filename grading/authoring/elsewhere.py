"""Colab, Kaggle and Binder: links to a lesson there, and the cell that installs the course.

They need an address that these services reach, `repository` in course.toml; without one a lesson
has neither.
"""

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from gqa_lib.course.manifest import Lesson, repository
from gqa_lib.learn.tutor.cells import DOES

BRANCH = "main"
_DOES = "Installs the course in Colab or Kaggle; where it is installed already, it does nothing."
_INSTALLS = """\
# @title In Colab or Kaggle, run this first: it installs the course. Elsewhere it does nothing.
import importlib
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec

if find_spec("gqa_lib") is None:
    kept = [f"{{name}}=={{version(name)}}" for name in ("torch", "numpy")]  # as they are here
    course = "gqa-course[notebook] @ git+{address}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *kept, course], check=True)
    importlib.invalidate_caches()"""


def installing_source(address: str) -> str:
    """Return the source of the cell that installs the course of an address, where it is missing."""
    return _INSTALLS.format(address=address)


def installing_cell() -> list[NotebookNode]:
    """Return the cell that installs the course, or none without a repository."""
    if not (address := repository()):
        return []
    folded = {"cellView": "form", "jupyter": {"source_hidden": True}, DOES: _DOES}
    return [new_code_cell(installing_source(address), metadata=folded)]


def links(lesson: Lesson) -> str:
    """Return a lesson's links to Colab, Kaggle and Binder, or "" without a repository."""
    if not (address := repository()):
        return ""
    path = f"notebooks/{lesson.slug}/{lesson.slug}.ipynb"
    project = address.removeprefix("https://github.com/")
    places = {
        "Colab": f"https://colab.research.google.com/github/{project}/blob/{BRANCH}/{path}",
        "Kaggle": f"https://www.kaggle.com/kernels/welcome?src={address}/blob/{BRANCH}/{path}",
        "Binder": f"https://mybinder.org/v2/gh/{project}/{BRANCH}?urlpath=lab/tree/work/"
        f"{lesson.slug}/{lesson.slug}.ipynb",
    }
    return "Open in " + ", ".join(f"[{name}]({link})" for name, link in places.items())
