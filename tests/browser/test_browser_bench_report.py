"""`gqa bench report` in a real browser, on a desktop and on a phone, light and dark."""

import pytest
from browsing import chromium, needs_chromium, serious, shot
from fabricated_runs import sweep, write_run

from gqa_lib.bench.results.report import write_report

pytestmark = needs_chromium
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    sweep(folder)
    error = "Traceback (most recent call last):\n" + "ValueError: too many " * 20
    write_run(folder, "bad", [], status="error", error=error, params={"num_heads": 5})
    write_report(folder, folder / "report")
    return folder / "report"


def test_the_report_can_be_read_at_any_width_and_in_the_dark(report):
    pages = [report / "index.html", next((report / "notebooks").glob("*.html"))]
    with chromium(390, 844) as (page, seen):
        for path in pages:
            page.goto(path.as_uri())
            for width, scheme in ((390, "dark"), (1440, "light")):
                page.set_viewport_size({"width": width, "height": 900})
                page.emulate_media(color_scheme=scheme)
                assert page.evaluate(WIDER) == 0, f"{path.name} is wider than {width}"
                shot(page, f"bench-{path.stem}-{width}-{scheme}")
                assert serious(page) == []
        page.goto(pages[0].as_uri())
        picture = page.get_by_role("img", name="time against num_kv_heads 8: 2 faster")
        assert picture.is_visible()
        page.get_by_role("link", name="notebook", exact=True).first.click()
        assert "notebooks/" in page.url
        page.get_by_role("link", name="All benchmarks").click()
        assert page.url == pages[0].as_uri()
    assert (seen.errors, seen.outside) == ([], [])
