"""Plain code: what may run where a watch is to be believed, and what may not."""

import linecache

import pytest
import torch

from gqa_lib.learn import check
from gqa_lib.learn.exercises.exercise import NotYet
from gqa_lib.learn.watch import Watch
from gqa_lib.learn.watch.plain import NotPlain, PlainNames

SETUP = "import math\nimport torch\nfrom torch import nn\n"
TRITON = "import triton\nfrom triton import language as tl\n"


def names_of(*answers: str, setup: str = SETUP) -> PlainNames:
    names = PlainNames()
    names.trusted(setup)
    for answer in answers:
        names.answer(answer)
    return names


def value(source: str):
    """Return what `answer` is, or what calling it gives."""
    got = names_of(source).get("answer")
    return got() if callable(got) else got


@pytest.mark.parametrize(
    "source",
    [
        "import threading\ndef answer(): return threading",
        "def answer():\n    import os\n    return os",
        "from gqa_lib.learn import watch\ndef answer(): return watch",
        "from functools import wraps\ndef answer(): return wraps",
        "from os import *\nimport os\ndef answer(): return os",
        "from . import x\nanswer = x",
        "import torch.utils\nanswer = torch.utils",
        "def answer(): return open('/etc/passwd')",
        "def answer(): return eval('1')",
        "answer = globals()",
        "answer = torch.__dict__",
        "answer = (lambda: 0).__globals__",
        "answer = torch.Tensor.mro()",
        "answer = torch.zeros(2).untyped_storage()",
        "answer = torch.Tensor._make_subclass",
        "answer = [].__class__",
        "class answer(metaclass=print): pass",
        "class answer:\n    def __getattribute__(self, name): return 1",
        "class answer:\n    def __reduce__(self): return print, ()",
        "class answer:\n    __module__ = 'torch'",
        "async def answer(): pass",
        "match 1:\n    case int(__dict__=d): answer = d",
        "answer = torch.zeros(2).register_hook(print)",
        "def answer(:",
    ],
)
def test_what_is_not_plain_is_refused(source):
    with pytest.raises(NotPlain, match=r"only plain code can be watched"):
        names_of(source).get("answer")


@pytest.mark.parametrize(
    "source",
    [
        "answer = torch.jit",
        "answer = torch.nn.Module.forward.torch",
        "answer = math.sys",
        "answer = getattr(torch, '__di' + 'ct__')",
        "class Name(str):\n    def startswith(self, *x): return False\n"
        "answer = getattr(torch, Name('__dict__'))",
        "answer = torch.Tensor\nanswer.clone = print",
        "def put(self): self.clone = print\nanswer = put(torch.Tensor)",
        "torch.zeros = print\nanswer = torch.zeros(1)",
        "answer = torch.zeros(1)\nanswer.clone = print",
        "class answer(torch.Tensor): pass",
        "answer = type(int)('X', (), {})",
        "setattr(torch.Tensor, 'clone', print)\nanswer = setattr(math, 'pi', 3)",
        "answer = __import__('os')",
        "for torch.Tensor.clone in (print,): answer = 1",
        "del torch.Tensor.clone\nanswer = getattr(torch.Tensor, '__dict__')",
    ],
)
def test_what_only_shows_when_it_runs_is_refused_then(source):
    clone, zeros = torch.Tensor.clone, torch.zeros
    with pytest.raises((AttributeError, TypeError, ImportError, NotPlain)):
        value(source)
    assert (torch.Tensor.clone, torch.zeros) == (clone, zeros)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("import math\ndef answer(): return math.sqrt(4)", 2),
        ("import torch.nn.functional as F\ndef answer(): return F.relu(torch.ones(1)).item()", 1),
        ("from torch.nn import functional\nanswer = functional.relu(torch.ones(1)).item()", 1),
        ("import numpy as np\ndef answer(): return float(np.sqrt(4.0))", 2),
        ("def helper(): return 3\ndef answer(): return helper()", 3),
        ("SIZE = 4\nSIZE += 1\ndef answer(): return SIZE", 5),
        ("table = {}\ntable['a'] = 6\ndef answer(): return table['a']", 6),
        (
            "class Box:\n    def __init__(self): self._a = self.__b = 7\n"
            "    def b(self): return self.__b\ndef answer(): return Box().b()",
            7,
        ),
        (
            "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int = 8\n"
            "def answer(): return P().x",
            8,
        ),
        (
            "class M(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        for n in 'ab': setattr(self, n, nn.Linear(9, 9))\n"
            "def answer(): return M().a.in_features",
            9,
        ),
        ("%time 1\n!true\nimport threading\nprint(open)\ndef answer(): return 10\nanswer?", 10),
        (
            "try:\n    import einops as e\nexcept ImportError:\n    e = 0\ndef answer(): return 11",
            11,
        ),
        ("from math import *\ndef answer(): return round(pi)", 3),
        ("def answer(): return 0\ndef answer(): return 12", 12),
        ("def answer():\n    open = 13\n    return open", 13),
        ("from __future__ import annotations\ndef answer(x: No = 14): return x", 14),
    ],
)
def test_what_is_plain_runs(source, wanted):
    assert value(source) == wanted


def test_only_what_a_name_needs_is_run():
    names = names_of("ran = []\ndef f(): return 1\nran.append(1)\nboom = 1 / 0\n")
    assert names.get("f")() == 1
    with pytest.raises(ZeroDivisionError):
        names.get("boom")


def test_a_later_cell_replaces_what_an_earlier_one_defined():
    names = names_of("def f(): return 1")
    assert names.get("f")() == 1
    names.answer("def f(): return 2")
    assert names.get("f")() == 2


KERNEL = """
@triton.jit
def copy(x, out, length, KEYS: tl.constexpr):
    n = tl.arange(0, KEYS)
    {line}
    tl.store(out + n, tl.load(x + n, mask=n < length, other=0.0), mask=n < length)
"""


@pytest.fixture
def interpreted(monkeypatch):
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")


def test_a_plain_kernel_is_launched(interpreted):
    names = names_of(
        "SIZE = tl.constexpr(4)" + KERNEL.format(line="n += SIZE - SIZE"), setup=TRITON
    )
    x, out = torch.arange(4.0), torch.zeros(4)
    kernel = names.get("copy", kernel=True)
    with Watch(kernels=True, given=[x, out]) as watch:
        kernel[(1,)](x, out, 3, KEYS=4)
    assert out.tolist() == [0, 1, 2, 0]
    assert watch.seen(None).reads == [3, 0]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("n.handle.data.fill(0)", "nothing that a tile has"),
        ("y = tl.core", "there is no tl.core"),
        ("y = tl", "used as tl.name"),
        ("tl = n", "Triton stays what it is"),
        ("y = open(n)", "one of Python's"),
        ("y = torch", "neither its own nor a kernel's"),
        ("y = torch.zeros(1)", "nothing that a tile has"),
        ("import torch", "Triton has no such statement"),
        ("y = [i for i in n]", "Triton has no such statement"),
        ("y = lambda: n", "Triton has no such statement"),
        ("y = tl.inline_asm_elementwise(n)", "there is no"),
    ],
)
def test_a_kernel_with_more_in_it_is_refused(line, why, interpreted):
    names = names_of(KERNEL.format(line=line), setup="import torch\n" + TRITON)
    with pytest.raises(NotPlain, match=why):
        names.get("copy", kernel=True)


@pytest.mark.parametrize(
    "source",
    [
        "def copy(x): pass",
        "class copy:\n    def __class_getitem__(cls, grid): return print",
        "copy = print",
        KERNEL.format(line="pass") + "copy = print",
        "import functools" + KERNEL.format(line="pass").replace("@triton.jit", "@functools.cache"),
        "class triton:\n    def jit(f): return print\n" + KERNEL.format(line="pass"),
    ],
)
def test_what_is_no_kernel_is_refused(source, interpreted):
    with pytest.raises(NotPlain):
        names_of(source, setup=TRITON).get("copy", kernel=True)


def run_in_a_notebook(source: str, name: str):
    """Return a name of a cell whose source can be looked up, as in a notebook."""
    file, names = f"<cell {hash(source)}>", {"__name__": "__main__", "torch": torch}
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), names)
    return names[name]


ATTENTION = """
def attention(q, k, v, causal=True):
    {line}
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        T, S = scores.shape[-2:]
        mask = torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T)
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ v
"""


def test_a_notebook_says_what_is_not_plain_as_grading_does():
    check("attention", run_in_a_notebook(ATTENTION.format(line="pass"), "attention"))
    threads = ATTENTION.format(line="import threading")
    with pytest.raises(NotYet, match=r"(?s)Line 3 of\s+its cell, `import\s+threading`"):
        check("attention", run_in_a_notebook(threads, "attention"))


def test_torchs_own_attention_is_refused_where_its_steps_are_asked_for():
    mask = "torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device)"
    mask = f"{mask}.tril(k.shape[2] - q.shape[2]) if causal else None"
    line = f"return torch.nn.functional.scaled_dot_product_attention(q, k, v, {mask})"
    with pytest.raises(NotYet, match=r"does all\s+of\s+it\s+in\s+one\s+call"):
        check("attention", run_in_a_notebook(ATTENTION.format(line=line), "attention"))
