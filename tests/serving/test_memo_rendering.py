"""A memo as Markdown and as a page: labelled, escaped, of itself."""

import re
from html.parser import HTMLParser

import pytest

from gqa_lib.serving.memo import (
    Bullets,
    Command,
    Figure,
    Heading,
    Memo,
    Name,
    Plot,
    Prose,
    Record,
    Table,
    Words,
    markdown,
    page,
)

HOSTILE = "<img src=x onerror=alert(1)> | [a](http://evil) `c` **b** _i_ &lt; # $x$ \\"
MODELLED = Figure(1234.5, "tokens/s", "modelled", f"a formula, {HOSTILE}")
RECORD = Record("a_b.jsonl", "x*y*z", "as recorded on A, 2026-11-25")
MEASURED = Figure(0.0123, "ms", "measured", RECORD, 0.01, 0.02)
SVG = (
    '<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/x">\n'
    '<svg xmlns:xlink="http://www.w3.org/1999/xlink" xmlns="http://www.w3.org/2000/svg">'
    "<metadata>http://purl.org</metadata><g/></svg>"
)
MEMO = Memo(
    Prose("GQA or not: {model}", model=Name(HOSTILE)),
    [Prose("Adopt it: {rate}.", rate=MODELLED), Prose("It takes {time}.", time=MEASURED)],
    [
        Heading("The traffic"),
        Table(
            ["variant", "rate"],
            [(Name(HOSTILE), [MODELLED]), (Name("MHA, 32"), [Words("does not fit")])],
        ),
        Bullets([Prose("{again} and {time} again", again=MODELLED, time=MEASURED)]),
        Command("echo '```' && rm <x>"),
        Plot("rates", SVG, f'two "bars" {HOSTILE}', [MEASURED]),
    ],
)


class Elements(HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def shown():
    return Elements(page(MEMO))


def test_each_figure_is_followed_by_its_label_in_markdown():
    text = markdown(MEMO)
    assert text.count("1,234 tokens/s [modelled 1](#source-1)") == 3
    assert text.count("0.0123 (0.01 to 0.02) ms [measured 2](#source-2)") == 2
    assert "**measured**: a\\_b.jsonl: x\\*y\\*z; as recorded on A, 2026-11-25" in text
    assert "![two" in text
    assert "](rates.svg)" in text


def test_each_label_leads_to_a_source_of_its_kind(shown):
    ids = {attrs["id"] for tag, attrs in shown.found if tag == "a" and "id" in attrs}
    links = [attrs for tag, attrs in shown.found if tag == "a" and "href" in attrs]
    assert len(links) == 6
    assert {one["href"].lstrip("#") for one in links} == ids == {"source-1", "source-2"}
    kinds = {(one["class"], one["href"]) for one in links}
    assert kinds == {("label modelled", "#source-1"), ("label measured", "#source-2")}


def test_names_are_text_on_the_page_whatever_they_are_made_of(shown):
    assert not {tag for tag, _ in shown.found} & {"img", "script", "em"}
    assert shown.text.count(HOSTILE) >= 3  # title, table, source
    assert "echo '```' && rm <x>" in shown.text


def test_the_page_loads_nothing_and_names_no_other_place(shown):
    text = page(MEMO)
    loading = {"src", "srcset", "data", "action", "background"}
    assert not any(loading & attrs.keys() for _, attrs in shown.found)
    assert all(attrs.get("href", "#").startswith("#") for _, attrs in shown.found)
    assert "link" not in {tag for tag, _ in shown.found}
    assert "url(" not in text
    assert "@import" not in text
    assert set(re.findall(r"https?://\S*", text)) == {"http://evil)"}  # a name's text


def test_plots_are_inline_with_a_text_alternative(shown):
    plots = [attrs for tag, attrs in shown.found if attrs.get("class") == "plot"]
    assert [one["role"] for one in plots] == ["img"]
    assert plots[0]["aria-label"] == f'two "bars" {HOSTILE}'
    assert "svg" in {tag for tag, _ in shown.found}


def test_the_page_is_readable_on_a_phone_and_in_the_dark(shown):
    metas = [attrs for tag, attrs in shown.found if tag == "meta"]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in metas
    assert "prefers-color-scheme: dark" in page(MEMO)
    assert sum(attrs.get("class") == "table" for _, attrs in shown.found) == 1  # scrolls by itself


def test_a_command_cannot_end_its_block():
    text = markdown(Memo(Prose("t"), [Prose("a")], [Command("a\n```\n# not a title")]))
    assert "````sh\na\n```\n# not a title\n````" in text
