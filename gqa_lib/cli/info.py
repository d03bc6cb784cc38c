"""What `gqa info` prints: versions, the device and its backends, or what a model keeps."""

from importlib import metadata

import torch

from gqa_lib.kernels import BACKENDS, Call, choose_backend
from gqa_lib.kernels.native import library
from gqa_lib.measure import environment, pick_device

_SHAPE = (1, 32, 8, 4096, 128)  # B, Hq, Hkv, S, D of the decoding step that is asked about
_DTYPES = (torch.float32, torch.bfloat16)


def info(device: str | None = None) -> str:
    """Return the report, one line a fact.

    Args:
        device: where the work would run; None is $GQA_DEVICE, else the best there is.

    Raises:
        ValueError: that device is not there.
    """
    place = pick_device(device)
    about = environment(place)
    gpu = about["gpu"]
    facts = {
        "gqa-course": metadata.version("gqa-course"),
        **{name: about[name] or "not installed" for name in ("python", "torch", "triton", "numpy")},
        "system": about["system"],
        "cpu": f"{about['cpu_model']}, {about['cpu_count']} cores, {about['num_threads']} threads",
        "device": f"{place} ({gpu['name']}, driver {gpu['driver']})" if gpu else str(place),
        "native": _native(),
    }
    lines = [f"{name:11} {value}" for name, value in facts.items()]
    return "\n".join([*lines, *(_backends(place, dtype) for dtype in _DTYPES)])


def about_model(name: str, bytes_per_element: float = 2) -> str:
    """Return what a model keeps, one line a fact.

    Args:
        name: in the shipped table, or the path of a config.json or its folder.
        bytes_per_element: bytes of one cached number.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no such model, or a config that is not understood.
    """
    from gqa_lib.configs import from_hf_config, load_model
    from gqa_lib.configs.named import is_file
    from gqa_lib.explore.card import card

    rows = card(from_hf_config(name) if is_file(name) else load_model(name), bytes_per_element)
    width = max(len(fact) for fact, _ in rows)
    return "\n".join(f"{fact:{width}}  {text}" for fact, text in rows)


def _native() -> str:
    if reason := library.problem():
        return f"not used: {reason}"
    return f"built, in {library.build_folder()}"


def _backends(place, dtype) -> str:
    """Which backends can decode one token, and why the others cannot."""
    B, Hq, Hkv, S, D = _SHAPE
    q = torch.empty(B, Hq, 1, D, dtype=dtype, device=place)
    k = torch.empty(B, Hkv, S, D, dtype=dtype, device=place)
    name = str(dtype).removeprefix("torch.")
    lines = [f"\nOne new token in {name}, {Hq} query heads over {Hkv} KV heads of {S} keys:"]
    for backend in BACKENDS.values():
        reason = backend.unsupported(Call(q, k, k))
        lines.append(f"  {backend.name:11} {f'no: {reason}' if reason else backend.summary}")
    return "\n".join([*lines, f"  auto        {choose_backend(q, k, k)}"])
