"""The picture that moves in a real browser, where learners meet it: the site, and JupyterLab."""

import re
from pathlib import Path

import nbformat
import pytest
from browsing import Desk, chromium, needs_chromium, notebook, save, serious, shot
from moving_pictures import NAME, SIZES, WIDER, cut_off, slider, with_picture
from playwright.sync_api import Locator, Page, expect

from gqa_lib import plots
from gqa_lib.course.manifest import find_lesson
from gqa_lib.plots import moving
from grading.site.build import make_pages

pytestmark = needs_chromium
FOUR = find_lesson("04")


def test_a_page_of_the_site_shows_it_in_its_own_colours(tmp_path):
    source, html = tmp_path / "source", tmp_path / "html"
    source.mkdir()
    nbformat.write(with_picture(), source / "lesson.ipynb")
    (source / "index.md").write_text("# Here\n\n```{toctree}\nlesson\n```\n")
    assert make_pages(source, html) == []
    with chromium() as (page, _):
        page.goto((html / "lesson.html").as_uri())
        shown = page.get_by_role("group", name=NAME)
        paper = set()
        for scheme, (width, height) in (
            ("light", SIZES[0]),
            ("dark", SIZES[1]),
            ("dark", SIZES[2]),
        ):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": height})
            expect(page.locator("html")).to_have_attribute("data-theme", scheme)
            assert page.evaluate(WIDER) == 0
            assert cut_off(shown) == []
            assert serious(page.locator(".gqa-moving")) == []
            shown.scroll_into_view_if_needed()
            shot(page, f"moving-site-{width}-{scheme}")
            paper.add(shown.evaluate("e => getComputedStyle(e).backgroundColor"))
        page.evaluate("document.documentElement.dataset.theme = 'light'")  # against the system's
        paper.add(shown.evaluate("e => getComputedStyle(e).backgroundColor"))
        assert len(paper) == 2


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    desk = Desk(tmp_path_factory.mktemp("moving"))
    yield desk
    desk.stop()


def strangers_notebook(desk: Desk) -> str:
    """Put a notebook where lessons are that nobody has run here; return its name."""
    nbformat.write(with_picture(), desk.work / "a-strangers.ipynb")
    return "a-strangers.ipynb"


def test_in_jupyterlab_it_is_there_again_without_running_and_a_strangers_stays_still(desk):
    with chromium(1280, 720) as (page, seen):
        page.goto(desk.address)
        shown = notebook(page, FOUR)
        cell = shown.locator(".jp-CodeCell").filter(
            has=page.locator(".cm-content", has_text="moving_picture(")
        )
        cell.locator(".jp-InputPrompt").click()
        page.keyboard.press("Control+Enter")
        drawn = shown.get_by_role("group", name=NAME)
        used_in_the_lab(page, drawn, cell)
        save(page, FOUR)
        turn_dark(desk)
        page.reload()
        expect(page.locator("body")).to_have_attribute("data-jp-theme-light", "false")
        expect(page.get_by_role("tab", name=f"{FOUR.slug}.ipynb")).to_be_visible()
        drawn = notebook(page, FOUR).get_by_role("group", name=NAME)
        expect(slider(drawn, "KV heads")).to_have_attribute("aria-valuetext", "4 KV heads")
        drawn.get_by_role("button", name="Step").click()
        assert serious(page.locator(".gqa-moving")) == []
        shot(page, "moving-lab-dark")
        page.goto(re.sub(r"/lab\b.*?(\?|$)", rf"/lab/tree/{strangers_notebook(desk)}\1", page.url))
        still = page.get_by_role("tabpanel", name="a-strangers.ipynb")
        words = plots.picture_in_words(8, 2, 8)
        expect(still.get_by_role("img", name=words)).to_be_visible()
        expect(still.locator(".jp-OutputArea-output")).to_have_text(f"{words} {moving._WHY_STILL}")
        shot(page, "moving-lab-strangers")
    assert (seen.errors, seen.outside) == ([], [])


def turn_dark(desk: Desk) -> None:
    """Choose JupyterLab's dark theme; a page that is loaded after that has it."""
    folder = "lab/user-settings/@jupyterlab/apputils-extension"
    settings = Path(desk.env["JUPYTER_CONFIG_DIR"], folder, "themes.jupyterlab-settings")
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text('{"theme": "JupyterLab Dark"}')


def used_in_the_lab(page: Page, drawn: Locator, cell: Locator) -> None:
    """Use the picture in JupyterLab: keys go to it and not to the notebook."""
    tokens = slider(drawn, "Tokens in the cache")
    expect(tokens).to_have_value("24")
    slider(drawn, "KV heads").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(drawn.locator("[aria-current=true] th")).to_have_text("MQA 1 KV head")
    drawn.get_by_role("button", name="Step").click()
    page.keyboard.press("Space")
    expect(tokens).to_have_value("26")
    expect(cell).to_have_class(re.compile("jp-mod-active"))
    assert serious(cell.locator(".gqa-moving")) == []  # axe begins outside of the shadow root
    shot(page, "moving-lab-light")
