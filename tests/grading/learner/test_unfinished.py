"""What is asked, and said, before a submission that its learner may not mean."""

import pytest
from nbformat.v4 import new_code_cell

from gqa_lib.cli import main
from gqa_lib.course.manifest import find_lesson, lessons
from gqa_lib.learn.guide.hand_in import submit as submit_in_a_cell
from gqa_lib.learn.guide.work import put_lessons
from gqa_lib.learn.quiz import saved
from gqa_lib.learn.quiz.check import before_submitting
from gqa_lib.learn.quiz.questions import questions_of
from gqa_lib.learn.quiz.sitting import learner
from grading.intake.rebuild import own_cells
from grading.learner import submit as submitting
from grading.learner.submit import work_notebook
from grading.learner.unfinished import left_open
from grading.nb.cells import read_notebook

QUIZ, FOUR = find_lesson("16"), find_lesson("04")


@pytest.fixture(autouse=True)
def handed_in(tmp_path, monkeypatch):
    """Lessons that were handed in: none is graded here."""
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_WORK", str(tmp_path / "work"))
    put_lessons()
    done = []
    monkeypatch.setattr(
        submitting, "submit", lambda lesson: done.append(lesson) or submitting.Marks()
    )
    return done


def choose(count, **others):
    asked = questions_of("16", learner(), 1)
    answers = {one.id: "A" for one in asked[:count]} | others
    saved.write(work_notebook(QUIZ).parent, saved.Saved(1, answers))


def answering(monkeypatch, text):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: print(prompt) or text)


def test_an_incomplete_quiz_is_not_handed_in_without_a_word(handed_in, capsys):
    choose(7)
    assert left_open(QUIZ) == (8, 15)
    assert main(["submit", "16"]) == 1
    said = capsys.readouterr().err
    assert "8 of 15 questions are not answered" in said
    assert "--incomplete" in said
    assert handed_in == []
    assert main(["submit", "16", "--incomplete"]) == 0
    assert handed_in == [QUIZ]


@pytest.mark.parametrize(("typed", "goes"), [("y", True), ("", False), ("no", False)])
def test_on_a_terminal_it_asks(handed_in, monkeypatch, capsys, typed, goes):
    choose(7)
    answering(monkeypatch, typed)
    assert main(["submit", "16"]) == (0 if goes else 1)
    assert "Submit all the same? [y/N]" in capsys.readouterr().out
    assert handed_in == ([QUIZ] if goes else [])


def test_what_is_complete_or_no_drawn_quiz_is_not_asked_about(handed_in):
    choose(15)
    assert left_open(QUIZ) is None
    assert left_open(FOUR) is None
    assert main(["submit", "16"]) == 0
    assert main(["submit", "04"]) == 0
    assert handed_in == [QUIZ, FOUR]


def test_saved_answers_to_questions_that_are_not_asked_are_named():
    choose(15, Q999="B")
    (said,) = before_submitting("16", work_notebook(QUIZ).parent)
    assert "does not count" in said
    assert "Q999" in said


def test_the_drawn_quiz_asks_about_written_lessons_alone():
    written = {lesson.number for lesson in lessons()}
    for who in ("ada", "zoë", "s1234567"):
        for attempt in (1, 2, 3):
            drawn = questions_of("16", who, attempt)
            assert len({one.id for one in drawn}) == 15
            assert {one.lesson for one in drawn} <= written


def test_submit_in_a_cell_does_as_the_command_does(capfd):
    choose(3)
    submit_in_a_cell("16")
    said = capfd.readouterr().out
    assert "12 of 15 questions are not answered" in said
    assert 'submit("16", incomplete=True)' in said


def test_cells_that_only_ask_the_course_are_not_called_the_learners_own():
    released = read_notebook(FOUR.pristine)
    mine = read_notebook(FOUR.pristine)
    asking = [
        'hint("expand_kv")',
        'from gqa_lib.learn import submit\n\nsubmit("04")',
        "# where am I\nshow_map()",
        'guess("2,048 tokens / 256, with a cache", 2.5)\nguess("expanded / MHA", None)',
        'warm_up("04", {"Q01": "B"})',
        "%%ask\nwhat is a KV head?\nand why",
        "",
    ]
    mine.cells += [new_code_cell(source) for source in asking]
    assert own_cells(mine, released) == 0
    own = ["x = 1", 'hint("expand_kv"); x = 1', "hint('a')\nx = torch.ones(3)", "hints()"]
    mine.cells += [new_code_cell(source) for source in own]
    assert own_cells(mine, released) == 4
