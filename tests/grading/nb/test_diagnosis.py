"""A line on what went wrong: no known mistake is cut off, and nobody's own words are counted."""

import pytest

from gqa_lib.learn.checking.running import not_yet
from gqa_lib.learn.exercises.index import all_exercises
from grading.nb.diagnosis import ERROR, NAMED, STOPPED, STUB, WRONG, diagnose

FOUND = "The shape is right, but 140 of 420 values differ; the first, at [0, 1, 0, 0], is -1.2."
CALLED = "Called with k (2, 3, 6, 5), v (2, 3, 6, 5), max_seq_len=9, steps=[3, 1, 2]."


def every_mistake():
    known = all_exercises()
    for exercise in known.values() if isinstance(known, dict) else known:
        for mistake in exercise.mistakes:
            yield exercise, mistake.says


def test_no_mistake_that_a_check_names_is_cut_where_a_student_reads_why():
    found = list(every_mistake())
    assert len(found) > 100
    for exercise, says in found:
        named = f"That is what you get when {says}"
        said = diagnose("NotYet", str(not_yet(exercise, FOUND, named, CALLED)))
        assert (said.kind, said.says) == (NAMED, " ".join(named.split())), exercise.name
        assert said.label
        assert " ".join(says.split()).startswith(said.label)


def check_says(*lines):
    (exercise, _), *_ = every_mistake()
    return diagnose("NotYet", str(not_yet(exercise, *lines)))


@pytest.mark.parametrize(
    ("lines", "kind", "label"),
    [
        (
            ["it is still a stub. Write your code where it says YOUR CODE HERE."],
            STUB,
            "not answered",
        ),
        (["It returned 49; expected 7.", CALLED], WRONG, "It returned …; expected …"),
        (["It returned shape (2, 3); expected (2, 6)."], WRONG, "It returned shape …; expected …"),
        (["It returned 'my name is ada'; a tensor is expected."], WRONG, None),
        (["it stopped with TypeError: ada's own words"], WRONG, "it stopped with TypeError"),
    ],
)
def test_what_a_check_does_not_name_is_counted_by_its_kind(lines, kind, label):
    said = check_says(*lines)
    assert said.kind == kind
    assert said.label == (label or said.label)
    assert "ada" not in said.label


@pytest.mark.parametrize(
    ("name", "text", "kind", "label"),
    [
        ("NotImplementedError", "", STUB, "not answered"),
        ("NameError", "name 'ada' is not defined", ERROR, "it stopped with NameError"),
        ("Stopped", "Your code was stopped: 31 s.", STOPPED, "Your code was stopped: … s"),
        ("AssertionError", "double(2) is 4", WRONG, "double… is …"),
        ("A" * 5000, "x" * 5000, ERROR, f"it stopped with {'A' * 40}"),
        ("NotYet", "", WRONG, ""),
        ("NotYet", "quiz: not yet. None of the 3 questions is answered.", STUB, "not answered"),
    ],
)
def test_other_errors_have_a_kind(name, text, kind, label):
    said = diagnose(name, text)
    assert (said.kind, said.label) == (kind, label)
    assert len(said.says) <= 251
