"""The native operator: right answers, no reading where it must not, and what is said without it."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gqa_lib import kernels
from gqa_lib.cache import KVCache
from gqa_lib.cli import main
from gqa_lib.kernels import attend, attention_reference, choose_backend, native
from gqa_lib.kernels.native import build as building
from gqa_lib.kernels.native import library, native_decode, native_unsupported

TOLERANCE = building.TOLERANCE  # of the relative error, all heads together
DTYPES = tuple(TOLERANCE)


@pytest.fixture(scope="session")
def extensions(tmp_path_factory):
    """The folder of a build made for these tests: 10 to 30 seconds, once."""
    if shutil.which("c++") is None:
        pytest.skip("there is no C++ compiler (c++) to build the native operator with")
    root = tmp_path_factory.mktemp("extensions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_EXTENSIONS_DIR", str(root))
        building.build()
    return root


@pytest.fixture
def built(extensions, monkeypatch):
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(extensions))
    assert library.problem() is None


@pytest.fixture
def copy_of_build(extensions, tmp_path, monkeypatch):
    """The folder of a copy of the build, to be damaged."""
    shutil.copytree(extensions, tmp_path / "copy")
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "copy"))
    return library.build_folder()


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def cxx(tmp_path, monkeypatch):
    """Makes a script the compiler."""

    def set_compiler(script):
        path = tmp_path / "c++"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("CXX", str(path))

    return set_compiler


def draw(B, Hq, Hkv, S, D, dtype=torch.float32):
    q = torch.randn(B, Hq, 1, D).to(dtype)
    k, v = (torch.randn(B, Hkv, S, D).to(dtype) for _ in range(2))
    return q, k, v


def assert_close(got, expected, dtype):
    assert got.dtype == dtype
    error = (got.double() - expected).norm() / expected.norm()
    assert error <= TOLERANCE[dtype], error.item()


def assert_matches_oracle(q, k, v, **options):
    assert_close(native_decode(q, k, v, **options), attention_reference(q, k, v), q.dtype)


# ---- right answers


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("q_per_kv", [1, 2, 3, 5, 8, 32, 64])
@pytest.mark.parametrize("S", [1, 7, 32, 67, 300])
def test_every_ratio_and_length(built, S, q_per_kv, dtype):
    assert_matches_oracle(*draw(2, 2 * q_per_kv, 2, S, 64, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("D", [8, 24, 64, 72, 80, 96, 128, 256])
@pytest.mark.parametrize("S", [5, 133])
def test_every_head_dim(built, S, D, dtype):
    assert_matches_oracle(*draw(2, 6, 2, S, D, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_splits", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("S", [1, 40, 129, 1000])
def test_any_number_of_parts_gives_the_same(built, S, num_splits, dtype):
    """1000 parts are more than there are blocks, and for S=1 more than keys."""
    assert_matches_oracle(*draw(1, 10, 2, S, 64, dtype), num_splits=num_splits)


@pytest.mark.parametrize("number", [1, 2, 3, 16])
@pytest.mark.parametrize("Hkv", [1, 3])
def test_any_number_of_threads(built, threads, Hkv, number):
    threads(number)
    assert_matches_oracle(*draw(1, 6, Hkv, 4001, 64))  # 2 MB a KV head: worth several parts


def test_parts_of_very_different_weight(built):
    q, k, v = draw(1, 4, 1, 400, 64)
    k[:, :, 211] = 40 * q[:, :1, 0]  # one part's sum of exponentials would overflow
    assert_matches_oracle(q, k, v, num_splits=8)
    k[:, :, 0] = 80 * q[:, :1, 0]  # and then everything after the first block is rescaled to 0
    assert_matches_oracle(q, k, v, num_splits=1)


@pytest.mark.parametrize("shift", [-1e4, 1e4])
def test_a_shift_of_all_scores_changes_nothing(built, shift):
    q, k, v = draw(1, 4, 2, 100, 64)
    q[..., 0], k[..., 0] = shift, 1.0
    got = native_decode(q, k, v)
    torch.testing.assert_close(got.double(), attention_reference(q, k, v), rtol=2e-2, atol=2e-3)


def test_a_nan_is_not_hidden(built):
    for place in ("k", "v"):
        q, k, v = draw(1, 6, 2, 100, 64)
        {"k": k, "v": v}[place][:, 1, 50] = torch.nan
        out = native_decode(q, k, v)
        assert out[:, 3:].isnan().all(), place
        assert not out[:, :3].isnan().any(), place


def test_the_same_call_gives_the_same_bits(built):
    q, k, v = draw(2, 8, 2, 3000, 64)
    first = native_decode(q, k, v)
    assert all(torch.equal(first, native_decode(q, k, v)) for _ in range(10))


# ---- memory


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("S", [3, 64, 200])
def test_a_cache_does_not_show_what_lies_behind_its_length(built, S, dtype):
    q, k, v = draw(2, 10, 2, S, 64, dtype)
    cache = KVCache(2, 2, S + 150, 64, dtype)
    nan = torch.full((2, 2, S + 150, 64), torch.nan, dtype=dtype)
    cache.append(nan, nan)
    cache.reset()
    k_all, v_all = cache.append(k, v)
    assert not k_all.is_contiguous()
    assert_matches_oracle(q, k_all, v_all)


def test_any_strides_but_the_last(built):
    q, k, v = (t.transpose(1, 2).contiguous().transpose(1, 2) for t in draw(2, 6, 2, 100, 64))
    assert_matches_oracle(q, k, v)  # tokens before heads
    wide = [torch.full((2, 2, 100, 88), torch.nan) for _ in range(2)]
    for buffer, t in zip(wide, (k, v), strict=True):
        buffer[..., 8:72] = t
    assert_matches_oracle(q, *(buffer[..., 8:72] for buffer in wide))  # rows apart, unaligned
    assert_matches_oracle(q, k[:, :1].expand(-1, 2, -1, -1), v.flip(0))
    every_second_head = draw(2, 12, 2, 5, 64)[0][:, ::2]
    assert_matches_oracle(every_second_head, k[:, :, ::3], v[:, :, ::3])


GUARDED = """
import ctypes, mmap, sys, torch
from gqa_lib.kernels.native import native_decode

def last_bytes_before_a_forbidden_page(t):
    pages = -(-t.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    area = mmap.mmap(-1, pages + mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(address + pages), mmap.PAGESIZE, 0) == 0
    view = torch.frombuffer(area, dtype=t.dtype, count=t.numel(), offset=pages - t.nbytes)
    return view.view(t.shape).copy_(t)

torch.manual_seed(0)
for dtype in (torch.float32, torch.bfloat16):
    for S, D, R in ((1, 8, 1), (7, 64, 1), (33, 72, 4), (100, 80, 5), (257, 128, 2)):
        plain = [torch.randn(2, H, n, D).to(dtype) for H, n in ((2 * R, 1), (2, S), (2, S))]
        guarded = [last_bytes_before_a_forbidden_page(t) for t in plain]
        assert torch.equal(native_decode(*plain), native_decode(*guarded))
print("read nothing behind")
"""


@pytest.mark.skipif(platform.system() != "Linux", reason="forbids a page as Linux does")
def test_nothing_is_read_past_the_end(built):
    done = subprocess.run([sys.executable, "-c", GUARDED], capture_output=True, text=True)
    assert done.stdout.strip() == "read nothing behind", done.stderr[-2000:]


def test_arguments_are_left_unchanged(built):
    inputs = draw(2, 6, 2, 100, 64)
    copies = [t.clone() for t in inputs]
    native_decode(*inputs)
    assert all(torch.equal(a, b) for a, b in zip(inputs, copies, strict=True))


# ---- a length for each sequence


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_splits", [0, 1, 5])
def test_ragged_lengths(built, num_splits, dtype):
    q, k, v = draw(5, 6, 2, 200, 64, dtype)
    lengths = torch.tensor([0, 1, 63, 130, 200])
    for b, length in enumerate(lengths.tolist()):
        k[b, :, length:], v[b, :, length:] = torch.nan, torch.nan
    out = native_decode(q, k, v, lengths=lengths, num_splits=num_splits)
    assert torch.equal(out[0], torch.zeros_like(out[0]))
    for b, length in enumerate(lengths.tolist()[1:], start=1):
        one = [t[b : b + 1] for t in (q, k[:, :, :length], v[:, :, :length])]
        assert_close(out[b : b + 1], attention_reference(*one), dtype)
    assert torch.equal(out, native_decode(q, k, v, lengths=lengths.int(), num_splits=num_splits))


def test_an_empty_cache_gives_zeros(built):
    assert torch.equal(native_decode(*draw(2, 6, 2, 0, 64)), torch.zeros(2, 6, 1, 64))
    assert native_decode(*draw(0, 6, 2, 5, 64)).shape == (0, 6, 1, 64)


@pytest.mark.parametrize(
    ("lengths", "told"),
    [
        ([3, 8], r"lengths\[1\] is 8, but the cache has 7 keys"),
        ([-1, 3], r"lengths\[0\] is -1"),
        ([3], r"lengths has shape \[1\].*for each of 2 sequences"),
    ],
)
def test_wrong_lengths_are_refused(built, lengths, told):
    with pytest.raises(ValueError, match=told):
        native_decode(*draw(2, 6, 2, 7, 64), lengths=torch.tensor(lengths))


def test_wrong_tensors_are_refused(built):
    q, k, v = draw(2, 6, 2, 7, 64)
    wrong = {
        "q has shape": (q[0], k, v),
        "Hq a multiple of Hkv": (q[:, :5], k, v),
        "all three float32": (q, k, v.bfloat16()),
        "batch_size and head_dim must agree": (q[..., :32], k, v),
        "must lie next to each other": (q, k.mT.contiguous().mT, v),
    }
    for told, tensors in wrong.items():
        with pytest.raises(ValueError, match=told):
            native_decode(*tensors)


# ---- choice


def test_it_is_chosen_where_it_is_built_and_can_run(built):
    q, k, v = draw(1, 8, 2, 64, 128)
    assert choose_backend(q, k, v) == "native"
    assert choose_backend(q.bfloat16(), k.bfloat16(), v.bfloat16()) == "native"
    assert choose_backend(q.half(), k.half(), v.half()) != "native"
    assert choose_backend(q.expand(-1, -1, 2, -1), k, v) != "native"
    assert_close(attend(q, k, v), attention_reference(q, k, v), torch.float32)


def test_environment_and_argument_choose_it_or_another(built, monkeypatch):
    inputs = draw(1, 8, 2, 64, 128)
    monkeypatch.setenv("GQA_BACKEND", "fold_sdpa")
    assert choose_backend(*inputs) == "fold_sdpa"
    by_argument = attend(*inputs, backend="native")
    monkeypatch.setenv("GQA_BACKEND", "native")
    assert torch.equal(attend(*inputs), by_argument)


def test_why_it_cannot_run(built):
    q, k, v = draw(1, 8, 2, 64, 128)
    assert native_unsupported(q, k, v, True) is None
    reasons = {
        "one new token, not 2": (q.expand(-1, -1, 2, -1), k, v),
        "not float16": (q.half(), k.half(), v.half()),
        "head_dim=12 is not a multiple of 8": draw(1, 8, 2, 64, 12),
        "CPU only": tuple(t.to("meta") for t in (q, k, v)),
        "next to each other": (q, k, v.mT.contiguous().mT),
        "no gradient": (q.clone().requires_grad_(), k, v),
    }
    for told, tensors in reasons.items():
        assert told in native_unsupported(*tensors, True)
        with pytest.raises(ValueError, match="'native' cannot run"):
            attend(*tensors, backend="native")
    with torch.no_grad():
        assert native_unsupported(q.clone().requires_grad_(), k, v, True) is None


# ---- without it


def assert_falls_back(told):
    q, k, v = draw(1, 8, 2, 64, 128)
    assert choose_backend(q, k, v) == "fold_sdpa"
    assert_close(attend(q, k, v), attention_reference(q, k, v), torch.float32)
    with pytest.raises(ValueError, match=told) as error:
        attend(q, k, v, backend="native")
    assert "gqa build-native" in str(error.value)
    with pytest.raises(RuntimeError, match=told):
        native_decode(q, k, v)


@pytest.fixture(autouse=True)
def _one_thread_decides(monkeypatch):
    """Of the fallback: with more threads than KV heads it would be another."""
    monkeypatch.setattr(kernels, "_onednn_multiplies", lambda _: False)


def test_it_is_not_built():
    assert_falls_back("it is not built")


def test_no_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "/no/such/c++ -O3")
    with pytest.raises(building.BuildError, match=r"no C\+\+ compiler \(/no/such/c\+\+\)"):
        building.build()
    assert_falls_back("it is not built")


def test_no_ninja(monkeypatch, cxx):
    cxx("exit 0")
    monkeypatch.setattr(building.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(building.BuildError, match="pip install ninja"):
        building.build()


def test_a_failing_compiler(cxx, capsys):
    cxx(
        '[ "$1" = --version ] && echo "some c++ 1.0" && exit 0; echo "op.cpp: error: too old"; exit 1'
    )
    assert main(["build-native"]) == 1
    told = capsys.readouterr().err
    assert "gqa: it was not built:" in told
    assert "error: too old" in told
    assert "error: too old" in Path(told.split("printed is in ")[1].strip(" .\n")).read_text()
    assert not library.build_folder().exists()
    assert [p.name for p in library.build_folder().parent.iterdir()] == ["failed.log"]
    assert_falls_back("it is not built")


def test_a_compiler_of_another_cpu(cxx):
    """What it made ends the process that tries it, not this one."""
    cxx("kill -ILL $PPID")
    with pytest.raises(building.BuildError, match="ended by signal 4"):
        building.build()


def test_wrong_results_are_no_build(built, monkeypatch):
    assert building.check() == 36
    monkeypatch.setattr(building, "TOLERANCE", {torch.float32: 1e-9})
    with pytest.raises(building.BuildError, match=r"wrong by .* 1.0e-09 is the most"):
        building.check()


def test_a_changed_library(copy_of_build):
    path = copy_of_build / library.LIBRARY
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert_falls_back("has changed since it was checked")


@pytest.mark.parametrize("record", [None, "", "{}", "[]", "{"])
def test_a_damaged_record(copy_of_build, record):
    path = copy_of_build / library.RECORD
    path.unlink() if record is None else path.write_text(record)
    assert_falls_back("is damaged")


def test_a_library_that_is_gone(copy_of_build):
    (copy_of_build / library.LIBRARY).unlink()
    assert_falls_back("is damaged")


def run_python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_library_that_does_not_load(copy_of_build):
    (copy_of_build / library.LIBRARY).write_bytes(b"no library")
    record = {"sha256": hashlib.sha256(b"no library").hexdigest()}
    (copy_of_build / library.RECORD).write_text(json.dumps(record))
    told = run_python("from gqa_lib.kernels.native import library; print(library.problem())")
    assert "does not load" in told
    assert library.HOW in told


@pytest.mark.parametrize("changed", ["cpu_flags", "torch", "source"])
def test_another_cpu_torch_or_source(copy_of_build, monkeypatch, tmp_path, changed):
    if changed == "cpu_flags":
        monkeypatch.setattr(library, "cpu_flags", lambda: "avx3")
    elif changed == "torch":
        monkeypatch.setattr(torch, "__version__", "2.99.0")
    else:
        (tmp_path / "op.cpp").write_text("// better")
        monkeypatch.setattr(library, "SOURCES", (tmp_path / "op.cpp",))
    assert_falls_back("not built for this CPU, torch and source")


# ---- importing, telling, building again


def test_importing_loads_and_builds_nothing(built):
    code = """
import sys, torch, gqa_lib.kernels
print("torch.utils.cpp_extension" in sys.modules, hasattr(torch.ops.gqa_native, "decode"))
q, k = torch.ones(1, 2, 1, 8), torch.ones(1, 1, 5, 8)
print(gqa_lib.kernels.choose_backend(q, k, k), hasattr(torch.ops.gqa_native, "decode"))
print("torch.utils.cpp_extension" in sys.modules)
"""
    assert run_python(code).split() == ["False", "False", "native", "True", "False"]


def test_info_says_what_would_run(extensions, monkeypatch, capsys):
    assert main(["info"]) == 0
    without = capsys.readouterr().out
    assert f"torch       {torch.__version__}" in without
    assert "not used: it is not built: run `gqa build-native`" in without
    assert without.count("no: it is not built") == 2  # in float32 and in bfloat16
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(extensions))
    monkeypatch.setenv("GQA_DEVICE", "cpu")
    assert main(["info"]) == 0
    built = capsys.readouterr().out
    assert f"built, in {library.build_folder()}" in built
    assert built.count("auto        native") == 2


def test_building_again_replaces_a_damaged_build(copy_of_build, extensions, monkeypatch):
    (copy_of_build / library.RECORD).write_text("{")
    whole = Path(extensions, *copy_of_build.parts[-2:])

    def built_elsewhere(scratch, environment):
        shutil.copy(whole / library.LIBRARY, scratch)
        return json.loads((whole / library.RECORD).read_text())

    monkeypatch.setattr(building, "_in_child", built_elsewhere)
    assert "damaged" in library.problem()
    assert "checked against float64 (36 results)" in building.build()
    assert library.problem() is None
    assert sorted(os.listdir(copy_of_build)) == [library.RECORD, library.LIBRARY]
    assert os.listdir(copy_of_build.parent) == [copy_of_build.name]


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names instruction sets of x86")
@pytest.mark.parametrize("flags", ["-march=x86-64", "-march=x86-64-v3"])
def test_narrower_vectors_are_right_too(extensions, tmp_path, flags):
    """The child checks what it compiled against float64."""
    if flags.endswith("v3") and "avx2" not in library.cpu_flags():
        pytest.skip("this CPU has no AVX2")
    code = f"""
import os
from pathlib import Path
from gqa_lib.kernels.native import build
os.environ.update(build._environment())
build._flags = lambda: ["-O3", "-fopenmp", {flags!r}]
build._child(Path({str(tmp_path)!r}))
"""
    assert json.loads(run_python(code).splitlines()[-1])["checks"] == 36


def test_the_sources_are_among_the_package_s_files():
    assert {path.suffix for path in library.SOURCES} == {".cpp", ".h"}
    assert all(path.is_file() for path in library.SOURCES)
    included = {line.split('"')[1] for line in library.SOURCES[0].read_text().splitlines()
                if line.startswith('#include "')}  # fmt: skip
    assert included <= {path.name for path in library.SOURCES}
    assert native.__file__
