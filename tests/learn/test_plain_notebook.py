"""A notebook says of an answer what its grade will say."""

import json
import random
import sys
from types import SimpleNamespace

import IPython
import pytest
import torch

from gqa_lib.course.manifest import find_lesson
from gqa_lib.learn import check
from gqa_lib.learn.exercises.exercise import NotYet
from gqa_lib.learn.watch.plain import plain_here, refusal_here
from gqa_lib.learn.watch.plain.slices import readable

MASK = "def causal_mask(T, S):\n    {0}\n    return torch.ones(T, S, dtype=torch.bool).tril(S - T)"
ANSWER = """def attention(q, k, v, causal=True):
    {0}
    s = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        s = s.masked_fill(~causal_mask(*s.shape[-2:]).to(s.device), -torch.inf)
    return s.softmax(-1) @ v
"""
PLAIN_MASK = MASK.format("pass")
DIR = ANSWER.format("dir(q)")
OTHER = DIR.replace("def attention", "def _att")
STEPS = "STEPS = {}\ndef step(f):\n    STEPS['neg'] = f\n    return f\n@step\ndef neg(): return 1\n"


class Notebook:
    """What a notebook has run, as IPython keeps it."""

    def __init__(self):
        self.user_ns = {"__name__": "__main__"}
        self.history_manager = SimpleNamespace(input_hist_raw=[""])

    def run(self, cell: str) -> None:
        self.history_manager.input_hist_raw.append(cell)
        exec(compile(readable(cell), "<not known>", "exec"), self.user_ns)


@pytest.fixture
def notebook(monkeypatch):
    made = Notebook()
    monkeypatch.setattr(IPython, "get_ipython", lambda: made)
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    cells = json.loads(find_lesson("01").pristine.read_text(encoding="utf-8"))["cells"]
    setup = (c for c in cells if c["metadata"].get("nbgrader", {}).get("grade_id") == "setup")
    made.run("".join(next(setup)["source"]))
    return made


@pytest.mark.parametrize(
    "cells",
    [
        [PLAIN_MASK, ANSWER.format("pass")],
        [PLAIN_MASK, DIR, ANSWER.format("pass")],
        [MASK.format("dir()"), PLAIN_MASK, ANSWER.format("pass")],
        [PLAIN_MASK + "\ndir()", ANSWER.format("torch.__version__") + "print(vars())"],
        [PLAIN_MASK, STEPS + ANSWER.format("assert STEPS['neg']()")],
        ["S = []", "S.append(1)", "S.append(1)", PLAIN_MASK, ANSWER.format("assert len(S) < 3")],
        [PLAIN_MASK, "%%capture out\n" + ANSWER.format("pass")],
        [PLAIN_MASK, "this is no python", ANSWER.format("pass")],
        [PLAIN_MASK, "from functools import partial\n" + ANSWER.format("pass").replace(
            "def attention", "def _att") + "attention = partial(_att)"],
    ],
)  # fmt: skip
def test_what_is_plain_is_right(notebook, cells):
    for cell in cells:
        try:
            notebook.run(cell)
        except SyntaxError:
            assert cell == "this is no python"
    q = torch.ones(1, 1, 2, 3)
    made = notebook.user_ns["attention"]
    assert torch.equal(plain_here(made)(q, q, q), made(q, q, q))


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ([PLAIN_MASK, DIR], "dir reaches further"),
        ([MASK.format("dir()"), ANSWER.format("pass")], "dir reaches further"),
        ([MASK.format("(lambda: 0).__dict__"), ANSWER.format("pass")], "__dict__ reaches"),
        ([PLAIN_MASK, "%%time\n" + DIR], "dir reaches further"),
        ([PLAIN_MASK, "from functools import partial\n" + OTHER + "attention = partial(_att)"],
         "dir reaches further"),
        ([PLAIN_MASK, OTHER + "class A:\n    def __call__(self, *a): return _att(*a)\n"
          "attention = A()"], "dir reaches further"),
        ([PLAIN_MASK, "def d(f):\n    def inner(*a): return f(*a)\n    return inner\n@d\n" + DIR],
         "dir reaches further"),
        ([PLAIN_MASK, "def d(f):\n    def inner(*a): return f(*a)\n    inner.__wrapped__ = f\n"
          "    return inner\n@d\n" + ANSWER.format("pass")], "__wrapped__ reaches"),
        ([PLAIN_MASK, "class F(torch.autograd.Function): pass\n" + ANSWER.format("F")],
         "no torch.autograd.Function"),
        ([PLAIN_MASK, "N = 1 / 1\n" + ANSWER.format("import threading")], "threading leads"),
    ],
)  # fmt: skip
def test_what_the_grade_refuses_is_refused(notebook, cells, why):
    for cell in cells:
        notebook.run(cell)
    assert why in refusal_here(notebook.user_ns["attention"])


def test_a_check_says_what_only_its_calls_show(notebook):
    notebook.run(PLAIN_MASK)
    notebook.run(ANSWER.format("torch.hub.get_dir()"))
    with pytest.raises(NotYet, match=r"no\s+torch.hub\s+in\s+attention,\s+line\s+2"):
        check("attention", notebook.user_ns["attention"])
    notebook.run(ANSWER.format("torch.__version__"))
    check("attention", notebook.user_ns["attention"])


def test_nothing_shows_of_what_runs_beside_the_notebook(notebook, capsys):
    notebook.run("import random\nprint('once')\nDRAWN = random.random()\n" + PLAIN_MASK)
    notebook.run(ANSWER.format("DRAWN"))
    capsys.readouterr()
    before = random.getstate()
    made = notebook.user_ns["attention"]
    assert plain_here(made) is plain_here(made) is not made
    assert random.getstate() == before
    assert capsys.readouterr().out == ""


def test_what_no_cell_gave_a_name_stays_what_it_is(notebook):
    def own(x):
        return x

    assert plain_here(own) is own
    notebook.user_ns["own"] = own
    assert plain_here(own) is own
    assert "IPython" in sys.modules
