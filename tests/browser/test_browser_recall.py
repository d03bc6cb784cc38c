"""The panel of questions from before, in a browser on its own: its page asks the real panel."""

import base64
from pathlib import Path

import pytest
from browsing import chromium, needs_chromium, serious, shot
from playwright.sync_api import expect

from gqa_lib.course.manifest import find_lesson
from gqa_lib.learn import progress
from gqa_lib.learn.quiz import panel, recall
from gqa_lib.learn.quiz.graded import Graded

pytestmark = needs_chromium
HERE = Path(panel.__file__).parent
TRAITS = ("label", "heading", "questions", "chosen", "status", "kept", "told", "saves")
PAGE = """async (code) => {
  const shown = (await import("data:text/javascript;base64," + code)).default;
  const heard = {}, state = await window.panel(null);
  const model = {
    get: (name) => state[name],
    set: (name, value) => { state[name] = value; },
    on: (names, then) => names.split(" ").forEach((name) => (heard[name] ??= []).push(then)),
    off: () => {},
    save_changes: async () => {
      Object.assign(state, await window.panel(state.chosen));
      for (const name of ["told", "status"]) heard[`change:${name}`].forEach((then) => then());
    },
  };
  shown.render({ model, el: document.querySelector("main") });
}"""


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Two questions from before: the first was graded, the second was not."""
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("GQA_STUDENT", "ada")
    progress.add(find_lesson("02").slug, "", "reset")
    first = recall.recall(find_lesson("04")).questions[0].id
    whys = {letter: f"because of `{letter}` <b>" for letter in "ABCD"}
    known = {first: Graded("C", whys, missed=True)}
    monkeypatch.setattr(recall, "graded_questions", lambda: known)
    return recall.recall(find_lesson("04"))


@pytest.fixture
def page():
    with chromium(780, 900) as (shown, seen):
        yield shown
        assert (seen.errors, seen.outside) == ([], [])


def show(page, asked):
    """Show the panel; the page's changes go to it, and its traits come back."""
    made = panel.RecallPanel.asking(asked, "From before, not graded.")

    def take(chosen):
        if chosen is not None:
            made.chosen = chosen
        return {name: getattr(made, name) for name in TRAITS}

    page.expose_function("panel", take)
    style = (HERE / "panel.css").read_text(encoding="utf-8")
    page.set_content(f'<html lang="en"><title>x</title><style>{style}</style><main></main></html>')
    page.evaluate(PAGE, base64.b64encode((HERE / "panel.js").read_bytes()).decode())
    return page.get_by_role("region", name="Questions from before")


def test_an_answer_is_told_about_below_its_question(page, asked):
    shown = show(page, asked)
    first, second = shown.get_by_role("group").all()
    first.get_by_role("radio").nth(0).focus()
    page.keyboard.press("Space")
    told = first.locator(".gqa-quiz-told")
    expect(told).to_have_text("Not quite. because of A <b> Right is C: because of C <b>")
    expect(told.locator("code").first).to_have_text("A")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(told).to_have_text("Right. because of C <b>")
    expect(second.locator(".gqa-quiz-told")).to_be_hidden()
    second.get_by_role("radio").nth(1).check()
    expect(second.locator(".gqa-quiz-told")).to_contain_text(
        "Kept. This question is not graded yet"
    )
    expect(shown.get_by_role("status")).to_have_text("Saved. 2 of 2 answered.")
    shot(page, "recall")
    assert serious(page.locator("main")) == []


def test_what_was_told_is_there_when_it_is_shown_again(page, asked):
    asked.answer(asked.questions[0].id, "C")
    shown = show(page, recall.recall(find_lesson("04")))
    first = shown.get_by_role("group").first
    expect(first.get_by_role("radio").nth(2)).to_be_checked()
    expect(first.locator(".gqa-quiz-told")).to_have_text("Right. because of C <b>")
