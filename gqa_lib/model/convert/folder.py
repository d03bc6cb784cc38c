"""Checkpoint folders with fewer KV heads, written shard by shard, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import safe_open
from torch import Tensor

from gqa_lib.arguments import check_kind, place_for
from gqa_lib.course.files import replace_file

from ..hugging_face.read import Checked, check_folder
from ..hugging_face.write import check_new, config_of, write_index, write_others, write_weights
from .pool import TURNING, check_fewer
from .weights import Conversion, checked_moments, rotary_dims

CONVERSION = "gqa_conversion"  # in config.json
HISTORY = (CONVERSION, "gqa_uptraining")  # the other one is of `uptrain`


def convert_checkpoint(
    source: str | Path,
    target: str | Path,
    num_kv_heads: int,
    method: str = "subspace",
    *,
    regroup: bool = False,
    moments: Sequence[Tensor] | None = None,
    seed: int = 0,
    calibration: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a checkpoint with fewer KV heads, a folder that transformers and `load` read.

    It is written as TARGET.partial next to TARGET, a file at a time, and renamed when it is
    complete: who is stopped, whenever, goes on with the same call. Memory is needed for a file of
    the source and about four times one layer's attention in float64: measured were 230 MiB for
    files of 94 MiB with d_model 1024, and 280 MiB for one file of 302 MiB. Everything else than
    weights is copied from the source's folder, but not its subfolders.

    Args:
        source: folder of a checkpoint that `load` reads.
        target: folder that is made; it must not be there.
        num_kv_heads, method, regroup, moments, seed: as in `convert_state_dict`.
        calibration: what the moments are of, such as the digest of a text, for config.json.

    Returns:
        What config.json says of the conversion, under "gqa_conversion": how, of which weights
        (the SHA-256 of the source's safetensors files, one after the other by name), and under
        "before" what was done to the source.

    Raises:
        FileNotFoundError: the source is not there.
        OSError: a file cannot be written.
        ValueError: target is there or is being written, target.partial is of another conversion,
            `load` refuses the source, a weight is not finite, or the KV heads cannot become so
            many.
    """
    check_kind((str, Path), "Give the path of a folder.", source=source)
    source, target = Path(source), place_for(target, "target")
    conversion = Conversion(num_kv_heads, method, regroup, seed)
    checked = check_folder(source)
    config = checked.description.config
    there = config.num_kv_heads
    check_fewer(there, conversion.num_kv_heads)
    known = checked_moments(moments, config.num_layers, config.d_model + 1)
    if there == conversion.num_kv_heads:
        raise ValueError(f"{source} has {there} KV heads already: there is nothing to convert.")
    check_new(target)
    calibrated = dict(calibration) if calibration else moments is not None
    about = _provenance(source, checked, conversion, calibrated)
    partial = target.with_name(f"{target.name}.partial")
    with _own(partial, target, _state(checked, about, known)):
        files = sorted({header.file for header in checked.headers.values()})
        for file in files:
            if not (partial / file.name).exists():
                _write_file(file, partial / file.name, checked, conversion, known)
        write_others(source, partial)
        write_index(source, partial)
        about["source_weights_sha256"] = _sha256(files)
        changed = config_of(source)
        if before := {name: changed.pop(name) for name in HISTORY if name in changed}:
            about["before"] = before
        changed |= {"num_key_value_heads": conversion.num_kv_heads, CONVERSION: about}
        replace_file(partial / "config.json", json.dumps(changed, indent=2) + "\n")
        os.rename(partial, target)
    return about


def _write_file(
    file: Path,
    out: Path,
    checked: Checked,
    conversion: Conversion,
    moments: Sequence[Tensor | None],
) -> None:
    """Write one file of weights; its attention may need tensors of other files."""
    pattern = re.compile(re.escape(checked.prefix) + r"layers\.(\d+)\.self_attn\.(.+)")
    made: dict[str, Tensor] = {}
    layer, converted = -1, dict[str, Tensor]()
    with safe_open(file, "pt") as opened:
        for name in sorted(opened.keys()):  # those of a layer follow each other
            found = pattern.fullmatch(name) if name in checked.headers else None
            if found is None:
                made[name] = opened.get_tensor(name)
                continue
            if int(found[1]) != layer:
                layer = int(found[1])
                converted = _layer(layer, checked, conversion, moments)
            made[name] = converted[found[2]]
        metadata = opened.metadata()
    write_weights(made, out, metadata)


def _layer(
    number: int, checked: Checked, conversion: Conversion, moments: Sequence[Tensor | None]
) -> dict[str, Tensor]:
    """A layer's attention, converted, by names such as "k_proj.weight"."""
    prefix = f"{checked.prefix}layers.{number}.self_attn."
    weights = {}
    for name, header in checked.headers.items():
        if name.startswith(prefix):
            with safe_open(header.file, "pt") as opened:
                weights[name.removeprefix(prefix)] = opened.get_tensor(name)
    description = checked.description
    try:
        return conversion.layer(
            weights,
            number,
            description.config.num_heads,
            description.config.head_dim,
            rotary_dims(description.config, description.variant)[number],
            moments[number],
        )
    except ValueError as refused:
        name = prefix + str(refused).partition(" ")[0]  # a message begins with that of the weight
        where = f"{checked.headers[name].file}: " if name in checked.headers else ""
        raise ValueError(f"{where}{prefix}{refused}") from None


def _provenance(
    source: Path, checked: Checked, conversion: Conversion, calibrated: dict[str, Any] | bool
) -> dict[str, Any]:
    from gqa_lib import __version__

    about = {"gqa_lib": __version__, "from_num_kv_heads": checked.description.config.num_kv_heads}
    about |= asdict(conversion) | {"calibrated": calibrated}
    if conversion.method in TURNING and checked.description.variant.qk_norm:
        about["keys"] = "only signs turned: they are normalised after their projection"
    digest = hashlib.sha256((source / "config.json").read_bytes()).hexdigest()
    return about | {"source_config_sha256": digest}


def files_of(checked: Checked) -> dict[str, list[int]]:
    """Return the size and the time of change of each of a checkpoint's files of weights.

    Args:
        checked: the checkpoint.
    """
    files = {}
    for header in checked.headers.values():
        found = header.file.stat()
        files[header.file.name] = [found.st_size, found.st_mtime_ns]
    return files


def _sha256(files: Sequence[Path]) -> str:
    """Of the contents of files, one after the other."""
    known = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while piece := opened.read(2**22):
                known.update(piece)
    return known.hexdigest()


def _state(
    checked: Checked, about: dict[str, Any], moments: Sequence[Tensor | None]
) -> dict[str, Any]:
    """What a conversion is of: only the same one goes on from what is there."""
    known = hashlib.sha256()
    for one in moments:
        if one is not None:
            known.update(one.detach().cpu().numpy().tobytes())
    return about | {"files": files_of(checked), "moments": known.hexdigest()}


@contextmanager
def _own(partial: Path, target: Path, state: dict[str, Any]) -> Iterator[None]:
    """Have the unfinished folder to oneself, and make sure that it is of this conversion.

    What it is of stands next to it, until it is complete. It is removed where nothing of it can be
    used: after a refusal, and while it is empty.
    """
    partial.parent.mkdir(parents=True, exist_ok=True)
    file, lock = (partial.with_name(f"{partial.name}.{end}") for end in ("json", "lock"))
    try:
        with FileLock(lock, timeout=0):
            check_new(target)  # another process may just have made it
            if partial.exists():
                _check_same(partial, file, state)
                for half in partial.glob(".*.part"):  # of a process that was killed
                    half.unlink()
            else:
                replace_file(file, json.dumps(state))
                partial.mkdir()
            try:
                yield
            except BaseException as trouble:
                if isinstance(trouble, ValueError) or not any(partial.glob("[!.]*")):
                    shutil.rmtree(partial, ignore_errors=True)
                    file.unlink()
                    lock.unlink()
                raise
            file.unlink()
            lock.unlink()
    except Timeout:
        raise ValueError(
            f"{partial} is being written by another process: wait for it, or choose another name."
        ) from None


def _check_same(partial: Path, file: Path, state: dict[str, Any]) -> None:
    try:
        was = json.loads(file.read_text())
    except (OSError, ValueError) as trouble:
        raise _other(partial, f"{file.name} does not say of which: {trouble}") from None
    for name, wanted in state.items():
        if was.get(name) != wanted:
            raise _other(partial, f"its {name} is {was.get(name)!r:.80}, and here {wanted!r:.80}")


def _other(partial: Path, why: str) -> ValueError:
    return ValueError(
        f"{partial} is of another conversion ({why}): its files would be mixed with this one's. "
        "Remove it, or choose another name."
    )
