"""Hidden inputs stay hidden: in what student code says of them, and from round to round."""

import ast
import logging
import re
import textwrap

import pytest
from attacking import _notebook, _texts, honest

from gqa_lib.learn.quiz.sitting import Sitting
from grading.limited import sandbox
from grading.safe.cell import ANSWER, TEST, Cell
from grading.safe.execute import run_cells, seed_of
from grading.safe.hidden import PRINTED, UNSHOWN, Unshown, split
from grading.safe.limits import Limits
from grading.safe.pool import GradingProcesses

EXERCISE = "kv_projection_params"
SEED = 20270115
needs_sandbox = pytest.mark.skipif(
    bool(sandbox.sandbox_problem()), reason=f"no sandbox here: {sandbox.sandbox_problem()}"
)


def test_a_test_is_split_where_its_hidden_part_begins():
    source = "a = 1\n### BEGIN HIDDEN TESTS\nif a:\n    b = 2\n### END HIDDEN TESTS\na"
    shown, hidden = split(source, ast.parse(source).body)
    assert [len(shown), len(hidden)] == [1, 2]
    assert [len(part) for part in split("a = 1", ast.parse("a = 1").body)] == [1, 0]


CELL = "import math\n\ndef double(x):\n    return 1 / x\n"


def unshown(*reported, cells=((False, CELL),)):
    words = Unshown(cells)
    for one in reported:
        words.add(one)
    return words


LONG = "the arguments-of-the-call were (4096, 8, 128) and 'more' of them " * 3


@pytest.mark.parametrize(
    "said",
    [
        f"it stopped with RuntimeError: {LONG}",
        textwrap.fill(f"it stopped with RuntimeError: {LONG}", 40),
        f"The ValueError says {LONG!r}; its reader",
    ],
)
def test_an_exceptions_words_are_taken_out_however_they_are_wrapped(said):
    where = f"in double, line 4: raise RuntimeError({LONG!r})"
    shown = unshown([["RuntimeError", "Exception"], LONG, where]).out_of(f"{said}\n{where}")
    assert not re.search(r"4096|arguments|'more'", shown)
    assert UNSHOWN in shown
    assert "in double, line 4" in shown


@pytest.mark.parametrize(
    ("reported", "said", "shown"),
    [
        ([["KeyError"], "8", ""], "1 of 8: KeyError: 8", f"1 of 8: KeyError {UNSHOWN}"),
        ([["A4096"], "x" * 9, ""], "A4096: " + "x" * 9, f"an error of its own {UNSHOWN}"),
        ([["KeyError"], "", "4096 8 128"], "KeyError, 4096 8 128", "KeyError, "),
        ([["KeyError"], "0.12345", ""], "it stopped: 0.12345. Its", f"it stopped: {UNSHOWN}. Its"),
        ([["KeyError"], "12", ""], "says '12'; n: 123; of 12", f"says {UNSHOWN}; n: 123; of 12"),
        ("nonsense", "said", "said"),
        ([[], "", ""], "said", "said"),
        ([None, None, None], "said", "said"),
    ],
)
def test_reports_of_any_form_are_taken(reported, said, shown):
    assert unshown(reported).out_of(said) == shown


@pytest.mark.parametrize(
    "where",
    [
        "in k_3_16_64_seed123, line 4",
        "in double, line 98765",
        "in double, line 5",
        "in double, line 1",
        "in double, line 4_096",
        "in math, line 4",
    ],
)
def test_a_place_that_is_in_no_cell_is_not_shown(where):
    said = f"it stopped with ZeroDivisionError: no\n{where}: 4096"
    reported = [["ZeroDivisionError"], "no", f"{where}: 4096"]
    shown = unshown(reported).out_of(said)
    assert "line" not in shown
    assert "line" not in unshown(reported, cells=()).out_of(said)
    assert "line" not in unshown(reported, cells=[(False, "no Python")]).out_of(said)


@pytest.fixture(scope="module")
def processes():
    made = GradingProcesses(seed=SEED)
    yield made
    made.close()


def read(source, processes, student="mal"):
    """Return the marks' errors and all that a student reads of the tests of an exercise."""
    cells = _notebook(EXERCISE, source)
    run_cells(cells, processes, Limits(), Sitting(student), logging.getLogger("test"))
    outputs = [out for cell in cells if cell.kind == TEST for out in cell.outputs]
    return "\n".join(map(_texts, outputs))


ASKS = "def kv_projection_params(*a):\n    print('ASK', a, end=';')\n    return {}.get(a, {})\n"
SHAPES = ((4096, 8, 128), (4096, 32, 128), (4544, 1, 64), (1024, 8, 128), (5, 3, 7))
KNOWN = {shape: 2 * shape[0] * shape[1] * shape[2] for shape in SHAPES}


@needs_sandbox
def test_what_is_printed_in_hidden_calls_is_not_shown_and_that_is_said(processes):
    seen = read(ASKS.format(KNOWN, 0), processes)
    assert all(f"ASK {shape};" in seen for shape in SHAPES), "visible checks may show theirs"
    assert "expected" in seen, "it failed in a hidden call"
    asked = {ast.literal_eval(one) for one in re.findall(r"ASK (\([^)]*\));", seen)}
    assert asked == set(SHAPES)
    assert PRINTED.strip() in seen


@needs_sandbox
def test_an_exception_in_a_hidden_call_has_its_class_and_line_only(processes):
    source = (
        "def kv_projection_params(*a):\n"
        f"    if a in {KNOWN}: return {KNOWN}[a]\n"
        "    raise RuntimeError(f'ASKED {a}' * 3)\n"
    )
    seen = read(source, processes)
    assert "RuntimeError" in seen
    assert "in kv_projection_params, line 3" in seen
    assert "ASKED" not in seen


@needs_sandbox
def test_a_place_that_a_students_code_makes_up_is_not_shown(processes):
    source = (
        "def kv_projection_params(*a):\n"
        f"    if a in {KNOWN}: return {KNOWN}[a]\n"
        "    name = 'ASKED_' + '_'.join(map(str, a))\n"
        "    exec(chr(10) * a[0] + f'def {name}(): 1 / 0' + chr(10) + f'{name}()')\n"
    )
    seen = read(source, processes)
    assert "ZeroDivisionError" in seen
    assert "ASKED" not in seen
    assert ", line " not in seen


@needs_sandbox
def test_an_exception_in_a_visible_check_is_shown_in_full(processes):
    seen = read("def kv_projection_params(*a):\n    raise RuntimeError(f'ASKED {a}')", processes)
    assert "ASKED (4096, 8, 128)" in seen
    assert "raise RuntimeError(" in seen


def failed_call(seen):
    return re.search(r"Called with (.*)", seen)[1]


@needs_sandbox
def test_each_hand_in_gets_numbers_of_its_own_and_grading_again_the_same(processes):
    one, two = ASKS.format(KNOWN, 0), ASKS.format(KNOWN, 1)
    first = failed_call(read(one, processes))
    assert failed_call(read(one, processes)) == first
    assert failed_call(read(two, processes)) != first
    assert failed_call(read(one, processes, "eve")) != first
    assert "all 8 cases agree" in read(honest(EXERCISE), processes)


def test_the_seed_is_of_the_course_the_student_and_the_answers():
    cells = [Cell(ANSWER, "x"), Cell(TEST, "assert x", 1)]
    made = {
        seed_of(SEED, cells, Sitting("ada")),
        seed_of(SEED, cells, Sitting("ben")),
        seed_of(SEED + 1, cells, Sitting("ada")),
        seed_of(SEED, [Cell(ANSWER, "y")], Sitting("ada")),
    }
    assert len(made) == 4
    assert seed_of(SEED, [*cells, Cell(TEST, "more")], Sitting("ada")) in made, "a test mended"
    assert seed_of(None, cells, Sitting("ada")) is None
