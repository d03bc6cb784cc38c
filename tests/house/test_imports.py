"""What importing costs. Which way imports point is held by import-linter: test_layers."""

import subprocess
import sys
from pathlib import Path

import pytest

import gqa_lib
from gqa_lib.course.places import package_root

HEAVY = {"torch", "matplotlib", "IPython", "triton"}
LIGHT = ("configs", "cost", "course.manifest", "hardware", "learn", "measure")


def modules_after(code: str) -> set[str]:
    """Return the modules that a fresh process has loaded once it ran some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["gqa_lib", *(f"gqa_lib.{name}" for name in LIGHT)])
def test_imports_without_torch_or_matplotlib(module):
    assert not HEAVY & {name.partition(".")[0] for name in modules_after(f"import {module}")}


def test_the_first_check_is_not_slowed_by_importing_the_compiler():
    loaded = modules_after("import gqa_lib.attention, gqa_lib.learn.checking.check")
    assert "torch._dynamo.convert_frame" not in loaded


def test_reading_a_notebook_compiles_no_grammar():
    """As jsonschema from 4.25 does when it is imported: 3 s, in each of hundreds of processes."""
    assert "lark" not in modules_after("import nbformat")


def test_arithmetic_needs_no_numpy():
    used = "from gqa_lib.configs import load_model; from gqa_lib.cost import kv_bytes_per_token"
    assert "numpy" not in modules_after(f"{used}; kv_bytes_per_token(load_model('Llama-3-8B'), 2)")


def test_every_package_of_the_library_is_reached_from_its_face():
    folder = package_root()
    there = {p.stem for p in folder.glob("*.py")} | {
        p.parent.name for p in folder.glob("*/__init__.py")
    }
    public = {name for name in there if not name.startswith("_")} - {"moved"}
    assert public == set(gqa_lib.__all__) - {"__version__"}
    for name in public:
        assert getattr(gqa_lib, name).__name__ == f"gqa_lib.{name}"


# Packages with modules that their face leaves out, and why.
NOT_ON_A_FACE = {
    # a program, too: a run's kernel; what sweeps and reports need is not installed with the library
    "bench": {"kernel", "sweeps"},
    "cli": {
        "bench",
        "bench_report",
        "benchmarks",
        "convert",
        "engine_flags",
        "engines",
        "generate",
        "info",
        "learning",
        "library",
        "models",
        "report",
        "plan",
        "simulate",
        "sweep",
    },  # a program: its commands load what they need
    "kernels": {"triton_decode", "triton_kernels", "triton_splits"},  # not every machine has Triton
}
FACES_IN_WORK = ("configs", "cost", "explore")


def public_modules(package: str) -> set[str]:
    """Return the names of a package's own modules and packages."""
    folder = package_root() / package
    there = {p.stem for p in folder.glob("*.py")}
    there |= {p.parent.name for p in folder.glob("*/__init__.py")}
    return {name for name in there if not name.startswith("_")}


@pytest.mark.parametrize("package", sorted(set(gqa_lib.__all__) - {"__version__", *FACES_IN_WORK}))
def test_every_module_is_reached_from_its_packages_face(package):
    """In a new process each: what other tests have imported is an attribute, face or not."""
    names = public_modules(package)
    if not names:
        assert package in ("arguments", "hardware", "heads", "processes")
    code = (
        f"import gqa_lib\npackage = gqa_lib.{package}\nfor name in {sorted(names)}:\n"
        "    one = getattr(package, name, None)\n"
        "    is_module = getattr(one, '__name__', '') == f'{package.__name__}.{name}'\n"
        "    if not is_module and (one is None or name not in package.__all__):\n"
        "        print(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == NOT_ON_A_FACE.get(package, set())


def test_only_the_config_loader_knows_hugging_face_keys():
    for folder in ("configs", "cost", "measure", "plots", "attention", "cache", "kernels"):
        for path in (package_root() / folder).glob("*.py"):
            if path != Path(package_root(), "configs", "hugging_face.py"):
                text = path.read_text(encoding="utf-8")
                assert "num_key_value_heads" not in text, path
                assert "num_attention_heads" not in text, path
