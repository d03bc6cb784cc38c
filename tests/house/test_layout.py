"""What keeps the code readable: short files, functions on a screen, public types and texts."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import gqa_lib
from gqa_lib.course.places import course_root

ROOT = course_root()
MAX_FILE, MAX_FUNCTION = 300, 40  # lines; a function's docstring is not counted
PLANTED = ROOT / "grading" / "authoring" / "planted"  # wrong answers, not modules
# What is longer, or less typed, than it should be: an entry that is no longer needed must go.
LONG_FILES: set[str] = set()
LONG_FUNCTIONS = {  # a Triton kernel takes every size and stride as an argument of its own
    "gqa_lib/kernels/triton_decode.py: triton_decode",
    "gqa_lib/kernels/triton_kernels.py: attend_part",
}
UNTYPED = ("gqa_lib/kernels/triton_kernels.py",)  # Triton has no type for a pointer
OVERRIDES = {  # methods of nbgrader's and nbconvert's, which are not typed there
    *("preprocess", "preprocess_cell", "from_filename", "from_file", "from_notebook_node"),
    *("init_src", "copy_files", "do_copy"),
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(*packages):
    """Yield (name, text) of the modules of some packages."""
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            if PLANTED not in path.parents:
                yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def length(function: Function) -> int:
    """Return the lines of a function without its decorators and its docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        lines -= function.body[0].end_lineno - function.body[0].lineno + 1
    return lines


def public_functions(text: str):
    """Yield the public functions of a module, and the public methods of its public classes."""
    bodies = [ast.parse(text).body]
    while bodies:
        for node in bodies.pop():
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                bodies.append(node.body)
            elif isinstance(node, Function) and not node.name.startswith("_"):
                yield node


def arguments(function: Function) -> list[ast.arg]:
    """Return what a caller can give a function by name."""
    given = function.args
    return [a for a in given.posonlyargs + given.args + given.kwonlyargs if a.arg not in _SELF]


_SELF = ("self", "cls")


def is_typed(function: Function) -> bool:
    """Return whether all arguments and the result have a type."""
    return function.returns is not None and all(a.annotation for a in arguments(function))


def undocumented(function: Function) -> list[str]:
    """Return the arguments that a docstring's Args section leaves out.

    One argument needs no section: the first line says what it is.
    """
    found = re.search(r"^Args:\n((?: +.*\n?|\n)*)", ast.get_docstring(function) or "", re.MULTILINE)
    if not found:
        return []  # see `without_args`
    told = {
        name.strip()
        for names in re.findall(r"^    ([\w, ]+):", found[1], re.MULTILINE)
        for name in names.split(",")
    }
    return [a.arg for a in arguments(function) if a.arg not in told]


def without_args(function: Function) -> bool:
    """Return whether a docstring says nothing of two arguments or more."""
    doc = ast.get_docstring(function) or ""
    return len(arguments(function)) > 1 and not re.search("^Args:", doc, re.MULTILINE)


def test_files_are_short():
    long = {n for n, text in sources("gqa_lib", "grading") if len(text.splitlines()) > MAX_FILE}
    assert long == LONG_FILES


def test_no_two_files_of_tests_have_one_name():
    """One process that collects both refuses the second, and which process does is chance."""
    names = Counter(path.name for path in (course_root() / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_functions_fit_a_screen():
    long = {
        f"{name}: {node.name}"
        for name, text in sources("gqa_lib", "grading")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, Function) and length(node) > MAX_FUNCTION
    }
    assert long == LONG_FUNCTIONS


def test_public_functions_are_typed():
    untyped = {
        f"{name}:{function.lineno} {function.name}"
        for name, text in sources("gqa_lib", "grading")
        for function in public_functions(text)
        if not is_typed(function)
        and not (name.startswith("grading/") and function.name in OVERRIDES)
    }
    assert not [one for one in untyped if not one.startswith(UNTYPED)]
    unneeded = [name for name in UNTYPED if not any(one.startswith(name) for one in untyped)]
    assert not unneeded


def test_an_args_section_names_every_argument():
    missing = [
        f"{name}:{function.lineno} {function.name} says nothing of {', '.join(left_out)}"
        for name, text in sources("gqa_lib", "grading")
        for function in public_functions(text)
        if (left_out := undocumented(function))
    ]
    assert not missing


NO_ARGS_YET = ("gqa_lib/learn/",)


def test_the_librarys_functions_of_two_arguments_or_more_have_an_args_section():
    """What an engineer calls; `learn` and `grading` are called by the course alone."""
    missing = [
        f"{name}:{function.lineno} {function.name}"
        for name, text in sources("gqa_lib")
        for function in public_functions(text)
        if without_args(function) and not name.startswith((*UNTYPED, *NO_ARGS_YET))
    ]
    assert not missing


SAMPLE = """\
from gqa_lib.configs import load_model
from gqa_lib.learn import check
check("expand_kv", max)
check(7, max)
load_model("Llama-3.2-3B").q_per_kv + "heads"
"""
SETTINGS = """\
[mypy]
follow_imports = silent
[mypy-torch.*,numpy.*,IPython.*,matplotlib.*,nbgrader.*,triton.*]
follow_imports = skip
"""


def test_whoever_installs_the_library_sees_its_types(tmp_path):
    assert (Path(gqa_lib.__file__).parent / "py.typed").exists()
    (tmp_path / "sample.py").write_text(SAMPLE)
    (tmp_path / "mypy.ini").write_text(SETTINGS)
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--cache-dir"]
    done = subprocess.run(
        [*command, tmp_path / "cache", "sample.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert re.findall(r"sample\.py:(\d+): error: .*\[(.+)\]", done.stdout) == [
        ("4", "arg-type"),
        ("5", "operator"),
    ]
