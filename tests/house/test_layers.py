"""The import rules can fail: planted violations of each kind are refused."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gqa_lib.course.places import course_root, package_root

PLANTED = {  # what is added to a file -> what the linter must say of it
    "a lower layer imports a higher one": (
        "gqa_lib/cost/step.py",
        "import gqa_lib.measure",
        "gqa_lib.cost.step -> gqa_lib.measure",
    ),
    "within a function": (
        "gqa_lib/kernels/pytorch.py",
        "def f():\n    from gqa_lib import plots",
        "gqa_lib.kernels.pytorch -> gqa_lib.plots",
    ),
    "by a relative path": (
        "gqa_lib/configs/table.py",
        "from .. import attention",
        "gqa_lib.configs.table -> gqa_lib.attention",
    ),
    "under another name": (
        "gqa_lib/measure/samples.py",
        "import gqa_lib.compare.arms as numpy",
        "gqa_lib.measure.samples -> gqa_lib.compare.arms",
    ),
    "for type checkers only": (
        "gqa_lib/hardware.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import gqa_lib.bench",
        "gqa_lib.hardware -> gqa_lib.bench",
    ),
    "the library imports grading": (
        "gqa_lib/learn/show.py",
        "from grading.nb import cells",
        "gqa_lib.learn.show -> grading.nb.cells",
    ),
    "a check measures": (
        "gqa_lib/learn/exercises/lesson06.py",
        "import gqa_lib.compare.checks",
        "gqa_lib.learn.exercises.lesson06 -> gqa_lib.compare.checks",
    ),
    "what runs in the sandbox knows the judge": (
        "grading/student/wire.py",
        "from grading.safe import judge",
        "grading.student.wire -> grading.safe.judge",
    ),
    "two modules import each other": (
        "gqa_lib/cost/roofline.py",
        "def f():\n    from .attention import attention_time",
        ".roofline -> .attention",
    ),
}


def lint(root: Path) -> tuple[int, str]:
    """Return the linter's exit code and words on the packages in a folder."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
    config = ["--config", course_root() / "pyproject.toml"]
    done = subprocess.run([*command, *config], capture_output=True, text=True, cwd=root)
    return done.returncode, " ".join(done.stdout.split())


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the packages."""
    root = tmp_path_factory.mktemp("tree")
    for name in ("gqa_lib", "grading"):
        shutil.copytree(course_root() / name, root / name)
    return root


@pytest.fixture(scope="module")
def said(copied):
    """What the linter says of the copy with every violation planted in it."""
    for name, text, _ in PLANTED.values():
        with (copied / name).open("a", encoding="utf-8") as file:
            file.write(f"\n{text}\n")
    code, words = lint(copied)
    assert code == 1
    return words


def test_the_tree_as_it_is_passes():
    code, words = lint(course_root())
    assert code == 0, words


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_violation_is_refused(planted, said):
    assert PLANTED[planted][2] in said


TAUGHT = {  # what lessons' checks stand on
    *(
        "arguments",
        "attention",
        "cache",
        "configs",
        "cost",
        "course",
        "hardware",
        "heads",
        "kernels",
    ),
    *("learn", "measure", "moved"),
}


def test_lessons_checks_may_import_only_what_is_named():
    """A new package is refused until it is forbidden to them, or is among what they stand on."""
    settings = tomllib.loads((course_root() / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (
        one
        for one in settings["tool"]["importlinter"]["contracts"]
        if one["name"].startswith("lessons' checks stand on")
    )
    folder = package_root()
    there = {p.stem for p in folder.glob("*.py")} | {p.parent.name for p in folder.glob("*/*.py")}
    there = {f"gqa_lib.{name}" for name in there if not name.startswith("_")}
    assert there - {f"gqa_lib.{name}" for name in TAUGHT} == set(contract["forbidden_modules"])
    assert contract["source_modules"] == ["gqa_lib.learn"]


def test_a_package_that_no_layer_has_is_refused(copied):
    (copied / "gqa_lib" / "extra").mkdir()
    (copied / "gqa_lib" / "extra" / "__init__.py").touch()
    code, words = lint(copied)
    assert code == 1
    assert "gqa_lib.extra" in words
