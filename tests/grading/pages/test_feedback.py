"""What goes out: pages on which nothing of a student's acts, with no hidden test and no network."""

import base64
import re

import nbformat
import pytest
from bs4 import BeautifulSoup
from classroom import NAME, formgraders_page, instructor_notebook
from nbconvert.filters.markdown_mistune import markdown2html_mistune
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

from gqa_lib.course.places import course_root
from grading.pages.feedback import RAN_HERE, HideHidden
from grading.pages.images import pixels_of
from grading.pages.markup import MAX_MARKDOWN, formula, markdown2html
from grading.pages.outputs import MAX_TEXT, clean_outputs, plain

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5E"
    "rkJggg=="
)
REMOTE = "http://192.0.2.1/x"  # an address that is nobody's

MARKDOWN = [
    "<script>fired()</script>",
    "<img src=x onerror=fired()>",
    "<svg onload=fired()></svg>",
    "[click](javascript:fired())",
    "[click](JaVaScRiPt:fired())",
    "[click](data:text/html;base64,PHNjcmlwdD4=)",
    "<a href='&#106;avascript:fired()'>click</a>",
    "<a href=' javascript:fired()' target=_top>click</a>",
    "<iframe srcdoc='<script>parent.fired()</script>'></iframe>",
    "<details open ontoggle=fired()>x</details>",
    f"<style>@import '{REMOTE}'; body {{ display: none }}</style>",
    f"![remote]({REMOTE})",
    f"<img src='{REMOTE}'>",
    "<math><mtext><table><mglyph><style><img src=x onerror=fired()></style></mglyph></math>",
    f"<form action='{REMOTE}'><input autofocus onfocus=fired()></form>",
    "<object data='data:text/html,<script>fired()</script>'></object>",
    "<embed src='javascript:fired()'>",
    f"<meta http-equiv=refresh content='0;url={REMOTE}'>",
    f"<base href='{REMOTE}'><link rel=stylesheet href='{REMOTE}'>",
    r"$\text{<img src=x onerror=fired()>}$",
    r"$\href{javascript:fired()}{x}$",
    r'![a $\text{" onerror=fired() x="}$](data:image/png;base64,' + PNG + ")",
    "![svg](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ZmlyZWQoKT4=)",
    "![attached](attachment:x.svg)",
    "<video src=x onerror=fired()></video>",
    f"<b style='position:fixed;top:0;background:url({REMOTE})'>over all</b>",
    "<div class='modal-backdrop' id='double-check' data-link='x'>over all</div>",
    "<noscript><p title='</noscript><img src=x onerror=fired()>'>",
    "<!--><img src=x onerror=fired()>-->",
    "```mermaid\n<img src=x onerror=fired()>\n```",
    "# <img src=x onerror=fired()> head",
]
DISPLAYED = [
    {"text/html": "<script>fired()</script><img src=x onerror=fired()>"},
    {"application/javascript": "fired()"},
    {"image/svg+xml": "<svg onload=fired()></svg>"},
    {"text/markdown": "<img src=x onerror=fired()>"},
    {"text/latex": "<img src=x onerror=fired()>"},
    {"image/png": '"><img src=x onerror=fired()>'},
    {"image/jpeg": base64.b64encode(b"<svg onload=fired()>").decode()},
    {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}},
    {"text/vnd.mermaid": "<img src=x onerror=fired()>"},
    {"text/plain": "</pre><script>fired()</script>"},
]


def dangers(markup: str) -> list[str]:
    """Return what in a piece of HTML could act, load something, or pass for part of the page."""
    found = []
    for tag in BeautifulSoup(markup, "html.parser").find_all(True):
        if tag.name in {
            *("script", "style", "iframe", "object", "embed", "form", "input", "meta", "base"),
            *("link", "svg", "video", "audio", "template", "noscript", "mglyph", "button"),
        }:
            found.append(tag.name)
        for name, value in tag.attrs.items():
            value = " ".join(value) if isinstance(value, list) else value
            if name.startswith(("on", "data-")) or name in ("style", "id", "srcdoc", "srcset"):
                found.append(f"{name}={value}")
            if name == "href" and not re.match("https?://|mailto:|#", value):
                found.append(f"{name}={value}")
            if name == "src" and not re.match("data:image/(png|jpeg);base64,", value):
                found.append(f"{name}={value}")
            if name == "class" and re.search("modal|nav|btn", value):
                found.append(f"{name}={value}")
    return found


def test_the_dangers_would_be_seen():
    unsafe = [markdown2html_mistune(text) for text in MARKDOWN if "attachment" not in text]
    assert sum(bool(dangers(made)) for made in unsafe) >= 24


@pytest.mark.parametrize("text", MARKDOWN)
def test_markdown_cannot_act(text):
    assert dangers(markdown2html(text)) == []
    assert dangers(markdown2html(f"An answer.\n\n- {text}\n\n> {text}")) == []


def test_honest_markdown_reads_as_it_should():
    made = markdown2html(
        "## Why\n\nIt is **twice**, see [here](https://example.org/?a=1&b=2), for `x < y`:\n\n"
        "| a | b |\n|---|---|\n| 1 | $x$ |\n\n```python\ndef f(): pass\n```\n\n"
        "<details><summary>More</summary>\n\nText\n\n</details>\n\n"
        f"![A dot, $x$](data:image/png;base64,{PNG})\n\n- [ ] to do\n\nList<int>"
    )
    page = BeautifulSoup(made, "html.parser")
    assert page.a["href"] == "https://example.org/?a=1&b=2"
    assert page.code.text == "x < y"
    assert page.img["alt"] == "A dot, a formula"
    assert page.find("span", class_="k").text == "def"
    assert page.summary.text == "More"
    assert page.td.text == "1"
    assert page.td.find_next("td").math
    assert "[ ] to do" in page.text
    assert "List<int>" in page.text


@pytest.mark.parametrize(
    "text", ["[" * 20_000, "> " * 5_000, "$" * 30_001, "\\begin{a}" * 5_000, "*a " * 10_000]
)
def test_a_text_that_is_hard_to_parse_still_comes_out(text):
    assert dangers(markdown2html(text)) == []


def test_a_text_too_long_to_be_read_comes_out_as_it_is():
    made = markdown2html("<b>x</b>" + "y" * MAX_MARKDOWN)
    assert made.startswith("<pre>&lt;b&gt;x")


# Formulas


@pytest.mark.parametrize(
    ("tex", "elements"),
    [
        (r"\frac{q k^\top}{\sqrt{D}}", {"mfrac", "msup", "msqrt"}),
        (r"\underbrace{N P}_{\text{tokens read}} \times \text{bytes}", {"munder", "mtext"}),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", {"mtable", "mtr"}),
        ("a < b", {"mo"}),
    ],
)
def test_a_formula_becomes_mathml(tex, elements):
    page = BeautifulSoup(formula(tex, block=True), "html.parser")
    assert page.math["display"] == "block"
    assert elements <= {tag.name for tag in page.find_all(True)}


@pytest.mark.parametrize("tex", [r"\spell{x}", "{" * 900, "x" * 5_000, r"\frac{a}", ""])
def test_a_formula_that_is_not_known_is_shown_as_it_was_written(tex):
    made = BeautifulSoup(formula(tex, block=False), "html.parser")
    assert made.math or made.code.text == tex[:2_000]
    assert dangers(str(made)) == []
    if tex.startswith(r"\spell"):
        assert made.code


def test_every_formula_of_the_lessons_is_known():
    lessons = course_root() / "solutions"
    texts = [path.read_text(encoding="utf-8") for path in sorted(lessons.glob("*.py"))]
    found = re.findall(r"\$\$[^$]+\$\$|\$[^$\n]+\$", "\n".join(texts))
    assert len(found) > 20
    assert [tex for tex in found if "<math" not in formula(tex.strip("$"), block=False)] == []


# Outputs


@pytest.mark.parametrize("data", DISPLAYED)
def test_of_an_output_only_text_and_images_stay(data):
    (cleaned,) = clean_outputs([new_output("display_data", data=data, metadata={"x": 1})])
    assert set(cleaned.data) == {"text/plain"}
    assert cleaned.metadata == {}


def test_an_image_stays_with_its_text_alternative_and_nothing_else():
    told = {"image/png": {"alt": 'a "dot"', "width": "1 onerror=fired()"}}
    output = new_output("display_data", data={"image/png": PNG}, metadata=told)
    (cleaned,) = clean_outputs([output])
    assert cleaned.data == {"image/png": PNG}
    assert cleaned.metadata == {"image/png": {"alt": 'a "dot"'}}


@pytest.mark.parametrize("content", ["", "%%", "AAAA", PNG[:40], PNG + '"'])
def test_what_is_no_image_is_none(content):
    assert pixels_of("image/png", content) == 0


@pytest.mark.parametrize(
    "output",
    [None, "x", {}, {"output_type": "spell"}, {"output_type": ["stream"]}],
)
def test_a_malformed_output_is_left_out(output):
    assert clean_outputs([output]) == []


@pytest.mark.parametrize(
    "output",
    [
        {"output_type": "stream", "text": 7, "name": []},
        {"output_type": "error", "ename": 1, "evalue": None, "traceback": "x"},
        {"output_type": "execute_result", "data": [], "metadata": 3, "execution_count": "x"},
        {"output_type": "display_data", "data": {"image/png": {}, "text/plain": 3}},
    ],
)
def test_a_half_malformed_output_becomes_a_valid_one(output):
    notebook = new_notebook(cells=[new_code_cell("", outputs=clean_outputs([output]))])
    nbformat.validate(notebook)


def test_text_has_no_codes_of_a_terminal_and_an_end():
    said = "\x1b[1;31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07 \x07\u202eok\ud800\n"
    assert plain(said) == "red link ok\n"
    assert plain(" 10%\r 50%\r100%\r\ndone") == "100%\ndone"
    assert plain("x" * (3 * MAX_TEXT)).endswith("(cut off here)")


# Pages


def check_cell(notebook):
    return next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("points") == 2)


def hide(notebook):
    return HideHidden().preprocess(notebook, {})[0]


def test_hidden_tests_are_in_no_cell_and_no_output():
    notebook = instructor_notebook()
    cell = check_cell(notebook)
    cell.outputs = [
        new_output(
            "error",
            ename="AssertionError",
            evalue="of five",
            traceback=[
                "\x1b[31m----> 3\x1b[0m assert\x1b[1m double(5) == 10, 'of five'\x1b[0m\n  4"
            ],
        ),
        new_output("stream", text="In[3] is\nassert double(5) == 10, 'of five'\n"),
        new_output("execute_result", data={"text/plain": "\"assert double(5) == 10, 'of five'\""}),
    ]
    hidden = hide(notebook)
    assert check_cell(hidden).source == f"assert double(2) == 4, 'double(2) is 4'\n{RAN_HERE}"
    text = nbformat.writes(hidden)
    assert "double(5)" not in text
    assert "HIDDEN" not in text
    assert text.count(RAN_HERE) == 4
    assert check_cell(hidden).outputs[0].evalue == "of five"  # said to the learner


def test_a_line_that_is_shown_too_is_no_secret():
    notebook = instructor_notebook()
    cell = check_cell(notebook)
    cell.source += "\n### BEGIN HIDDEN TESTS\nassert double(2) == 4, 'double(2) is 4'"
    cell.outputs = [new_output("stream", text="assert double(2) == 4, 'double(2) is 4'")]
    hidden = hide(notebook)
    assert "HIDDEN" not in nbformat.writes(hidden)
    assert check_cell(hidden).outputs[0].text == "assert double(2) == 4, 'double(2) is 4'"


def test_a_students_text_hides_nothing_and_takes_no_time():
    """Every line of it was looked for in every line of output: hours, for two long texts."""
    notebook = instructor_notebook()
    lines = "\n".join(f"line number {n}" for n in range(6000))
    written = next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("points") == 3)
    written.source = f"### BEGIN HIDDEN TESTS\n{lines}"
    check_cell(notebook).outputs = [new_output("stream", text=lines)] * 20
    hidden = hide(notebook)
    assert hidden.cells[notebook.cells.index(written)].source.endswith("line number 5999")
    assert RAN_HERE not in check_cell(hidden).outputs[0].text


@pytest.fixture
def marked(room):
    """A classroom with a graded submission full of payloads, and a half-right one."""
    for student, code, why in (
        (
            "mallory",
            "def double(x):\n    raise ValueError('<img src=x onerror=fired()>')",
            MARKDOWN,
        ),
        ("bob", "def double(x):\n    return x * x", ["Because $x^2 = 2x$ for 2."]),
    ):
        notebook = room.answered(code, "\n\n".join(why))
        notebook.cells.append(new_raw_cell("<script>fired()</script>"))
        notebook.cells.append(new_markdown_cell("<script>fired()</script>"))
        nbformat.write(notebook, room.inbox(student) / f"{NAME}.ipynb")
    room.collect()
    assert room.autograde()
    return room


def dangers_on(page: str) -> list[str]:
    """Return the dangers in a page's main part, but for the ids of its own parts."""
    found = BeautifulSoup(page, "html.parser")
    own = {f"id={name}" for name in ("double", "double-check", "why", "draw")}
    main = found.find("main") or found.find(id="notebook")
    return [one for one in dangers(str(main)) if one not in own and "cell-id=" not in one]


def test_a_feedback_page_lets_nothing_act_and_loads_nothing(marked):
    assert marked.feedback()
    page = BeautifulSoup(marked.page("mallory"), "html.parser")
    policy = page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    assert policy.startswith("default-src 'none';")
    assert "script-src" not in policy
    assert page.find_all(["script", "link", "iframe"]) == []
    assert dangers_on(marked.page("mallory")) == []
    assert "<img src=x onerror=fired()>" in page.text  # said, as a text


def test_a_feedback_page_tells_the_score_by_exercise_and_why(marked):
    assert marked.feedback()
    page = BeautifulSoup(marked.page("bob"), "html.parser")
    rows = [[c.text.strip() for c in row.find_all("td")] for row in page.table.find_all("tr")]
    assert rows[1:] == [
        ["double", "0 of 2", "of five"],
        ["why", "not marked yet (3 points)", ""],
        ["draw", "not marked yet (1 points)", ""],
    ]
    assert page.find(class_="total").text == "0 of 6 points"
    assert page.find("pre", class_="reason").text == "of five"
    assert page.math
    assert "HIDDEN" not in page.text
    assert "double(5)" not in page.text
    assert "\x1b" not in page.text


def test_formgrader_shows_an_instructor_a_page_on_which_nothing_acts(marked):
    page, harmless = (formgraders_page(marked, student) for student in ("mallory", "bob"))
    assert dangers_on(page) == dangers_on(harmless)  # Formgrader's own fields and buttons
    assert "BEGIN HIDDEN TESTS" in page  # an instructor may see them
    assert re.findall(r"(?:src|href)=.(?:https?:)?//[^>]*", page) == []
    assert "cdnjs" not in page


def test_what_was_graded_before_is_cleaned_when_it_is_shown(marked):
    path = marked.folder("autograded", "bob") / f"{NAME}.ipynb"
    notebook = nbformat.read(path, 4)
    notebook.cells[1].outputs = [
        new_output("display_data", data=data) for data in DISPLAYED if "vnd" not in str(data)
    ]
    notebook.cells[0]["attachments"] = {"x": {"image/svg+xml": "<svg onload=fired()>"}}
    notebook.cells.append(new_raw_cell("<img src=x onerror=fired()>"))
    notebook.metadata["widgets"] = {"x": "<script>fired()</script>"}
    path.chmod(0o644)
    nbformat.write(notebook, path)
    assert marked.feedback()
    assert dangers_on(marked.page("bob")) == []
    assert "fired()" not in "".join(
        str(tag) for tag in BeautifulSoup(formgraders_page(marked, "bob"), "html.parser")("script")
    )
