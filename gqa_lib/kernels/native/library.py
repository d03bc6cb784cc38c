"""Where the built operator is, whether it belongs to this machine, and loading it.

A build is a folder named after everything it depends on: the sources, the CPU's instruction sets
and torch's version. Another CPU or torch looks for another folder, so an operator never runs where
it was not made for. Nothing here compiles, and a built operator loads in milliseconds.
"""

import hashlib
import json
import os
import platform
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from ..traced import is_traced

HOW = "run `gqa build-native`"
NAME = "gqa_native"
DTYPES = (torch.float32, torch.bfloat16)  # that its operators take
RECORD = "built.json"  # written last: with it, a build is complete and was checked
LIBRARY = f"{NAME}.so"
SOURCES = tuple(  # the first is what is compiled, the others are what it includes
    Path(__file__).with_name(name)
    for name in (
        "op.cpp",
        "amx.h",
        "decode_op.h",
        "decode.h",
        "layer_op.h",
        "linear_op.h",
        "linear.h",
        "plain.h",
        "step_op.h",
        "vectors.h",
    )
)


def problem() -> str | None:
    """Return why the operator cannot be used, or None once it is loaded.

    The answer holds until this process ends or `forget` is called.
    """
    if is_traced():
        return "torch.compile, vmap or whatever else traces this call cannot look into it"
    return _problem_in(os.environ.get("TORCH_EXTENSIONS_DIR"))


def operators() -> Any | None:
    """Return torch.ops.gqa_native, or None where it cannot be used."""
    return torch.ops.gqa_native if problem() is None else None


def forget() -> None:
    """Look again, after a build."""
    _problem_in.cache_clear()


@lru_cache(maxsize=8)
def _problem_in(_root: str | None) -> str | None:
    try:
        folder = build_folder()
        if not folder.is_dir():
            others = any(folder.parent.glob("*/" + RECORD))
            return f"it is not built{' for this CPU, torch and source' if others else ''}: {HOW}"
    except OSError as error:
        return f"{error.filename} cannot be read ({error.strerror})"
    try:
        wanted = json.loads((folder / RECORD).read_text(encoding="utf-8"))["sha256"]
        found = hashlib.sha256((folder / LIBRARY).read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"its build in {folder} is damaged ({error}): {HOW}"
    if found != wanted:
        return f"its build in {folder} has changed since it was checked: {HOW}"
    return _load(folder / LIBRARY)


def _load(path: Path) -> str | None:
    if hasattr(getattr(torch.ops, NAME), "decode"):
        return None  # a second copy could not register the same names
    try:
        torch.ops.load_library(path)
    except (OSError, RuntimeError) as error:
        return f"its build {path} does not load ({str(error).splitlines()[0]}): {HOW}"
    return None


def build_folder() -> Path:
    """Return the folder of the build for this machine, which may not be there.

    It is in torch's cache of extensions, which `TORCH_EXTENSIONS_DIR` moves.
    """
    return _root() / NAME / _key()


def _root() -> Path:
    if chosen := os.environ.get("TORCH_EXTENSIONS_DIR"):
        return Path(chosen).expanduser().resolve()
    from torch._appdirs import user_cache_dir  # as torch.utils.cpp_extension, which loads slowly

    return Path(user_cache_dir("torch_extensions"))


def _key() -> str:
    parts = [path.read_text(encoding="utf-8") for path in SOURCES]
    parts += [torch.__version__, cpu_flags()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def cpu_flags() -> str:
    """Return the names of the CPU's instruction sets, or what is known of it elsewhere."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("flags", "Features"):
                return " ".join(sorted(value.split()))
    except OSError:
        pass
    return f"{platform.machine()} {platform.processor()}"
