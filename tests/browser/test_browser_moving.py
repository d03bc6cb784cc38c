"""The picture that moves in a real browser, alone on a page: numbers, keys, motion, sizes."""

import pytest
from browsing import chromium, needs_chromium, serious, shot
from moving_pictures import NAME, SIZES, WIDER, cut_off, slider
from playwright.sync_api import Locator, Page, expect

from gqa_lib import cost, plots
from gqa_lib.configs import ModelConfig
from gqa_lib.heads import kv_head_choices
from gqa_lib.plots import moving

pytestmark = needs_chromium
TICKS_MS = 60_000  # more than all tokens take


@pytest.fixture(scope="module")
def browser():
    with chromium() as (page, seen):
        yield page, seen


@pytest.fixture
def page(browser) -> Page:
    page, seen = browser
    seen.errors.clear()
    page.set_viewport_size({"width": 1440, "height": 900})
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")
    return page


def picture(page: Page, *about: int) -> Locator:
    """Return the picture, on a page that has nothing else."""
    head = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>A picture</title>'
    width = '<meta name="viewport" content="width=device-width">'
    page.set_content(f"{head}{width}<main>{plots.moving_html(*about)}</main>")
    return page.get_by_role("group", name=NAME)


def layer_bytes(heads: int, kv_heads: int, tokens: int) -> int:
    """Return what the library says that a layer's cache takes."""
    layer = ModelConfig("one layer", 1, heads, kv_heads, moving.HEAD_DIM, heads * moving.HEAD_DIM)
    return int(cost.kv_cache_bytes(layer, [tokens], moving.BYTES_PER_ELEMENT))


def numbers(shown: Locator) -> dict[str, list[int]]:
    """Return what the table says: name of a row -> bytes of this step, and of all so far."""
    rows = shown.locator("tbody tr").all()
    return {
        row.locator("th").inner_text(): [
            int(cell.get_attribute("data-bytes") or -1) for cell in row.locator("td").all()
        ]
        for row in rows
    }


def press(slider: Locator, key: str, times: int = 1) -> None:
    for _ in range(times):
        slider.press(key)


@pytest.mark.parametrize(("heads", "kv_heads", "tokens"), [(8, 2, 5), (12, 12, 32), (32, 1, 17)])
def test_its_bytes_are_the_librarys(page, heads, kv_heads, tokens):
    shown = picture(page, heads, kv_heads, tokens)
    for name, found in numbers(shown).items():
        drawn = int(name.split()[1])
        so_far = sum(layer_bytes(heads, drawn, n) for n in range(1, tokens + 1))
        assert found == [layer_bytes(heads, drawn, tokens), so_far]
    assert [name.split()[0] for name in numbers(shown)] == ["MHA", "GQA", "MQA"]
    marked = shown.locator("[aria-current=true] th").inner_text()
    assert marked == f"{plots.attention_arm(heads, kv_heads)} {kv_heads} KV head" + "s" * (
        kv_heads > 1
    )


def test_it_says_in_words_what_python_says(page):
    for about in ((8, 2, 8), (8, 8, 0), (32, 1, 1), (24, 6, 31)):
        shown = picture(page, *about)
        words = plots.picture_in_words(*about)
        expect(shown.get_by_role("img")).to_have_attribute("aria-label", words)


def test_what_is_drawn_is_a_line_per_query_head_and_a_row_of_cells_per_kv_head(page):
    shown = picture(page, 12, 3, 7)
    assert shown.locator("circle").count() == 12
    assert shown.locator(".lines").get_attribute("d").count("M") == 12
    assert shown.locator(".head").count() == 3
    columns = "all => all.map(one => one.getAttribute('d').split('M').length - 1)"
    assert sum(shown.locator(".k").evaluate_all(columns)) == 3 * 7
    assert sum(shown.locator(".v").evaluate_all(columns)) == 3 * 7


def test_only_numbers_of_kv_heads_that_divide_are_offered(page):
    shown = picture(page)
    for place, heads in enumerate(moving.HEADS):
        press(slider(shown, "Query heads"), "Home")
        press(slider(shown, "Query heads"), "ArrowRight", place)
        press(slider(shown, "KV heads"), "Home")
        offered = []
        for _ in range(len(kv_head_choices(heads)) + 1):  # one more: at the end it stays
            offered.append(
                int(slider(shown, "KV heads").get_attribute("aria-valuetext").split()[0])
            )
            press(slider(shown, "KV heads"), "ArrowRight")
        assert list(dict.fromkeys(offered)) == kv_head_choices(heads)


def test_more_query_heads_keep_the_sharing(page):
    shown = picture(page, 8, 2)
    press(slider(shown, "Query heads"), "End")
    expect(shown.locator("[aria-current=true] th")).to_have_text("GQA 8 KV heads")
    press(slider(shown, "KV heads"), "End")
    expect(shown.locator("[aria-current=true] th")).to_have_text("MHA 32 KV heads")
    assert "GQA 8 KV heads" in numbers(shown)


def test_it_plays_to_the_end_and_stops_and_is_paused(page):
    page.clock.install()
    shown = picture(page, 8, 2, 30)
    tokens, status = slider(shown, "Tokens in the cache"), shown.get_by_role("status")
    expect(shown.get_by_role("button", name="Play")).to_be_visible()
    page.clock.run_for(TICKS_MS)
    expect(tokens).to_have_value("30")  # nothing begins by itself
    shown.get_by_role("button", name="Play").click()
    page.clock.run_for(700)
    expect(tokens).to_have_value("31")
    expect(status).to_be_empty()  # it is not read aloud token by token
    shown.get_by_role("button", name="Pause").click()
    page.clock.run_for(TICKS_MS)
    expect(tokens).to_have_value("31")
    expect(status).to_contain_text("31 tokens in the cache. This step reads 31 KiB; MHA 124 KiB")
    shown.get_by_role("button", name="Play").click()
    page.clock.run_for(TICKS_MS)
    expect(tokens).to_have_value("32")
    expect(shown.get_by_role("button", name="Play")).to_be_visible()
    expect(status).to_contain_text("32 tokens in the cache")
    shown.get_by_role("button", name="Play").click()
    expect(tokens).to_have_value("0")
    page.clock.run_for(1900)
    expect(tokens).to_have_value("3")


def test_all_of_it_works_by_keyboard(page):
    shown = picture(page, 8, 2, 8)
    tokens = slider(shown, "Tokens in the cache")
    order = []
    for _ in range(6):
        page.keyboard.press("Tab")
        order.append(
            page.evaluate("document.querySelector('.gqa-moving').shadowRoot.activeElement")
            and shown.locator(":focus").evaluate("e => e.ariaLabel || e.textContent")
        )
    assert order == ["Query heads", "KV heads", "Play", "Step", "Reset", "Tokens in the cache"]
    page.keyboard.press("ArrowLeft")
    expect(tokens).to_have_value("7")
    shown.get_by_role("button", name="Step").press("Enter")
    shown.get_by_role("button", name="Step").press("Space")
    expect(tokens).to_have_value("9")
    expect(shown.get_by_role("button", name="Step")).to_be_focused()
    shown.get_by_role("button", name="Reset").press("Enter")
    expect(tokens).to_have_value("0")
    assert layer_bytes(8, 2, 0) == numbers(shown)["GQA 2 KV heads"][0] == 0


def test_nothing_moves_for_who_asked_for_that(page):
    page.emulate_media(reduced_motion="reduce")
    shown = picture(page, 8, 2, 3)
    shown.get_by_role("button", name="Step").click()
    assert shown.evaluate("e => e.getAnimations({subtree: true}).length") == 0
    expect(shown.get_by_role("button", name="Play")).to_have_count(0)
    shown.get_by_role("button", name="To the end").click()
    expect(slider(shown, "Tokens in the cache")).to_have_value("32")
    assert shown.evaluate("e => e.getAnimations({subtree: true}).length") == 0
    page.emulate_media(reduced_motion="no-preference")
    expect(shown.get_by_role("button", name="Play")).to_be_visible()
    press(slider(shown, "Tokens in the cache"), "Home")
    shown.get_by_role("button", name="Step").click()
    assert shown.evaluate("e => e.getAnimations({subtree: true}).length") > 0


def test_it_fits_at_any_width_in_both_themes(browser, page):
    _, seen = browser
    for about in ((8, 2, 20), (32, 32, 32)):
        shown = picture(page, *about)
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                assert page.evaluate(WIDER) == 0
                assert cut_off(shown) == []
                assert serious(page) == []
                shot(page, f"moving-{about[1]}-{width}-{scheme}")
    assert (seen.errors, seen.outside) == ([], [])


def test_without_scripts_the_still_and_its_words_are_left(page):
    other = page.context.browser.new_context(java_script_enabled=False).new_page()
    other.set_content(plots.moving_html(8, 2, 8))
    words = plots.picture_in_words(8, 2, 8)
    expect(other.get_by_role("img", name=words)).to_be_visible()
    expect(other.get_by_text(words)).to_be_visible()
    assert "const" not in other.locator("body").inner_text()
    other.close()


def test_two_pictures_on_a_page_are_two(page):
    page.set_content(plots.moving_html(8, 2, 8) + plots.moving_html(8, 1, 4))
    pictures = page.get_by_role("group", name=NAME)
    expect(pictures).to_have_count(2)
    pictures.last.get_by_role("button", name="Step").click()
    expect(slider(pictures.last, "Tokens in the cache")).to_have_value("5")
    expect(slider(pictures.first, "Tokens in the cache")).to_have_value("8")
