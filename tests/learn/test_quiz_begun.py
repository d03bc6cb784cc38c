"""The drawn quiz of someone who learns alone is about the lessons that they have begun."""

import pytest

from gqa_lib.course.manifest import find_lesson, lessons
from gqa_lib.learn import progress
from gqa_lib.learn.progress.standing import standing
from gqa_lib.learn.quiz import saved, show_quiz
from gqa_lib.learn.quiz.draw import DRAWN_COUNT
from gqa_lib.learn.quiz.questions import DRAWN, all_questions, drawn_about, questions_of
from gqa_lib.learn.quiz.sitting import sitting_of

ORDER = [lesson.number for lesson in lessons() if lesson.number != DRAWN]


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_STUDENT", "ada")
    monkeypatch.chdir(tmp_path)


def begins(*numbers):
    for number in numbers:
        progress.add(find_lesson(number).slug, "", "reset")


def drawn():
    sitting = sitting_of(DRAWN)
    return questions_of(DRAWN, sitting.learner, sitting.attempt, sitting.lessons)


def test_all_are_about_lessons_that_were_begun():
    begins("05", "06", "09")
    assert {one.lesson for one in drawn()} <= {"05", "06", "09"}
    assert len({one.id for one in drawn()}) == DRAWN_COUNT


def test_who_has_begun_nothing_is_asked_about_everything():
    assert sitting_of(DRAWN).lessons == ()
    begins(DRAWN)
    assert sitting_of(DRAWN).lessons == ()
    assert len({one.lesson for one in drawn()}) > 6


@pytest.mark.parametrize("count", range(1, len(ORDER) + 1))
def test_where_those_have_too_few_questions_the_next_lessons_come_in(count):
    about = drawn_about(ORDER[:count])
    assert about[:count] == tuple(ORDER[:count])
    assert about == tuple(ORDER[: len(about)])

    def has(some):
        return sum(o.closes is None and o.lesson in some for o in all_questions().values())

    assert has(about) >= DRAWN_COUNT
    assert len(about) == count or has(about[:-1]) < DRAWN_COUNT, "no more than are needed"
    assert len(questions_of(DRAWN, "ada", 1, about)) == DRAWN_COUNT


def test_an_attempt_stays_about_what_it_was_shown_with(capsys):
    begins("05", "06")
    show_quiz(DRAWN)
    assert "drawn for ada, attempt 1, from lessons 05, 06." in capsys.readouterr().out
    before = drawn()
    begins("09", "10")
    assert drawn() == before
    show_quiz(DRAWN)
    assert drawn() == before
    progress.add(find_lesson(DRAWN).slug, "", "mark", 10, 15)
    assert {one.lesson for one in drawn()} - {"05", "06"}, "the next attempt is about all four"
    assert {one.lesson for one in drawn()} <= {"05", "06", "09", "10"}


def test_it_can_be_about_everything(capsys):
    begins("05", "06")
    show_quiz(DRAWN)
    show_quiz(DRAWN, everything=True)
    assert "attempt 1.\n" in capsys.readouterr().out.partition("attempt 1, from")[2]
    assert sitting_of(DRAWN).lessons == ()
    show_quiz(DRAWN)
    assert sitting_of(DRAWN).lessons == (), "and stays so"


def test_answers_chosen_before_there_was_such_a_choice_still_count(tmp_path):
    everything = questions_of(DRAWN, "ada", 1)
    begins("05", "06")
    saved.write(tmp_path, saved.Saved(1, {everything[0].id: "B"}))
    assert drawn() == everything


@pytest.mark.parametrize("variable", ["GQA_EXCHANGE"])
def test_in_a_class_all_are_asked_about_everything(tmp_path, monkeypatch, variable):
    begins("05", "06")
    monkeypatch.setenv(variable, str(tmp_path / "exchange"))
    show_quiz(DRAWN)
    assert sitting_of(DRAWN).lessons == ()
    assert progress.events(kind="draw") == []


def test_looking_at_it_is_not_beginning_it():
    begins("05", "06")
    show_quiz(DRAWN)
    assert progress.events(kind="draw")
    assert not standing(find_lesson(DRAWN)).begun
