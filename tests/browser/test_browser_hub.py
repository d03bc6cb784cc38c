"""A class on a real JupyterHub: three users of the system, from the desk to feedback."""

import pytest
from browsing import PATIENCE_MS, chromium, needs_chromium, shot
from on_a_hub import Hub, log_in, missing
from playwright.sync_api import expect

from gqa_lib.course.manifest import find_lesson
from grading.limited import sandbox

pytestmark = [
    needs_chromium,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(
        bool(sandbox.sandbox_problem()), reason=f"no sandbox here: {sandbox.sandbox_problem()}"
    ),
]
FOUR = find_lesson("04")
ANSWER = (
    "from gqa_lib.course.manifest import find_lesson; import nbformat, sys;"
    "from grading.authoring.catalogue import filled, first_right, picked;"
    "four = find_lesson('04'); book = nbformat.read(sys.stdin, 4);"
    "nbformat.write(filled(book, first_right(four) | picked(four, {'expand_kv': 'tiles'})),"
    " sys.stdout)"
)
NOTEBOOK = f"gqa-work/{FOUR.slug}/{FOUR.slug}.ipynb"


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


def test_students_have_the_desk_and_hand_in(hub):
    with chromium() as (page, _):
        log_in(page, hub, "ada")
        expect(page.get_by_role("tab", name="map.md")).to_be_visible()
        expect(page.get_by_role("tab", name="tutor.chat")).to_be_visible()
        shot(page, "30-hub-desk")
        page.get_by_role("menuitem", name="Nbgrader", exact=True).click()
        expect(page.get_by_role("menuitem", name="Assignment List")).to_be_visible()
        for hidden in ("Create Assignment", "Formgrader", "Courses"):
            expect(page.get_by_role("menuitem", name=hidden)).to_have_count(0)
        page.get_by_role("menuitem", name="Assignment List").click()
        expect(page.get_by_text(FOUR.slug).first).to_be_visible()
        shot(page, "31-hub-assignments")
    assert "Handed in" in gqa(hub, "ada", "submit 04 --incomplete")
