"""Where a training run stands, kept so that it can be killed at any moment and go on."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gqa_lib.course.files import replace_file

WEIGHTS = "weights"  # of what describes a run: the digest of those that it started from


@dataclass
class State:
    """Where a run stands after a step.

    Args:
        step: that was done last; 0 is none.
        model: weights, as `nn.Module.state_dict` gives them.
        optimiser: what it keeps.
        rows: of the evaluations up to here.
        losses: of the steps since the last of them, in nats.
    """

    step: int = 0
    model: dict[str, Any] = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


def digest_of(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of weights, their names, dtypes and shapes included, in hexadecimal.

    Args:
        weights: as `nn.Module.state_dict` gives them.
    """
    known = hashlib.sha256()
    for name, one in weights.items():
        known.update(f"{name} {one.dtype} {tuple(one.shape)}".encode())
        known.update(one.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return known.hexdigest()


def save(path: Path, run: dict[str, Any], state: State) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        path: of the file; one that is there is replaced.
        run: what describes the run, ready for JSON.
        state: where it stands.
    """
    written = io.BytesIO()
    torch.save({"of": _text(run)} | vars(state), written)
    replace_file(path, written.getvalue())


def read(path: Path, run: dict[str, Any]) -> State:
    """Return where a run stands, its beginning if it was never kept.

    Args:
        path: of the file.
        run: what describes the run.

    Raises:
        ValueError: the file is of another run, or no checkpoint.
    """
    if not path.exists():
        return State()
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as trouble:  # torch raises whatever its reader stumbles over
        raise _no_checkpoint(path, str(trouble).partition("\n")[0]) from None
    if not isinstance(kept, dict) or kept.keys() != {"of", *vars(State())}:
        raise _no_checkpoint(path, "it has other contents")
    if kept["of"] != _text(run):
        was, now = json.loads(kept["of"]), json.loads(_text(run))
        name = next(one for one in was | now if was.get(one) != now.get(one))
        why = f"its {name} is {was.get(name)}, and here it is {now.get(name)}"
        if name == WEIGHTS:
            why = "it started from other weights"
        raise ValueError(
            f"{path} is of another run: {why}. To go on from it would mix them: choose another "
            "path, or remove it."
        )
    kept.pop("of")
    return State(**kept)


def _text(run: dict[str, Any]) -> str:
    return json.dumps(run, sort_keys=True)


def _no_checkpoint(path: Path, why: str) -> ValueError:
    return ValueError(f"{path} is no checkpoint of a run ({why}): choose another path.")
