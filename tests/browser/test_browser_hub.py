"""A class on a real JupyterHub: three users of the system, from the desk to feedback.

Each step begins where the last ended.
"""

import nbformat
import pytest
from browsing import (
    ask,
    assignment_list,
    chromium,
    hand_in,
    needs_chromium,
    notebook,
    run,
    save,
    shot,
)
from on_a_hub import Hub, log_in, missing
from playwright.sync_api import Page, expect

from gqa_lib.course.manifest import find_lesson
from grading.authoring.catalogue import filled, first_right, picked
from grading.limited import sandbox
from grading.nb.cells import read_notebook

pytestmark = [
    needs_chromium,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(
        bool(sandbox.sandbox_problem()), reason=f"no sandbox here: {sandbox.sandbox_problem()}"
    ),
]
FOUR = find_lesson("04")
TILED = "the heads are tiled (K0 K1 K0 K1"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    hub = Hub(tmp_path_factory.mktemp("hub"))
    try:
        hub.wait()
        yield hub
    finally:
        hub.stop()


def answer(hub: Hub, user: str) -> None:
    """Give somebody right answers to lesson 04, but for one."""
    path = hub.folder / "home" / user / "gqa-work" / FOUR.slug / f"{FOUR.slug}.ipynb"
    answers = first_right(FOUR) | picked(FOUR, {"expand_kv": "tiles"})
    nbformat.write(filled(read_notebook(path), answers), path)


def gqa(hub: Hub, user: str, arguments: str) -> str:
    """Run `gqa` as in a terminal of somebody's JupyterLab."""
    copy = "clone" if user == "teacher" else "course"
    return hub.run(user, f"GQA_WORK=$HOME/gqa-work /srv/gqa/{copy}/.venv/bin/gqa {arguments}")


def has_the_desk(page: Page) -> None:
    for tab in ("map.md", "tutor.chat"):
        expect(page.get_by_role("tab", name=tab)).to_be_visible()
    expect(page.get_by_text("Ask me about the lessons.")).to_be_visible()


def test_a_student_checks_asks_and_hands_in_at_the_desk(hub):
    with chromium() as (page, seen):
        log_in(page, hub, "ada")
        has_the_desk(page)
        expect(page.get_by_role("heading", name="Start here")).to_be_visible()
        shot(page, "30-hub-desk")
        answer(hub, "ada")
        shown = notebook(page, FOUR)
        run(shown, "Run All Cells")
        failed = shown.get_by_text("expand_kv: not yet.")
        expect(failed).to_contain_text(TILED)
        failed.scroll_into_view_if_needed()
        ask(page, "Why is expanding slower than folding?")
        chat = page.get_by_role("tabpanel", name="tutor.chat")
        expect(chat.get_by_text("9 units instead of 4")).to_be_visible()
        shot(page, "31-hub-check-and-tutor")
        save(page, FOUR)
        page.get_by_role("menuitem", name="Nbgrader", exact=True).click()
        expect(page.get_by_role("menuitem", name="Assignment List")).to_be_visible()
        for hidden in ("Create Assignment", "Formgrader"):
            expect(page.get_by_role("menuitem", name=hidden)).to_have_count(0)
        page.keyboard.press("Escape")
        hand_in(page, FOUR)
        shot(page, "32-hub-handed-in")
        assert (seen.errors, seen.outside) == ([], [])


def test_another_student_hands_in_from_a_terminal(hub):
    with chromium() as (page, _):
        log_in(page, hub, "ben")
        has_the_desk(page)
        answer(hub, "ben")
    assert "handed in" in gqa(hub, "ben", "submit 04")


def test_the_instructor_grades_and_sees_it_in_formgrader(hub):
    with chromium() as (page, seen):
        log_in(page, hub, "teacher")
        shown = page.frame_locator("iframe")
        expect(shown.get_by_role("link", name=FOUR.slug)).to_be_visible()
        shot(page, "34-hub-formgrader")
        graded = gqa(hub, "teacher", "grade 04 --collect --feedback")
        assert f"{FOUR.slug}: 2 graded\nFeedback of 2 released." in graded
        shown.get_by_role("link", name="Manual Grading").click()
        for _ in ("lesson", "notebook"):
            shown.locator("tbody").get_by_role("link", name=FOUR.slug).click()
        shown.get_by_role("link", name="Submission #1").click()
        failed = shown.get_by_text(TILED).first
        failed.scroll_into_view_if_needed()
        shot(page, "35-hub-submission")
        assert (seen.errors, seen.outside) == ([], [])


def test_a_student_reaches_neither_the_instructor_nor_other_students(hub):
    with chromium() as (page, _):
        log_in(page, hub, "ada")
        for path in ("ada/formgrader", "ben/lab", "teacher/formgrader", "teacher/lab"):
            answered = page.goto(f"{hub.address}/user/{path}")
            assert answered, path
            assert answered.status == (404 if path.startswith("ada") else 403), path
        shot(page, "33-hub-refused")
    for closed in ("/srv/gqa/clone", "/srv/gqa/records", "/srv/gqa/exchange/gqa/inbound"):
        with pytest.raises(AssertionError, match="Permission denied"):
            hub.run("ada", f"ls {closed}")


def test_a_student_reads_the_feedback(hub):
    with chromium() as (page, seen):
        log_in(page, hub, "ada")
        listed = assignment_list(page)
        listed.get_by_role("button", name="Fetch Feedback").click()
        listed.get_by_text("view feedback").click()
        page.locator(".jp-DirListing-item", has_text=FOUR.slug).dblclick()
        shown = page.frame_locator(".jp-HTMLViewer iframe")
        expect(shown.get_by_text("19 of 21 points")).to_be_visible()
        shot(page, "36-hub-feedback")
        assert (seen.errors, seen.outside) == ([], [])
