"""Compiles the native operator and checks it, for `gqa build-native`.

Compiling, loading and checking happen in a process of their own: a wrong instruction ends that
one. Only a build that gave right results gets the name under which it is looked for.
"""

import hashlib
import importlib.util
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import torch

from ..reference import attention_reference
from ..tolerances import RELATIVE_ERROR
from . import library
from .library import DTYPES

TIMEOUT_S = 600


class BuildError(OSError):
    """The operator could not be built; the library works without it."""


def build() -> str:
    """Compile, check and install the operator for this machine; return what was done.

    Raises:
        BuildError: no compiler, no ninja, a failed compilation or wrong results.
    """
    environment = _environment()
    target = library.build_folder()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=target.parent) as scratch:
        record = _in_child(Path(scratch), environment)
        complete = Path(scratch, "complete")
        complete.mkdir()
        os.replace(Path(scratch, library.LIBRARY), complete / library.LIBRARY)
        (complete / library.RECORD).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        shutil.rmtree(target, ignore_errors=True)
        os.replace(complete, target)
    library.forget()
    return (
        f"Built in {record['seconds']:.0f} s with {record['compiler']} and checked against float64 "
        f"({record['checks']} results). It is in {target}; notebooks that are open use it after "
        "their kernel restarts."
    )


def _environment() -> dict[str, str]:
    """The environment to compile in, with ninja on its PATH."""
    if platform.system() not in ("Linux", "Darwin"):
        raise BuildError(
            f"it needs GCC or Clang, and was not made to compile on {platform.system()}. "
            "Without it PyTorch's own operators are used."
        )
    if shutil.which(_compiler()[0]) is None:
        raise BuildError(
            f"there is no C++ compiler ({_compiler()[0]}) here. Install one (Debian, Ubuntu: sudo "
            "apt install g++) or name it in CXX. Without it PyTorch's own operators are used."
        )
    path = os.environ.get("PATH", "")
    if importlib.util.find_spec("ninja"):  # its program may be outside PATH
        import ninja

        path = f"{ninja.BIN_DIR}{os.pathsep}{path}"
    if shutil.which("ninja", path=path) is None:
        raise BuildError("torch compiles with ninja, which is not here: pip install ninja.")
    return os.environ | {"PATH": path}


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CXX", "c++"))


def _in_child(scratch: Path, environment: dict[str, str]) -> dict:
    """Build in another process; return the record of it."""
    command = [sys.executable, "-m", "gqa_lib.kernels.native.compile", str(scratch)]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"it was not compiled after {TIMEOUT_S} s, and was stopped.") from None
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    log = library.build_folder().parent / "failed.log"
    log.write_text(done.stdout + done.stderr, "utf-8")
    raise BuildError(f"{_reason(done)} All that was printed is in {log}.")


def _reason(done: subprocess.CompletedProcess) -> str:
    if done.returncode < 0:
        return f"the process that compiles and checks it ended by signal {-done.returncode}."
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    telling = [line for line in lines if "error:" in line] or lines[-1:] or ["nothing was printed"]
    return f"it was not built: {telling[0]}"


# In the child


def _child(scratch: Path) -> None:
    """Compile, load and check; print the record as the last line."""
    from torch.utils.cpp_extension import load

    compiler = _output([*_compiler(), "--version"]).splitlines()[0]
    started = time.monotonic()
    load(
        library.NAME,
        [str(library.SOURCES[0])],
        extra_cflags=_flags(),
        # GCC's code finds torch's own OpenMP: a second one would have threads of its own.
        extra_ldflags=["-fopenmp"] if "clang" in compiler else [],
        build_directory=str(scratch),
        is_python_module=False,
    )
    seconds = time.monotonic() - started
    record = {
        "sha256": hashlib.sha256((scratch / library.LIBRARY).read_bytes()).hexdigest(),
        "seconds": round(seconds, 1),
        "compiler": compiler,
        "flags": _flags(),
        "torch": torch.__version__,
        "checks": check(),
    }
    print(json.dumps(record))


def _flags() -> list[str]:
    here = "-march=native" if platform.machine() in ("x86_64", "AMD64") else "-mcpu=native"
    return ["-O3", "-fopenmp", here]


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def check() -> int:
    """Compare the loaded operator with float64; return how many results were compared.

    Raises:
        BuildError: a result is further off than its dtype explains.
    """
    torch.manual_seed(0)
    ours = torch.ops.gqa_native
    decodes = list(product(DTYPES, (64, 72, 128), ((6, 6), (10, 2), (8, 1)), (67, 300)))
    for dtype, D, (Hq, Hkv), S in decodes:
        q = torch.randn(2, Hq, 1, D).to(dtype)
        k, v = (torch.randn(2, Hkv, S, D).to(dtype) for _ in range(2))
        what = f"{dtype}, {Hq} query heads over {Hkv} KV heads, head_dim={D} and {S} keys"
        _compare(ours.decode(q, k, v, None, 3), attention_reference(q, k, v), what)
    layers = list(product(DTYPES, (64, 72, 80), (1, 2, 4, 15), (19, 320)))
    for dtype, K, tokens, N in layers:
        x, weight, bias = (torch.randn(size).to(dtype) for size in ((tokens, K), (N, K), (N,)))
        cos, sin = torch.randn(2, tokens, K // 2 - 3)
        wide, gain = x.double(), weight.double()
        product_ = wide @ gain.T + bias.double()
        norm = torch.nn.functional.rms_norm(wide, (K,), gain[0], 1e-6)
        first, second, rest = wide.split((K // 2 - 3, K // 2 - 3, 6), -1)
        turned = torch.cat((first * cos - second * sin, second * cos + first * sin, rest), -1)
        what = f"{dtype}, {tokens} tokens of {K} elements and {N} rows of weights"
        with torch.inference_mode():
            _compare(ours.linear(x, weight, bias), product_, what)
            _compare(ours.rms_norm(x, weight[0].clone(), 1e-6), norm, what)
            _compare(ours.turn(x[None, None], cos, sin)[0, 0], turned, what)
    return len(decodes) + 3 * len(layers)


def _compare(got: torch.Tensor, expected: torch.Tensor, what: str) -> None:
    error = ((got - expected).norm() / expected.norm()).item()
    limit = RELATIVE_ERROR[got.dtype]
    if not error <= limit:
        raise BuildError(
            f"error: the compiled operator is wrong by {error:.1e} for {what}; rounding explains "
            f"at most {limit:.1e}."
        )


if __name__ == "__main__":
    _child(Path(sys.argv[1]))
