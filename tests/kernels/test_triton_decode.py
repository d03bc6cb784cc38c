"""The Triton kernels against float64: in Triton's interpreter, and compiled where there is a GPU.

TRITON_INTERPRET must be set before Triton is imported, and other tests must not see it: so the
interpreter runs in a process of its own, and the same cases run here on a GPU.
"""

import subprocess
import sys

import pytest
import torch
import triton_cases
from triton_cases import compile_case, far_apart, reasons, run_case

from gqa_lib.kernels import triton_backend
from gqa_lib.kernels.tolerances import RELATIVE_ERROR
from gqa_lib.kernels.triton_splits import fewest_keys

pytestmark = pytest.mark.skipif(
    bool(triton_backend._missing()), reason=f"{triton_backend._missing()}"
)

TOLERANCE = {str(dtype).removeprefix("torch."): most for dtype, most in RELATIVE_ERROR.items()}


@pytest.fixture(scope="module")
def interpreter():
    version = triton_backend._numbers(triton_backend.metadata.version("triton"))
    if version < triton_backend.OLDEST_INTERPRETER:
        pytest.skip(f"Triton's interpreter works from 3.7.1 on; this is {version}")
    with triton_cases.worker(interpret=True) as pool:
        yield pool


@pytest.fixture(scope="module")
def compiler():
    with triton_cases.worker(interpret=False) as pool:
        yield pool


@pytest.fixture
def run(request, device):
    """A function that runs a case of `triton_cases` where the kernels run."""
    if device.type == "cuda":
        return lambda case, **options: case(device, **options)
    pool = request.getfixturevalue("interpreter")
    return lambda case, **options: pool.submit(case, device, **options).result()


def assert_right(run, dtype="float32", **options):
    error, parts = run(run_case, dtype=dtype, **options)
    assert error < TOLERANCE[dtype]
    return parts


# ---- right answers


@pytest.mark.parametrize("D", [64, 96, 128, 256])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_every_dtype_and_head_dim(run, dtype, D):
    assert_right(run, dtype, D=D, Hq=6, Hkv=2, S=133, num_splits=2)


@pytest.mark.parametrize("R", [1, 2, 3, 5, 7, 16, 17, 64])
def test_every_ratio_of_query_heads_to_kv_heads(run, R):
    assert_right(run, Hq=2 * R, Hkv=2, S=45)
    assert_right(run, "bfloat16", Hq=2 * R, Hkv=2, S=150, lengths=[150], num_splits=3)


@pytest.mark.parametrize("num_splits", [None, 1, 3, 16])
@pytest.mark.parametrize("S", [1, 5, 31, 32, 33, 150])
def test_every_length_around_a_block_and_more_splits_than_blocks(run, S, num_splits):
    assert_right(run, B=2, S=S, D=32, num_splits=num_splits)


@pytest.mark.parametrize("page_size", [0, 16])
@pytest.mark.parametrize("num_splits", [None, 4])
def test_ragged_lengths_and_empty_sequences(run, num_splits, page_size):
    lengths = [0, 1, 200, 64, 0, 63, 130]
    assert_right(run, B=7, S=200, D=32, lengths=lengths, num_splits=num_splits, page_size=page_size)


def test_a_batch_of_empty_sequences(run):
    assert_right(run, B=3, S=40, D=32, lengths=[0, 0, 0])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("page_size", [8, 16, 24, 256])
def test_pages_in_any_order_and_of_any_size(run, page_size, dtype):
    lengths = [100, 17, 250]
    assert_right(run, dtype, B=3, S=256, lengths=lengths, page_size=page_size, num_splits=3)


def test_full_pages_need_no_lengths(run):
    assert_right(run, B=2, S=96, page_size=16)


@pytest.mark.parametrize("layout", ["heads last", "channels apart"])
@pytest.mark.parametrize("lengths", [None, [70, 9]])
def test_any_strides(run, layout, lengths):
    assert_right(run, B=2, S=70, layout=layout, lengths=lengths, num_splits=2)


@pytest.mark.parametrize(
    ("dim", "paged"), [(0, False), (0, True), (1, False), (2, False), (2, True), (3, False)]
)
def test_offsets_past_32_bits(run, dim, paged):
    assert run(far_apart, dim=dim, paged=paged) < TOLERANCE["float16"]


def test_through_the_dispatch(run):
    error, _ = run(run_case, B=2, S=90, lengths=[90, 33], page_size=16, direct=False)
    assert error < TOLERANCE["float32"]


# ---- parts


def test_parts_are_merged_and_one_part_is_not(run):
    assert assert_right(run, Hq=2, Hkv=2, S=150, D=32, num_splits=3) == 3
    assert assert_right(run, Hq=2, Hkv=2, S=150, D=32, num_splits=1) == 0


def test_a_sequence_in_one_part_leaves_no_partial_result(run):
    parts = assert_right(run, B=3, Hq=2, S=600, D=32, lengths=[600, 5, 33], num_splits=3)
    assert parts == 3  # all of the first sequence


@pytest.mark.parametrize("R", [1, 4])
def test_partial_results_of_a_ragged_batch_are_at_most_3_percent(run, R):
    lengths = [700, 39, 301, 2, 69]
    parts = assert_right(run, B=5, Hq=R, Hkv=1, S=700, D=32, lengths=lengths)
    kv_bytes = sum(n for n in lengths if n >= 2 * fewest_keys(R, 32, 4)) * 2 * 32 * 4
    assert parts > 1
    assert parts * 2 * R * 33 * 4 <= 0.03 * kv_bytes


# ---- what no CPU shows: the kernels compiled, and on a GPU


GPUS = {80: 163 * 1024, 86: 99 * 1024, 90: 227 * 1024}  # shared memory of a program at most


@pytest.mark.parametrize(
    ("dtype", "D", "R", "page_size", "ragged"),
    [
        ("bfloat16", 128, 4, 0, False),
        ("bfloat16", 128, 3, 16, True),
        ("float16", 96, 1, 0, True),
        ("bfloat16", 64, 64, 16, False),
        ("bfloat16", 256, 64, 16, True),
        ("float32", 256, 64, 0, False),
    ],
)
def test_kernels_compile_and_fit_the_shared_memory(compiler, dtype, D, R, page_size, ragged):
    tightest = {86: GPUS[86]}  # enough where compiling takes long
    for capability, limit in (GPUS if dtype != "float32" else tightest).items():
        case = (capability, limit, dtype, D, R, page_size, ragged)
        shared, ptx = compiler.submit(compile_case, *case).result()
        assert shared <= limit
        assert ("mma" in ptx) == (dtype != "float32")  # ieee: no tensor core rounds to tf32
        if dtype != "float32":
            assert "cp.async.cg.shared.global" in ptx  # 16 bytes at a time, while others multiply


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("page_size", [0, 16])
def test_a_cuda_graph_follows_lengths_that_change(page_size):
    from gqa_lib.kernels.triton_decode import triton_decode

    q = torch.randn(3, 8, 1, 64, device="cuda").half()
    shape = (3 * 512 // page_size, 2, page_size, 64) if page_size else (3, 2, 512, 64)
    k, v = (torch.randn(shape, device="cuda").half() for _ in range(2))
    table = torch.randperm(len(k), device="cuda").view(3, -1) if page_size else None
    lengths = torch.tensor([512, 3, 100], device="cuda")
    triton_decode(q, k, v, lengths, table)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = triton_decode(q, k, v, lengths, table)
    for new in ([512, 3, 100], [0, 512, 1]):
        lengths.copy_(torch.tensor(new))
        graph.replay()
        torch.testing.assert_close(out, triton_decode(q, k, v, lengths, table))


# ---- when they do not run


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"T": 2}, "one new token, not 2"),
        ({"Hq": 65, "Hkv": 1}, "not 65 and 64"),
        ({"D": 257}, "not 2 and 257"),
        ({"dtype": torch.float64}, "not torch.float64"),
    ],
)
def test_what_the_tiles_cannot_take_is_refused(interpreter, change, reason):
    assert interpreter.submit(reasons).result() is None
    assert reason in interpreter.submit(reasons, **change).result()


def test_without_a_gpu_the_interpreter_must_be_asked_for():
    assert "TRITON_INTERPRET=1" in reasons()


def test_old_or_missing_triton_is_named(monkeypatch):
    missing = triton_backend._missing.__wrapped__
    monkeypatch.setattr(triton_backend.metadata, "version", lambda name: "3.5.1+git12")
    assert "3.5.1" in missing()

    def not_there(name):
        raise triton_backend.metadata.PackageNotFoundError

    monkeypatch.setattr(triton_backend.metadata, "version", not_there)
    assert "pip install" in missing()


def test_importing_kernels_leaves_triton_alone():
    code = (
        "import sys, torch, gqa_lib.kernels as k\n"
        "q = torch.ones(1, 4, 1, 8)\n"
        "print(k.choose_decode_backend(q, q, q), k.available_decode_backends(q, q, q))\n"
        "assert 'triton' not in sys.modules, 'triton'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
