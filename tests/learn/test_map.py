"""The map, the key terms and the endings of lessons say what is so."""

import re
import subprocess
import sys

import nbformat
import pytest
from planning import planned

from gqa_lib.course import places
from gqa_lib.course.manifest import anchor_of, find_lesson, lessons, outline, planned_lessons, terms
from gqa_lib.learn import course_map, progress, show_map, wrap_up
from gqa_lib.learn.guide.ending import ending
from gqa_lib.learn.guide.map import lesson_map
from gqa_lib.learn.progress.standing import graded_cells, next_lesson, standing, standings
from grading.authoring.generated import EARNED
from grading.authoring.source import lesson_notebook

FOUR = find_lesson("04")


@pytest.fixture
def unwritten():
    with planned("13") as lesson:
        yield lesson


@pytest.fixture(autouse=True)
def own_places(tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GQA_WORK", str(tmp_path / "work"))


def passes(lesson, *names):
    for name in names:
        progress.add(lesson.slug, name, "check", 1.0, 1.0)


def submits(lesson, score):
    progress.add(lesson.slug, "", "mark", float(score), float(lesson.points))


def drawn():
    return re.search(r"```mermaid\n(.*?)```", course_map(), re.DOTALL)[1]


def test_the_map_shows_the_latest_and_the_best_mark():
    lesson = find_lesson("1")
    assert lesson_map().count("not begun") == len(lessons())
    submits(lesson, 16)
    submits(lesson, 5)
    assert "submitted: 5 of 16 points (best 16)" in lesson_map()
    assert re.search(r"✓ 01 ", lesson_map())
    assert f"1 of {len(lessons())} lessons done, 16 of" in lesson_map()


def test_what_is_next_is_what_was_begun_and_else_the_first_that_is_not_done():
    def following():
        return next_lesson(standings()).lesson.number

    assert following() == "00"
    passes(FOUR, "expand_kv")
    assert following() == "04"
    assert "→ 04" in lesson_map()
    submits(FOUR, FOUR.points)
    assert following() == "00"
    for lesson in lessons():
        submits(lesson, lesson.points)
    assert next_lesson(standings()) is None
    assert "You are done" in course_map()


def test_in_a_class_every_check_passed_is_a_lesson_done(monkeypatch):
    passes(FOUR, *graded_cells(FOUR)[0])
    assert not standing(FOUR).done
    monkeypatch.setenv("GQA_EXCHANGE", "/srv/exchange")
    assert standing(FOUR).done


def test_a_reset_exercise_is_open_again_and_a_mark_stays():
    passes(FOUR, "expand_kv", "kv_head_of")
    submits(FOUR, 9)
    progress.add(FOUR.slug, "expand_kv", "reset")
    assert standing(FOUR).solved == ["kv_head_of"]
    assert standing(FOUR).best_mark == (9, FOUR.points)
    progress.add(FOUR.slug, "", "reset")
    assert standing(FOUR).solved == []
    passes(FOUR, "expand_kv")
    assert standing(FOUR).solved == ["expand_kv"]


def test_the_drawing_has_each_lesson_once_and_what_is_done_in_words_too():
    submits(find_lesson("00"), 5)
    passes(FOUR, "expand_kv")
    drawing = drawn()
    for lesson in lessons():
        assert drawing.count(f'L{lesson.number}["') == 1
        assert drawing.count(lesson.title + "<br/>") == 1
    assert 'L00["✓ 0<' in drawing
    assert re.search(r'L04\["… 4 · next<.*:::begunNext', drawing)
    assert f"{FOUR.name}: begun: 1 of 4 exercises checked" in drawing  # for a screen reader
    styles = re.findall(r"classDef (\w+) fill:#\w+,color:#\w+", drawing)
    known = {f"{a}{b}" for a in ("done", "begun", "open") for b in ("", "Next")}
    assert known | {"planned"} == set(styles)


def test_planned_lessons_are_shown_as_planned_and_lead_nowhere(unwritten):
    text, page, drawing = lesson_map(), course_map(), drawn()
    assert planned_lessons() == (unwritten,)
    for lesson in planned_lessons():
        assert re.search(rf"· {lesson.number}  {lesson.title} +planned, not written yet", text)
        assert re.search(rf"\| · \| {lesson.name} \|[ |]+ planned, not written yet \|", page)
        assert f"{lesson.name}: planned, not written yet" in drawing  # for a screen reader
        assert lesson.slug not in page
    boxes = re.findall(r'\["(.*?)"\]:::planned', drawing)
    assert boxes == ["13<br/>Tensor parallelism<br/>planned"]
    arrows = set(re.findall(r"(\w+) -\.-> (\w+)", drawing))
    assert arrows == {("L15", "F13")}


def test_a_planned_lesson_counts_for_nothing(unwritten):
    assert len(standings()) == len(lessons())
    assert f"0 of {len(lessons())} lessons done" in lesson_map()
    for lesson in lessons():
        submits(lesson, lesson.points)
    assert next_lesson(standings()) is None


def test_the_drawing_leads_from_each_lesson_to_those_that_need_it():
    arrows = set(re.findall(r"(\w+) --> (\w+)", drawn()))
    parts = list(dict.fromkeys(lesson.part for lesson in outline()))
    at = {lesson.number: parts.index(lesson.part) for lesson in lessons()}
    for lesson in lessons():
        for before in lesson.prerequisites:
            assert reaches(arrows, f"L{before}", f"L{lesson.number}", at), (before, lesson.number)


def reaches(arrows, start, end, part_of):
    if part_of[start[1:]] != part_of[end[1:]]:
        start, end = f"P{part_of[start[1:]]}", f"P{part_of[end[1:]]}"
    seen = {start}
    while new := {b for a, b in arrows if a in seen} - seen:
        seen |= new
    return end in seen


def test_the_map_links_every_lesson_and_term():
    for start in ("../", ""):
        links = re.findall(r"\]\(([^)#]+)(?:#([^)]+))?\)", course_map(start=start))
        assert {f"{start}{le.slug}/{le.slug}.ipynb" for le in lessons()} == {a for a, _ in links}
        assert {anchor_of(term.section) for term in terms().values()} <= {b for _, b in links}


def sections(notebook):
    """Return heading -> the text below it, of the Markdown and code cells."""
    found, heading = {}, ""
    for cell in notebook.cells:
        if match := re.match(r"#+ (.*)", cell.source) if cell.cell_type == "markdown" else None:
            heading = match[1].replace("`", "")
        found[heading] = found.get(heading, "") + cell.source + "\n"
    return found


@pytest.fixture(scope="module")
def built():
    return {le.slug: sections(nbformat.read(le.pristine, as_version=4)) for le in lessons()}


def test_every_key_term_is_explained_and_every_term_is_a_lessons():
    named = {name for lesson in lessons() for name in lesson.key_terms}
    assert named == set(terms())


@pytest.mark.parametrize("term", terms().values(), ids=lambda term: term.name)
def test_a_term_is_explained_in_a_section_that_is_there(term, built):
    text = built[term.lesson.slug].get(term.section)
    assert text, f"{term.lesson.slug} has no section {term.section!r}"
    words = [part.split() for part in re.split(" and ", term.name)]  # KiB and GiB: one will do
    assert any(all(w[:4].lower() in text.lower() for w in part) for part in words)
    assert term.means.endswith(".")
    assert term.means.count(". ") == 0
    if not term.section.isascii():
        assert f'<a id="{anchor_of(term.section)}"></a>' in text
    assert re.fullmatch(r"[\w,:?'().+-]+", anchor_of(term.section), re.ASCII)


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.slug)
def test_a_card_links_its_terms_and_related_lessons(lesson):
    card = lesson_notebook(lesson).cells[0].source
    for name in lesson.key_terms:
        term = terms()[name]
        at = "" if term.lesson == lesson else f"../{term.lesson.slug}/{term.lesson.slug}.ipynb"
        assert f"[{name}]({at}#{anchor_of(term.section)})" in card
    assert lesson.number not in lesson.related
    for number in set(lesson.related) - set(lesson.prerequisites):  # those stand above
        assert f"[{find_lesson(number).name}]({find_lesson(number).link()})" in card


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.slug)
def test_a_lesson_ends_with_what_was_earned_in_a_cell_that_is_not_graded(lesson):
    heading, earned, hand_in, following = nbformat.read(lesson.pristine, as_version=4).cells[-4:]
    assert heading.source.startswith(EARNED)
    assert f'wrap_up("{lesson.number}")' in earned.source
    assert "nbgrader" not in {**earned.metadata, **hand_in.metadata}
    assert not earned.metadata["editable"]
    assert hand_in.source == f'# submit("{lesson.number}")', "which running all cells leaves be"
    after = lessons()[lessons().index(lesson) + 1 :]
    assert all(f"**Next:** [{one.name}]({one.link()})" in following.source for one in after[:1])


def test_the_ending_tells_what_is_earned_and_what_is_missing():
    passes(FOUR, "expand_kv", "kv_head_of")
    text = ending(FOUR)
    assert "Exercises checked: 2 of 4" in text
    assert "Not checked yet: `grouped_query_attention`, `GroupedQueryAttention`" in text
    assert 'save, then `submit("04")` in a cell' in text
    assert "eedback" not in text
    cells = graded_cells(FOUR)[1]
    marks = [(FOUR.slug, n, "mark", p, p, "") for n, p in cells.items() if n != "expand_kv-check"]
    progress.add_all([*marks, (FOUR.slug, "expand_kv-check", "mark", 0.0, 2.0, "")])
    submits(FOUR, FOUR.points - 2)
    assert f"Points: {FOUR.points - 2} of {FOUR.points}" in ending(FOUR)
    assert "Points are left in `expand_kv-check`" in ending(FOUR)
    passes(FOUR, *graded_cells(FOUR)[0])
    submits(FOUR, FOUR.points)
    progress.add(FOUR.slug, "expand_kv-check", "mark", 2.0, 2.0)
    assert "the best of 2 submissions" in ending(FOUR)
    assert "Nothing is missing" in ending(FOUR)


def test_feedback_is_one_click_away_under_a_name_that_links_can_have():
    folder = places.work() / FOUR.slug / "feedback"
    for day in ("2026-11-28 09:00:00.123456 UTC", "2026-11-29 10:00:00.123456 UTC"):
        (folder / day).mkdir(parents=True)
        (folder / day / f"{FOUR.slug}.html").write_text(f"as of {day}")
    assert "[Feedback on the last submission](feedback/latest.html)" in ending(FOUR)
    assert (folder / "latest.html").read_text() == "as of 2026-11-29 10:00:00.123456 UTC"
    assert f"[feedback]({FOUR.slug}/feedback/latest.html)" in course_map(start="")
    assert course_map(start="").count("[feedback]") == 1
    (folder / "2026-11-29 11:00:00.123456 UTC").mkdir()
    (folder / "2026-11-29 11:00:00.123456 UTC" / f"{FOUR.slug}.html").write_text("newer")
    ending(FOUR)
    assert (folder / "latest.html").read_text() == "newer"


def test_the_quiz_is_not_next_while_a_lesson_is_left():
    passes(find_lesson("01"), "causal_mask")
    submits(find_lesson("16"), 7)
    following = next_lesson(standings())
    assert following.lesson.number == "01", "begun and not done, though the quiz came later"


def test_nothing_is_shown_while_grading(monkeypatch, capsys):
    wrap_up("04")
    assert "Exercises checked" in capsys.readouterr().out
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    wrap_up("04")
    assert capsys.readouterr().out == ""


def test_in_a_terminal_the_map_is_text(capsys):
    show_map()
    assert capsys.readouterr().out.strip() == lesson_map()


def test_map_and_progress_load_no_torch():
    code = (
        "import sys\nfrom gqa_lib.cli import main\nfrom gqa_lib.learn import course_map, wrap_up\n"
        "main(['map']), main(['progress']), course_map(), wrap_up('04')\n"
        "assert not {'torch', 'nbformat', 'nbgrader'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
