"""Kernels of lesson 07: what the checks see of them, without Triton, and on a GPU's compiler."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

from gqa_lib.course.manifest import find_lesson
from gqa_lib.learn.exercises import launch as launch_module
from gqa_lib.learn.watch.kernels import Kernels, OutsideError
from gqa_lib.learn.watch.no_triton import MISSING, triton
from grading.authoring.run import as_grader, known_cells, run_cell
from grading.authoring.source import read_source, source_of
from grading.nb.cells import grade_id, read_notebook

LESSON = find_lesson("07")
needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is made for Linux")
COPY = """
@triton.jit
def copy(x, out, length, SIZE: tl.constexpr):
    n = tl.arange(0, SIZE)
    tl.store(out + n, tl.load(x + n, mask=n < length), mask=n < length)
"""
SQUARE = """
@triton.jit
def square(x, out, ROWS: tl.constexpr):
    at = tl.arange(0, ROWS)[:, None] * ROWS + tl.arange(0, ROWS)[None, :]
    tile = tl.load(x + at)
    tl.store(out + at, tl.dot(tile, tile, input_precision="ieee"))
"""


@pytest.fixture(autouse=True)
def own_records(tmp_path, monkeypatch):
    monkeypatch.setenv("GQA_HOME", str(tmp_path))


@pytest.fixture
def solved():
    """The solved lesson: what its cells define, its graded cells by name."""
    with as_grader():
        cells, names = known_cells(read_source(source_of(LESSON))), {"__name__": "__main__"}
        checks = {}
        for cell in cells:
            if cell.metadata.nbgrader.grade:
                checks[grade_id(cell)] = cell.source
            else:
                assert run_cell(cell.source, grade_id(cell), names) == ""
        yield names, checks


def defined(names, source, kernel):
    assert run_cell(source, kernel, names) == ""
    return names[kernel]


@needs_triton
def test_reads_are_counted_by_tensor_and_masked_ones_are_none(solved):
    copy = defined(solved[0], COPY, "copy")
    x, out = torch.arange(32.0), torch.zeros(32)
    with Kernels([x, out]) as seen:
        copy[(1,)](x, out, 20, SIZE=32)
        copy[(1,)](x, out, 3, SIZE=32)
    assert seen.reads == [23, 0]
    assert out.tolist() == [*range(20), *[0] * 12]


@needs_triton
def test_views_of_one_memory_are_counted_apart(solved):
    copy = defined(solved[0], COPY, "copy")
    (x, unread), out = torch.randn(2, 16), torch.zeros(16)
    with Kernels([x, unread, out]) as seen:
        copy[(1,)](x, out, 16, SIZE=16)
    assert seen.reads == [16, 0, 0]


@needs_triton
@pytest.mark.parametrize(
    ("sizes", "told"), [((16, 32), "load reads 16 of 32"), ((32, 16), "store writes 16 of 32")]
)
def test_access_outside_is_stopped_before_it_happens(solved, sizes, told):
    copy = defined(solved[0], COPY, "copy")
    x, out = torch.ones(sizes[0]), torch.zeros(sizes[1])
    with Kernels([x, out]), pytest.raises(OutsideError, match=told):
        copy[(1,)](x, out, 32, SIZE=32)
    assert not out.any()


@needs_triton
@pytest.mark.parametrize(("rows", "told"), [(8, "(8, 8) x (8, 8)"), (16, "")])
def test_products_too_small_for_a_gpu_are_seen(solved, rows, told):
    square = defined(solved[0], SQUARE, "square")
    x = torch.randn(rows, rows)
    out = torch.zeros_like(x)
    with Kernels([x, out]) as seen:
        square[(1,)](x, out, ROWS=rows)
    assert seen.small_dot == told
    torch.testing.assert_close(out, x @ x)


def solution(name):
    """Return the source of an exercise's cell, solved."""
    (source,) = (
        cell.source
        for cell in known_cells(read_source(source_of(LESSON)))
        if grade_id(cell) == name
    )
    return source


@needs_triton
def test_a_stub_kernel_is_called_a_stub(solved):
    names, checks = solved
    for cell in known_cells(read_notebook(LESSON.pristine)):
        if grade_id(cell) in ("scores_kernel", "gqa_decode_kernel"):
            assert run_cell(cell.source, grade_id(cell), names) == ""
            told = run_cell(checks[f"{grade_id(cell)}-check"], "check", names)
            assert "it is still a stub" in told


@needs_triton
def test_an_error_in_a_kernel_names_the_learners_line(solved):
    names, checks = solved
    wrong = solution("scores_kernel").replace("tl.trans(k_tile)", "k_tile")
    assert run_cell(wrong, "scores_kernel", names) == ""
    told = run_cell(checks["scores_kernel-check"], "check", names)
    assert "in scores_kernel, line" in told
    assert "tl.dot(q_tile, k_tile" in told


@needs_triton
def test_a_kernel_that_spoils_what_lies_behind_its_output_is_refused(solved):
    names, checks = solved
    source = solution("gqa_decode_kernel")
    wrong = source.replace("acc / some[:, None], mask=(r < R)[:, None])", "acc / some[:, None])")
    assert wrong != source
    assert run_cell(wrong, "gqa_decode_kernel", names) == ""
    assert "past the last row of `out`" in " ".join(
        run_cell(checks["gqa_decode_kernel-check"], "check", names).split()
    )


def test_without_triton_kernels_can_be_written_and_say_what_is_missing():
    @triton.jit
    def kernel(x):
        """Say nothing."""

    assert (triton.cdiv(7, 2), triton.next_power_of_2(5), triton.next_power_of_2(8)) == (4, 8, 8)
    with pytest.raises(RuntimeError, match="made for Linux"):
        kernel[(1,)](torch.zeros(1))
    assert "pip install triton" in MISSING


def test_without_triton_the_check_says_what_is_missing(solved, monkeypatch):
    names, checks = solved
    monkeypatch.setattr(launch_module, "find_spec", lambda name: None)
    for name in ("scores_kernel-check", "gqa_decode_kernel-check", "gqa_decode_kernel-reads"):
        assert "Triton is not installed here" in run_cell(checks[name], "check", names)
    for name in ("merge_partials-check", "split_kv_decode-check", "tile_rows-check"):
        assert run_cell(checks[name], "check", names) == ""


LATE = """
import triton  # before the lesson chooses the interpreter, as PyTorch's compiler may
from gqa_lib.course.manifest import find_lesson
from grading.authoring.run import run_graded
from grading.authoring.source import read_source, source_of
print([error for error in run_graded(read_source(source_of(find_lesson("07")))).values() if error])
"""
COMPILE = """
import linecache, torch, triton
from triton import language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from gqa_lib.course.manifest import find_lesson
from grading.authoring.run import run_cell
from grading.authoring.source import read_source, source_of
from grading.nb.cells import grade_id
names = {"triton": triton, "tl": tl}
for cell in read_source(source_of(find_lesson("07"))).cells:
    if grade_id(cell) in ("scores_kernel", "gqa_decode_kernel"):
        assert not run_cell(cell.source, grade_id(cell), names)
sizes = {"Hkv": 8, "R": 4, "D": 64, "ROWS": 16, "KEYS": 64, "SPLITS": 4}
kinds = {"q": "*fp16", "k": "*fp16", "v": "*fp16", "scale": "fp32"}
kinds |= dict.fromkeys(("out", "lse", "scores"), "*fp32")
for name in ("scores_kernel", "gqa_decode_kernel"):
    kernel = names[name]
    constants = {(i,): sizes[n] for i, n in enumerate(kernel.arg_names) if n in sizes}
    signature = {n: "constexpr" if n in sizes else kinds.get(n, "i32") for n in kernel.arg_names}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    for capability in (75, 90):
        print(name, "cubin" in triton.compile(source, GPUTarget("cuda", capability, 32)).asm)
"""


def in_a_new_process(program, tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TRITON")}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "GQA_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


@needs_triton
def test_the_checks_work_where_triton_was_imported_first(tmp_path):
    assert in_a_new_process(LATE, tmp_path) == ["[]"]


@needs_triton
def test_the_solutions_kernels_pass_a_gpus_compiler(tmp_path):
    """No GPU is needed to compile for one; what compiles may still be wrong or slow there."""
    lines = in_a_new_process(COMPILE, tmp_path)
    assert len(lines) == 4
    assert all(line.endswith("True") for line in lines)
