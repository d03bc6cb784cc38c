import shutil

import pytest
import torch

from gqa_lib.course.variables import VARIABLES

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


@pytest.fixture(params=DEVICES)
def device(request):
    return torch.device(request.param)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_override(monkeypatch, tmp_path):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    # No operator that was built on this machine: tests that want one build it.
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "no-extensions"))


@pytest.fixture(scope="session")
def empty_classroom(tmp_path_factory):
    """The folder of a classroom where an assignment is released and nobody has handed in."""
    from classroom import Classroom

    root = tmp_path_factory.mktemp("empty-classroom")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GQA_HOME", str(root))
        patch.delenv("GQA_EXCHANGE", raising=False)
        Classroom(root)
    return root


@pytest.fixture
def room(tmp_path, monkeypatch, empty_classroom):
    """A classroom of its own."""
    from classroom import Classroom

    monkeypatch.setenv("GQA_HOME", str(tmp_path))
    monkeypatch.delenv("GQA_EXCHANGE", raising=False)
    return Classroom(tmp_path, like=empty_classroom)


@pytest.fixture(scope="session")
def extensions(tmp_path_factory):
    """The folder of a build made for these tests: ten seconds of work, once."""
    if shutil.which("c++") is None:
        pytest.skip("there is no C++ compiler (c++) to build the native operator with")
    from gqa_lib.kernels.native.compile import build

    root = tmp_path_factory.mktemp("extensions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_EXTENSIONS_DIR", str(root))
        build()
    return root


@pytest.fixture
def built(extensions, monkeypatch):
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(extensions))
    from gqa_lib.kernels.native.library import problem

    assert problem() is None
