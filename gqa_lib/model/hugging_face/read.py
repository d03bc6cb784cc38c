"""Loads a checkpoint: its config.json, then the headers of its files, then weight by weight."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import torch
from safetensors import safe_open

from ..language_model import LanguageModel
from .config import read_config
from .names import Rows, rows_of
from .shards import DTYPES, Stored, stored_tensors

_HEAD, _EMBEDDING = "lm_head.weight", "embed_tokens.weight"
_HARMLESS = "rotary_emb.inv_freq"  # worked out from config.json
_ROWS = 4096  # compared at a time


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
            names it.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is not a folder: a checkpoint is read from one on this disk, and nothing is "
            "downloaded. Give the folder that holds config.json."
        )
    if dtype is not None and not dtype.is_floating_point:
        raise ValueError(f"dtype={dtype}: weights are fractions. Pass torch.bfloat16 or float32.")
    description = read_config(folder / "config.json")
    stored = stored_tensors(folder)
    prefix = "model." if any(name.startswith("model.") for name in stored) else ""
    dtype = dtype or description.dtype or _dtype_of(stored)
    model = LanguageModel(description.config, description.variant, device="meta", dtype=dtype)
    rows = rows_of(model, description, prefix)
    if description.variant.tied and _HEAD in stored:
        _check_head_is_embedding(stored[_HEAD], stored.get(f"{prefix}{_EMBEDDING}"), prefix)
        del stored[_HEAD]
    stored = {name: one for name, one in stored.items() if not name.endswith(_HARMLESS)}
    _check_names(folder, stored, rows)
    for name, one in stored.items():
        _check_tensor(name, one, rows[name])
    _allocate(model, device or torch.get_default_device())
    _copy(model, stored, rows)
    return model


def _check_names(folder: Path, stored: dict[str, Stored], rows: dict[str, Rows]) -> None:
    missing, extra = sorted(rows.keys() - stored.keys()), sorted(stored.keys() - rows.keys())
    if missing == [_HEAD]:
        raise ValueError(
            f"{folder}: {_HEAD} is missing, and tie_word_embeddings is false: the model would have "
            "an output head of random numbers. If its head is its input embedding, set "
            "tie_word_embeddings to true in config.json."
        )
    if missing:
        raise ValueError(
            f"{folder}: {missing[0]} is missing from its files, one of {len(missing)} such "
            "tensors: the model cannot be computed without. Is it the config.json of these weights?"
        )
    if extra:
        raise ValueError(
            f"{stored[extra[0]].file}: {extra[0]} is not a weight of this model, one of "
            f"{len(extra)} such tensors: what it should change is not known. Is it the config.json "
            "of these weights?"
        )


def _check_tensor(name: str, stored: Stored, rows: Rows) -> None:
    if stored.shape != rows.shape:
        raise ValueError(
            f"{stored.file}: {name} has shape {stored.shape} and should have {rows.shape} by "
            "config.json. Is it the config.json of these weights?"
        )
    if stored.dtype not in DTYPES:
        raise ValueError(
            f"{stored.file}: {name} is of type {stored.dtype}: only {', '.join(DTYPES)} are read, "
            "and quantised weights are not. Choose a checkpoint in one of those."
        )


def _check_head_is_embedding(head: Stored, embedding: Stored | None, prefix: str) -> None:
    """The head that a tied model has of its own is left out, so it must say the same."""
    if embedding is None:
        return  # which is then missing
    same = head.shape == embedding.shape and head.dtype == embedding.dtype
    if same:
        with safe_open(head.file, "pt") as one, safe_open(embedding.file, "pt") as other:
            pair = one.get_slice(_HEAD), other.get_slice(f"{prefix}{_EMBEDDING}")
            starts = range(0, head.shape[0], _ROWS)
            same = all(torch.equal(*(part[at : at + _ROWS] for part in pair)) for at in starts)
    if not same:
        raise ValueError(
            f"{head.file}: {_HEAD} differs from the input embedding, and tie_word_embeddings is "
            "true: one of the two is wrong. If the head is its own, set tie_word_embeddings to "
            "false in config.json."
        )


def _dtype_of(stored: dict[str, Stored]) -> torch.dtype:
    """That of the tensors, float32 where they have several."""
    found = {DTYPES[one.dtype] for one in stored.values() if one.dtype in DTYPES}
    return found.pop() if len(found) == 1 else torch.float32


def _allocate(model: LanguageModel, device: torch.device | str) -> None:
    """Give the weights of a model on "meta" their memory, a tied head none of its own."""
    if model.variant.tied:
        model.head.register_parameter("weight", None)
    model.to_empty(device=device)
    if model.variant.tied:
        model.head.weight = model.embedding.weight


@torch.no_grad()
def _copy(model: LanguageModel, stored: dict[str, Stored], rows: dict[str, Rows]) -> None:
    """Copy every tensor to its place, file by file: a file that is closed needs no memory."""
    names = defaultdict(list)
    for name, one in stored.items():
        names[one.file].append(name)
    parameters = dict(model.named_parameters())
    for file, inside in names.items():
        with safe_open(file, "pt") as opened:
            for name in inside:
                at, value = rows[name], opened.get_tensor(name)
                if (at.offset, at.scale) != (0, 1):
                    value = (value.double() + at.offset) * at.scale  # rounded once, by the copy
                parameters[at.parameter][at.start : at.end].copy_(value)
