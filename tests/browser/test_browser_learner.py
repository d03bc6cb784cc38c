"""A learner's path through the course in a real browser. Each step begins where the last ended."""

import re
import time

import pytest
from browsing import (
    Desk,
    Seen,
    answer,
    ask,
    chromium,
    environment,
    gqa,
    hand_in,
    needs_chromium,
    notebook,
    run,
    save,
    serious,
    shot,
)
from playwright.sync_api import Locator, Page, expect

from gqa_lib.course.manifest import find_lesson, lessons
from gqa_lib.learn.quiz import saved
from gqa_lib.learn.quiz.questions import LETTERS
from grading.authoring.catalogue import first_right, picked
from grading.nb.cells import QUIZ
from grading.quiz import right_answers

pytestmark = needs_chromium
FOUR, LAST = find_lesson("04"), find_lesson("16")
CHOSEN = {
    "expand_kv": "tiles",  # which is wrong
}
WRONG_LINE, RIGHT_LINE = "kv.repeat(1, q_per_kv", "return kv.repeat_interleave(q_per_kv, dim=1)"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A desk where lesson 04 is answered, one exercise of it wrong, and its quiz not."""
    folder = tmp_path_factory.mktemp("learner")
    answers = first_right(FOUR) | picked(FOUR, CHOSEN)
    del answers[QUIZ]
    answer(environment(folder), FOUR, answers)
    desk = Desk(folder)
    yield desk
    desk.stop()


@pytest.fixture(scope="module")
def browser(desk):
    with chromium() as (page, seen):
        page.goto(desk.address)
        yield page, seen


@pytest.fixture
def page(browser) -> Page:
    return browser[0]


def cell_with(shown: Locator, code: str) -> Locator:
    return shown.locator(".jp-CodeCell").filter(
        has=shown.page.locator(".cm-content", has_text=code)
    )


def select(cell: Locator) -> None:
    """Make a cell the one that keys act on."""
    cell.locator(".jp-InputPrompt").click()
    expect(cell).to_have_class(re.compile("jp-mod-active"))


def answer_by_keyboard(page: Page, panel: Locator, letters: list[str]) -> None:
    """Choose one letter after the other, from the cell above the panel, as without a mouse."""
    for _ in range(3):  # past the cell's own tools, if they are drawn by now
        if not panel.locator(":focus").count():
            page.keyboard.press("Tab")
    for place, letter in enumerate(letters):
        if place:
            page.keyboard.press("Tab")
        for _ in range(LETTERS.index(letter)):
            page.keyboard.press("ArrowDown")
        if letter == LETTERS[0]:
            page.keyboard.press("Space")
    told = f"Saved. {len(letters)} of {len(letters)} answered."
    expect(panel.get_by_role("status")).to_have_text(told)
    expect(panel.get_by_text("saved", exact=True)).to_have_count(len(letters))


def test_the_first_key_goes_to_the_lesson_though_the_chat_is_there(page):
    expect(page.get_by_text("Ask me about the lessons.")).to_be_visible()
    expect(page.get_by_role("combobox", name="Type a chat message")).to_be_visible()
    expect(page.locator(".jp-Notebook :focus")).to_have_count(1)
    page.keyboard.press("Shift+Enter")
    second = page.locator(".jp-Notebook .jp-Cell").nth(1)
    expect(second).to_have_class(re.compile("jp-mod-active"))
    expect(page.locator(".jp-Notebook :focus")).to_have_count(1)


def test_the_desk_has_the_lesson_the_tutor_and_the_map(page):
    expect(page.get_by_role("heading", name="Start here")).to_be_visible()
    expect(page.get_by_text("Ask me about the lessons.")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    shot(page, "1-desk")
    page.get_by_role("tab", name="map.md").click()
    expect(page.get_by_role("img", name="The lessons of the course")).to_be_visible()
    shot(page, "2-map")
    assert serious(page.locator(".jp-MarkdownViewer")) == []


def test_a_box_of_the_map_is_a_link_to_its_lesson(page):
    drawing = page.get_by_role("img", name="The lessons of the course").bounding_box()
    x, y = (drawing["x"] + 0.9 * drawing["width"], drawing["y"] + 0.11 * drawing["width"])
    page.mouse.click(x, y)  # the last box of the first row, whatever rows there are below
    expect(page.get_by_role("tab", name=f"{FOUR.slug}.ipynb")).to_be_visible()


def test_a_check_fails_in_words_and_passes_once_the_answer_is_mended(page):
    shown = notebook(page, FOUR)
    run(shown, "Run All Cells")
    failed = shown.get_by_text("expand_kv: not yet.")
    expect(failed).to_contain_text("the heads are tiled (K0 K1 K0 K1")
    failed.scroll_into_view_if_needed()
    shot(page, "3-check-failed")
    shown.locator(".cm-line", has_text=WRONG_LINE).first.click()
    page.keyboard.press("End")
    page.keyboard.press("Shift+Home")
    page.keyboard.type(RIGHT_LINE)
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Shift+Enter")
    expect(shown.get_by_text("✓ expand_kv: all")).to_be_visible()
    expect(failed).to_have_count(0)
    shot(page, "4-check-passed")


def test_the_lesson_runs_up_to_its_questions(page):
    shown = notebook(page, FOUR)
    run(shown, "Run Selected Cell and All Below")
    expect(shown.get_by_text("None of the 3 questions is answered.")).to_be_visible()
    chart = shown.get_by_role("img", name="Time per step in ms: MHA")
    chart.scroll_into_view_if_needed()
    shot(page, "5-chart")


def test_the_questions_of_a_lesson_are_answered_by_keyboard_and_it_ends(page, desk):
    shown = notebook(page, FOUR)
    panel = shown.get_by_role("region", name="Quiz")
    select(cell_with(shown, 'show_quiz("04")'))
    right = right_answers("04")
    answer_by_keyboard(page, panel, list(right.values()))
    assert saved.read(desk.work / FOUR.slug).answers == right
    shot(page, "6-questions")
    assert serious(panel) == []
    select(cell_with(shown, 'check_quiz("04"'))
    run(shown, "Run Selected Cell and All Below")
    expect(shown.get_by_text("3 of 3 answered: Q")).to_be_visible()
    end = cell_with(shown, 'wrap_up("04")').locator(".jp-OutputArea")
    expect(end).to_contain_text("Exercises checked: 4 of 4")
    assert serious(end) == []


def test_the_drawn_quiz_is_answered_by_keyboard(page, desk):
    shown = notebook(page, LAST)
    run(shown, "Run All Cells")
    panel = shown.get_by_role("region", name="Quiz")
    expect(panel.get_by_role("group")).to_have_count(15)
    asked = panel.locator(".gqa-quiz-id").all_inner_texts()
    bank = right_answers("16")
    expect(shown.get_by_text("None of the 15 questions is answered.")).to_be_visible()
    select(cell_with(shown, 'show_quiz("16")'))
    answer_by_keyboard(page, panel, [bank[name] for name in asked])
    assert saved.read(desk.work / LAST.slug).answers == {name: bank[name] for name in asked}
    shot(page, "7-quiz")
    assert serious(panel) == []


def test_the_tutor_answers_from_the_open_lesson_and_refuses_the_rest(page):
    notebook(page, FOUR)
    chat = page.get_by_role("tabpanel", name="tutor.chat")
    ask(page, "Why is expanding slower than folding?")
    link = chat.get_by_role("button", name="Lesson 04, Predict, then measure")
    expect(link).to_be_visible()
    expect(chat.get_by_text("the copy moves more bytes than sharing saves")).to_be_visible()
    ask(page, "What is the capital of France?")
    expect(chat.get_by_text("The course does not cover “capital france”")).to_be_visible()
    shot(page, "8-tutor")
    link.click()
    heading = page.get_by_role("heading", name="Predict, then measure: does the obvious way pay?")
    expect(heading).to_be_in_viewport()


def test_a_lesson_is_handed_in_graded_and_its_score_shown(page, desk):
    notebook(page, FOUR)
    save(page, FOUR)
    wait_for_release(desk)
    hand_in(page, FOUR)
    shot(page, "9-handed-in")
    assert "Grouped-query attention: 21 of 21 points" in gqa(desk.env, "submit", "04")
    shown = notebook(page, FOUR)
    end = cell_with(shown, 'wrap_up("04")')
    select(end)
    page.keyboard.press("Control+Enter")
    expect(end).to_contain_text("Points: 21 of 21")
    end.scroll_into_view_if_needed()
    shot(page, "10-score")
    assert serious(end.locator(".jp-OutputArea")) == []


def wait_for_release(desk: Desk, patience_s: float = 900) -> None:
    """Wait until the lessons are in the exchange, where `gqa lab` puts them once it runs."""
    outbound = desk.home / "exchange" / "gqa" / "outbound"
    give_up = time.monotonic() + patience_s
    while not all((outbound / lesson.slug).exists() for lesson in lessons()):
        assert time.monotonic() < give_up, f"not released: {sorted(outbound.glob('*'))}"
        time.sleep(0.2)


def test_the_feedback_page(page, desk):
    feedback = desk.work / FOUR.slug / "feedback" / "latest.html"
    other = page.context.new_page()
    seen = Seen(other)
    other.goto(feedback.as_uri())
    expect(other.get_by_text("21 of 21 points")).to_be_visible()
    shot(other, "11-feedback")
    assert serious(other) == []
    assert (seen.errors, seen.outside) == ([], [])
    other.close()


def test_the_newest_answer_stays_in_view(page):
    messages = page.get_by_role("tabpanel", name="tutor.chat").locator(".jp-chat-message")
    for _ in range(5):
        before = messages.count()
        ask(page, "Why is expanding slower than folding?")
        expect(messages).to_have_count(before + 2)
    expect(messages.last.get_by_text("Open lesson:")).to_be_in_viewport()
    shot(page, "8-tutor-newest")


def test_no_error_in_the_console_and_no_request_to_elsewhere(browser):
    _, seen = browser
    assert (seen.errors, seen.outside) == ([], [])
