"""The site: outputs but no solutions, links that lead somewhere, nothing from outside."""

import re
from functools import cache

import nbformat
import pytest
from browsing import chromium, needs_chromium
from bs4 import BeautifulSoup
from planning import planned

from gqa_lib import bench, plots
from gqa_lib.course.manifest import anchor_of, lessons, planned_lessons
from gqa_lib.learn.exercises import all_exercises
from grading.authoring.source import read_source, source_of
from grading.quiz.bank import CLAIMS, load_bank
from grading.site import dress, execute, links, pages
from grading.site.build import build_site, make_pages
from grading.site.reference import PACKAGES

RUN = ["01", "05", "kv-footprint"]  # a page of each kind with its outputs; 05 has sliders
SECRET = re.compile(r"### BEGIN (?:SOLUTION|HIDDEN TESTS).*?\n(.*?)### END", re.DOTALL)
PYTHON = {"name": "python3", "display_name": "Python 3"}
FEWEST = 15  # characters: a shorter line says nothing, as `return out`


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site with a few of its pages run."""
    out = tmp_path_factory.mktemp("site")
    problems = build_site(out, RUN)
    assert problems == []
    return out / "html"


def page(site, path):
    return BeautifulSoup((site / f"{path}.html").read_text("utf-8"), "html.parser")


def lesson_page(site, number):
    slug = next(one.slug for one in lessons() if one.number == number)
    return page(site, f"lessons/{slug}/{slug}")


def squeezed(text):
    return " ".join(text.split())


@cache
def secrets():
    """Lines that no student is given: of solutions and hidden tests, and what the key says."""
    given, found = "", []
    for lesson in lessons():
        student = nbformat.read(lesson.pristine, as_version=4)
        given += squeezed("\n".join(cell.source for cell in student.cells))
        for cell in read_source(source_of(lesson)).cells:
            found += [line for region in SECRET.findall(cell.source) for line in region.split("\n")]
    for path in bench.benchmarks().values():
        given += squeezed("\n".join(c.source for c in nbformat.read(path, as_version=4).cells))
    found += [option.why for one in load_bank() for option in one.options]
    lines = {squeezed(line) for line in found}
    return {line for line in lines if len(line) > FEWEST and line not in given}


def leaks(site):
    """Return the secret lines that the site's files hold, with the file."""
    found = []
    for path in site.rglob("*"):
        if path.suffix in (".html", ".js", ".json", ".txt", ".md", ".ipynb", ".py", ".inv", ""):
            if path.is_dir() or site / "_static" / "mathjax" in path.parents:
                continue
            text = path.read_text("utf-8", errors="replace")
            shown = BeautifulSoup(text, "html.parser").get_text() if path.suffix == ".html" else ""
            texts = (squeezed(text), squeezed(shown))
            found += [(path.name, line) for line in secrets() if any(line in t for t in texts)]
    return found


def test_no_solution_hidden_test_or_key_is_in_any_file(site):
    assert len(secrets()) > 600
    assert leaks(site) == []
    assert not list(site.rglob("*.ipynb")) + list(site.rglob("*.md"))


def test_a_solution_that_slipped_in_would_be_found(site, tmp_path):
    lesson = lessons()[5]
    solved = execute.executed_lesson(lesson, site.parent / "executed")
    answer = next(c for c in solved.cells if "BEGIN SOLUTION" in c.source)
    (tmp_path / "x.html").write_text(f"<pre><span>{answer.source}</span></pre>")
    assert leaks(tmp_path)


def test_a_lesson_has_its_outputs_and_its_exercises_are_open(site):
    shown = lesson_page(site, "01")
    text = shown.get_text()
    assert "raise NotImplementedError" in text
    assert "✓ causal_mask: all" in text  # what the check says of a right answer
    assert "same mask: True" in text
    assert "The exercises were solved to run this page" in squeezed(text)
    figures = shown.select(".cell_output img")
    assert figures
    assert all(figure["alt"] for figure in figures)
    assert shown.select_one("span.math")


def test_a_lesson_that_was_not_run_says_so(site):
    shown = lesson_page(site, "03")
    assert "Not run for this page" in shown.get_text()
    assert not shown.select(".cell_output")


def test_sliders_are_replaced_by_a_sentence(site):
    text = lesson_page(site, "05").get_text()
    assert "Dropdown(" not in text
    assert "that needs Python: open the notebook" in text


def test_a_widget_keeps_the_text_that_stands_in_for_it():
    widget = {"model_id": "1"}
    shown = dress.shown(
        nbformat.v4.new_output(
            "display_data", {dress.WIDGET: widget, "text/markdown": "Q04", "text/plain": "x"}
        )
    )
    assert shown.data == {"text/markdown": "Q04"}


def test_of_a_bar_its_last_state_is_left():
    bar = "before\n\r  0%|   | 0/9 [?]\r 50%|#  | 4/9 [00:01]\r100%|###| 9/9 [00:02]\nafter\r\n"
    shown = dress.shown(nbformat.v4.new_output("stream", name="stdout", text=bar))
    assert shown.text == "before\n100%|###| 9/9 [00:02]\nafter\r\n"


@pytest.mark.parametrize(
    ("put_out", "page"),
    [
        ("```mermaid\nflowchart\n```", "map.html"),
        ("15 questions, drawn for ann, attempt 1.\n\n**1 · Q30.** Why?", "questions.html"),
    ],
)
def test_what_is_a_learners_own_becomes_a_link_to_what_is_everyones(put_out, page):
    output = nbformat.v4.new_output("display_data", {"text/markdown": put_out})
    data = dress.shown(output).data
    assert page in data["text/markdown"]
    assert "ann" not in str(data)


def test_a_lesson_leaves_out_the_learners_own_record():
    code = nbformat.v4.new_code_cell
    student = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("# A"), code("x = 1"), code('wrap_up("00")')],
        metadata={"kernelspec": PYTHON},
    )
    made = dress.lesson_page(student, None, lessons()[0])
    assert [cell.source for cell in made.cells if cell.cell_type == "code"] == ["x = 1"]


def test_a_section_is_reached_by_the_name_that_lessons_use(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.md").write_text("# A\n\n## What is a head?\n\n## Exercise 2 · `x_y`, fast\n")
    (source / "index.md").write_text(
        "# Here\n\n[x](a.md#What-is-a-head?) [y](a.md#exercise-2-x_y-fast)\n\n"
        "```{toctree}\na\n```\n"
    )
    assert make_pages(source, tmp_path / "html") == []
    assert links.broken(tmp_path / "html") == []
    assert anchor_of("What is a head?") == "What-is-a-head?"
    assert anchor_of("Exercise 2 · x_y, fast") == "exercise-2-x_y-fast"


def test_the_map_and_the_contents_have_every_lesson(site):
    for path in ("index", "map"):
        cards = page(site, path).select(".map-card")
        assert [card["href"] for card in cards] == [
            f"lessons/{one.slug}/{one.slug}.html" for one in lessons()
        ]
    contents = page(site, "map").select_one("nav.bd-links").get_text()
    assert all(one.title in contents for one in lessons())


def test_the_first_page_begins_with_the_picture_and_says_how_to_begin(site):
    shown = page(site, "index").select_one("article")
    text = squeezed(shown.get_text())
    picture = shown.select_one(".gqa-moving")
    assert picture.img["alt"] == plots.picture_in_words(8, 2, 8)
    assert len(shown.select("img")) == 2  # that, and JupyterLab; nothing else is drawn twice
    order = ["Press Play", "GQA: 4 query heads", "Who it is for", "What you get", "begin here"]
    places = [text.index(one) for one in [*order, "make lab"]]
    assert places == sorted(places)
    first = lessons()[0]
    links_to_it = shown.select(f'p a[href$="{first.slug}.html"]')
    assert [link.get_text() for link in links_to_it] == [f"Read lesson {int(first.number)}"]


def test_the_first_page_says_what_a_learner_gets(site):
    first = page(site, "index")
    titles = [title.contents[0].strip() for title in first.select("section h2")]
    assert titles == ["What you get", "The map", "Start"]
    said = squeezed(first.select_one("#what-you-get, #What-you-get").get_text())
    assert f"{len(lessons())} lessons" in said
    assert f"{len(all_exercises())} exercises" in said
    assert f"{len(load_bank())} questions" in said
    above = first.select_one("article").get_text().partition("What you get")[0]
    assert "Read lesson 0" in above


def test_the_contents_have_the_librarys_reference(site):
    contents = page(site, "index").select_one("nav.bd-links")
    linked = [link["href"] for link in contents.find_all("a")]
    assert [one for one in linked if one.startswith("reference/")] == [
        f"reference/{name}.html" for name in ("index", *PACKAGES)
    ]
    assert page(site, "reference/attention").select('dt[id="gqa_lib.attention.Rope.rotate"]')


IS_READABLE = """figure => {
    const scrolls = getComputedStyle(figure.parentElement).overflowX
    return scrolls == "auto" && 2 * figure.clientWidth / figure.naturalWidth > 0.59
}"""


@needs_chromium
def test_on_a_phone_no_page_is_wider_than_it_and_figures_can_be_read(site):
    pages = ["index", "map", "anywhere", "questions", "glossary", "genindex"]
    pages += [f"reference/{name}" for name in ("index", *PACKAGES)]
    slug = next(one.slug for one in lessons() if one.number == "05")
    wide = []
    with chromium(390, 844) as (phone, seen):
        for path in [*pages, f"lessons/{slug}/{slug}"]:
            phone.goto((site / f"{path}.html").as_uri())
            if phone.evaluate("document.documentElement.scrollWidth") > 390:
                wide.append(path)
        figures = phone.locator("img.gqa-figure")
        assert figures.count() > 3
        assert all(figure.evaluate(IS_READABLE) for figure in figures.all())
        phone.evaluate("document.documentElement.dataset.theme = 'dark'")
        turned = figures.first.evaluate("figure => getComputedStyle(figure).filter")
        assert turned.startswith("invert")  # not a white sheet in the dark
        assert seen.outside == []
    assert wide == []


def test_planned_lessons_are_shown_as_planned_and_lead_nowhere():
    assert "planned" not in pages.map_page()
    with planned("13"):
        shown_as_planned()


def shown_as_planned():
    cards = BeautifulSoup(pages.course_cards(), "html.parser").select(".map-planned")
    assert [card.select_one(".map-title").text for card in cards] == [
        lesson.title for lesson in planned_lessons()
    ]
    assert not any(card.find_all("a") for card in cards)
    assert all("planned" in card.text for card in cards)
    table = pages.map_page()
    for lesson in planned_lessons():
        assert f"| {lesson.number} | {lesson.title} | planned | |" in table
        assert lesson.slug not in table
    shown = pages.questions()
    numbers = [one.lesson for one in load_bank()]
    for lesson in planned_lessons():
        said = f"Its lesson, {lesson.name}, is planned, not written yet."
        assert shown.count(said) == numbers.count(lesson.number)
    assert set(numbers) & {lesson.number for lesson in planned_lessons()}


def test_the_glossary_has_every_key_term(site):
    shown = page(site, "glossary").select("dt")
    terms = {term.contents[0].strip().replace("’", "'") for term in shown}
    assert terms >= {name for one in lessons() for name in one.key_terms}


def test_a_term_has_its_meaning_and_its_section():
    entry = pages.glossary().partition("\nhead\n")[2].partition("\n\n")[0]
    assert entry.strip().startswith("A slice of")
    assert "Explained in [1 · Multi-head attention](<lessons/01-multi-head-attention/" in entry
    assert "#What-is-a-head?>)." in entry


def test_every_question_is_asked_with_four_options_and_nothing_marks_one(site):
    asked = page(site, "questions").select(".question")
    assert {one.select_one(".question-id").text for one in asked} == {q.id for q in load_bank()}
    for one in asked:
        options = one.select("ol > li")
        assert len(options) == 4
        assert not any(option.attrs for option in options)
    links = [one.select_one("a") for one in asked]
    written = {lesson.number for lesson in lessons()}
    assert sum(link is not None for link in links) == sum(q.lesson in written for q in load_bank())


def test_every_claim_has_a_title(site):
    titles = [tag.contents[0].strip() for tag in page(site, "questions").select("section h2")]
    assert titles == list(CLAIMS.values())
    assert len(set(titles)) == len(titles)


def test_a_benchmark_shows_what_it_found(site):
    text = page(site, "benchmarks/kv-footprint").get_text()
    assert "It ran at its defaults" in text
    assert "injected" not in text.lower()
    assert "/tmp/" not in text
    assert "bytes per token" in page(site, "benchmarks").get_text()


def test_records_are_labelled(monkeypatch, tmp_path):
    assert "No run has been kept yet" in pages.recorded_page() or pages.recorded()
    monkeypatch.setattr(pages, "recorded", lambda: [tmp_path / "decode-gpu-20260101.jsonl"])
    monkeypatch.setattr(pages, "read", lambda path: [])
    monkeypatch.setattr(pages, "report", lambda rows: "a table")
    made = pages.recorded_page()
    assert "## decode-gpu-20260101\n\nRecorded, not measured now." in made
    assert "a table" in made


def test_what_was_run_is_kept_until_it_changes(tmp_path):
    runs = []

    def run():
        runs.append(1)
        return nbformat.v4.new_notebook()

    for text in ("a", "a", "b"):
        execute.cached("x", text, tmp_path, run)
    assert len(runs) == 2
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('<a href="b.html">', "b.html leads nowhere"),
        ('<a href="#c">', "has no 'c'"),
        ('<a href="a.html#c">', "has no 'c'"),
        ('<img src="d.png">', "d.png leads nowhere"),
        ('<a href="../../outside.html">', "leads nowhere"),
        ('<script src="https://cdn.org/x.js"></script>', "<script> loads https://cdn.org/x.js"),
        ('<img src="//cdn.org/x.png">', "<img> loads //cdn.org/x.png"),
        ('<img srcset="http://cdn.org/x.png 2x">', "<img> loads http://cdn.org/x.png"),
        ('<link rel="stylesheet" href="https://cdn.org/x.css">', "<link> loads"),
        ("<style>@import 'https://cdn.org/x.css'</style>", "a style loads"),
        ('<link rel="stylesheet" href="x.css">', "x.css loads https://fonts.org/f.woff"),
    ],
)
def test_what_is_broken_is_found(written, said, tmp_path):
    (tmp_path / "a.html").write_text(written)
    if "x.css" in said:
        (tmp_path / "x.css").write_text("a {src: url('https://fonts.org/f.woff')}")
    assert [problem for problem in links.broken(tmp_path) if said in problem]


def test_what_is_in_order_is_not_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<h1 id="c"></h1><a href="#c"></a><a href="a.html#c"></a><a href="https://arxiv.org/x"></a>'
        '<img src="data:image/png;base64,AA"><a href="sub/"></a><link rel="next" href="a.html">'
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "index.html").write_text("")
    assert links.broken(tmp_path) == []


def test_a_broken_link_in_a_page_is_a_problem(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "index.md").write_text("# Here\n\n[there](nowhere.md) [below](#Nothing)\n")
    problems = "\n".join(make_pages(source, tmp_path / "html"))
    assert "nowhere.md" in problems
    assert "Nothing" in problems


@pytest.mark.slow
def test_the_whole_site(tmp_path):
    assert build_site(tmp_path) == []
    assert leaks(tmp_path / "html") == []
