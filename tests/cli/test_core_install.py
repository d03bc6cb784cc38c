"""The library without any extra: it works, or says in a sentence what to install."""

import json
import subprocess
import sys
import tomllib

import pytest

from gqa_lib.course import extras
from gqa_lib.course.places import course_root

PROJECT = tomllib.loads((course_root() / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
# Hides every package that the library's own dependencies do not bring.
HIDE = """\
import importlib.abc, importlib.metadata as metadata, sys
from packaging.requirements import Requirement

def closure(name, found):
    if name not in found:
        found.add(name)
        for text in metadata.requires(name) or []:
            one = Requirement(text)
            if one.marker is None or one.marker.evaluate({"extra": ""}):
                try:
                    metadata.distribution(one.name)
                except metadata.PackageNotFoundError:
                    continue
                closure(one.name.lower().replace("_", "-"), found)
    return found

core = set()
for text in CORE:
    closure(Requirement(text).name, core)
hidden = {
    package for package, owners in metadata.packages_distributions().items()
    if not any(owner.lower().replace("_", "-") in core for owner in owners)
} - {"gqa_lib", "grading"}

class Hider(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in [name for name in sys.modules if name.partition(".")[0] in hidden]:
    del sys.modules[name]
sys.meta_path.insert(0, Hider())
assert {"papermill", "matplotlib", "psutil", "nbgrader"} <= hidden
assert not {"torch", "numpy"} & hidden
"""
ASK = """\
import contextlib, io, json
from importlib import import_module
from gqa_lib.cli import main

answers = {}
for line in LINES:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(line.split())
    answers[line] = [code, out.getvalue(), err.getvalue()]
for name in MODULES:
    try:
        import_module(name)
        answers[name] = ""
    except ModuleNotFoundError as error:
        answers[name] = str(error)
from gqa_lib.explore import alternatives, estimate, explore
from gqa_lib.configs import load_model
from gqa_lib.hardware import datasheet
answers["estimate"] = estimate(load_model("Llama-3-8B"), datasheet("H100 SXM")).kv_bytes_per_token
try:
    explore()
except ModuleNotFoundError as error:
    answers["explore"] = str(error)
print(json.dumps(answers))
"""
WORK = ("models --context 8192 Llama-3-8B", "info Llama-3-8B", "info", "bench --list")
NEED = {
    "bench kv-footprint": "papermill",
    "lab": "traitlets",
    "submit 01": "nbformat",
    "build --check": "nbformat",
}
IMPORT = ("explore", "bench", "compare", "model", "serving", "learn", "records.report")


@pytest.fixture(scope="module")
def answers():
    lines, modules = [*WORK, *NEED], [f"gqa_lib.{one}" for one in (*IMPORT, "plots")]
    modules.append("gqa_lib.explore.panel")
    given = f"CORE = {PROJECT['project']['dependencies']}\nLINES = {lines}\nMODULES = {modules}\n"
    done = subprocess.run(
        [sys.executable, "-c", given + HIDE + ASK], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("line", WORK)
def test_what_needs_no_more_works(line, answers):
    code, out, err = answers[line]
    assert (code, err) == (0, "")
    assert out


@pytest.mark.parametrize("line", NEED)
def test_what_needs_more_says_so_in_a_line(line, answers):
    code, _, err = answers[line]
    assert code == 1
    extra = "bench" if line.startswith("bench") else "course"
    told = f"gqa: this needs {NEED[line]}, which is not installed: pip install -e '.[{extra}]'\n"
    assert err == told


def test_importing_works_and_drawing_says_what_it_needs(answers):
    assert [answers[f"gqa_lib.{name}"] for name in IMPORT] == [""] * len(IMPORT)
    assert answers["estimate"] == 128 * 1024
    wanted = "this needs matplotlib, which is not installed: pip install -e '.[bench]'"
    assert answers["explore"] == answers["gqa_lib.plots"] == wanted
    assert "this needs ipywidgets" in answers["gqa_lib.explore.panel"]


def test_a_wheel_is_told_the_wheels_command(monkeypatch):
    monkeypatch.setattr(extras, "course_root", lambda: extras.package_root() / "course")
    name = PROJECT["project"]["name"]
    assert extras.missing("papermill").endswith(f"pip install '{name}[bench]'")
    assert extras.missing("psycopg.rows").endswith(f"pip install '{name}[postgres]'")
    assert extras.missing("nbgrader").endswith(f"pip install '{name}[course]'")


def test_every_extra_that_is_named_has_what_it_is_named_for():
    for module, extra in extras._EXTRAS.items():
        names = {text.partition("[")[0].partition(">")[0] for text in EXTRAS[extra]}
        assert {"yaml": "pyyaml"}.get(module, module) in names, f"{extra} does not bring {module}"


def test_benchmarks_need_no_jupyterlab_and_the_course_has_what_they_need():
    bench = " ".join(EXTRAS["bench"])
    assert "jupyterlab" not in bench
    assert "nbgrader" not in bench
    assert "gqa-course[bench]" in EXTRAS["notebook"]
    assert "gqa-course[notebook]" in EXTRAS["course"]


def test_answers_are_not_in_the_wheel_and_types_are():
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert "grading/authoring/planted" in wheel["exclude"]
    assert (course_root() / "grading" / "authoring" / "planted").is_dir()
    assert "solutions" not in wheel["packages"] + list(wheel["force-include"])
    assert (course_root() / "gqa_lib" / "py.typed").exists()
    ignored = subprocess.run(
        ["git", "check-ignore", "gqa_lib/py.typed"], cwd=course_root(), capture_output=True
    )
    assert ignored.returncode != 0
