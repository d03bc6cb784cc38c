"""Two questions from before: which are asked, what may be told of them, and that nothing counts."""

import html
from datetime import datetime, timedelta

import pytest

from gqa_lib.course.manifest import find_lesson
from gqa_lib.course.places import work
from gqa_lib.learn import progress, warm_up
from gqa_lib.learn.progress.event import new_event
from gqa_lib.learn.progress.store import insert
from gqa_lib.learn.quiz import saved
from gqa_lib.learn.quiz.graded import graded_questions
from gqa_lib.learn.quiz.panel import RecallPanel
from gqa_lib.learn.quiz.questions import all_questions, questions_of
from gqa_lib.learn.quiz.recall import recall
from grading.quiz.bank import load_bank

BANK = {one.id: one for one in load_bank()}
FOUR, TWO = find_lesson("04"), find_lesson("02")
NOON = datetime(2026, 11, 20, 12).astimezone()
TOMORROW = NOON + timedelta(days=1)


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("GQA_STUDENT", "ada")
    monkeypatch.chdir(tmp_path)


def begins(*numbers):
    for number in numbers:
        progress.add(find_lesson(number).slug, "", "reset")


def closing(*numbers):
    return [one.id for number in numbers for one in questions_of(number, "ada", 1)]


def page(number, wrong=(), name="2026-11-10 09:00:00.000000 UTC", ids=None):
    """Put a feedback page where the course fetches it; the answers to `wrong` are wrong on it."""
    parts = []
    for one in (BANK[name] for name in ids or closing(number)):
        other = "B" if one.answer == "A" else "A"
        chosen = other if one.id in wrong else one.answer
        texts = [html.escape(option.why).replace("`", "") for option in one.options]
        whys = "".join(f'<li><p class="why">{text}</p></li>' for text in texts)
        parts.append(
            f'<article class="question">\n<h3 data-answer="{one.answer}" data-chosen="{chosen}" '
            f'data-question="{one.id}"><span>x</span></h3><ul>{whys}</ul></article>'
        )
    slug = find_lesson(number).slug
    folder = work() / slug / "feedback" / name
    folder.mkdir(parents=True)
    (folder / f"{slug}.html").write_text("<html>" + "\n".join(parts), encoding="utf-8")


def asked(lesson=FOUR, now=NOON):
    return [one.id for one in recall(lesson, now).questions]


def answered(name, right, at):
    event = new_event(FOUR.slug, name, "warm-up", float(right), None, "A")
    insert([event | {"at": at.isoformat()}])


# Which are asked


def test_in_a_fresh_home_there_are_none_yet(capsys):
    warm_up("04")
    assert "No questions from before yet" in capsys.readouterr().out
    begins("04", "05")
    warm_up("04")
    assert "No questions from before yet" in capsys.readouterr().out, "none of them is earlier"


def test_two_are_asked_that_close_earlier_lessons_which_were_begun():
    begins("01", "03", "06")
    assert len(asked()) == 2
    assert set(asked()) <= set(closing("01", "03"))
    seen = {name for day in range(40) for name in asked(now=NOON + timedelta(days=day))}
    assert seen == set(closing("01", "03"))


def test_they_are_the_same_all_day_and_differ_by_learner(monkeypatch):
    begins("00", "01", "02", "03")
    morning = asked(now=NOON.replace(hour=1))
    assert morning == asked(now=NOON.replace(hour=23))
    others = []
    for learner in ("ben", "cy", "dora", "eve", "fay"):
        monkeypatch.setenv("GQA_STUDENT", learner)
        others.append(asked())
    assert any(other != morning for other in others)


def test_what_was_missed_comes_first_until_it_was_recalled():
    begins("00", "01", "02", "03")
    first, second, _ = closing("02")
    page("02", wrong=[first])
    page("03", wrong=[])
    for day in range(5):
        assert asked(now=NOON + timedelta(days=day))[0] == first
    answered(first, right=False, at=NOON)
    answered(first, right=True, at=NOON + timedelta(minutes=1))  # once it was told
    assert asked(now=TOMORROW)[0] == first
    answered(first, right=True, at=TOMORROW)
    assert asked(now=TOMORROW)[0] == first, "not another in the midst of a day"
    after = [asked(now=NOON + timedelta(days=day))[0] for day in range(2, 30)]
    assert any(name != first for name in after)
    answered(first, right=False, at=NOON + timedelta(days=2))
    assert asked(now=NOON + timedelta(days=3))[0] == first, "forgotten again"
    assert second in graded_questions()


def test_a_question_that_was_missed_in_any_submission_was_missed():
    begins("02")
    first = closing("02")[0]
    page("02", wrong=[first])
    page("02", name="2026-11-11 09:00:00.000000 UTC")
    assert graded_questions()[first].missed
    assert asked()[0] == first


def test_questions_of_the_drawn_quiz_are_asked_only_once_they_were_graded():
    begins("02", "03", "16")
    drawn = [one.id for one in all_questions().values() if one.closes is None]
    early = next(name for name in drawn if all_questions()[name].lesson == "03")
    late = next(name for name in drawn if all_questions()[name].lesson == "09")
    days = [NOON + timedelta(days=day) for day in range(20)]
    assert not any(set(asked(now=day)) & set(drawn) for day in days)
    page("16", wrong=[early, late], ids=[early, late])
    assert asked()[0] == early
    assert all(late not in asked(now=day) for day in days), "no lesson that comes later"


# What is told


def test_of_a_question_that_is_yet_to_be_graded_nothing_is_told():
    begins("02", "03")
    now = recall(FOUR)
    for one in now.questions:
        said = {now.answer(one.id, letter).replace(one.id, "") for letter in "ABCD"}
        assert len(said) == 1, "each letter gets the same words"
        assert f'`submit("{one.lesson}")`' in said.pop()
    assert {e["score"] for e in progress.events(kind="warm-up")} == {None}


def test_of_a_graded_one_its_page_is_told_at_once():
    begins("02")
    first = closing("02")[0]
    page("02", wrong=[first])
    one, now = BANK[first], recall(FOUR)
    wrong = "B" if one.answer == "A" else "A"
    said = now.answer(first, one.answer)
    assert said.startswith("Right. ")
    assert one.right.why.replace("`", "") in said
    said = now.answer(first, wrong)
    assert said.startswith("Not quite. ")
    assert f"Right is {one.answer}: {one.right.why.replace('`', '')}" in said
    assert [e["score"] for e in progress.events(kind="warm-up")] == [1.0, 0.0]


@pytest.mark.parametrize("spoil", [b"\xff\x00" * 50, b"<h3 data-question='Q01'>", b""])
def test_a_page_that_cannot_be_read_is_passed_over(spoil):
    begins("02")
    page("02")
    (found,) = (work() / TWO.slug).glob("feedback/*/*.html")
    found.write_bytes(spoil)
    assert graded_questions() == {}
    assert len(asked()) == 2


def test_where_no_panel_shows_answers_are_written_into_the_call(capsys):
    begins("02")
    page("02")
    first, second = (one.id for one in recall(FOUR).questions)
    warm_up("04")
    shown = capsys.readouterr().out
    assert f'warm_up("04", {{"{first}": "B"}})' in shown
    assert BANK[first].stem in shown
    warm_up("04", {first: f" {BANK[first].answer.lower()} ", second: "E", "Q999": "A"})
    said = capsys.readouterr().out
    assert f"**{first}** Right." in said
    assert f"{second}: an answer is A, B, C or D" in said
    assert f"Q999 is not asked here: the questions are {first}, {second}." in said
    assert [e["exercise"] for e in progress.events(kind="warm-up")] == [first]


def test_below_are_links_to_what_explains_them(capsys):
    begins("03")
    warm_up("04")
    said = capsys.readouterr().out
    assert "To read again: 1. [3 · Multi-query attention" in said
    assert said.count("](../03-multi-query-attention/03-multi-query-attention.ipynb") == 2


# The panel


def test_a_choice_is_told_at_once_and_there_again_later_that_day():
    begins("02")
    page("02")
    shown = RecallPanel.asking(recall(FOUR), "From before")
    first, second = (one["id"] for one in shown.questions)
    shown.chosen = {first: BANK[first].answer}
    assert shown.told[first].startswith("Right. ")
    assert second not in shown.told
    assert shown.status == "Saved. 1 of 2 answered."
    shown.chosen = {first: BANK[first].answer, second: BANK[second].answer, "Q999": "A", "Q01": "Z"}
    assert shown.told.keys() == {first, second}
    assert [e["exercise"] for e in progress.events(kind="warm-up")] == [first, second]
    again = RecallPanel.asking(recall(FOUR), "From before")
    assert again.chosen == {first: BANK[first].answer, second: BANK[second].answer}
    assert again.told == shown.told


def test_no_choice_here_touches_the_answers_that_count(tmp_path):
    begins("02")
    saved.write(tmp_path, saved.Saved(1, {"Q13": "A"}))
    shown = RecallPanel.asking(recall(FOUR), "From before")
    shown.chosen = {shown.questions[0]["id"]: "C"}
    assert saved.read(tmp_path) == saved.Saved(1, {"Q13": "A"})
    assert [path.name for path in tmp_path.rglob("quiz_answers.json")] == ["quiz_answers.json"]


def test_nothing_is_asked_while_grading(monkeypatch, capsys):
    begins("02")
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    warm_up("04")
    assert capsys.readouterr().out == ""
