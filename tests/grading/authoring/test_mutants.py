"""The mutant gate: no one-step change of a solution passes the checks without a reviewed reason."""

import ast
import hashlib
from functools import cache

import pytest
import torch

from gqa_lib.course.manifest import find_lesson, lessons
from gqa_lib.learn.exercises import all_exercises
from grading.authoring.mutants import gate, grade
from grading.authoring.mutants.gate import mutants_of, reviewed, verify_mutants
from grading.authoring.mutants.mutant import Mutant, mutants
from grading.authoring.mutants.wrappers import EFFECTS, touched
from grading.authoring.source import source_of

LESSON = find_lesson("00")
SAMPLE = 20  # of a lesson's mutants; `gqa verify --mutants` and the slow test grade them all

CELL = '''def scaled(x, size, causal=True):
    """Return x / sqrt(size)."""
    ### BEGIN SOLUTION
    if causal:
        return x.softmax(dim=-1) / size**0.5
    raise ValueError("not causal")
    ### END SOLUTION
'''


made_of = cache(mutants_of)  # all of them take half a minute to make
TAUGHT = {exercise.lesson for exercise in all_exercises().values()}
WITH_EXERCISES = [lesson for lesson in lessons() if lesson.slug in TAUGHT]


@pytest.fixture(autouse=True)
def _made_once(monkeypatch):
    monkeypatch.setattr(gate, "mutants_of", made_of)


def changed(kind):
    return [mutant.after for mutant in mutants("scaled", CELL) if mutant.kind == kind]


@pytest.mark.parametrize("lesson", WITH_EXERCISES, ids=lambda lesson: lesson.slug)
def test_a_sample_of_mutants_is_refused_or_reviewed(lesson):
    """Which ones depends on the solution alone: a test that passed passes again."""
    seed = hashlib.sha256(source_of(lesson).read_bytes()).hexdigest()
    assert verify_mutants([lesson], sample=SAMPLE, seed=seed) == []


@pytest.mark.slow
@pytest.mark.parametrize("lesson", WITH_EXERCISES, ids=lambda lesson: lesson.slug)
def test_every_mutant_is_refused_or_reviewed(lesson):
    assert verify_mutants([lesson]) == []


def test_every_reviewed_mutant_is_still_made():
    made = {mutant.key for lesson in lessons() for mutant in made_of(lesson)}
    assert set(reviewed()) <= made
    assert [lesson for lesson in lessons() if made_of(lesson)] == WITH_EXERCISES


def test_mutants_are_programs_that_differ_from_the_solution_and_each_other():
    made = mutants("scaled", CELL)
    programs = {ast.unparse(ast.parse(mutant.source)) for mutant in made}
    assert len(programs) == len(made) > 30
    assert ast.unparse(ast.parse(CELL)) not in programs
    assert all(mutant.source.count("### END SOLUTION") == 1 for mutant in made)


@pytest.mark.parametrize(
    ("kind", "after"),
    [
        ("operator", "return (x.softmax(dim=-1) * size ** 0.5)"),
        ("operand dropped", "return (x.softmax(dim=-1))"),
        ("constant", "return x.softmax(dim=-2) / size**0.5"),
        ("constant", "return x.softmax(dim=-1) / size**-0.5"),
        ("condition", "if (not causal):"),
        ("condition", "if True:"),
        ("default", "def scaled(x, size, causal=False):"),
        ("default", "def scaled(x, size, causal):"),
        ("another parameter", "return x.softmax(dim=-1) / x**0.5"),
        ("argument dropped", "return x.softmax() / size**0.5"),
        ("call dropped", "return x / size**0.5"),
        ("overflows", "return (x.exp() / x.exp().sum(-1, keepdim=True)) / size**0.5"),
        ("bare error", "raise ValueError"),
        ("assert for an error", "assert False, 'not causal'"),
        ("parameter ignored", "causal = False"),
        ("in_float32", "x = in_float32(x)"),
        ("detached", "return detached(x.softmax(dim=-1) / size ** 0.5)"),
    ],
)
def test_each_family_is_made(kind, after):
    texts = [" ".join(one.split()) for one in changed(kind)]
    bare = [text.replace("(x.softmax(dim=-1))", "x.softmax(dim=-1)") for text in texts]
    wanted = after.replace("(x.softmax(dim=-1))", "x.softmax(dim=-1)")
    assert wanted in bare, texts


def test_what_a_learner_does_not_write_stays():
    assert not [one for one in changed("text") if "Return" in one]


def test_an_effect_that_changes_nothing_is_noticed():
    touched.clear()
    assert EFFECTS["in_float32"](3) == 3
    assert not touched
    assert EFFECTS["in_float32"](torch.ones(2, dtype=torch.float64)).dtype == torch.float32
    assert touched


def made_into(monkeypatch, source, before="", after="x"):
    """Let the lesson have this one mutant."""
    mutant = Mutant("queries_per_kv_head", "test", before, after, source)
    monkeypatch.setattr(gate, "mutants_of", lambda lesson: [mutant])
    monkeypatch.setattr(gate, "reviewed", dict)
    return mutant


RIGHT = """def queries_per_kv_head(num_heads, num_kv_heads):
    if num_heads % num_kv_heads:
        raise ValueError(f"{num_heads} over {num_kv_heads}")
    return num_heads // num_kv_heads
"""


def test_a_survivor_is_reported_with_what_was_changed(monkeypatch):
    made_into(monkeypatch, RIGHT, "the old line", "the new line")
    (problem,) = verify_mutants([LESSON])
    assert "queries_per_kv_head, test: passes" in problem
    assert "- the old line\n+ the new line" in problem


def test_a_survivor_with_a_reason_is_none(monkeypatch):
    mutant = made_into(monkeypatch, RIGHT)
    monkeypatch.setattr(gate, "reviewed", lambda: {mutant.key: "it is the same program"})
    assert verify_mutants([LESSON]) == []


def test_a_reason_for_what_is_made_no_more_is_reported(monkeypatch):
    made_into(monkeypatch, "raise ValueError")
    gone = ("queries_per_kv_head", "old", "new")
    monkeypatch.setattr(gate, "reviewed", lambda: {gone: "it is the same program"})
    (problem,) = verify_mutants([LESSON])
    assert "made no more" in problem


@pytest.mark.parametrize(
    "body",
    ["while True: pass", "import os; os._exit(0)", "raise SystemExit", "raise KeyboardInterrupt"],
)
def test_a_mutant_that_ends_or_blocks_its_process_is_refused(monkeypatch, body):
    monkeypatch.setattr(grade, "CPU_S", 1)  # counted from the fork
    made_into(monkeypatch, f"def queries_per_kv_head(num_heads, num_kv_heads):\n    {body}\n")
    assert verify_mutants([LESSON]) == []


def test_a_reason_must_be_given_once(tmp_path, monkeypatch):
    text = '[[reviewed]]\nbecause = "b"\nmutants = [["e", "a", "b"], ["e", "a", "b"]]\n'
    monkeypatch.setattr(gate, "REVIEWED", tmp_path / "reviewed.toml")
    gate.REVIEWED.write_text(text)
    with pytest.raises(ValueError, match="is there twice"):
        reviewed()
    gate.REVIEWED.write_text(text.replace('"b"\nmutants', '""\nmutants'))
    with pytest.raises(ValueError, match="no reason"):
        reviewed()
