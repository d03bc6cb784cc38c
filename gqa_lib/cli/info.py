"""What `gqa info` prints: versions, the device and its backends, or what a model keeps."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

import torch

from gqa_lib import __version__
from gqa_lib.course.extras import NAME
from gqa_lib.kernels import BACKENDS, Call, choose_backend
from gqa_lib.kernels.dispatch import check_backend, preset
from gqa_lib.kernels.native import library
from gqa_lib.measure import environment, pick_device

if TYPE_CHECKING:
    from gqa_lib.configs import ModelConfig

_SHAPE = (1, 32, 8, 4096, 128)  # B, Hq, Hkv, S, D of the decoding step that is asked about
_DTYPES = (torch.float32, torch.bfloat16)


def info(device: str | None = None) -> str:
    """Return the report, one line a fact.

    Args:
        device: where the work would run; None is $GQA_DEVICE, else the best there is.

    Raises:
        ValueError: that device is not there, or GQA_BACKEND names no backend.
    """
    told = facts(device)
    gpu = told["gpu"]
    shown = {
        NAME: told[NAME],
        **{name: told[name] or "not installed" for name in ("python", "torch", "triton", "numpy")},
        "system": told["system"],
        "cpu": f"{told['cpu_model']}, {told['cpu_count']} cores, {told['num_threads']} threads",
        "device": f"{told['device']} ({gpu['name']}, driver {gpu['driver']})"
        if gpu
        else told["device"],
        "native": told["native"],
    }
    lines = [f"{name:11} {value}" for name, value in shown.items()]
    return "\n".join([*lines, *(_backends(*one) for one in told["decoding"].items())])


def facts(device: str | None = None) -> dict[str, Any]:
    """Return what `info` says, ready for JSON.

    Args:
        device: as in `info`.

    Raises:
        ValueError: as in `info`.
    """
    try:
        check_backend(preset() or "auto")
    except ValueError as trouble:
        raise ValueError(f"GQA_BACKEND: {trouble}") from None
    place = pick_device(device)
    decoding = {str(dtype).removeprefix("torch."): _decoding(place, dtype) for dtype in _DTYPES}
    about = environment(place) | {"native": _native(), "decoding": decoding}
    return {NAME: _version()} | about


def _version() -> str:
    try:
        return metadata.version(NAME)
    except metadata.PackageNotFoundError:  # a copy that is on the path and not installed
        return __version__


def model_facts(name: str, bytes_per_element: float = 2, ranks: int = 1) -> dict[str, Any]:
    """Return what a model keeps, ready for JSON.

    Args:
        name: in the shipped table, or the path of a config.json or its folder.
        bytes_per_element: bytes of one cached number.
        ranks: that its heads are divided over; of more than one, what each holds is there too.

    Raises:
        FileNotFoundError: no such file.
        ValueError: as in `about_model`.
    """
    from gqa_lib import cost
    from gqa_lib.explore.card import CONTEXTS

    from .models import row_of

    config = _config(name)
    rows = [row_of(config, length, bytes_per_element) for length in CONTEXTS]
    of_a_length = ("context", "beyond_max_context", "kib_per_token", "gib")
    shape = {key: value for key, value in rows[0].items() if key not in of_a_length}
    contexts = [{key: one[key] for key in of_a_length} for one in rows]
    told = shape | {"notes": config.notes, "contexts": contexts}
    if ranks > 1:
        part = cost.rank_config(config, ranks)
        for one in contexts:
            held = cost.kv_cache_bytes(part, [one["context"]], bytes_per_element)
            one["rank_gib"] = held / 2**30
        told |= {"tensor_parallel": ranks, "sharing": cost.sharing(config, ranks)}
        told["bytes_sent_per_token_and_layer"] = cost.tensor_parallel_bytes(config, ranks)
    return told


def about_model(name: str, bytes_per_element: float = 2, ranks: int = 1) -> str:
    """Return what a model keeps, one line a fact.

    Args:
        name: in the shipped table, or the path of a config.json or its folder.
        bytes_per_element: bytes of one cached number.
        ranks: that its heads are divided over.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no such model, a config that is not understood, or heads that cannot be divided.
    """
    from gqa_lib.explore.card import card

    rows = card(_config(name), bytes_per_element, ranks=ranks)
    width = max(len(fact) for fact, _ in rows)
    return "\n".join(f"{fact:{width}}  {text}" for fact, text in rows)


def _config(name: str) -> ModelConfig:
    from gqa_lib.configs import from_hf_config, load_model
    from gqa_lib.configs.named import is_file

    return from_hf_config(name) if is_file(name) else load_model(name)


def _native() -> str:
    if reason := library.problem():
        return f"not used: {reason}"
    return f"built, in {library.build_folder()}"


def _decoding(place: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """What decodes one token, and why the other backends cannot."""
    B, Hq, Hkv, S, D = _SHAPE
    q = torch.empty(B, Hq, 1, D, dtype=dtype, device=place)
    k = torch.empty(B, Hkv, S, D, dtype=dtype, device=place)
    reasons = {name: one.unsupported(Call(q, k, k)) for name, one in BACKENDS.items()}
    return {
        "auto": choose_backend(q, k, k),
        "cannot": {n: why for n, why in reasons.items() if why},
    }


def _backends(dtype: str, decoding: dict[str, Any]) -> str:
    _, Hq, Hkv, S, _ = _SHAPE
    lines = [f"\nOne new token in {dtype}, {Hq} query heads over {Hkv} KV heads of {S} keys:"]
    for name, backend in BACKENDS.items():
        reason = decoding["cannot"].get(name)
        lines.append(f"  {name:11} {f'no: {reason}' if reason else backend.summary}")
    return "\n".join([*lines, f"  auto        {decoding['auto']}"])
