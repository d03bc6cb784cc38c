"""The quiz: the draw, what of the bank is public, what is answered, by whom and for which time."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from gqa_lib.course.manifest import find_lesson, lessons
from gqa_lib.learn import progress
from gqa_lib.learn.exercises.exercise import NotYet
from gqa_lib.learn.quiz import check_quiz, saved
from gqa_lib.learn.quiz.draw import DRAWN_COUNT, draw
from gqa_lib.learn.quiz.questions import DRAWN, all_questions, questions_of
from gqa_lib.learn.quiz.saved import Saved
from gqa_lib.learn.quiz.sitting import Sitting, attempt_at, sitting_of, taking
from grading.nb.cells import read_notebook
from grading.quiz import right_answers
from grading.quiz.bank import load_bank
from grading.quiz.marking import public_bank

CLAIMS = {one.id: one.claim for one in all_questions().values() if one.closes is None}
LEARNERS = [f"s{number}" for number in range(300)]
TOY = {f"Q{n:02}": "abcde"[n % 5] for n in range(40)}
PINNED = [["Q21", "Q25", "Q09", "Q07", "Q15", "Q38"], ["Q28", "Q02", "Q34", "Q19", "Q30", "Q01"]]


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """A learner in an empty folder of their own."""
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_STUDENT", "ada")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# The draw


def test_a_draw_is_the_same_everywhere():
    told = [draw("ada", 1, TOY, 6), draw("zoë", 2, TOY, 6)]
    assert told == PINNED
    assert draw("ada", 1, dict(reversed(TOY.items())), 6) == told[0]
    code = (
        "from gqa_lib.learn.quiz.draw import draw\n"
        f"print([draw('ada', 1, {TOY}, 6), draw('zo\\xeb', 2, {TOY}, 6)])"
    )
    for seed in "12":
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        assert done.stdout.strip() == str(told)


def test_every_claim_is_drawn_as_evenly_as_can_be():
    claims = set(CLAIMS.values())
    for learner in LEARNERS[:100]:
        for attempt in (1, 2, 7):
            drawn = draw(learner, attempt, CLAIMS)
            assert len(set(drawn)) == DRAWN_COUNT
            counts = Counter(CLAIMS[name] for name in drawn)
            assert counts.keys() == claims
            assert max(counts.values()) - min(counts.values()) <= 1


def test_learners_get_different_questions_and_every_question_is_drawn():
    draws = [draw(learner, 1, CLAIMS) for learner in LEARNERS]
    assert len({tuple(sorted(one)) for one in draws}) > 0.99 * len(LEARNERS)
    counts = Counter(name for one in draws for name in one)
    assert counts.keys() == CLAIMS.keys()
    per_claim = Counter(CLAIMS.values())
    for name, count in counts.items():
        expected = len(LEARNERS) * DRAWN_COUNT / len(per_claim) / per_claim[CLAIMS[name]]
        assert 0.5 * expected < count < 1.7 * expected


def test_a_question_comes_again_only_after_all_others_of_its_claim():
    draws = [draw("ada", attempt, TOY, 7) for attempt in range(1, 12)]
    for claim, size in Counter(TOY.values()).items():
        given = [[name for name in one if TOY[name] == claim] for one in draws]
        for last in range(len(given)):
            recent = list(given[last])
            for before in reversed(given[:last]):
                if len(recent) + len(before) > size:
                    break
                recent += before
            assert len(set(recent)) == len(recent)
        assert {name for names in given for name in names} == {n for n in TOY if TOY[n] == claim}


def test_a_claim_with_few_questions_gives_those_it_has():
    claims = {"Q1": "few", **{f"Q{n}": "many" for n in range(2, 12)}}
    drawn = draw("ada", 3, claims, 8)
    assert "Q1" in drawn
    assert len(set(drawn)) == 8


@pytest.mark.parametrize(("attempt", "count"), [(0, 5), (-1, 5), (1, 41)])
def test_a_draw_that_cannot_be_is_an_error(attempt, count):
    with pytest.raises(ValueError, match="cannot draw"):
        draw("ada", attempt, TOY, count)


def test_closing_questions_are_the_same_for_everybody():
    for lesson in lessons():
        if lesson.number != DRAWN:
            asked = questions_of(lesson.number, "ada", 1)
            assert asked == questions_of(lesson.slug, "ben", 9)
            assert [one.closes for one in asked] == [lesson.number] * 3
    assert all(one.closes is None for one in questions_of("16", "ada", 1))


# What is public


def test_the_public_half_has_every_question_and_no_key():
    rows = json.loads(public_bank())
    assert len(rows) == len(load_bank())
    assert {key for row in rows for key in row} == {
        *("id", "claim", "lesson", "closes", "stem", "options")
    }
    told = public_bank()
    assert not [o.why for one in load_bank() for o in one.options if o.why in told]


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.slug)
def test_a_students_notebook_has_a_quiz_and_neither_a_stub_nor_the_key_in_it(lesson):
    cells = {
        c.metadata.get("nbgrader", {}).get("grade_id"): c
        for c in read_notebook(lesson.pristine).cells
    }
    assert cells["quiz"].source.count("\n") == 0
    assert cells["quiz"].source.startswith("answers = {}")
    assert cells["quiz-check"].source.strip() == f'check_quiz("{lesson.number}", answers)'


# What is answered


def test_nothing_answered_is_not_yet():
    with pytest.raises(NotYet, match="None of the 3 questions is answered"):
        check_quiz("04", {})


def test_what_is_written_counts_before_what_was_chosen(tmp_path, capsys):
    first, second, third = (one.id for one in questions_of("04", "ada", 1))
    saved.write(tmp_path, Saved(1, {first: "A", second: "B"}))
    check_quiz("04", {second: " c "})
    told = capsys.readouterr().out
    assert f"2 of 3 answered: {first} A, {second} C (written)." in told
    assert f"Not answered, so 0 points for now: {third}." in told
    check_quiz("04", {third: "D"})
    assert (
        f"3 of 3 answered: {first} A, {second} B, {third} D (written)." in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    "answers", [None, "ABC", ["A"], {"Q10": "E"}, {"Q10": 1}, {"Q10": "AB"}, {1: ""}]
)
def test_answers_that_cannot_be_read_are_told(answers):
    with pytest.raises(NotYet, match=r"answers is a|is answered"):
        check_quiz("04", answers)


def test_answers_to_somebody_elses_questions_are_told_as_such():
    mine = {one.id for one in questions_of("16", "ada", 1)}
    theirs = {name: "A" for name in all_questions() if name not in mine}
    with pytest.raises(NotYet, match=r"The answers are to Q.*for ada, attempt 1, are Q"):
        check_quiz("16", theirs)


def test_each_graded_submission_of_one_who_learns_alone_is_an_attempt(tmp_path):
    slug = find_lesson("16").slug
    assert attempt_at("16") == 1
    saved.write(tmp_path, Saved(1, {one.id: "A" for one in questions_of("16", "ada", 1)}))
    assert len(sitting_of("16").saved) == 15
    progress.add(slug, "quiz-check", "mark", 12, 15)
    progress.add(slug, "", "mark", 12, 15)
    assert attempt_at("16") == 2
    assert sitting_of("16").saved == {}  # what was chosen is of the first
    assert attempt_at("04") == 1


@pytest.mark.parametrize(
    ("told", "attempt"), [("3\n", 3), ("", 1), ("-4", 1), ("three", 1), (None, 1), ("\xff", 1)]
)
def test_in_a_class_the_attempt_is_the_one_released(tmp_path, monkeypatch, told, attempt):
    monkeypatch.setenv("GQA_EXCHANGE", str(tmp_path / "exchange"))
    released = tmp_path / "exchange" / "gqa" / "outbound" / "16-quiz"
    released.mkdir(parents=True)
    if told is not None:
        (released / "attempt.txt").write_text(told, encoding="latin-1")
    assert attempt_at("16") == attempt


def test_whoever_grades_says_who_takes_the_quiz(tmp_path):
    saved.write(tmp_path, Saved(1, {"Q01": "A"}))
    with taking(Sitting("ben", 4, {"Q02": "B"})):
        assert sitting_of("16") == Sitting("ben", 4, {"Q02": "B"})
    assert sitting_of("16").learner == "ada"


def test_the_solution_of_every_quiz_is_all_of_its_answers():
    for lesson in lessons():
        asked = {one.id for one in questions_of(lesson.number, "ada", 1)}
        assert asked <= right_answers(lesson.number).keys()
