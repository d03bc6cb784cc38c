"""Plain kernels: what may stand in one and above it, and what of it is run."""

import linecache

import pytest
import torch

from gqa_lib.learn.watch import Watch
from gqa_lib.learn.watch.plain import NotPlain, PlainNames, refusal_here

TRITON = "import torch\nimport triton\nfrom triton import language as tl\n"
KERNEL = """
@triton.jit
def copy(x, out, length, KEYS: tl.constexpr):
    n = tl.arange(0, KEYS)
    {line}
    tl.store(out + n, tl.load(x + n, mask=n < length, other=0.0), mask=n < length)
"""


@pytest.fixture(autouse=True)
def interpreted(monkeypatch):
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")


def names_of(*answers: str) -> PlainNames:
    names = PlainNames()
    names.trusted(TRITON)
    for answer in answers:
        names.answer(answer)
    return names


def launched(names: PlainNames) -> list[float]:
    """Return what `copy` makes of four numbers, of which it is to copy three."""
    x, out = torch.arange(4.0), torch.zeros(4)
    kernel = names.get("copy", kernel=True)
    with Watch(kernels=True, given=[x, out]):
        kernel[(1,)](x, out, 3, KEYS=4)
    return out.tolist()


@pytest.mark.parametrize(
    "above",
    [
        "import torch, triton",
        "import triton.language as tl, torch",
        "try:\n    import triton\n    import triton.language as tl\nexcept ImportError:\n"
        "    triton = tl = None",
        "import math\nONE = tl.constexpr(math.log2(math.e) * math.log(2))",
        "ONE = LOG = 1\nLOG2 = 0.5\nONE = tl.constexpr(1 / LOG2 * 0.5)",
        "ZERO, ONE = 0.0, 1",
        "import numpy as np\nONE = np.float32(1)\nNEG = -torch.inf",
        "ONE: tl.constexpr = 1\nTYPE = tl.float32",
        "ALL = (1, 2)\nONE, *_ = ALL",
        "if True:\n    ONE = 1",
    ],
)
def test_what_stands_above_a_kernel_may_be_any_number(above):
    line = "y = n * ONE" if "ONE" in above else "pass"
    names = names_of(above + KERNEL.format(line=line))
    assert launched(names) == [0, 1, 2, 0]


@pytest.mark.parametrize(
    "line",
    [
        "y = tl.load(x + n, mask=n < length, other=0.0).to(out.dtype.element_ty)",
        "y = tl.zeros([KEYS], tl.float32).to(x.type.element_ty)",
        "tiles = triton.cdiv(length, KEYS)",
        "tiles = triton.next_power_of_2(4) + tl.cdiv(length, KEYS)",
        "y: torch.Tensor = tl.math.exp2(0.0 * n)",
        "assert isinstance(KEYS, int), f'{KEYS} is no size'",
        "if (z := length) > 0: n += z - z",
        "y = tl.full([KEYS], -torch.inf, tl.float32) + tl.full([KEYS], -math.inf, tl.float32)",
        "n.shape, n.numel, n.dtype.primitive_bitwidth",
        "p = x.to(tl.pointer_type(tl.float32))",
        "'def words(in): the middle of it'",
    ],
)
def test_what_triton_has_a_kernel_may_use(line):
    names = names_of(KERNEL.format(line=line))
    assert launched(names) == [0, 1, 2, 0]


WIDE = """
@triton.jit
def copy(x, out, KEYS: tl.constexpr):
    n = tl.arange(0, KEYS)
    tl.store(out + n, tl.load(x.to(tl.pointer_type(tl.{kind})) + n))
"""


@pytest.mark.parametrize(("kind", "keys"), [("int64", 2), ("float32", 4), ("int8", 16)])
def test_reads_are_counted_by_their_bytes(kind, keys):
    x, out = torch.arange(4.0), torch.zeros(keys, dtype=getattr(torch, kind))
    kernel = names_of(WIDE.format(kind=kind)).get("copy", kernel=True)
    with Watch(kernels=True, given=[x, out]) as watch:
        kernel[(1,)](x, out, keys)
    assert out.view(torch.float32).tolist() == [0, 1, 2, 3]
    assert watch.seen(None).reads == [4, 0]


def test_a_read_that_ends_outside_is_stopped():
    x, out = torch.arange(3.0), torch.zeros(2, dtype=torch.int64)
    kernel = names_of(WIDE.format(kind="int64")).get("copy", kernel=True)
    with (
        pytest.raises(Exception, match="1 of 2 elements outside"),
        Watch(kernels=True, given=[x, out]),
    ):
        kernel[(1,)](x, out, 2)


def test_of_a_kernels_header_only_names_and_defaults_run():
    source = KERNEL.format(line="pass").replace("@triton.jit", "@triton.jit(debug=print('no'))")
    source = source.replace("x, out,", "x: print('no'), out: tl.tensor, *,", 1)
    source = source.replace("KEYS: tl.constexpr)", "KEYS: 'tl.constexpr' = SIZE) -> print('no')")
    names = names_of("SIZE = 4" + source.replace("*,", ""))
    x, out = torch.arange(4.0), torch.zeros(4)
    names.get("copy", kernel=True)[(1,)](x, out, 3)
    assert out.tolist() == [0, 1, 2, 0]


def test_a_kernel_is_run_as_it_was_checked(capsys):
    hidden = '"""\ndef copy(x, out, length, KEYS):\n    print("hidden")\n    # """\n    n ='
    names = names_of(KERNEL.replace("n =", hidden, 1).format(line="pass"))
    assert launched(names) == [0, 1, 2, 0]
    assert "hidden" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("above", "line", "why"),
    [
        ("M = tl.core", "y = M", "only a kernel has use for tl"),
        ("def f(x): return x\nF = 1.0\nF = [F, f][1]", "y = F(n)", "numbers only"),
        ("F = tl.constexpr([max])", "y = F.value", "numbers only"),
        ("def F(x): return x", "y = F(n)", "neither its own nor a kernel's"),
        ("import math", "y = math.floor(2.5)", "neither its own nor a kernel's"),
        ("import torch", "y = math.pi + torch.e\n    z = torch", "neither its own nor a kernel's"),
        ("def f(): return 1\nF = {f}", "y = F", "numbers only"),
        ("", "tl.load = n", "changes no tl.load"),
        ("", "n.shape = n", "changes no n.shape"),
        ("", "tl.load(x, _semantic=n)", "Triton's own"),
        ("", "y = tl.random", "there is no tl.random"),
        ("", "y = tl.math", "there is no tl.math"),
        ("", "y = triton.language", "there is no triton.language"),
        ("", "y = triton", "used as triton.name"),
        ("triton = 3", "y = n", "stays what it is"),
        ("interpreter_semantic = 3", "y = interpreter_semantic", "stays what it is"),
    ],
)
def test_a_kernel_names_numbers_and_kernels_only(above, line, why):
    names = names_of(above + KERNEL.format(line=line))
    with pytest.raises(NotPlain, match=why):
        names.get("copy", kernel=True)


@pytest.mark.parametrize("default", ["[].__class__", "np", "x", "print('no')", "tl.core"])
def test_a_kernels_defaults_are_numbers(default):
    source = KERNEL.format(line="pass").replace("KEYS:", f"np={default}, KEYS:")
    with pytest.raises(NotPlain):
        names_of(source).get("copy", kernel=True)


@pytest.mark.parametrize(
    "source",
    [
        "answer = copy.rewriter",
        "answer = copy.fn",
        "answer = triton.jit",
        "answer = triton.cdiv.fn",
        "answer = lessons.rewriter",
        "from triton import cdiv\nanswer = cdiv.get_capture_scope",
        "x = copy[(1,)](torch.ones(4), torch.ones(4), 3, 4)\nanswer = (x, inspect)",
        "answer = inspect",
        "answer = TensorHandle",
    ],
)
def test_other_code_gets_no_more_of_triton_than_a_launch(source):
    lessons = KERNEL.replace("copy", "lessons").format(line="pass")
    linecache.cache["<lesson>"] = (0, None, lessons.splitlines(keepends=True), "<lesson>")
    lessons += "lessons[(1,)](torch.ones(4), torch.ones(4), 3, 4)"
    names = names_of(KERNEL.format(line="pass"))
    names.trusted(lessons)
    names.answer(source)
    with pytest.raises(NotPlain):
        names.get("answer")


def test_a_notebook_knows_the_numbers_and_kernels_of_its_other_cells():
    names = {"__name__": "__main__"}
    helper = KERNEL.format(line="pass").replace("copy", "helper")
    for number, cell in enumerate(
        (TRITON, "SIZE = tl.constexpr(4)\ndef f(x): return x\n" + helper)
    ):
        _run(cell, f"<cell {number}>", names)
    _run(KERNEL.format(line="helper(x, out, SIZE, 4)"), "<a cell>", names)
    assert refusal_here(names["copy"], kernel=True) == ""
    _run(KERNEL.format(line="y = f(n)"), "<another cell>", names)
    assert "f is neither its own nor" in refusal_here(names["copy"], kernel=True)


def _run(source: str, file: str, names: dict) -> None:
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), names)
