"""Which cells of a submitted notebook are answers, and which are the learner's own."""

import pytest
from classroom import RIGHT
from nbformat import from_dict
from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell

from grading.intake.reading import parse
from grading.intake.rebuild import MAX_ANSWER, MAX_OWN, own_cells, rebuild, rebuild_or_refuse
from grading.intake.refusals import SEAL, with_remark
from grading.nb.cells import grade_id, read_notebook
from grading.nb.copies import ANOTHER, BELOW, copies_in, joined
from grading.safe.cell import ALONE, BOTH, OWN, WHOLE
from grading.safe.execute import cells_of

WRONG = "def double(x):\n    return x"
ANSWER, CHECK = 2, 3  # their places in the notebook
ID = {"nbgrader": {"grade_id": "double", "solution": True}}


def rebuilt_with(room, change):
    """Return what grading runs of a changed notebook, its answer's text, and the notes."""
    notebook = room.answered()
    change(notebook.cells)
    rebuilt, notes = rebuild(notebook, read_notebook(room.released))
    (answer,) = (cell.source for cell in rebuilt.cells if grade_id(cell) == "double")
    return rebuilt, answer, " ".join(notes)


def insert(place, *cells):
    return lambda there: there.insert(place, cells[0])


def of_code(source):
    return new_code_cell(source, metadata=ID)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (insert(CHECK, new_raw_cell(WRONG, metadata=ID)), [RIGHT]),
        (insert(CHECK, new_markdown_cell(WRONG, metadata=ID)), [RIGHT]),
        (insert(CHECK, of_code(f"# {WRONG}".replace("\n", "\n# "))), [RIGHT]),
        (insert(CHECK, of_code(" \n")), [RIGHT]),
        (insert(CHECK, of_code(WRONG)), [RIGHT, WRONG]),
        (insert(ANSWER, of_code("two = 2")), ["two = 2", RIGHT]),
        (insert(ANSWER, new_raw_cell(WRONG, metadata=ID)), [RIGHT]),
        (insert(CHECK, of_code("    return 3")), [f"{RIGHT}\n    return 3"]),
    ],
)
def test_copies_of_code_run_in_their_order_and_nothing_else_does(room, change, wanted):
    rebuilt, answer, notes = rebuilt_with(room, change)
    assert [text for text, _ in copies_in(answer)] == wanted
    assert "double is there 2 times" in notes
    assert [c.source for c in cells_of(rebuilt)[1] if c.kind == "answer"] == wanted


@pytest.mark.parametrize("make", [new_raw_cell, new_markdown_cell])
def test_an_answer_that_is_only_in_a_cell_of_another_kind_still_counts(room, make):
    def change(cells):
        cells[ANSWER] = make(RIGHT, metadata=ID)

    _, answer, notes = rebuilt_with(room, change)
    assert answer == RIGHT
    assert "double is no code cell any more; its text counts" in notes


def test_a_copy_below_the_check_counts_alone_and_there_with_the_whole_notebook(room):
    rebuilt, answer, _ = rebuilt_with(room, insert(CHECK + 1, of_code(WRONG)))
    assert copies_in(answer) == [(RIGHT, False), (WRONG, True)]
    assert [(c.kind, c.source, c.tries) for c in cells_of(rebuilt)[1] if c.kind != "test"] == [
        ("trusted", "import math", BOTH),
        ("answer", RIGHT, BOTH),
        ("answer", WRONG, ALONE),
        (OWN, WRONG, WHOLE),
    ]


def test_copies_are_told_apart_in_the_text_that_nbgrader_keeps():
    copies = [("a", False), ("\nb\n\n", False), ("c", True), ("", False)]
    assert copies_in(joined(copies)) == copies
    assert joined(copies).count(ANOTHER) == 2
    assert joined(copies).count(BELOW) == 1
    assert copies_in(joined([])) == [("", False)]
    assert copies_in(RIGHT) == [(RIGHT, False)]


def test_own_cells_come_along_in_their_places(room):
    def change(cells):
        cells.insert(0, new_code_cell("first = 1"))
        cells.insert(3, new_code_cell("helper = 2"))
        cells.insert(4, new_code_cell("helper = 3"))
        cells.insert(5, new_markdown_cell("not code"))

    rebuilt, _, notes = rebuilt_with(room, change)
    assert notes == ""
    own = [(n, c.source) for n, c in enumerate(rebuilt.cells) if c.metadata.get("gqa") == "own"]
    assert own == [(0, "first = 1"), (3, "helper = 2"), (4, "helper = 3")]
    assert [c.tries for c in cells_of(rebuilt)[1] if c.kind == OWN] == [WHOLE] * 3


def test_what_the_release_has_is_nobodys_own_whatever_its_line_ends(room):
    def change(cells):
        cells.insert(2, new_code_cell("import math\r\n"))
        cells.append(new_code_cell('hint("double")'))

    notebook = room.answered()
    change(notebook.cells)
    assert own_cells(notebook, read_notebook(room.released)) == 0


def test_an_edited_locked_cell_runs_as_one_of_ones_own(room):
    def change(cells):
        cells[1].source = "import math, os"
        cells[CHECK].source = "pass"

    rebuilt, _, notes = rebuilt_with(room, change)
    assert [c.source for c in rebuilt.cells[1:3]] == ["import math", "import math, os"]
    assert "The lesson's cell setup was changed" in notes
    assert not any(c.source == "pass" for c in rebuilt.cells)


def test_without_any_ids_answers_are_found_by_what_they_define(room):
    def change(cells):
        for cell in cells:
            cell.metadata = from_dict({})

    _, answer, notes = rebuilt_with(room, change)
    assert answer == RIGHT
    assert "Found by what they define: double." in notes
    assert "double-check" not in notes


def test_an_exercise_that_was_merged_into_another_cell_is_not_a_stub_again(room):
    def change(cells):
        cells[1].source += f"\n\n{cells.pop(ANSWER).source}"

    _, answer, _ = rebuilt_with(room, change)
    assert answer == "# Other cells define what this one is for."
    _, answer, notes = rebuilt_with(room, lambda cells: cells.pop(ANSWER))
    assert "NotImplementedError" in answer
    assert "double is gone" in notes


@pytest.mark.parametrize(
    ("place", "wanted"),
    [(1, [(RIGHT, False)]), (CHECK, [(RIGHT, False)]), (6, [(RIGHT, False)])],
)
def test_an_answer_in_another_cell_counts_where_its_own_is_as_it_was(room, place, wanted):
    def change(cells):
        cells[ANSWER].source = read_notebook(room.released).cells[ANSWER].source
        cells.insert(place, new_code_cell(RIGHT))

    _, answer, notes = rebuilt_with(room, change)
    assert copies_in(answer) == wanted
    assert "lost the marks" not in notes
    tried = rebuilt_with(room, insert(CHECK, new_code_cell(WRONG)))
    assert tried[1] == RIGHT  # where there is an answer, another cell is only one's own
    assert [c.source for c in cells_of(tried[0])[1] if c.kind == OWN] == [WRONG]


def test_an_exercise_as_it_was_given_out_spoils_none_that_another_cell_defines(room):
    def change(cells):
        cells[ANSWER].source = read_notebook(room.released).cells[ANSWER].source
        cells[1].source += f"\n\n{RIGHT}"

    rebuilt, answer, _ = rebuilt_with(room, change)
    assert answer == "# Other cells define what this one is for."
    assert [c.source for c in cells_of(rebuilt)[1] if c.kind == OWN] == [f"import math\n\n{RIGHT}"]


def test_what_is_written_into_a_check_runs_as_a_cell_of_ones_own(room):
    def change(cells):
        cells[ANSWER].source = read_notebook(room.released).cells[ANSWER].source
        cells[CHECK].source = f"{RIGHT}\n{cells[CHECK].source}"

    rebuilt, _, notes = rebuilt_with(room, change)
    kinds = [c.kind for c in cells_of(rebuilt)[1]]
    assert kinds.index(OWN) < kinds.index("test")
    assert "The lesson's cell double-check was changed" in notes
    rebuilt, _, notes = rebuilt_with(room, lambda cells: cells[CHECK].update(source="pass"))
    assert OWN not in [c.kind for c in cells_of(rebuilt)[1]]
    assert "was changed" not in notes


def test_code_in_a_cell_of_text_counts_without_the_fence_around_it(room):
    def change(cells):
        cells[ANSWER] = new_markdown_cell(f"```python\n{RIGHT}\n```\n", metadata=ID)

    assert rebuilt_with(room, change)[1] == RIGHT


def test_of_very_much_only_so_much_is_taken(room):
    long = "x = 1\n" * (MAX_OWN // 10)

    def change(cells):
        for number in range(3):
            cells.insert(0, new_code_cell(f"{long}{number}"))

    rebuilt, _, notes = rebuilt_with(room, change)
    assert sum(c.metadata.get("gqa") == "own" for c in rebuilt.cells) == 1
    assert f"only the first {MAX_OWN} are taken" in notes
    _, answer, notes = rebuilt_with(room, insert(CHECK, of_code("y = 1\n" * MAX_ANSWER)))
    assert len(answer) == MAX_ANSWER


def test_a_remark_is_believed_only_from_grading_itself(room):
    content = with_remark(room.answered(), "It was [renamed](x).")
    released = read_notebook(room.released)
    assert rebuild_or_refuse(parse(content), released)[1] == ["It was [renamed](x)."]
    forged = parse(content)
    forged.metadata[SEAL] = "0" * 64
    assert rebuild_or_refuse(forged, released)[1] == []
