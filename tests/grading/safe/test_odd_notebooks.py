"""What counts of a notebook: what works in Jupyter gets its points, whatever cells it is in."""

import json

import pytest
from nbformat import from_dict
from nbformat.v4 import new_code_cell

from gqa_lib.course.manifest import find_lesson
from gqa_lib.learn.quiz.sitting import Sitting
from grading.authoring.catalogue import filled, first_right
from grading.authoring.source import lesson_notebook
from grading.intake.reading import parse
from grading.intake.rebuild import rebuild
from grading.limited import sandbox
from grading.nb.cells import grade_id, is_graded, read_notebook
from grading.safe.cell import ALONE, ANSWER, OWN, TEST, TRUSTED, WHOLE, Cell
from grading.safe.execute import cells_of
from grading.safe.grade_notebook import grade_notebook
from grading.safe.limits import Limits
from grading.safe.pool import GradingProcesses

pytestmark = pytest.mark.skipif(
    bool(sandbox.sandbox_problem()), reason=f"no sandbox here: {sandbox.sandbox_problem()}"
)
ONE, FOUR = find_lesson("01"), find_lesson("04")
ALL_OF_ONE, ALL_OF_FOUR = 13, 18
RIGHT = "def f(x):\n    return 2 * x"
NEEDS_OWN = "def f(x):\n    return k * x"
WITH_HELPER = (
    "def attention(q, k, v, causal=True):\n    scores = q @ k.mT * my_scale(q)\n    if causal:\n"
    "        mask = causal_mask(q.shape[-2], k.shape[-2]).to(q.device)\n"
    "        scores = scores.masked_fill(~mask, float('-inf'))\n    return scores.softmax(-1) @ v\n"
)
HELPER = "def my_scale(q):\n    return q.shape[-1] ** -0.5\n"
WITH_MATH = WITH_HELPER.replace("my_scale(q)", "1 / math.sqrt(q.shape[-1])")
WRONG = "def attention(q, k, v, causal=True):\n    return q @ k.mT @ v\n"


@pytest.fixture(scope="module")
def processes():
    made = GradingProcesses()
    yield made
    made.close()


@pytest.fixture(scope="module")
def cold():
    made = GradingProcesses("cold")
    yield made
    made.close()


def solved(lesson, **other):
    return filled(read_notebook(lesson.pristine), first_right(lesson) | other)


def graded(notebook, lesson, processes):
    """Return the points of each exercise's checks, what its student reads, and the notes."""
    submitted = parse(json.dumps(notebook).encode())
    rebuilt, notes = rebuild(submitted, read_notebook(lesson.pristine))
    hidden = {grade_id(c): c.source for c in lesson_notebook(lesson).cells if is_graded(c)}
    for cell in rebuilt.cells:
        cell.source = hidden.get(grade_id(cell), cell.source)
    places, cells = cells_of(rebuilt)
    grade_notebook(cells, processes, Limits(), Sitting("ada"))
    marks = {
        grade_id(rebuilt.cells[place]): cell.reached()
        for place, cell in zip(places, cells, strict=True)
        if cell.kind == TEST and grade_id(rebuilt.cells[place]) != "quiz-check"
    }
    errors = " ".join(e["evalue"] for c in cells if c.kind == TEST for e in c.errors())
    return marks, errors, " ".join(notes)


def at(notebook, name):
    return next(n for n, cell in enumerate(notebook.cells) if grade_id(cell) == name)


def copied(cell, source, **changes):
    return from_dict({**cell, "source": source, "id": f"copy{len(source)}", **changes})


# The notebooks of a class, each changed as students' tools and habits change them


def split_inside(notebook):
    place = at(notebook, "attention")
    cell = notebook.cells[place]
    lines = cell.source.splitlines(keepends=True)
    halves = [copied(cell, "".join(lines[:3])), copied(cell, "".join(lines[3:]))]
    notebook.cells[place : place + 1] = halves


def split_off_a_helper(notebook):
    place = at(notebook, "attention")
    cell = notebook.cells[place]
    notebook.cells[place : place + 1] = [copied(cell, HELPER), copied(cell, WITH_HELPER)]


def raw_backup(notebook):
    place = at(notebook, "attention")
    raw = copied(notebook.cells[place], WRONG, cell_type="raw")
    del raw["outputs"], raw["execution_count"]
    notebook.cells.insert(place + 2, raw)


def commented_backup(notebook):
    place = at(notebook, "attention")
    text = "\n".join(f"# {line}" for line in WRONG.splitlines())
    notebook.cells.insert(place + 1, copied(notebook.cells[place], text))


def backup_at_the_end(notebook):
    notebook.cells.append(copied(notebook.cells[at(notebook, "attention")], WRONG))


def rewritten_below_the_check(notebook):
    place = at(notebook, "attention")
    notebook.cells.append(copied(notebook.cells[place], notebook.cells[place].source))
    notebook.cells[place].source = WRONG


def own_import(notebook):
    notebook.cells.insert(2, new_code_cell("import math"))
    notebook.cells[at(notebook, "attention")].source = WITH_MATH


def edited_setup(notebook):
    setup = notebook.cells[at(notebook, "setup")]
    setup.source = f"import math\n{setup.source}"
    notebook.cells[at(notebook, "attention")].source = WITH_MATH


def own_helper(notebook):
    place = at(notebook, "attention")
    notebook.cells.insert(place, new_code_cell(HELPER))
    notebook.cells[place + 1].source = WITH_HELPER


def commands(notebook):
    before = {
        "causal_mask": "%matplotlib widget\n!pip install -q einops\n",
        "attention": "?torch.matmul\n%load_ext autoreload\n%config InlineBackend.dpi = 9\n",
        "split_heads": "%%time\n",
        "merge_heads": "%%capture out\n",
    }
    for name, text in before.items():
        cell = notebook.cells[at(notebook, name)]
        cell.source = f"{text}{cell.source}\n"


def null_outputs(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell["outputs"], cell["execution_count"] = None, "3"


def odd_ids(notebook):
    for number, cell in enumerate(notebook.cells):
        cell["id"] = (number, "x y/é" * 20, "", None)[number % 4]


def only_what_was_written(notebook):
    """A hand-made tool leaves out what a cell has besides its text."""
    notebook.cells.insert(1, new_code_cell(metadata={}))
    notebook.cells[1]["metadata"] = None
    for cell in notebook.cells:
        for name in ("id", "outputs", "execution_count"):
            cell.pop(name, None)
        if cell.metadata == {}:
            del cell["metadata"]


def stripped_metadata(notebook):
    for cell in notebook.cells:
        cell.metadata = {}


def merged(notebook):
    """Two exercises in one cell, as JupyterLab merges them."""
    place = at(notebook, "merge_heads")
    notebook.cells[at(notebook, "split_heads")].source += f"\n\n{notebook.cells.pop(place).source}"


def answers_at_the_end(notebook):
    """All answers in one cell below everything, and the exercises as they were given out."""
    given = {grade_id(cell): cell.source for cell in read_notebook(ONE.pristine).cells}
    names = ("causal_mask", "attention", "split_heads", "merge_heads", "MultiHeadAttention")
    cells = [notebook.cells[at(notebook, name)] for name in names]
    notebook.cells.append(new_code_cell("\n\n".join(cell.source for cell in cells)))
    for cell in cells:
        cell.source = given[grade_id(cell)]


def asks_the_course(notebook):
    """A cell of the course's own merged into an answer."""
    cell = notebook.cells[at(notebook, "attention")]
    cell.source = f"from gqa_lib.learn import submit, wrap_up\n{cell.source}\n\nwrap_up('01')"


def odd_format(notebook):
    notebook["nbformat"], notebook["nbformat_minor"] = 4.0, 5.0


def own_experiments(notebook):
    place = at(notebook, "attention")
    notebook.cells.insert(place + 1, new_code_cell("def attention(*args): ...\nwhile True: pass"))
    notebook.cells.insert(0, new_code_cell("import os\nos._exit(0)"))


ODD = {
    split_inside: "is there 2 times",
    split_off_a_helper: "is there 2 times",
    raw_backup: "is there 2 times",
    commented_backup: "is there 2 times",
    backup_at_the_end: "is there 2 times",
    rewritten_below_the_check: "is there 2 times",
    own_import: "",
    edited_setup: "The lesson's cell setup was changed",
    own_helper: "",
    commands: "",
    null_outputs: "",
    odd_ids: "",
    only_what_was_written: "",
    stripped_metadata: "Found by what they define: causal_mask, attention",
    merged: "",
    answers_at_the_end: "causal_mask is there 2 times",
    asks_the_course: "",
    odd_format: "",
    own_experiments: "",
}


@pytest.mark.parametrize("change", ODD, ids=lambda change: change.__name__)
def test_what_works_in_the_notebook_gets_its_points(change, processes):
    notebook = solved(ONE)
    change(notebook)
    marks, errors, notes = graded(notebook, ONE, processes)
    assert sum(marks.values()) == ALL_OF_ONE, errors
    assert ODD[change] in notes


def test_what_does_not_work_says_which_own_cell_stopped(processes):
    notebook = solved(ONE, attention=WITH_MATH)
    notebook.cells.insert(2, new_code_cell("\nimport maths as math  # <b>\x1b[31m"))
    marks, errors, _ = graded(notebook, ONE, processes)
    assert marks["attention-check"] == marks["MultiHeadAttention-check"] == 0
    assert marks["causal_mask-check"] == 2
    said = "Of your own cells, which run before it, one stopped. It begins `import maths as math"
    assert said in errors
    assert "ModuleNotFoundError: No module named 'maths'" in errors
    assert "\x1b" not in errors


def test_what_only_a_students_own_machine_has_is_said(processes):
    before = {
        "causal_mask": "import nosuch\n",
        "split_heads": "open('notes.txt')\n",
        "merge_heads": "name = input('Your name? ')\n",
    }
    notebook = solved(ONE)
    for name, text in before.items():
        cell = notebook.cells[at(notebook, name)]
        cell.source = text + cell.source
    marks, errors, _ = graded(notebook, ONE, processes)
    assert sum(marks.values()) == 0
    assert "No module named 'nosuch'. Grading has your notebook and the course's" in errors
    assert "'notes.txt'. Grading has your notebook and no other file of yours" in errors
    assert "In grading nobody answers input()" in errors


# What is watched, and what is refused, in own cells as in answers

GROUPED = """def grouped_query_attention(q, k, v, causal=True):
    (B, Hq, T, D), (Hkv, S) = q.shape, k.shape[1:3]
    scores = scaled(q.reshape(B, Hkv, -1, D)) @ k.mT
    if causal:
        mask = causal_mask(T, S).to(q.device)
        scores = scores.reshape(B, Hkv, -1, T, S).masked_fill(~mask, float("-inf"))
    return (scores.reshape(B, Hkv, -1, S).softmax(-1) @ v).reshape(B, Hq, T, D)
"""
SCALED = "def scaled(q):\n    return q / q.shape[-1] ** 0.5"
BY_OWN_CELL = {  # an own cell, the answer that calls it, what the student reads
    "torch's": (
        "from torch.nn.functional import scaled_dot_product_attention as core",
        "def grouped_query_attention(q, k, v, causal=True):\n"
        "    mask = causal_mask(q.shape[2], k.shape[2]).to(q.device) if causal else None\n"
        "    return core(q, k, v, attn_mask=mask, enable_gqa=True)",
        "does all of it in one call",
    ),
    "the library's": (
        "from gqa_lib.attention import grouped_query_attention as core",
        "def grouped_query_attention(q, k, v, causal=True):\n    return core(q, k, v, causal)",
        "grouped_query_attention: not yet",
    ),
}


def with_own(own, answer):
    notebook = solved(FOUR, grouped_query_attention=answer)
    notebook.cells.insert(at(notebook, "grouped_query_attention"), new_code_cell(own))
    return notebook


def test_a_helper_in_an_own_cell_is_watched_with_the_answer(processes):
    marks, errors, _ = graded(with_own(SCALED, GROUPED), FOUR, processes)
    assert sum(marks.values()) == ALL_OF_FOUR, errors
    threads = f"import threading\nthreading.Thread(target=print).start()\n{SCALED}"
    threads += "\nthreading.active_count()\n\ndef scaled(q):\n    threading.active_count()\n"
    threads += "    return q / q.shape[-1] ** 0.5"
    marks, errors, _ = graded(with_own(threads, GROUPED), FOUR, processes)
    assert marks["grouped_query_attention-copies"] == 0
    assert "only plain code can be watched" in errors


@pytest.mark.parametrize("kind", BY_OWN_CELL)
def test_what_an_answer_may_not_call_it_may_not_call_in_an_own_cell(kind, processes):
    own, answer, said = BY_OWN_CELL[kind]
    marks, errors, _ = graded(with_own(own, answer), FOUR, processes)
    assert marks["grouped_query_attention-check"] == marks["grouped_query_attention-copies"] == 0
    assert said in errors


# Commands of the notebook

COMMANDS = [
    "%matplotlib inline\n",
    "%matplotlib\n",
    "%pylab inline\nz = linspace(0, 1, 3)\n",
    "%pip install einops\n",
    "files = !ls\n",
    "!ls -la && nosuchprogram; exit 3\n",
    "??math\n",
    "math?\n",
    "%load_ext nosuchpackage\n",
    "%nosuch\n",
    "%python\n",
    "%%nosuch\n",
    "%debug\n",
    "%tb\n%xmode Verbose\n%cd ..\n%pwd\n",
    "from IPython.display import HTML\ndisplay(HTML('<b>x</b>'), 3)\n",
    "get_ipython().run_line_magic('matplotlib', 'qt')\n",
    "import asyncio\nawait asyncio.sleep(0)\n",
    "best = %timeit -o math.sqrt(2)\nassert best.best >= 0\n",
]


@pytest.mark.parametrize("kind", ["warm", "cold"])
def test_a_notebooks_own_commands_stop_no_answer(kind, processes, cold):
    processes = {"warm": processes, "cold": cold}[kind]
    cells = [Cell(TRUSTED, "import math, torch")]
    for number, before in enumerate(COMMANDS):
        cells.append(Cell(ANSWER, f"{before}def f{number}(x):\n    return 2 * x"))
        cells.append(Cell(TEST, f"assert f{number}(2) == 4", 1))
    grade_notebook(cells, processes, Limits())
    tests = [cell for cell in cells if cell.kind == TEST]
    stopped = [COMMANDS[n] for n, test in enumerate(tests) if not test.is_right()]
    assert stopped == []
    said = "".join(str(output) for cell in cells for output in cell.outputs)
    assert "Grading passes over !pip: there is no network" in said
    assert "Grading passes over %nosuch: Line magic function `%nosuch` not found." in said


# Cells of one's own: when they run, for how long, and what they cannot cost


def check():
    return Cell(TEST, "assert f(2) == 4", 1)


def own(source):
    return Cell(OWN, source, tries=WHOLE)


def test_own_cells_run_only_where_an_exercise_fails_without_them(processes):
    cells = [own("while True: pass"), Cell(ANSWER, RIGHT), check()]
    assert not grade_notebook(cells, processes, Limits())
    assert cells[2].is_right()
    assert cells[0].outputs == []


def test_an_own_cell_that_stops_or_takes_too_long_keeps_no_other_from_running(processes):
    limits = Limits(own_s=3)
    for trouble in ("while True: pass", "import os\nos._exit(1)", "1 / 0"):
        cells = [own(trouble), own("k = 2"), Cell(ANSWER, NEEDS_OWN), check()]
        grade_notebook(cells, processes, limits)
        assert cells[3].is_right()
        assert cells[0].errors()


def test_own_cells_take_no_more_time_than_they_may_all_together(processes):
    slow = "import time\ntime.sleep(600)"
    cells = [*(own(slow) for _ in range(5)), own("k = 2"), Cell(ANSWER, NEEDS_OWN), check()]
    grade_notebook(cells, processes, Limits(own_s=2))
    assert [e["ename"] for cell in cells[:6] for e in cell.errors()][-1] == "NotRun"
    (error,) = cells[7].errors()
    assert "name 'k' is not defined" in error["evalue"]
    assert "It begins `import time`: OutOfTime" in error["evalue"]


def test_of_both_tries_each_test_keeps_its_better_outcome(processes):
    spoils = "def f(x):\n    return 0"
    cells = [Cell(ANSWER, RIGHT), own(spoils), check(), own("k = 2")]
    cells += [Cell(ANSWER, "def g(x):\n    return k * x"), Cell(TEST, "assert g(2) == 4", 1)]
    grade_notebook(cells, processes, Limits())
    assert [cell.is_right() for cell in cells if cell.kind == TEST] == [True, True]
    cells = [Cell(ANSWER, RIGHT), Cell(ANSWER, spoils, tries=ALONE), check(), own(spoils)]
    grade_notebook(cells, processes, Limits())
    assert cells[2].is_right()
