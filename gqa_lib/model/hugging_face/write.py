"""Checkpoints written in the form of another one, whole or not at all."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from gqa_lib.arguments import check_kind, place_for
from gqa_lib.course.files import replace_file

from ..checks import in_dtype
from ..language_model import LanguageModel
from .read import check_folder
from .shards import DTYPES, INDEX, ONE, headers_in

# Not copied: weights in any form, which are those of before.
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx")


def save(
    model: LanguageModel,
    like: str | Path,
    target: str | Path,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Write a model in the form of the checkpoint that it was loaded from.

    Files, names and dtypes are those of that checkpoint; everything else than weights is copied.

    Args:
        model: of the same config.json; its weights may differ.
        like: folder of that checkpoint.
        target: folder that is made; it must not be there.
        about: what config.json is to say in addition, by its keys.

    Raises:
        FileNotFoundError: `like` is not there.
        OSError: a file cannot be written.
        ValueError: target or target.partial is there, the model is not of that config.json, or a
            weight is not finite in the dtype of that checkpoint.
    """
    check_kind(LanguageModel, "Give what load(folder) returned.", model=model)
    check_kind((str, Path), "Give the path of a folder.", like=like, target=target)
    source, target = Path(like), place_for(target, "target")
    check_new(target)
    checked = check_folder(source)
    weights = dict(model.named_parameters())
    expected = {name: one.shape for name, one in checked.model.named_parameters()}
    if {name: one.shape for name, one in weights.items()} != expected:
        raise ValueError(
            f"the model has other weights than config.json of {source} describes: they would not "
            "load. Give the checkpoint that the model was loaded from."
        )
    with new_folder(target) as partial:
        for file in sorted({header.file for header in checked.headers.values()}):
            made = {}
            for name, header in checked.headers.items():
                if header.file == file:
                    rows = checked.rows[name]
                    value = weights[rows.parameter][rows.start : rows.end].detach().cpu()
                    if (rows.offset, rows.scale) != (0, 1):
                        value = value.double() / rows.scale - rows.offset
                    made[name] = in_dtype(name, value, DTYPES[header.dtype])
            write_weights(made, partial / file.name, {"format": "pt"})
        write_others(source, partial)
        write_index(source, partial)
        shutil.copyfile(source / "config.json", partial / "config.json")
        if about:
            config = {**config_of(source), **about}
            replace_file(partial / "config.json", json.dumps(config, indent=2) + "\n")


def config_of(folder: Path) -> dict[str, Any]:
    """Return what a checkpoint's config.json says, as it is.

    Args:
        folder: of the checkpoint.
    """
    return json.loads((folder / "config.json").read_text(encoding="utf-8-sig"))


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Make a folder that is there whole, or not at all: what fails is removed.

    Args:
        target: the folder; meanwhile it is TARGET.partial, which is given.

    Raises:
        ValueError: one of the two is there.
    """
    partial = check_free(target)
    partial.mkdir(parents=True)
    try:
        yield partial
        os.rename(partial, target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def check_free(target: Path) -> Path:
    """Refuse a folder that cannot be made; return where it is written until it is complete.

    Raises:
        ValueError: it is there, or TARGET.partial.
    """
    check_new(target)
    partial = target.with_name(f"{target.name}.partial")
    if partial.exists():  # it may be an unfinished conversion
        raise ValueError(
            f"{partial} is there, where {target.name} is written until it is complete. Remove it, "
            "or choose another name."
        )
    return partial


def check_new(target: Path) -> None:
    """Refuse a folder that is there.

    Raises:
        ValueError: it is.
    """
    if target.exists() or target.is_symlink():
        raise ValueError(
            f"{target} is there already and is not overwritten: choose another name, or remove it."
        )


def write_weights(tensors: dict[str, Tensor], out: Path, metadata: dict[str, str] | None) -> None:
    """Write a safetensors file so that it is there whole, or not at all.

    Args:
        tensors: by their names, none of them a view of another.
        out: the file.
        metadata: of its header.

    Raises:
        OSError: it cannot be written, such as on a full disk.
    """
    part = out.with_name(f".{out.name}.part")
    part.touch()
    mode = part.stat().st_mode  # what the umask leaves; safetensors 0.8 lets only its owner read
    try:
        save_file(tensors, part, metadata)
    except SafetensorError as trouble:
        part.unlink(missing_ok=True)
        size = sum(one.nbytes for one in tensors.values())
        raise OSError(
            f"{out} cannot be written ({trouble}); it takes {size:,} bytes. Make room on that "
            "disk, then do the same again."
        ) from None
    os.chmod(part, mode)
    descriptor = os.open(part, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(part, out)


def write_others(source: Path, out: Path) -> None:
    """Copy a checkpoint's files, all but its weights, its index and config.json; no subfolders.

    Args:
        source: folder of the checkpoint.
        out: folder that the copies go to.
    """
    for file in sorted(source.iterdir()):
        if file.name.startswith(f"{out.name}."):  # where out lies inside of source
            continue
        weights = file.name.endswith((*_WEIGHTS, ".index.json"))
        if file.is_file() and not weights and file.name != "config.json":
            shutil.copyfile(file, out / file.name)


def write_index(source: Path, out: Path) -> None:
    """Write the index of several files of weights, where the source has one.

    Args:
        source: folder of a checkpoint with the same tensors in the same files.
        out: folder with the new files.
    """
    if (source / ONE).exists() or not (source / INDEX).exists():
        return
    index = json.loads((source / INDEX).read_text(encoding="utf-8-sig"))
    size = parameters = 0
    for file in set(index["weight_map"].values()):
        for header in headers_in(out / file).values():
            count = math.prod(header.shape)
            parameters += count
            size += count * int(re.sub(r"\D", "", header.dtype) or 8) // 8
    metadata = index.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    for name, now in (("total_size", size), ("total_parameters", parameters)):
        if name in metadata or name == "total_size":
            metadata[name] = now
    replace_file(out / INDEX, json.dumps(index | {"metadata": metadata}, indent=2) + "\n")
