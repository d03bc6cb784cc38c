import os
import shutil
from pathlib import Path
from unittest import mock

import pytest
import torch
from filelock import FileLock
from hypothesis import settings

from gqa_lib.bench import machine
from gqa_lib.course.variables import VARIABLES
from grading.nb.new_gradebook import without_a_program

# What takes longest begins first where several workers share the files, so that none waits for it.
LONG = ("lesson_notebooks", "verify", "attacks", "benchmark_notebooks", "grade", "check", "parity")
LONG += ("submit", "browser_learner", "site", "visible_answers", "mutants", "admit", "before")
LONG += ("as_a_user", "triton_decode", "release", "postgres", "parameters", "traced", "run_ends")
OWN_FOLDERS = ("GQA_HOME", "GQA_WORK", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
settings.register_profile("course", derandomize=True, deadline=None, database=None)
settings.load_profile("course")  # the same examples every time: no red by chance


def pytest_collection_modifyitems(items):
    if "PYTEST_XDIST_WORKER" in os.environ:
        order = {f"test_{name}": place for place, name in enumerate(LONG)}
        items.sort(key=lambda item: order.get(item.path.stem, len(LONG)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """What a test said may hold a hostile name: what is no text ends the worker that sends it."""
    report = yield
    report.sections = [(name, _text(words)) for name, words in report.sections]
    if report.failed and str(report.longrepr) != (said := _text(str(report.longrepr))):
        report.longrepr = said
    return report


def _text(words: str) -> str:
    return words.encode("utf-8", "backslashreplace").decode()


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory):
    """No records and settings of whoever runs the tests, and none that two workers share."""
    without_a_program()
    folder = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TRITON_INTERPRET", *VARIABLES):
            patch.delenv(name, raising=False)
        for name in OWN_FOLDERS:
            patch.setenv(name, str(folder / name.lower()))
        patch.setenv("GQA_TIME_FACTOR", "20")  # a busy machine is no fault of a submission
        patch.setattr(machine, "locks", lambda: folder / "locks")  # no worker waits for another
        yield


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Make a folder once, whichever of several workers comes first; the others wait for it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def folder(name, make) -> Path:
        place = shared / f"once-{name}"
        with FileLock(f"{place}.lock"):
            if not place.exists():
                part = shared / f"part-{name}"
                make(part)
                part.rename(place)
        return place

    return folder


@pytest.fixture(params=DEVICES)
def device(request):
    return torch.device(request.param)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_trace(tmp_path):
    """What a test leaves in the environment, as a lesson that ran here does, ends with it."""
    # No operator that was built on this machine: tests that want one build it.
    with mock.patch.dict(os.environ, TORCH_EXTENSIONS_DIR=str(tmp_path / "no-extensions")):
        yield


@pytest.fixture(scope="session")
def empty_classroom(once):
    """The folder of a classroom where an assignment is released and nobody has handed in."""
    from classroom import Classroom

    def make(root):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GQA_HOME", str(root))
            patch.delenv("GQA_EXCHANGE", raising=False)
            Classroom(root)

    return once("classroom", make)


@pytest.fixture
def room(tmp_path, monkeypatch, empty_classroom):
    """A classroom of its own."""
    from classroom import Classroom

    monkeypatch.setenv("GQA_HOME", str(tmp_path))
    monkeypatch.delenv("GQA_EXCHANGE", raising=False)
    return Classroom(tmp_path, like=empty_classroom)


@pytest.fixture(scope="session")
def released(once):
    """A function that gives a folder the records of a class in which a lesson is released."""
    from classroom import release_of

    def copy(lesson, home):
        made = once(f"released-{lesson.slug}", lambda root: release_of(lesson, root))
        shutil.copytree(made, home, dirs_exist_ok=True)

    return copy


@pytest.fixture(scope="session")
def extensions(once):
    """The folder of a build made for these tests: ten seconds of work, once."""
    if shutil.which("c++") is None:
        pytest.skip("there is no C++ compiler (c++) to build the native operator with")
    from gqa_lib.kernels.native.compile import build

    def make(root):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TORCH_EXTENSIONS_DIR", str(root))
            build()

    return once("extensions", make)


@pytest.fixture
def built(extensions, monkeypatch):
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(extensions))
    from gqa_lib.kernels.native.library import problem

    assert problem() is None
