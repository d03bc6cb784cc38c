"""Loads a checkpoint: its config.json, then the headers of its files, then weight by weight."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open

from gqa_lib.arguments import check_kind

from ..language_model import LanguageModel
from .config import Description, read_config
from .names import Rows, rows_of
from .shards import DTYPES, Header, check_is_file, headers_of, in_a_line

_HEAD, _EMBEDDING = "lm_head.weight", "embed_tokens.weight"
_HARMLESS = "rotary_emb.inv_freq"  # worked out from config.json
_ROWS = 4096  # compared at a time
_COMPUTED = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def load(
    path: str | Path,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> LanguageModel:
    """Return the model in a folder as Hugging Face transformers saves it, with its weights.

    Everything is checked before the first weight is read: each key of config.json is understood
    or has no effect on what a trained model computes, and the tensors are exactly the model's, in
    their shapes. Memory is needed for the model and for one of its files.

    Args:
        path: of the folder with config.json and either model.safetensors or
            model.safetensors.index.json and the files that it names. Nothing is downloaded.
        dtype: of the model's weights; None is what config.json says, else that of the tensors.
        device: on which they are put; None is torch's default.

    Raises:
        FileNotFoundError: the folder or one of its files is missing.
        ValueError: a key, a file or a tensor is not supported or not as it should be; the message
            names it. Or a weight is too large for dtype.
    """
    check_kind((str, Path), "Give the path of a folder.", path=path)
    checked = check_folder(Path(path), dtype)
    model = checked.model
    _allocate(model, device or torch.get_default_device())
    _copy(model, checked.headers, checked.rows)
    return model


class Checked(NamedTuple):
    """A checkpoint that can be loaded.

    Attributes:
        model: on "meta", without its weights.
        description: what its config.json says.
        prefix: of its tensors' names.
        headers: its tensors, those that are weights of the model.
        rows: what each of them is in the model.
    """

    model: LanguageModel
    description: Description
    prefix: str
    headers: dict[str, Header]
    rows: dict[str, Rows]


def check_folder(folder: Path, dtype: torch.dtype | None = None) -> Checked:
    """Return what a checkpoint is, checked before any weight is read.

    Args:
        folder: of the checkpoint.
        dtype: as in `load`.

    Raises:
        FileNotFoundError: as in `load`.
        ValueError: as in `load`.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is not a folder: a checkpoint is read from one on this disk, and nothing is "
            "downloaded. Give the folder that holds config.json."
        )
    if dtype is not None and dtype not in _COMPUTED:
        raise ValueError(
            f"dtype={dtype!r}: a model computes with fractions. Pass one of "
            f"{', '.join(map(str, _COMPUTED))}, or None for that of the files."
        )
    check_is_file(folder / "config.json")
    description = read_config(folder / "config.json")
    headers = headers_of(folder)
    if description.config.num_layers > len(headers):  # before so many are made
        raise ValueError(
            f"{folder}: config.json has {description.config.num_layers} layers, and the files hold "
            f"{len(headers)} tensors. Is it the config.json of these weights?"
        )
    prefix = "model." if any(name.startswith("model.") for name in headers) else ""
    dtype = dtype or description.dtype or _dtype_of(headers)
    model = LanguageModel(description.config, description.variant, device="meta", dtype=dtype)
    rows = rows_of(model, description, prefix)
    head = headers.pop(_HEAD, None) if description.variant.tied else None
    headers = {name: one for name, one in headers.items() if not name.endswith(_HARMLESS)}
    _check_names(folder, headers, rows)
    for name, header in headers.items():
        _check_tensor(name, header, rows[name])
    if head:
        _check_head_is_embedding(head, headers[f"{prefix}{_EMBEDDING}"], f"{prefix}{_EMBEDDING}")
    return Checked(model, description, prefix, headers, rows)


def _check_names(folder: Path, headers: dict[str, Header], rows: dict[str, Rows]) -> None:
    missing, extra = sorted(rows.keys() - headers.keys()), sorted(headers.keys() - rows.keys())
    if missing == [_HEAD]:
        raise ValueError(
            f"{folder}: {_HEAD} is missing, and tie_word_embeddings is false: the model would have "
            "an output head of random numbers. If its head is its input embedding, set "
            "tie_word_embeddings to true in config.json."
        )
    if missing:
        raise ValueError(
            f"{folder}: {in_a_line(missing[0])} is missing from its files, one of "
            f"{len(missing)} such tensors: the model cannot be computed without. Is it the "
            "config.json of these weights?"
        )
    if extra:
        raise ValueError(
            f"{headers[extra[0]].file}: {in_a_line(extra[0])} is not a weight of this model, one "
            f"of {len(extra)} such tensors: what it should change is not known. Is it the "
            "config.json of these weights?"
        )


def _check_tensor(name: str, header: Header, rows: Rows) -> None:
    if header.shape != rows.shape:
        raise ValueError(
            f"{header.file}: {name} has shape {header.shape} and should have {rows.shape} by "
            "config.json. Is it the config.json of these weights?"
        )
    if header.dtype not in DTYPES:
        raise ValueError(
            f"{header.file}: {name} is of type {header.dtype}: only {', '.join(DTYPES)} are read, "
            "and quantised weights are not. Choose a checkpoint in one of those."
        )


def _check_head_is_embedding(head: Header, embedding: Header, name: str) -> None:
    """The head that a tied model has of its own is left out, so it must say the same."""
    same = head.shape == embedding.shape and head.dtype == embedding.dtype
    if same:
        with safe_open(head.file, "pt") as one, safe_open(embedding.file, "pt") as other:
            pair = one.get_slice(_HEAD), other.get_slice(name)
            starts = range(0, head.shape[0], _ROWS)
            same = all(torch.equal(*(part[at : at + _ROWS] for part in pair)) for at in starts)
    if not same:
        raise ValueError(
            f"{head.file}: {_HEAD} differs from the input embedding, and tie_word_embeddings is "
            "true: one of the two is wrong. If the head is its own, set tie_word_embeddings to "
            "false in config.json."
        )


def _dtype_of(headers: dict[str, Header]) -> torch.dtype:
    """That of the tensors, float32 where they have several."""
    found = {DTYPES[one.dtype] for one in headers.values() if one.dtype in DTYPES}
    return found.pop() if len(found) == 1 else torch.float32


def _allocate(model: LanguageModel, device: torch.device | str) -> None:
    """Give the weights of a model on "meta" their memory, a tied head none of its own."""
    if model.variant.tied:
        model.head.register_parameter("weight", None)
    model.to_empty(device=device)
    if model.variant.tied:
        model.head.weight = model.embedding.weight


@torch.no_grad()
def _copy(model: LanguageModel, headers: dict[str, Header], rows: dict[str, Rows]) -> None:
    """Copy every tensor to its place, file by file: a file that is closed needs no memory."""
    names = defaultdict(list)
    for name, one in headers.items():
        names[one.file].append(name)
    parameters = dict(model.named_parameters())
    for file, inside in names.items():
        with safe_open(file, "pt") as opened:
            for name in inside:
                at, value = rows[name], opened.get_tensor(name)
                if (at.offset, at.scale) != (0, 1):
                    value = (value.double() + at.offset) * at.scale  # rounded once, by the copy
                place = parameters[at.parameter][at.start : at.end]
                _check_range(file, name, value, place.dtype)
                place.copy_(value)


def _check_range(file: Path, name: str, value: torch.Tensor, dtype: torch.dtype) -> None:
    """Raise ValueError if a weight would become infinite in a dtype that reaches less far."""
    most = torch.finfo(dtype).max
    if dtype != torch.float16 or value.dtype == dtype or not value.numel():
        return  # bfloat16 reaches as far as float32
    largest = max(abs(float(one)) for one in value.aminmax())
    if most < largest < float("inf"):
        raise ValueError(
            f"{file}: {in_a_line(name)} has a weight of {largest:.4g}, and {dtype} ends at "
            f"{most:.0f}: it would be infinite. Pass dtype=torch.bfloat16 or torch.float32."
        )
