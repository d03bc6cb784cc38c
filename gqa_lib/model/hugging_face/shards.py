"""The safetensors files of a checkpoint, checked by their headers before any weight is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

ONE, INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}


@dataclass(frozen=True)
class Header:
    """A tensor in a file: where it is, and what its header says."""

    file: Path
    shape: tuple[int, ...]
    dtype: str


def headers_of(folder: Path) -> dict[str, Header]:
    """Return the tensors of a checkpoint by their names, from the headers of its files.

    As in transformers, a single model.safetensors takes precedence over an index of several.

    Args:
        folder: that of the checkpoint. Its files may be links to others, as in a cache of
            Hugging Face's.

    Raises:
        FileNotFoundError: there are no such files, or one that the index names is missing.
        ValueError: a file or the index is not what it should be; the message names it.
    """
    if (folder / ONE).exists():
        return headers_in(folder / ONE)
    if not (folder / INDEX).exists():
        raise _nothing_to_load(folder)
    files = _index(folder / INDEX)
    headers: dict[str, Header] = {}
    for file in sorted(set(files.values())):
        if not (folder / file).exists():
            raise FileNotFoundError(
                f"{folder / file} is missing, and {INDEX} says that it holds "
                f"{sum(one == file for one in files.values())} tensors. Download it again."
            )
        inside = headers_in(folder / file)
        expected = {name for name, one in files.items() if one == file}
        for name in sorted(expected ^ inside.keys()):
            where = "is not in it" if name in expected else f"is in it and not in {INDEX}"
            raise ValueError(
                f"{folder / file}: {in_a_line(name)} {where}: the files are not of one "
                "checkpoint. Download them again."
            )
        headers |= inside
    return headers


def check_is_file(path: Path) -> None:
    """Raise ValueError for what is there and is not a file: opening a pipe would wait forever.

    A file that is missing is left to whatever reads it.
    """
    if path.exists() and not path.is_file():
        raise ValueError(
            f"{path} is not a file: a checkpoint is read from files. Put its own in that place."
        )


def in_a_line(name: str) -> str:
    """Return a name as a message can show it: short, without line breaks and the like."""
    shown = repr(name)[1:-1]
    return shown if len(shown) <= 100 else f"{shown[:100]}..."


def headers_in(file: Path) -> dict[str, Header]:
    """Return the tensors of a safetensors file by their names, from its header.

    Raises:
        ValueError: it cannot be read, or is no file.
    """
    check_is_file(file)
    try:
        with safe_open(file, "pt") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
            return {
                name: Header(file, tuple(one.get_shape()), str(one.get_dtype()))
                for name, one in slices.items()
            }
    except (SafetensorError, OSError) as trouble:
        raise ValueError(
            f"{file} cannot be read as safetensors: {trouble}. It may be cut off or damaged: "
            "download it again."
        ) from None


def _index(path: Path) -> dict[str, str]:
    """The file that holds each tensor, by the tensor's name."""
    check_is_file(path)
    try:
        parsed = json.loads(path.read_text(encoding="utf-8-sig"))
        files = parsed["weight_map"]
    except (OSError, ValueError, RecursionError, TypeError, KeyError) as trouble:
        raise ValueError(
            f"{path} has no weight_map that says which file holds which tensor "
            f"({type(trouble).__name__}: {trouble}). Download it again."
        ) from None
    if not isinstance(files, Mapping) or not files:
        raise ValueError(f"{path}: weight_map={str(files)[:60]} names no tensors.")
    for name, file in files.items():
        plain = isinstance(file, str) and file.endswith(".safetensors") and len(file) < 256
        if not plain or not file.isprintable() or any(mark in file for mark in "/\\:"):
            raise ValueError(
                f"{path}: {in_a_line(name)} is in {file!r:.100}, which is not the name of a "
                ".safetensors file in the checkpoint's own folder: no others are opened."
            )
    return dict(files)


def _nothing_to_load(folder: Path) -> Exception:
    pickles = [name for name in _PICKLES if (folder / name).exists()]
    if not pickles:
        return FileNotFoundError(
            f"{folder} has neither {ONE} nor {INDEX}: there are no weights to load."
        )
    return ValueError(
        f"{folder / pickles[0]}: weights in pickle files are not loaded, because opening one runs "
        "whatever code it holds. If you trust it, convert it with transformers: "
        f"AutoModelForCausalLM.from_pretrained({str(folder)!r}).save_pretrained(...)."
    )
