"""What importing costs, and which way imports point."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gqa_lib

PACKAGE = Path(gqa_lib.__file__).parent
HEAVY = {"torch", "matplotlib", "IPython", "triton"}
# What each of these modules may import of gqa_lib when it runs (hints for a type checker are free).
ALLOWED = {
    "configs": set(),
    "cost": {"configs"},
    "environment": set(),
    "samples": set(),
    "measure": {"environment", "samples"},
    "hardware": {"environment", "measure"},
}
# The same for what needs torch: packages and their modules count as one.
ALLOWED_WITH_TORCH = {
    "rope": set(),
    "cache": set(),
    "kernels": set(),
    "attention": {"kernels", "rope"},
    "explore": {"configs", "cost", "explore_panel", "hardware", "plots"},
    "explore_panel": {"configs", "explore", "hardware", "plots"},
    "learn": {"cache", "configs", "cost", "hardware", "kernels", "rope"},
    "plots": {"configs", "cost", "hardware"},
    "bench": {"hardware", "learn", "measure", "plots"},
    "compare": {"cost", "environment", "hardware", "kernels", "measure", "samples"},
    "records": {"compare", "environment", "measure", "samples"},
    "info": {"environment", "hardware", "kernels"},
}


@pytest.mark.parametrize("module", ["gqa_lib", *(f"gqa_lib.{name}" for name in ALLOWED)])
def test_imports_without_torch_or_matplotlib(module):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & {name.partition(".")[0] for name in done.stdout.split()}


def test_the_first_check_is_not_slowed_by_importing_the_compiler():
    code = "import sys, gqa_lib.attention, gqa_lib.learn.checking.check; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch._dynamo.convert_frame" not in done.stdout.split()


@pytest.mark.parametrize("name", ["configs", "cost"])
def test_arithmetic_needs_nothing_but_the_standard_library(name):
    code = f"import sys, gqa_lib.{name}; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def imported(tree):
    """Submodules of gqa_lib that the code imports, those for type checkers left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gqa_lib"):
            path = node.module.split(".")[1:]
            yield from path[:1] or [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("grading"):
            yield "grading"
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("gqa_lib."))
        yield from imported(node)


@pytest.mark.parametrize("name", ALLOWED)
def test_imports_flow_one_way(name):
    tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    assert set(imported(tree)) <= ALLOWED[name]


def files_of(name):
    """Return the files of a module or package of gqa_lib."""
    folder = PACKAGE / name
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{name}.py"]


@pytest.mark.parametrize("name", ALLOWED_WITH_TORCH)
def test_imports_flow_one_way_where_torch_is_needed(name):
    for path in files_of(name):
        text = path.read_text(encoding="utf-8")
        if path.parent == PACKAGE:  # `from .kernels import` there names another module
            text = text.replace("from .", "from gqa_lib.")
        assert set(imported(ast.parse(text))) <= ALLOWED_WITH_TORCH[name] | {name}, path


def test_only_the_command_line_knows_grading():
    files = PACKAGE.rglob("*.py")
    knowing = [p.name for p in files if "grading" in imported(ast.parse(p.read_text("utf-8")))]
    assert knowing == ["cli.py"]


def test_only_the_config_loader_knows_hugging_face_keys():
    for path in PACKAGE.glob("*.py"):
        if path.stem in set(ALLOWED) - {"configs"}:
            text = path.read_text(encoding="utf-8")
            assert "num_key_value_heads" not in text
            assert "num_attention_heads" not in text
