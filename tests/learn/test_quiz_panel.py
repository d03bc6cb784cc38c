"""The quiz's panel, its text, and the file beside the notebook with the choices."""

import json
import re
import sys
from pathlib import Path

import pytest

from gqa_lib.learn.quiz import saved, show_quiz
from gqa_lib.learn.quiz.panel import QuizPanel
from gqa_lib.learn.quiz.questions import questions_of
from gqa_lib.learn.quiz.saved import FILE, Saved
from gqa_lib.learn.quiz.show import as_text
from gqa_lib.learn.quiz.sitting import Sitting, sitting_of


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """A learner in an empty folder of their own."""
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_STUDENT", "ada")
    monkeypatch.chdir(tmp_path)


# The file


def test_choices_are_written_and_read_back(tmp_path):
    saved.write(tmp_path, Saved(2, {"Q02": "C", "Q01": "A"}))
    assert saved.read(tmp_path) == Saved(2, {"Q01": "A", "Q02": "C"})
    assert [path.name for path in tmp_path.iterdir() if "quiz" in path.name] == [FILE]
    assert saved.read(tmp_path / "home") == Saved()


def file(**changed):
    return json.dumps({"version": 1, "attempt": 1, "answers": {"Q01": "A"}} | changed).encode()


BAD = {
    "large": (b" " * 30_000, "more than 20000 bytes"),
    "deep": (b"[" * 15_000, "nested too deep"),
    "not text": (b"\xff\xfe", "not UTF-8 text"),
    "empty": (b"", "not readable JSON"),
    "cut": (file()[:-5], "not readable JSON"),
    "a list": (b"[]", "does not have version"),
    "more in it": (file(score=15), "does not have version"),
    "a key twice": (b'{"version": 1, "version": 1}', "names something twice"),
    "an answer twice": (
        b'{"version": 1, "attempt": 1, "answers": {"Q01": "A", "Q01": "B"}}',
        "names something twice",
    ),
    "NaN": (b'{"version": NaN, "attempt": 1, "answers": {}}', "not a number"),
    "infinite": (b'{"version": 1, "attempt": Infinity, "answers": {}}', "not a number"),
    "a long number": (b'{"version": 1, "attempt": ' + b"9" * 9000 + b"}", "digits"),
    "true": (file(version=True), "version is not 1"),
    "attempt 0": (file(attempt=0), "attempt is not a number"),
    "attempt 1.5": (file(attempt=1.5), "attempt is not a number"),
    "answers a list": (file(answers=["A"]), "pairs"),
    "many answers": (file(answers={f"Q{n}": "A" for n in range(600)}), "pairs"),
    "a letter more": (file(answers={"Q01": "E"}), "one of A, B, C, D"),
    "two letters": (file(answers={"Q01": "AB"}), "one of A, B, C, D"),
    "no letter": (file(answers={"Q01": ""}), "one of A, B, C, D"),
    "a list of letters": (file(answers={"Q01": ["A"]}), "one of A, B, C, D"),
    "a long id": (file(answers={"Q" * 50: "A"}), "one of A, B, C, D"),
    "half a character": (
        b'{"version": 1, "attempt": 1, "answers": {"\\ud800": "A"}}',
        "question's id",
    ),
    "a forged refusal": (b'{"refused": "FULL MARKS"}', "does not have version"),
}


@pytest.mark.parametrize(("content", "said"), BAD.values(), ids=BAD)
def test_a_file_that_is_none_is_refused_with_the_reason(content, said):
    with pytest.raises(ValueError, match=said) as refused:
        saved.parse(content)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300


# The panel


def panel(folder, **sitting):
    asked = questions_of("16", "ada", 1)
    return asked, QuizPanel.of(asked, "15 questions", Sitting("ada", **sitting), folder)


def test_each_choice_is_saved_at_once_and_restored(tmp_path):
    asked, shown = panel(tmp_path)
    shown.chosen = {asked[0].id: "B"}
    assert saved.read(tmp_path).answers == {asked[0].id: "B"}
    shown.chosen = {asked[0].id: "C", asked[3].id: "A"}
    assert saved.read(tmp_path) == Saved(1, {asked[0].id: "C", asked[3].id: "A"})
    assert shown.status == "Saved. 2 of 15 answered."
    _, again = panel(tmp_path, saved=saved.read(tmp_path).answers)
    assert again.chosen == shown.chosen


def test_saving_the_same_number_of_answers_is_told_again(tmp_path):
    asked, shown = panel(tmp_path)
    shown.chosen = {asked[0].id: "B"}
    before = shown.saves
    shown.chosen = {asked[0].id: "C"}
    assert shown.saves == before + 1


def test_what_a_browser_sends_of_other_questions_is_not_written(tmp_path):
    asked, shown = panel(tmp_path)
    shown.chosen = {"Q999": "A", asked[1].id: "Z", asked[2].id: "D", "x" * 10_000: "A"}
    assert saved.read(tmp_path).answers == {asked[2].id: "D"}


def test_choices_that_cannot_be_saved_are_told(tmp_path):
    (tmp_path / "file").touch()
    asked, shown = panel(tmp_path / "file")  # which is no folder to save in
    shown.chosen = {asked[0].id: "B"}
    assert shown.status.startswith("Not saved: ")


def test_a_damaged_file_is_set_aside_and_told(tmp_path):
    (tmp_path / FILE).write_text("{")
    sitting = sitting_of("16")
    assert (sitting.saved, sitting.trouble) == ({}, "it is not readable JSON")
    asked, shown = panel(tmp_path, trouble=sitting.trouble)
    assert "quiz_answers.damaged.json" in shown.status
    shown.chosen = {asked[0].id: "B"}
    assert sitting_of("16").saved == {asked[0].id: "B"}
    assert (tmp_path / "quiz_answers.damaged.json").read_text() == "{"


def test_the_panel_has_native_radios_that_jupyterlab_leaves_alone_and_loads_nothing():
    told = "".join(
        (Path(sys.modules[QuizPanel.__module__].__file__).parent / name).read_text(encoding="utf-8")
        for name in ("panel.js", "panel.css")
    )
    for part in (
        '"data-lm-suppress-shortcuts": "true"',
        '"fieldset"',
        '"legend"',
        'role: "status"',
    ):
        assert part in told
    assert not re.search(r"https?:|@import|url\(|innerHTML|eval\(", told)


def displayed(monkeypatch, quiz, **options):
    import IPython
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython, "get_ipython", lambda: "a kernel")
    monkeypatch.setattr(IPython.display, "display", lambda data, raw: shown.append(data))
    show_quiz(quiz, **options)
    return shown[0]


def test_a_place_without_widgets_gets_the_questions_as_text(monkeypatch):
    data = displayed(monkeypatch, "04")
    assert "application/vnd.jupyter.widget-view+json" in data
    asked = questions_of("04", "ada", 1)
    for one in asked:
        assert one.stem in data["text/markdown"]
        assert all(option in data["text/markdown"] for option in one.options)
    assert f'answers = {{"{asked[0].id}": "B"}}' in data["text/plain"]
    assert displayed(monkeypatch, "04", text=True).keys() == {"text/markdown", "text/plain"}


def test_without_a_notebook_the_questions_are_printed(capsys):
    show_quiz("00")
    asked = questions_of("00", "ada", 1)
    assert capsys.readouterr().out.strip() == as_text(asked, "Three questions.")
