"""Building the native operator, choosing it, and what is said where it cannot be used."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gqa_lib.cli import main
from gqa_lib.kernels import Call, attend, attention_reference, choose_backend
from gqa_lib.kernels.native import compile as building
from gqa_lib.kernels.native import library, native_decode, native_unsupported


@pytest.fixture
def copy_of_build(extensions, tmp_path, monkeypatch):
    """The folder of a copy of the build, to be damaged."""
    shutil.copytree(extensions, tmp_path / "copy")
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "copy"))
    return library.build_folder()


@pytest.fixture
def cxx(tmp_path, monkeypatch):
    """Makes a script the compiler."""

    def set_compiler(script):
        path = tmp_path / "c++"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("CXX", str(path))

    return set_compiler


def draw(B, Hq, Hkv, S, D):
    return torch.randn(B, Hq, 1, D), *(torch.randn(B, Hkv, S, D) for _ in range(2))


def assert_right(got, q, k, v):
    torch.testing.assert_close(got.double(), attention_reference(q, k, v), rtol=1e-5, atol=1e-5)


# ---- choice


@pytest.fixture
def capability(monkeypatch):
    def set_capability(name):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: name)

    return set_capability


def test_it_is_chosen_where_it_is_built_and_can_run(built, capability):
    capability("AVX2")
    q, k, v = draw(1, 8, 2, 64, 128)
    assert choose_backend(q, k, v) == "native"
    assert choose_backend(q.bfloat16(), k.bfloat16(), v.bfloat16()) == "native"
    assert choose_backend(q.half(), k.half(), v.half()) != "native"
    assert choose_backend(q.expand(-1, -1, 2, -1), k, v) != "native"
    assert_right(attend(q, k, v), q, k, v)


@pytest.mark.parametrize("name", ["DEFAULT", "NO AVX"])
def test_it_is_not_chosen_where_it_was_not_measured(built, capability, name):
    capability(name)
    inputs = draw(1, 8, 2, 64, 128)
    assert choose_backend(*inputs) == "fold_sdpa"
    assert_right(attend(*inputs, backend="native"), *inputs)


def test_environment_and_argument_choose_it_or_another(built, monkeypatch):
    inputs = draw(1, 8, 2, 64, 128)
    monkeypatch.setenv("GQA_BACKEND", "fold_sdpa")
    assert choose_backend(*inputs) == "fold_sdpa"
    by_argument = attend(*inputs, backend="native")
    monkeypatch.setenv("GQA_BACKEND", "native")
    assert torch.equal(attend(*inputs), by_argument)


def test_why_it_cannot_run(built):
    q, k, v = draw(1, 8, 2, 64, 128)
    assert native_unsupported(Call(q, k, v)) is None
    reasons = {
        "one new token, not 2": (q.expand(-1, -1, 2, -1), k, v),
        "not float16": (q.half(), k.half(), v.half()),
        "head_dim=12 is not a multiple of 8": draw(1, 8, 2, 64, 12),
        "CPU only": tuple(t.to("meta") for t in (q, k, v)),
        "next to each other": (q, k, v.mT.contiguous().mT),
        "no gradient": (q.clone().requires_grad_(), k, v),
    }
    for told, tensors in reasons.items():
        assert told in native_unsupported(Call(*tensors))
        with pytest.raises(ValueError, match="'native' cannot run"):
            attend(*tensors, backend="native")
    with torch.no_grad():
        assert native_unsupported(Call(q.clone().requires_grad_(), k, v)) is None


# ---- without it


def assert_falls_back(told):
    q, k, v = draw(1, 8, 2, 64, 128)
    assert choose_backend(q, k, v) == "fold_sdpa"  # too short for split_kv
    assert_right(attend(q, k, v), q, k, v)
    with pytest.raises(ValueError, match=told) as error:
        attend(q, k, v, backend="native")
    assert "gqa build-native" in str(error.value)
    with pytest.raises(RuntimeError, match=told):
        native_decode(q, k, v)


def test_it_is_not_built():
    assert_falls_back("it is not built")


def test_no_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "/no/such/c++ -O3")
    with pytest.raises(building.BuildError, match=r"no C\+\+ compiler \(/no/such/c\+\+\)"):
        building.build()
    assert_falls_back("it is not built")


def test_no_ninja(monkeypatch, cxx):
    cxx("exit 0")
    monkeypatch.setattr(building.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(building.BuildError, match="pip install ninja"):
        building.build()


def test_a_failing_compiler(cxx, capsys):
    version = '[ "$1" = --version ] && echo "some c++ 1.0" && exit 0'
    cxx(f'{version}\necho "op.cpp: error: too old"; exit 1')
    assert main(["build-native"]) == 1
    told = capsys.readouterr().err
    assert "gqa: it was not built:" in told
    assert "error: too old" in told
    assert "error: too old" in Path(told.split("printed is in ")[1].strip(" .\n")).read_text()
    assert not library.build_folder().exists()
    assert [p.name for p in library.build_folder().parent.iterdir()] == ["failed.log"]
    assert_falls_back("it is not built")


def test_a_compiler_of_another_cpu(cxx):
    """What it made ends the process that tries it, not this one."""
    cxx("kill -ILL $PPID")
    with pytest.raises(building.BuildError, match="ended by signal 4"):
        building.build()


def test_wrong_results_are_no_build(built, monkeypatch):
    assert building.check() == 180
    monkeypatch.setattr(building, "RELATIVE_ERROR", dict.fromkeys(building.DTYPES, 1e-9))
    with pytest.raises(building.BuildError, match=r"wrong by .* at most 1.0e-09"):
        building.check()


def test_a_changed_library(copy_of_build):
    path = copy_of_build / library.LIBRARY
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert_falls_back("has changed since it was checked")


@pytest.mark.parametrize("record", [None, "", "{}", "[]", "{"])
def test_a_damaged_record(copy_of_build, record):
    path = copy_of_build / library.RECORD
    path.unlink() if record is None else path.write_text(record)
    assert_falls_back("is damaged")


def test_a_library_that_is_gone(copy_of_build):
    (copy_of_build / library.LIBRARY).unlink()
    assert_falls_back("is damaged")


def run_python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_library_that_does_not_load(copy_of_build):
    (copy_of_build / library.LIBRARY).write_bytes(b"no library")
    record = {"sha256": hashlib.sha256(b"no library").hexdigest()}
    (copy_of_build / library.RECORD).write_text(json.dumps(record))
    told = run_python("from gqa_lib.kernels.native import library; print(library.problem())")
    assert "does not load" in told
    assert library.HOW in told


@pytest.mark.parametrize("changed", ["cpu_flags", "torch", "source"])
def test_another_cpu_torch_or_source(copy_of_build, monkeypatch, tmp_path, changed):
    if changed == "cpu_flags":
        monkeypatch.setattr(library, "cpu_flags", lambda: "avx3")
    elif changed == "torch":
        monkeypatch.setattr(torch, "__version__", "2.99.0")
    else:
        (tmp_path / "op.cpp").write_text("// better")
        monkeypatch.setattr(library, "SOURCES", (tmp_path / "op.cpp",))
    assert_falls_back("not built for this CPU, torch and source")


def test_a_copy_without_the_sources(monkeypatch, tmp_path):
    library.forget()
    monkeypatch.setattr(library, "SOURCES", (tmp_path / "op.cpp",))
    q, k, v = draw(1, 8, 2, 64, 128)
    assert library.problem() == f"{tmp_path / 'op.cpp'} cannot be read (No such file or directory)"
    assert_right(attend(q, k, v), q, k, v)


def test_a_students_copy_has_the_sources():
    from grading.classroom.bundle import DATA

    assert {f"kernels/native/{path.name}" for path in library.SOURCES} <= set(DATA)


# ---- importing, telling, building again


def test_importing_loads_and_builds_nothing(built):
    code = """
import sys, torch
from gqa_lib.kernels import Call
from gqa_lib.kernels.native import native_unsupported
print("torch.utils.cpp_extension" in sys.modules, hasattr(torch.ops.gqa_native, "decode"))
q, k = torch.ones(1, 2, 1, 8), torch.ones(1, 1, 5, 8)
print(native_unsupported(Call(q, k, k)), hasattr(torch.ops.gqa_native, "decode"))
print("torch.utils.cpp_extension" in sys.modules)
"""
    assert run_python(code).split() == ["False", "False", "None", "True", "False"]


def test_info_says_what_would_run(extensions, monkeypatch, capsys, capability):
    capability("AVX512")
    assert main(["info"]) == 0
    without = capsys.readouterr().out
    assert f"torch       {torch.__version__}" in without
    assert "not used: it is not built: run `gqa build-native`" in without
    assert without.count("no: it is not built") == 2  # in float32 and in bfloat16
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(extensions))
    monkeypatch.setenv("GQA_DEVICE", "cpu")
    assert main(["info"]) == 0
    built = capsys.readouterr().out
    assert f"built, in {library.build_folder()}" in built
    assert built.count("auto        native") == 2


def test_building_again_replaces_a_damaged_build(copy_of_build, extensions, monkeypatch):
    (copy_of_build / library.RECORD).write_text("{")
    whole = Path(extensions, *copy_of_build.parts[-2:])

    def built_elsewhere(scratch, environment):
        shutil.copy(whole / library.LIBRARY, scratch)
        return json.loads((whole / library.RECORD).read_text())

    monkeypatch.setattr(building, "_in_child", built_elsewhere)
    assert "damaged" in library.problem()
    assert "checked against float64 (180 results)" in building.build()
    assert library.problem() is None
    assert sorted(os.listdir(copy_of_build)) == [library.RECORD, library.LIBRARY]
    assert os.listdir(copy_of_build.parent) == [copy_of_build.name]


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names instruction sets of x86")
@pytest.mark.parametrize("flags", ["-march=x86-64", "-march=x86-64-v3"])
def test_narrower_vectors_are_right_too(extensions, tmp_path, flags):
    """The child checks what it compiled against float64."""
    if flags.endswith("v3") and "avx2" not in library.cpu_flags():
        pytest.skip("this CPU has no AVX2")
    code = f"""
import os
from pathlib import Path
from gqa_lib.kernels.native import compile as build
os.environ.update(build._environment())
build._flags = lambda: ["-O3", "-fopenmp", {flags!r}]
build._child(Path({str(tmp_path)!r}))
"""
    assert json.loads(run_python(code).splitlines()[-1])["checks"] == 180
