"""What is generated follows from course.toml, and no text promises what is not there."""

import copy
import re

import nbformat
import pytest
from planning import planned

from gqa_lib.course.manifest import find_lesson, lessons, outline, planned_lessons
from grading.authoring import build as builder
from grading.authoring import generated
from grading.authoring.promises import empty_promises, lint_texts
from grading.authoring.source import lesson_notebook, read_source, source_of
from grading.nb.cells import CHECK, QUIZ, grade_id

FOUR, SEVEN = find_lesson("04"), find_lesson("07")


@pytest.fixture
def cells():
    """The cells of a lesson's source."""
    return copy.deepcopy(read_source(source_of(FOUR)).cells)


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.slug)
def test_a_card_says_what_course_toml_says(lesson):
    card = lesson_notebook(lesson).cells[0].source
    assert card.splitlines()[0].endswith(lesson.title)
    (row,) = re.findall(r"^\| (\d+) minutes \| (.*) \| (.*) \|$", card, re.MULTILINE)
    assert (int(row[0]), row[2]) == (lesson.minutes, lesson.claim)
    assert lesson.before in row[1]
    links = re.findall(r"\[(\d\d)\]", row[1])
    assert set(links) <= set(lesson.prerequisites)
    assert links[:1] == list(lesson.prerequisites[:1])
    assert links[-1:] == list(lesson.prerequisites[-1:])
    said = re.findall(r"^- (.*)[,.]$", card, re.MULTILINE)
    assert said == list(lesson.able)
    assert said


def test_prerequisites_in_a_row_are_told_as_a_range():
    assert "lessons [01](" in lesson_notebook(FOUR).cells[0].source
    row = re.search(r"minutes \| (.*?) \|", lesson_notebook(FOUR).cells[0].source)[1]
    assert re.sub(r"\(.*?\)", "", row) == "lessons [01] to [03]"
    row = re.search(r"minutes \| (.*?) \|", lesson_notebook(SEVEN).cells[0].source)[1]
    assert re.sub(r"\(.*?\)", "", row) == "lessons [04] and [06]"


def test_the_next_lesson_is_the_next_there_is_and_planned_ones_are_named():
    end = lesson_notebook(SEVEN).cells[-1].source
    assert end.startswith("**Next:** [8 · Serving economics](../08-serving-economics/")
    assert "planned" not in end
    end = lesson_notebook(find_lesson("10")).cells[-1].source
    end = lesson_notebook(find_lesson("11")).cells[-1].source
    assert end.startswith("**Next:** [12 · KV eviction](../12-kv-eviction/12-kv-eviction.ipynb)")
    assert "planned" not in end
    end = lesson_notebook(find_lesson("12")).cells[-1].source
    assert end.startswith("**Next:** [13 · Tensor parallelism](../13-tensor-parallel/13-tensor-")
    with planned("13"):
        end = lesson_notebook(find_lesson("12")).cells[-1].source
    assert end.startswith("**Next:** [14 · Beyond GQA](../14-beyond-gqa/14-beyond-gqa.ipynb)")
    assert "Lesson 13, Tensor parallelism, is planned, not written yet." in end
    end = lesson_notebook(find_lesson("14")).cells[-1].source
    assert end.startswith("**Next:** [15 · The adoption report](../15-adoption-report/15-adoption-")
    end = lesson_notebook(find_lesson("15")).cells[-1].source
    assert end.startswith("**Next:** [16 · The quiz](../16-quiz/16-quiz.ipynb) (25 minutes), where")
    assert "planned" not in end
    end = lesson_notebook(FOUR).cells[-1].source
    assert end.startswith("**Next:** [5 · The KV cache in bytes]")
    assert "planned" not in end
    assert "the last lesson" in lesson_notebook(lessons()[-1]).cells[-1].source


def test_a_quiz_asks_and_gives_what_its_bank_says():
    for lesson, count, heading in ((FOUR, 3, "Three"), (lessons()[-1], 15, "Your")):
        made = lesson_notebook(lesson).cells
        (check,) = (cell for cell in made if grade_id(cell) == CHECK)
        assert check.metadata.nbgrader.points == count
        assert any(cell.source.startswith(f"## {heading} questions") for cell in made)


def test_two_questions_from_before_come_below_the_card():
    for lesson in lessons():
        made = lesson_notebook(lesson).cells
        asking = [place for place, one in enumerate(made) if "warm_up(" in one.source]
        assert asking == ([] if lesson.number in ("00", "16") else [2]), lesson.number
        if asking:
            assert made[2].source.endswith(f'warm_up("{lesson.number}")')
            assert grade_id(made[2]) is None, "grading leaves it out"
            assert made[1].source.startswith(generated.FROM_BEFORE)


def without(kind):
    def spoil(cells):
        return [cell for cell in cells if cell.metadata.get("generated") != kind]

    return spoil


def twice(cells):
    return [*cells, cells[0]]


def unknown(cells):
    cells[3].metadata["generated"] = "poem"
    return cells


def moved(cells):
    return [*cells[1:-1], cells[0], cells[-1]]


def with_own_words(cells):
    cells[0].source = "| 5 minutes |"
    return cells


def with_next_by_hand(cells):
    cells[-2].source += "\n\n**Next:** 8 · Serving economics"
    return cells


def with_questions_from_before_by_hand(cells):
    cells[3].source = 'warm_up("04")'
    return cells


def with_quiz_by_hand(cells):
    (check,) = (cell for cell in lesson_notebook(FOUR).cells if grade_id(cell) == QUIZ)
    return [*cells[:-1], check, cells[-1]]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without("card"), '0 cells marked generated="card"'),
        (without("quiz"), '0 cells marked generated="quiz"'),
        (without("ending"), '0 cells marked generated="ending"'),
        (twice, '2 cells marked generated="card"'),
        (unknown, "nothing is generated for poem; only for card, quiz, ending"),
        (moved, "its card is not its first cell"),
        (with_own_words, "has a text of its own: | 5 minutes |"),
        (with_next_by_hand, "'**Next:**', which is generated"),
        (with_questions_from_before_by_hand, "'warm_up(', which is generated"),
        (with_quiz_by_hand, "its quiz is written by hand"),
    ],
)
def test_an_author_cannot_write_them_wrong(spoil, said, cells):
    assert generated.misplaced(FOUR, cells) == []
    spoilt = spoil(cells)
    assert any(said in problem for problem in generated.misplaced(FOUR, spoilt))
    with pytest.raises(ValueError, match=FOUR.slug):
        generated.expand(FOUR, spoilt)


def test_the_build_stops_at_a_source_that_is_wrong(monkeypatch):
    read = builder.read_source

    def spoilt(path):
        notebook = read(path)
        if path == source_of(FOUR):
            del notebook.cells[0]
        return notebook

    monkeypatch.setattr(builder, "read_source", spoilt)
    problems = builder.build(check=True)
    assert problems[0].startswith(f'{FOUR.slug}: its source has 0 cells marked generated="card"')


# Planned lessons


@pytest.fixture
def unwritten():
    with planned("13"):
        yield


def test_planned_lessons_are_in_their_place_and_nowhere_else():
    numbers = [one.number for one in outline()]
    assert numbers == sorted(numbers)
    assert {one.number for one in planned_lessons()}.isdisjoint(one.number for one in lessons())
    assert not any(
        (builder.course_root() / "notebooks" / p.slug).exists() for p in planned_lessons()
    )


@pytest.mark.parametrize("name", ["13", "13-tensor-parallel"])
def test_a_planned_lesson_is_not_opened_and_the_error_says_so(unwritten, name):
    with pytest.raises(
        ValueError, match=r"lesson 13 \(Tensor parallelism\) is planned, not written"
    ):
        find_lesson(name)


def test_readme_marks_planned_lessons(unwritten):
    assert planned_lessons()
    table = builder._readme().partition("<!-- map -->")[2].partition("<!-- end of map -->")[0]
    for lesson in planned_lessons():
        assert f"| {lesson.number} | {lesson.title} | planned | {lesson.claim} |" in table
        assert lesson.slug not in table


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Lesson 13 splits at last.", "lesson 13 without"),
        ("As in lessons 3 and 13.", "lesson 13 without"),
        ("See lessons 05 to 13", "lesson 13 without"),
        ("lesson 77", "lesson 77, which the course does not have"),
        ("Then comes 13 · Tensor parallelism.", '"13 · Tensor parallelism" without'),
        ("[there](../13-tensor-parallel/13-tensor-parallel.ipynb)", "links to 13-tensor-parallel"),
        (
            "[planned](notebooks/13-tensor-parallel/13-tensor-parallel.ipynb)",
            "links to 13-tensor-parallel",
        ),
        ("It is planned.\n\nLesson 13 splits.", "lesson 13 without"),
        ("Lesson 03, which is planned, is to share.", "planned that are there (03)"),
        ("- planned: lesson 13\n- lesson 13 splits", "lesson 13 without"),
    ],
)
def test_an_empty_promise_is_found(unwritten, text, said):
    (problem,) = empty_promises(text)
    assert said in problem


@pytest.mark.parametrize(
    "text",
    [
        "Lesson 13, which is planned, is to split.",
        "lessons 8 and 13, both planned",
        "In lesson 4, 12 heads share; lesson 4.5 is no number of a lesson.",
        "[4 · Grouped-query attention](../04-grouped-query-attention/x.ipynb), lessons 01 to 07",
    ],
)
def test_what_is_there_or_said_to_be_planned_is_no_empty_promise(unwritten, text):
    assert empty_promises(text) == []


def test_no_text_of_the_course_makes_an_empty_promise():
    assert lint_texts() == []
    for path in sorted((builder.course_root() / "notebooks").glob("*/*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            assert empty_promises(cell.source) == [], path.name
