"""Nothing of the library that a submission can reach answers an exercise."""

import importlib
import inspect
import json
import subprocess
import types
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from pkgutil import walk_packages

import pytest
import torch

import gqa_lib
from gqa_lib.course.answers import IN_THE_SANDBOX, holds_answers, is_among
from gqa_lib.learn.checking.difference import same
from gqa_lib.learn.checking.running import outcome
from gqa_lib.learn.exercises import Exercise, all_exercises
from grading.limited import sandbox

needs_sandbox = pytest.mark.skipif(
    bool(sandbox.sandbox_problem()), reason=f"no sandbox here: {sandbox.sandbox_problem()}"
)


def visible_modules() -> list[str]:
    names = ["gqa_lib", *(m.name for m in walk_packages(gqa_lib.__path__, "gqa_lib."))]
    kept = [name for name in names if is_among(name, IN_THE_SANDBOX)]
    return [name for name in kept if name != "gqa_lib.moved"]  # renames, and warns at each call


def callables() -> dict[str, Callable]:
    """Return every function, class, method and property of the modules that the sandbox has."""
    found: dict[str, Callable] = {}
    for name in visible_modules():
        for key, value in vars(importlib.import_module(name)).items():
            made_in = str(getattr(value, "__module__", ""))
            if not callable(value) or not is_among(made_in, IN_THE_SANDBOX):
                continue  # what another test made a lazy face look up is not there, either
            found[f"{name}.{key}"] = value
            if isinstance(value, type):
                found |= {f"{name}.{key}.{k}": one for k, one in members(value)}
    return found


def members(kind: type) -> Iterator[tuple[str, Callable]]:
    for name, value in vars(kind).items():
        inner = value.fget if isinstance(value, property) else getattr(value, "func", value)
        inner = getattr(inner, "__func__", inner)
        if inspect.isfunction(inner):
            yield name, inner


def taking(function: Callable, count: int) -> Iterator[Callable]:
    """Yield ways to call a function with the first of some arguments, and with all in a list."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    placed = [one for one in parameters if one.kind in kinds]
    least = sum(one.default is inspect.Parameter.empty for one in placed)
    if any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in parameters):
        placed += placed[:1] * count
    for taken in {min(count, len(placed)), least}:
        if least <= taken <= count:
            yield lambda *given, n=taken: function(*given[:n])


def arguments_of(exercise: Exercise, case: dict) -> tuple:
    return exercise.make(torch.Generator().manual_seed(0), **case)


@cache
def expected_of(name: str, place: int):
    """Return what is right in a case of an exercise, which hundreds of functions are held to."""
    exercise = all_exercises()[name]
    return outcome(exercise.oracle, arguments_of(exercise, exercise.cases[place]))


def passes(exercise: Exercise, yours: Callable) -> bool:
    """Return whether the results are right in every case, as a check compares them."""
    for place, case in enumerate(exercise.cases):
        expected = expected_of(exercise.name, place)
        try:
            got = exercise.call(yours, *arguments_of(exercise, case))
        except Exception as error:
            got = error
        if isinstance(expected, ValueError):
            right = isinstance(got, ValueError)
        else:
            right = not isinstance(got, Exception) and same(got, expected)
        if not right:
            return False
    return True


def candidates(exercise: Exercise, functions: dict[str, Callable]) -> Iterator[tuple]:
    count = len(arguments_of(exercise, exercise.cases[0]))
    for name, function in functions.items():
        if exercise.name[0].isupper():  # a class is asked for
            if isinstance(function, type):
                made = types.new_class(exercise.name, (function,))  # an enum's, too
                made.__module__ = "__main__"
                yield name, made
        else:
            yield from ((name, way) for way in taking(function, count))


@pytest.fixture(scope="module")
def functions():
    found = callables()
    assert len(found) >= 100
    return found


@pytest.mark.parametrize("name", all_exercises())
def test_nothing_that_a_submission_can_call_solves_an_exercise(name, functions):
    exercise = all_exercises()[name]
    tried = candidates(exercise, functions)
    assert [told for told, way in tried if passes(exercise, way)] == []


LOOK_AROUND = """
import importlib, json, pkgutil, sys
if WATCHED:
    from grading.student.imports import watch_imports
    watch_imports()
import gqa_lib
reached, seen = set(), set()
names = ["gqa_lib", *NAMES, *(m.name for m in pkgutil.walk_packages(gqa_lib.__path__, "gqa_lib."))]
for name in names:
    for way in (importlib.import_module, lambda n: __import__(n, fromlist=["x"])):
        try:
            way(name)
        except ImportError:
            pass
        else:
            reached.add(name)
for name, module in sorted(sys.modules.items()):
    if name.split(".")[0] != "gqa_lib":
        continue
    for key in {*dir(module), *getattr(module, "__all__", [])}:
        try:
            value = getattr(module, key)
        except (AttributeError, ImportError):
            continue
        seen.add(str(getattr(value, "__module__", None) or getattr(value, "__name__", "")))
print(json.dumps([sorted(reached), sorted(seen)]))
"""
STAND_INS = tuple(f"gqa_lib.learn.{name}" for name in ("checking", "guide", "hunting", "quiz"))


def reachable(*, watched: bool) -> set[str]:
    """Return the modules of the library that code in the sandbox comes to, or sees a part of."""
    every = [m.name for m in walk_packages(gqa_lib.__path__, "gqa_lib.")]
    code = LOOK_AROUND.replace("WATCHED", str(watched)).replace("NAMES", repr(every))
    argv = sandbox.command([sandbox.python(), "-c", code])
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd="/")
    reached, seen = json.loads(done.stdout)
    own = {one for one in (*reached, *seen) if one.partition(".")[0] == "gqa_lib"}
    return {one for one in own if not one.startswith(STAND_INS)}


@needs_sandbox
@pytest.mark.parametrize("watched", [True, False])
def test_by_no_way_of_importing_a_submission_comes_to_another_module(watched):
    came_to = reachable(watched=watched)
    assert {"gqa_lib.configs", "gqa_lib.configs.shape", "gqa_lib.heads"} <= came_to
    assert [one for one in came_to if not is_among(one, IN_THE_SANDBOX)] == []
    assert [one for one in came_to if holds_answers(one)] == []


@needs_sandbox
def test_the_files_of_the_library_there_are_those_that_are_declared():
    code = "import pathlib; print(*pathlib.Path('/opt/gqa/gqa_lib').rglob('*.py'))"
    argv = sandbox.command([sandbox.python(), "-c", code])
    there = subprocess.run(argv, capture_output=True, text=True, check=True, cwd="/").stdout.split()
    modules = {
        ".".join(Path(one).relative_to("/opt/gqa").with_suffix("").parts).removesuffix(".__init__")
        for one in there
    }
    assert len(modules) >= 15
    assert [one for one in modules if not is_among(one, IN_THE_SANDBOX)] == []


@pytest.mark.parametrize("name", ["kv_heads_in_weights", "queries_per_kv_head", "KVCache"])
def test_an_answer_among_the_visible_modules_would_be_found(name):
    exercise = all_exercises()[name]
    known = {
        "kv_heads_in_weights": ("gqa_lib.configs.checkpoints", "kv_heads_in_weights"),
        "queries_per_kv_head": ("gqa_lib.learn.exercises.lesson00", "_queries_per_kv_head"),
        "KVCache": ("gqa_lib.cache", "KVCache"),
    }
    module, key = known[name]
    answers = {key: getattr(importlib.import_module(module), key)}
    assert any(passes(exercise, way) for _, way in candidates(exercise, answers))
