"""Predictions that count: kept before a measurement, and held against what came out."""

import ast

import numpy as np
import pytest
import torch

from gqa_lib.course.manifest import find_lesson, lessons
from gqa_lib.learn import guess, guessed, outcome, progress
from gqa_lib.learn.guide.ending import ending
from gqa_lib.learn.guide.map import course_map, lesson_map
from gqa_lib.learn.guide.predictions import all_asked, calibration, predictions
from gqa_lib.learn.progress.event import new_event
from gqa_lib.learn.progress.standing import standing
from gqa_lib.learn.progress.store import insert
from grading.authoring.source import lesson_notebook, read_source, source_of
from grading.nb.cells import is_graded, is_solution

RATIO, SHARE, KIB = "expanded / MHA", "right, recency", "8 KV heads on 32 GPUs"
FOUR = find_lesson("04")


@pytest.fixture(autouse=True)
def own_places(tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_WORK", str(tmp_path / "work"))


def kept(kind="guess"):
    return [(e["exercise"], e["score"]) for e in progress.events(kind=kind)]


def near():
    return calibration(predictions())


# Before the measurement


def test_a_guess_is_kept_and_one_line_says_so(capsys):
    guess(RATIO, 2)
    assert capsys.readouterr().out == f"Kept: you expect 2 times ({RATIO}).\n"
    assert guessed(RATIO) == 2.0
    guess(RATIO, 2.0)  # the cell is run again
    assert capsys.readouterr().out == f"Kept: you expect 2 times ({RATIO}).\n"
    assert kept() == [(RATIO, 2.0)]
    assert standing(FOUR).begun


def test_another_guess_replaces_it_openly_and_the_first_stays_the_first(capsys):
    for value in (2, 3, 4):
        guess(RATIO, value)
    last = capsys.readouterr().out.splitlines()[-1]
    assert "you expect 4 times instead of 3 times" in last
    assert "2 times was your first" in last
    assert guessed(RATIO) == 4.0
    (found,) = (one for one in predictions() if one.asked.name == RATIO)
    assert (found.first, found.kept) == (2.0, 4.0)


def test_the_cell_as_it_is_given_out_keeps_nothing_and_says_what_to_do(capsys):
    guess(RATIO, None)
    assert "no guess yet. Put a number in place of None" in capsys.readouterr().out
    assert (kept(), guessed(RATIO)) == ([], None)
    guess(RATIO, 3)
    guess(RATIO, None)
    assert "you expect 3 times." in capsys.readouterr().out
    assert guessed(RATIO) == 3.0


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        (RATIO, 0, "above 0"),
        (RATIO, -2.0, "above 0"),
        (RATIO, float("nan"), "above 0"),
        (RATIO, float("inf"), "above 0"),
        (RATIO, 10**400, "not a number"),
        (RATIO, "2", "not a number"),
        (RATIO, True, "not a number"),
        (RATIO, [2, 3], "not a number"),
        (RATIO, 2j, "not a number"),
        (RATIO, torch.ones(3), "not a number"),
        (SHARE, 1.2, "from 0 to 1"),
        (SHARE, -0.1, "from 0 to 1"),
        (SHARE, float("nan"), "from 0 to 1"),
        (KIB, 0, "above 0"),
    ],
)
def test_what_cannot_be_a_guess_is_refused_in_words(name, value, why, capsys):
    guess(name, value)
    assert why in capsys.readouterr().out
    assert kept() == []


@pytest.mark.parametrize("value", [np.float32(0.5), np.int64(1), torch.tensor(0.25), 0, 1])
def test_numbers_of_any_kind_are_taken(value):
    guess(SHARE, value)
    assert guessed(SHARE) == float(value)


def test_a_name_that_no_lesson_asks_for_is_told_with_the_nearest(capsys):
    guess("expandd / MHA", 2)
    outcome("quite another", 2)
    said = capsys.readouterr().out
    assert 'Did you mean "expanded / MHA"?' in said
    assert 'No lesson asks to predict "quite another".\n' in said
    assert guessed("expandd / MHA") is None
    assert progress.events() == []


# What came out


@pytest.mark.parametrize(
    ("name", "mine", "result", "said", "counts"),
    [
        (
            RATIO,
            2.0,
            2.9,
            "you expected 2 times, it is 2.9 times: within 2x.",
            "within 2x on 1 of 1",
        ),
        (RATIO, 2.0, 4.0, "within 2x.", "within 2x on 1 of 1"),
        (RATIO, 2.0, 9.0, "off by a factor of 4.5.", "within 2x on 0 of 1"),
        (RATIO, 8.0, 2.0, "off by a factor of 4.", "within 2x on 0 of 1"),
        (SHARE, 0.9, 0.97, "within 0.1.", "shares within 0.1 on 1 of 1"),
        (SHARE, 0.9, 0.52, "0.38 apart.", "shares within 0.1 on 0 of 1"),
        (SHARE, 0.0, 0.0, "within 0.1.", "shares within 0.1 on 1 of 1"),
        (KIB, 4, 16.0, "you expected 4 KiB, it is 16 KiB: off", "within 2x on 0 of 1"),
    ],
)
def test_it_is_held_against_the_guess(name, mine, result, said, counts, capsys):
    guess(name, mine)
    outcome(name, result)
    assert said in capsys.readouterr().out.splitlines()[-1]
    assert near() == counts


def test_after_it_was_shown_a_new_guess_no_longer_counts(capsys):
    guess(RATIO, 2)
    outcome(RATIO, 9.0)
    capsys.readouterr()
    guess(RATIO, 9)
    said = capsys.readouterr().out
    assert "9 times no longer counts" in said
    assert "you expected 2 times; it was 9 times" in said
    guess(RATIO, 2)  # the cell as it was, run again
    assert capsys.readouterr().out == f"{RATIO}: you expected 2 times; it was 9 times.\n"
    assert kept() == [(RATIO, 2.0)]
    assert near() == "within 2x on 0 of 1"


def test_who_made_no_guess_reads_what_came_out_and_cannot_guess_any_more(capsys):
    outcome(RATIO, 2.9)
    assert capsys.readouterr().out == f"{RATIO}: 2.9 times.\n"
    guess(RATIO, 2.9)
    assert "you made no guess" in capsys.readouterr().out
    assert (guessed(RATIO), near()) == (None, "")


@pytest.mark.parametrize("noise", [{"value": 9.0, "noisy": True}, {"value": float("nan")}])
def test_noise_is_not_kept_as_what_came_out(noise, capsys):
    guess(RATIO, 2)
    outcome(RATIO, **noise)
    assert "too noisy to count" in capsys.readouterr().out
    assert near() == ""
    guess(RATIO, 5)
    assert "no longer counts" in capsys.readouterr().out, "a number was shown, be it noise"
    outcome(RATIO, 2.5)
    assert near() == "within 2x on 1 of 1"


def test_the_first_undisturbed_outcome_stays(capsys):
    guess(RATIO, 2)
    outcome(RATIO, 2.5)
    outcome(RATIO, 9.0)
    assert "off by a factor of 4.5" in capsys.readouterr().out, "what is read is of this run"
    assert near() == "within 2x on 1 of 1"
    assert kept("outcome") == [(RATIO, 2.5)]


def test_a_guess_of_another_machine_that_came_after_does_not_count():
    guess(RATIO, 2)
    outcome(RATIO, 9.0)
    late = new_event(FOUR.slug, RATIO, "guess", 9.0, None, "")
    insert([late])
    assert guessed(RATIO) == 2.0
    early = new_event(FOUR.slug, RATIO, "guess", 8.0, None, "")
    insert([early | {"at": "2026-01-01T00:00:00.000+00:00"}])
    (found,) = (one for one in predictions() if one.asked.name == RATIO)
    assert (found.first, found.kept) == (8.0, 2.0)


# Where it is shown


def test_map_and_ending_count_them(capsys):
    assert "Predictions" not in lesson_map() + course_map() + ending(FOUR)
    guess(RATIO, 2)
    assert "Predictions" not in lesson_map() + course_map() + ending(FOUR), "not measured yet"
    outcome(RATIO, 2.9)
    assert "\nPredictions: within 2x on 1 of 1" in lesson_map()
    assert " · Predictions: within 2x on 1 of 1" in course_map().splitlines()[0]
    assert "- Predictions: within 2x on 1 of 1\n" in ending(FOUR)
    guess(SHARE, 0.2)
    outcome(SHARE, 0.9)
    both = "within 2x on 1 of 1, shares within 0.1 on 0 of 1"
    assert f"Predictions: {both}" in lesson_map()
    assert f"- Predictions: within 2x on 1 of 1 (in all: {both})\n" in ending(FOUR)
    assert "Predictions" not in ending(find_lesson("01"))


def test_nothing_is_kept_or_said_while_grading(monkeypatch, capsys):
    guess(RATIO, 2)
    capsys.readouterr()
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    guess(RATIO, 3)
    guess("no such", 3)
    outcome(RATIO, 2.9)
    assert guessed(RATIO) is None
    assert capsys.readouterr().out == ""
    assert [e["kind"] for e in progress.events()] == ["guess"]


def test_a_record_that_cannot_be_used_stops_no_lesson(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "file" / "home"))
    guess(RATIO, 2)
    outcome(RATIO, 2.9)
    assert guessed(RATIO) is None
    said = capsys.readouterr().out
    assert "Progress was not saved" in said
    assert f"{RATIO}: 2.9 times." in said


# The lessons


def calls(lesson, name):
    """The first arguments of a lesson's calls of a function, and the cells that have them."""
    for cell in lesson_notebook(lesson).cells:
        if cell.cell_type == "code" and f"{name}(" in cell.source:
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == name:
                    yield node, cell


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.slug)
def test_a_lesson_asks_for_each_of_its_guesses_once_and_leaves_the_number_to_the_learner(lesson):
    asked = list(calls(lesson, "guess"))
    names = [ast.literal_eval(node.args[0]) for node, _ in asked]
    assert names == [one.name for one in all_asked().values() if one.lesson == lesson]
    assert all(ast.literal_eval(node.args[1]) is None for node, _ in asked)
    assert not any(is_solution(cell) or is_graded(cell) for _, cell in asked)
    first = [cell for _, cell in calls(lesson, "outcome")]
    assert bool(first) == bool(asked)


def test_every_lesson_but_the_quiz_asks_for_a_guess():
    asking = {one.lesson.number for one in all_asked().values()}
    assert asking == {lesson.number for lesson in lessons()} - {"16"}


def test_a_cell_that_asks_says_what_it_does():
    for lesson in lessons():
        for cell in read_source(source_of(lesson)).cells:
            if cell.cell_type == "code" and 'guess("' in cell.source and "None)" in cell.source:
                assert cell.metadata.get("does", "")[:5] == "Keeps" or lesson.number == "15"
