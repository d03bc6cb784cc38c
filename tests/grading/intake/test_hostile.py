"""One submission that makes grading fail, at whatever step, is its own student's matter."""

import html
import json
import logging
import os
import re
import resource
from types import SimpleNamespace

import nbformat
import pytest
from bs4 import BeautifulSoup
from classroom import NAME, RIGHT, formgraders_page
from nbformat.v4 import new_notebook
from nbgrader.preprocessors import (
    LimitOutput,
    NbGraderPreprocessor,
    OverwriteCells,
    SaveAutoGrades,
)

import grading.intake.admit
import grading.intake.rebuild
import grading.intake.submitted
import grading.pages.feedback
import grading.pages.formatting
from grading.classroom import round as class_grading
from grading.intake.rebuild import with_notice
from grading.limited.call import Bounds, Exceeded
from grading.limited.sandbox import NoSandbox
from grading.limited.verdict import NotTheirs, verdict_of
from grading.nb.steps import file_log
from grading.pages.formatting import CODE, MARKDOWN, highlight_code, markdown2html, prepare
from grading.pages.outputs import SanitizeOutputs
from grading.pipeline.autograde import autograde
from grading.pipeline.batch import Outcome
from grading.safe import execute
from grading.safe.cell import ANSWER, TEST, Cell
from grading.safe.execute import VERDICT, SafeExecute
from grading.safe.limits import Limits

FILE = f"{NAME}.ipynb"
SLOW = "x" + " \n" * 40_000 + "x"  # Pygments: a minute and more
HEADING = (
    b'{"nbformat":3,"nbformat_minor":0,"metadata":{"name":""},"worksheets":[{"metadata":{},'
    b'"cells":[{"cell_type":"heading","level":1500000000,"metadata":{},"source":"x"}]}]}'
)
HALF = "\ud800"  # of a character: no file can hold it
HOSTILE = "def double(x):\n    return 'hostile'"


@pytest.fixture
def hurry(monkeypatch):
    """Formatting that gives up soon."""
    monkeypatch.setattr(grading.pages.formatting, "BOUNDS", Bounds(cpu_s=1))
    monkeypatch.setattr(grading.pages.formatting, "_kept", {})
    monkeypatch.setattr(grading.pages.formatting, "_hurried", set())


def handed_in(room, **answers):
    """Have each student hand in this answer, or this content of a file."""
    for student, answer in answers.items():
        path = room.inbox(student) / FILE
        if isinstance(answer, bytes):
            path.write_bytes(answer)
        else:
            nbformat.write(room.answered(answer), path)
    room.collect()


def text_of(page):
    return html.unescape(re.sub(r"<[^>]*>", "", page))


# Reading

LINK = (
    b'{"nbformat":4,"nbformat_minor":5,"metadata":{},"cells":[{"cell_type":"[Show the whole report]'
    b'(http://127.0.0.1:8888/formgrader?path=FOLDER)","metadata":{},"source":""}]}'
)
WORDS = {  # a file's content that has words in what is said of it
    "link": LINK,
    "element": LINK.replace(b"[Show the whole report]", b"<b>Show</b>"),
    "formula": LINK.replace(b"[Show the whole report]", b"$\\\\href{http://a.example}{x}$"),
    "minor": LINK.replace(b'"nbformat_minor":5', b'"nbformat_minor":6'),
    "format": b'{"nbformat": "[x](http://a.b)", "cells": []}',
    "codes": LINK.replace(b"[Show the whole report]", b"\\u001b]0;title\\u0007\\u202e`"),
}


def test_words_in_a_verdict_are_no_markup_for_anybody(room):
    handed_in(room, **WORDS)
    assert room.autograde()
    assert room.feedback()
    for student in WORDS:
        for page in (room.page(student), formgraders_page(room, student)):
            found = BeautifulSoup(page, "html.parser")
            said = found.find(class_="notice") or found.find(id="notebook")
            assert "not accepted" in said.text
            assert [a for a in said.find_all("a") if a.get("href", "").startswith("http")] == []
            assert said.find_all(["b", "math"]) == [] or "formgrader" in page
    assert all(line.isprintable() for line in room.lines)


def test_a_file_of_170_bytes_does_not_take_the_graders_memory(room):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    handed_in(room, eve=HEADING, ada=RIGHT)
    assert room.autograde()
    assert room.scores() == {"eve": 0, "ada": 2}
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 500 * 1024  # KiB; it took 3.3 GB
    verdict = (room.folder("submitted", "eve") / FILE).read_text()
    assert "more than 10 s or 1 GiB of memory" in verdict


def test_what_changes_between_collecting_and_grading_is_read_as_carefully(room, monkeypatch):
    handed_in(room, eve=RIGHT, ada=RIGHT)
    monkeypatch.setattr(room.config.Autograde, "pre_convert_hook", lambda **_: None)
    path = room.folder("submitted", "eve") / FILE
    path.write_bytes(HEADING)
    assert room.autograde()
    assert room.scores() == {"eve": 0, "ada": 2}
    graded = (room.folder("autograded", "eve") / FILE).read_text()
    assert "not accepted: reading it takes more than 10 s or 1 GiB of memory" in graded


# Taking the answers, running, showing


def fail_for_the_hostile(monkeypatch, module, name, error, has):
    """Have a function raise an error where it meets a hostile submission."""
    real = getattr(module, name)

    def guarded(first, *rest, **named):
        if has(first):
            raise error
        return real(first, *rest, **named)

    monkeypatch.setattr(module, name, guarded)


def has_hostile_cell(notebook):
    return any("'hostile'" in cell.source for cell in notebook.cells)


@pytest.mark.parametrize("error", [TypeError("unhashable"), RecursionError("deep"), KeyError("x")])
def test_any_exception_while_answers_are_taken_is_a_verdict(room, monkeypatch, error):
    fail_for_the_hostile(monkeypatch, grading.intake.rebuild, "rebuild", error, has_hostile_cell)
    handed_in(room, eve=HOSTILE, ada=RIGHT)
    assert room.autograde()
    assert room.feedback()
    assert room.scores() == {"eve": 0, "ada": 2}
    said = f"Taking the answers from it stopped with {type(error).__name__}: {error}"
    assert said in text_of(room.page("eve"))
    assert "stopped with" not in text_of(room.page("ada"))


def test_a_failure_of_the_machine_costs_nobody_a_mark(room, monkeypatch):
    handed_in(room, eve=RIGHT, ada=RIGHT)
    assert room.autograde()
    handed_in(room, bob=RIGHT)
    path = room.folder("submitted", "eve") / FILE
    path.write_text(nbformat.writes(room.answered(HOSTILE)))
    full = OSError("No space left on device")
    fail_for_the_hostile(monkeypatch, grading.intake.rebuild, "rebuild", full, has_hostile_cell)
    assert not room.autograde()
    assert room.scores() == {"eve": 2, "ada": 2, "bob": 2}
    assert any("No space left" in line for line in room.lines)


class PluginError(RuntimeError):
    """What a parser may raise."""


@pytest.mark.parametrize(
    "error",
    [
        *(OSError("full"), MemoryError(), RuntimeError("can't start new thread")),
        *(NotTheirs("a locked cell"), NoSandbox("none"), verdict_of),
    ],
)
def test_whose_doing_an_exception_is(error):
    if error is verdict_of:
        told = verdict_of(ValueError("`a`\nb"), "It")
        assert told == "It stopped with `ValueError: 'a'`. Details are in your instructor's log."
        for theirs in (RecursionError("deep"), NotImplementedError(), PluginError("of a parser")):
            assert type(theirs).__name__ in verdict_of(theirs, "It")
    else:
        with pytest.raises(type(error)):
            verdict_of(error, "It")


@pytest.mark.parametrize("way", ["collected", "by hand"])
def test_any_exception_while_a_file_is_admitted_is_a_verdict(room, monkeypatch, way):
    error = TypeError(f"{HALF}\x1b[0m unforeseen")
    fail_for_the_hostile(
        monkeypatch, grading.intake.admit, "parse", error, lambda content: b"'hostile'" in content
    )
    if way == "collected":
        handed_in(room, eve=HOSTILE, ada=RIGHT)
    else:
        for student, answer in {"eve": HOSTILE, "ada": RIGHT}.items():
            room.folder("submitted", student).mkdir(parents=True)
            nbformat.write(room.answered(answer), room.folder("submitted", student) / FILE)
    assert room.autograde()
    assert room.feedback()
    assert room.scores() == {"eve": 0, "ada": 2}
    said = f"{FILE} was not accepted. Reading it stopped with TypeError: ??[0m unforeseen."
    assert said in text_of(room.page("eve"))


def test_any_exception_while_a_folder_is_cleaned_is_a_verdict(room, monkeypatch):
    handed_in(room, eve=RIGHT, ada=RIGHT)
    eve = room.folder("submitted", "eve").stat().st_ino
    fail_for_the_hostile(
        monkeypatch,
        grading.intake.submitted,
        "checked_secret",
        KeyError("unforeseen"),
        lambda folder: os.fstat(folder).st_ino == eve,
    )
    assert room.autograde()
    assert room.feedback()
    assert room.scores() == {"eve": 0, "ada": 2}
    assert "Reading it stopped with KeyError: 'unforeseen'" in text_of(room.page("eve"))


STEPS = {  # of nbgrader's two rounds: where it stops, and the marks before that
    "checked against the release": (OverwriteCells, "preprocess_cell"),
    "outputs": (SanitizeOutputs, "preprocess"),
    "long outputs": (LimitOutput, "preprocess_cell"),
    "marks": (SaveAutoGrades, "preprocess_cell"),
}


@pytest.mark.parametrize("step", STEPS)
def test_any_exception_in_a_step_of_grading_is_a_verdict(room, monkeypatch, step):
    def fails_for_the_hostile(self, what, *rest):
        cells = what.cells if "cells" in what else [what]
        if any("'hostile'" in cell.source for cell in cells):
            raise ValueError("unforeseen")
        return real(self, what, *rest)

    where, name = STEPS[step]
    real = getattr(where, name)
    monkeypatch.setattr(where, name, fails_for_the_hostile)
    steps = room.config.Autograde.autograde_preprocessors
    room.config.Autograde.autograde_preprocessors = [Stops, *steps]
    handed_in(room, eve=HOSTILE, ada=RIGHT)
    assert room.autograde()
    assert room.feedback()
    assert room.scores() == {"eve": 0, "ada": 2}
    said = "Grading your notebook stopped with ValueError: unforeseen."
    assert said in text_of(room.page("eve"))
    assert "unforeseen" not in text_of(room.page("ada"))


class Stops(SafeExecute):
    """Gives the verdict of a submission that stopped; these tests run other cells themselves."""

    def preprocess(self, nb, resources):
        return super().preprocess(nb, resources) if VERDICT in resources else (nb, resources)


@pytest.mark.parametrize("step", ["taking the answers", "running"])
def test_what_no_file_can_hold_is_a_verdict(room, monkeypatch, step):
    class Spoils(NbGraderPreprocessor):
        def preprocess(self, nb, resources):
            if has_hostile_cell(nb):
                nb.cells[0].source += HALF
            return nb, resources

    config = room.config.Autograde
    if step == "running":
        config.autograde_preprocessors = [Stops, *config.autograde_preprocessors, Spoils]
    else:
        config.sanitize_preprocessors = [*config.sanitize_preprocessors, Spoils]
    handed_in(room, eve=HOSTILE, ada=RIGHT)
    assert room.autograde()
    assert room.feedback()
    assert room.scores() == {"eve": 0, "ada": 2}
    said = "Grading your notebook stopped with UnicodeEncodeError"
    assert said in text_of(room.page("eve"))


def test_a_machine_that_fails_in_a_step_costs_nobody_a_mark(room, monkeypatch):
    def full(self, cell, *rest):
        if "'hostile'" in cell.source:
            raise OSError("No space left on device")
        return real(self, cell, *rest)

    real = SaveAutoGrades.preprocess_cell
    monkeypatch.setattr(SaveAutoGrades, "preprocess_cell", full)
    handed_in(room, eve=HOSTILE, ada=RIGHT)
    assert not room.autograde()
    assert room.scores() == {"ada": 2}


def test_notes_and_reasons_hold_what_every_file_and_terminal_can():
    read = verdict_of(ValueError(f"a{HALF}b\0c\x1b[31m"), "It")
    assert "`ValueError: a?b?c?[31m`" in read
    notebook = with_notice(new_notebook(), [f"a{HALF}b\0"])
    assert notebook.cells[0].source == "a?b\N{REPLACEMENT CHARACTER}"
    assert with_notice(new_notebook(), []).cells == []


def test_a_log_holds_what_a_student_wrote(monkeypatch, tmp_path):
    monkeypatch.setenv("GQA_HOME", str(tmp_path))
    log = file_log("odd")
    log.warning("it says %s\n%s", HALF, "\x1b]0;title\x07 \u202e \t\xe9\r")
    log.handlers[0].close()
    told = "it says \\ud800\n\\x1b]0;title\\x07 \\u202e \t\xe9\\r\n"
    assert (tmp_path / "odd.log").read_text(encoding="utf-8") == told


def run_cells(monkeypatch, error):
    def fails(cells, *_):
        raise error

    monkeypatch.setattr(execute, "grade_notebook", fails)
    cells = [Cell(ANSWER, "x = 1"), Cell(TEST, "assert x", 1)]
    processes = SimpleNamespace(seed=None)
    execute.run_cells(cells, processes, Limits(), None, logging.getLogger("quiet"))
    return cells


def test_any_exception_while_a_notebook_runs_is_its_verdict(monkeypatch):
    answer, test = run_cells(monkeypatch, IndexError("list index out of range"))
    assert answer.outputs == []
    (said,) = test.outputs
    assert said["output_type"] == "error"
    assert "Running your notebook stopped with `IndexError" in said["evalue"]
    with pytest.raises(OSError, match="full"):
        run_cells(monkeypatch, OSError("full"))


def test_a_page_that_cannot_be_made_is_one_of_the_marks_alone(room, monkeypatch):
    handed_in(room, eve=HOSTILE, ada=RIGHT)
    assert room.autograde()
    error = ValueError("<b>a word of the student's</b>")
    fail_for_the_hostile(
        monkeypatch,
        grading.pages.outputs,
        "clean_outputs",
        error,
        bool,  # there are some
    )
    assert room.feedback()
    page = room.page("eve")
    assert "Showing your notebook stopped with `ValueError" in text_of(page)
    assert "<b>a word" not in page
    assert re.search(r"double-check</td><td>0 of 2<", page)
    assert "0 of 6 points" in page
    assert "2 of 6 points" in text_of(room.page("ada"))
    assert "stopped with" not in text_of(room.page("ada"))


# Formatting


def test_a_text_that_takes_too_long_is_shown_plain(room, hurry):
    slow = f"{RIGHT}\n{SLOW}"[:95_000]
    fenced = f"Because:\n\n```python\n{SLOW[:45_000]}\n```"
    for student, code, why in (("eve", slow, fenced), ("ada", RIGHT, "**Twice.**")):
        nbformat.write(room.answered(code, why), room.inbox(student) / FILE)
    room.collect()
    assert room.autograde()
    assert room.feedback()
    said = "Shown without formatting: that takes more than 1 s or 1 GiB of memory."
    assert text_of(room.page("eve")).count(said) == 2
    assert "return 2 * x" in text_of(room.page("eve"))
    honest = room.page("ada")
    assert "without formatting" not in honest
    assert "<strong>Twice.</strong>" in honest
    assert '<span class="k">def</span>' in honest
    assert said in text_of(formgraders_page(room, "eve"))
    assert "without formatting" not in formgraders_page(room, "ada")


def test_texts_of_a_page_have_one_time_together_and_the_next_page_has_its_own(hurry, monkeypatch):
    texts = [(CODE, "x = 1"), (CODE, SLOW), (MARKDOWN, "**late**"), (CODE, "y = 1")]
    clock, asked = SimpleNamespace(now=0.0), []

    def call(work, data, bounds):
        text = json.loads(data)[1]
        asked.append(text)
        if text == SLOW:
            clock.now += grading.pages.formatting.PAGE_S
            raise Exceeded
        return work(data)

    monkeypatch.setattr(grading.pages.formatting, "call", call)
    monkeypatch.setattr(
        grading.pages.formatting, "time", SimpleNamespace(monotonic=lambda: clock.now)
    )
    prepare(texts)
    assert asked == ["x = 1", SLOW]
    assert "<span" in highlight_code("x = 1")
    assert "that takes more than" in highlight_code(SLOW)
    for shown in (markdown2html("**late**"), highlight_code("y = 1")):
        assert "what comes before it on this page took too long" in shown
    prepare(texts)
    assert asked == ["x = 1", SLOW, "**late**", "y = 1"]  # what is known is not tried again
    assert "<strong>late</strong>" in markdown2html("**late**")
    assert "<span" in highlight_code("y = 1")


def test_a_machine_too_busy_to_format_shows_text_plain_and_tries_again(hurry, monkeypatch):
    def busy(*_):
        raise TimeoutError("the machine is too busy")

    with monkeypatch.context() as patch:
        patch.setattr(grading.pages.formatting, "call", busy)
        assert "too busy" in markdown2html("**<b>**")
        assert "&lt;b&gt;" in markdown2html("**<b>**")
    prepare([(MARKDOWN, "**<b>**")])
    assert "<strong>" in markdown2html("**<b>**")


def test_what_is_kept_of_pages_has_an_end(hurry, monkeypatch):
    monkeypatch.setattr(grading.pages.formatting, "_MAX_KEPT", 1000)
    for number in range(30):
        assert f"text {number}" in markdown2html(f"text {number} {'y' * 100}")
    assert sum(map(len, grading.pages.formatting._kept.values())) <= 1000


# Feedback for the others


def test_a_students_feedback_that_fails_stops_nobody_elses(room, capsys):
    handed_in(room, ada=RIGHT, ben=RIGHT, cy=RIGHT)
    autograde(room.course, room.log)
    graded = room.folder("autograded", "ben") / FILE
    graded.unlink()
    outcome = Outcome(graded=["ada", "ben", "cy"])
    class_grading._give_feedback(room.course, room.log, outcome)
    assert list(outcome.without_feedback) == ["ben"]
    released = list((room.inbound.parent / "feedback").iterdir())
    assert len(released) == 1  # of ada and cy, who have one secret in these tests
    assert "2 of 6 points" in text_of(room.page("cy"))
    said = capsys.readouterr().out
    assert "Feedback of 2 released." in said
    assert "ben: no feedback: " in said


def test_a_time_that_breaks_its_parser_stops_nobody(room):
    for student, time in (("eve", "1" * 50 + "h"), ("ada", "2026-03-01 12:00:00 UTC")):
        folder = room.folder("submitted", student)
        folder.mkdir(parents=True)
        nbformat.write(room.answered(), folder / FILE)
        (folder / "timestamp.txt").write_text(time)
    assert room.autograde()
    assert room.scores() == {"eve": 2, "ada": 2}
