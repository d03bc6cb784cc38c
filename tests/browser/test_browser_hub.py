"""A class on a real JupyterHub: three users of the system, from the desk to feedback."""

import nbformat
import pytest
from browsing import chromium, needs_chromium, shot
from on_a_hub import Hub, log_in, missing
from playwright.sync_api import expect

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


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    hub = Hub(tmp_path_factory.mktemp("hub"))
    try:
        hub.wait()
        yield hub
    finally:
        hub.stop()


def gqa(hub: Hub, user: str, arguments: str) -> str:
    copy = "clone" if user == "teacher" else "course"
    return hub.run(user, f"GQA_WORK=$HOME/gqa-work /srv/gqa/{copy}/.venv/bin/gqa {arguments}")


def answer(hub: Hub, user: str) -> None:
    """Give somebody right answers to lesson 04, but for one."""
    path = hub.folder / "home" / user / "gqa-work" / FOUR.slug / f"{FOUR.slug}.ipynb"
    answers = first_right(FOUR) | picked(FOUR, {"expand_kv": "tiles"})
    nbformat.write(filled(read_notebook(path), answers), path)


def test_from_the_desk_to_feedback(hub):
    for name in ("ada", "ben"):
        with chromium() as (page, _):
            log_in(page, hub, name)
            for tab in ("map.md", "tutor.chat"):
                expect(page.get_by_role("tab", name=tab)).to_be_visible()
            shot(page, f"30-hub-{name}")
            page.get_by_role("menuitem", name="Nbgrader", exact=True).click()
            expect(page.get_by_role("menuitem", name="Assignment List")).to_be_visible()
            for hidden in ("Create Assignment", "Formgrader"):
                expect(page.get_by_role("menuitem", name=hidden)).to_have_count(0)
        answer(hub, name)
        assert "handed in" in gqa(hub, name, "submit 04 --incomplete")

    with chromium() as (page, seen):
        log_in(page, hub, "teacher")
        shown = page.frame_locator("iframe")
        expect(shown.get_by_role("link", name=FOUR.slug)).to_be_visible()
        gqa(hub, "teacher", "grade 04 --collect --feedback")
        shown.get_by_role("link", name="Manual Grading").click()
        for _ in ("lesson", "notebook"):
            shown.locator("tbody").get_by_role("link", name=FOUR.slug).click()
        shown.get_by_role("link", name="Submission #1").click()
        expect(shown.get_by_text("the heads are tiled (K0 K1 K0 K1").first).to_be_visible()
        shot(page, "32-hub-formgrader")
        assert seen.outside == []
    feedback = hub.folder / "srv" / "gqa" / "exchange" / "gqa" / "feedback" / FOUR.slug
    assert len(list(feedback.glob("*.html"))) == 2
