"""An instructor's path through Formgrader in a real browser, with one student's submission."""

import re

import pytest
from browsing import (
    Desk,
    answer,
    chromium,
    environment,
    gqa,
    needs_chromium,
    serious,
    shot,
)
from playwright.sync_api import FrameLocator, Locator, expect

from gqa_lib.course.manifest import find_lesson, lessons
from grading.authoring.catalogue import first_right, picked
from grading.limited import sandbox

pytestmark = [
    needs_chromium,
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(sandbox.sandbox_problem()), reason=f"no sandbox here: {sandbox.sandbox_problem()}"
    ),
]
FOUR = find_lesson("04")


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path, "--role", "instructor")
    yield desk
    desk.stop()


def hand_in(folder, exchange) -> None:
    """Hand in lesson 04 as a student does, with one exercise wrong (2 of 21 points)."""
    student = environment(folder, GQA_EXCHANGE=str(exchange))
    answer(student, FOUR, first_right(FOUR) | picked(FOUR, {"expand_kv": "tiles"}))
    assert "Feedback comes from your instructor." in gqa(student, "submit", "04")


def press(shown: FrameLocator, row: Locator, button: str) -> None:
    """Press a button in a row of Formgrader, and close what it says once it went well."""
    row.locator(f"td.{button} a").click()
    said = shown.locator(".modal.in")
    expect(said.locator(".modal-title")).to_have_text("Success")
    said.get_by_role("button", name="OK").click()
    expect(shown.locator(".modal-backdrop")).to_have_count(0)


def test_a_lesson_is_generated_released_collected_graded_and_given_feedback(desk, tmp_path):
    with chromium() as (page, seen):
        page.goto(desk.address)
        shown = page.frame_locator("iframe")
        for lesson in lessons():
            expect(shown.get_by_role("link", name=lesson.slug)).to_be_visible()
        shot(page, "20-formgrader")
        row = shown.get_by_role("row").filter(has_text=FOUR.slug)
        press(shown, row, "assign")
        press(shown, row, "release")
        expect(row.locator(".status")).to_have_text("released")
        hand_in(tmp_path / "student", desk.home / "exchange")
        press(shown, row, "collect")
        row.locator(".num-submissions").get_by_text("1").click()

        row = shown.locator("tbody").get_by_role("row")
        expect(row.locator(".status")).to_have_text("needs autograding")
        press(shown, row, "autograde")
        expect(row.locator(".score")).to_have_text("19 / 21")
        press(shown, row, "generate-feedback")
        press(shown, row, "release-feedback")
        shot(page, "21-graded")

        shown.get_by_role("link", name="Manual Grading").click()
        for _ in ("lesson", "notebook"):
            shown.locator("tbody").get_by_role("link", name=FOUR.slug).click()
        shown.get_by_role("link", name="Submission #1").click()
        failed = shown.get_by_text("the heads are tiled (K0 K1 K0 K1").first
        expect(failed).to_be_visible()
        shot(page, "22-submission")
        failed.scroll_into_view_if_needed()
        shot(page, "23-failed-check")
        assert (seen.errors, seen.outside) == ([], [])

    (page_of_feedback,) = (desk.home / "course" / "feedback").rglob("*.html")
    with chromium() as (page, seen):
        page.goto(page_of_feedback.as_uri())
        expect(page.get_by_text("19 of 21 points")).to_be_visible()
        expect(page.get_by_text(re.compile("tiled")).first).to_be_visible()
        shot(page, "24-feedback")
        assert serious(page) == []
        assert (seen.errors, seen.outside) == ([], [])
    assert list((desk.home / "exchange" / "gqa" / "feedback").rglob("*.html"))
