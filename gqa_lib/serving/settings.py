"""What a scenario's settings may be, and which go together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gqa_lib.arguments import check_choice, check_kind, check_number, check_whole
from gqa_lib.configs import ModelConfig
from gqa_lib.configs.hugging_face.files import load
from gqa_lib.configs.named import is_file
from gqa_lib.hardware import Hardware

from .parallel import Link

KV_CACHE_DTYPES = {"auto": 2, "bfloat16": 2, "float16": 2, "fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1}
_EFFICIENCIES = "bandwidth_efficiency", "flops_efficiency"
_SHARES = *_EFFICIENCIES, "gpu_memory_utilization"


def check_settings(given: Mapping[str, Any]) -> None:
    """Refuse settings that are out of range or do not go together.

    Args:
        given: the settings of a `Scenario` by their names.

    Raises:
        ValueError: they are, or nothing says how long a step takes.
    """
    check_choice(tuple(KV_CACHE_DTYPES), kv_cache_dtype=given["kv_cache_dtype"])
    check_kind(Link, "Give Link(bytes_per_s, latency_s).", link=given["link"])
    check_whole(tensor_parallel=given["tensor_parallel"])
    check_number(0, overhead_s=given["overhead_s"])
    if given["activation_bytes"] is not None:
        check_number(0, activation_bytes=given["activation_bytes"])
    for name in ("num_kv_heads", "num_blocks"):
        if given[name] is not None:
            check_whole(**{name: given[name]})
    for name in _SHARES:
        value = given[name]
        check_number(above=0, **{name: value})
        if value > 1:
            raise ValueError(
                f"{name}={value} is a share: above 1 there would be more than all. Give 0 to 1."
            )
    if given["hardware"] is not None:
        how = "Give the name of a data sheet, or Hardware(...)."
        check_kind((str, Hardware), how, hardware=given["hardware"])
    if given["model"] is None and not isinstance(given["kernel_times"], str):
        raise ValueError("model=None: give a name, a config.json or a ModelConfig.")
    _check_times(given)
    _check_parameters(given)


def _check_times(given: Mapping[str, Any]) -> None:
    """Refuse step times that are not there, and settings that do not change them."""
    times = given["kernel_times"]
    if times is None:
        if given["hardware"] is None:
            raise ValueError(
                "neither hardware nor kernel_times: nothing says how long a step takes. Give "
                "hardware, such as 'RTX 4090', or kernel_times."
            )
        if given["skew"]:
            raise ValueError(
                f"skew={given['skew']} without kernel_times: two ceilings add up the cached tokens "
                "of all sequences, however unlike they are. Leave it out, or give kernel_times."
            )
        return
    for name in _EFFICIENCIES:
        if given[name] != 1:
            raise ValueError(
                f"{name}={given[name]} with kernel_times: measured kernels have no "
                "ceiling that it could be a share of. Leave one of the two out."
            )
    if isinstance(times, Path) or not hasattr(times, "__len__"):
        raise ValueError(
            f"kernel_times={times!r} is one thing: a step is attention, the other layers, and what "
            "runs for chosen tokens. Give those three CSV files, or the name of an engine."
        )


def _check_parameters(given: Mapping[str, Any]) -> None:
    """Refuse weights whose size is not known, or not that of the timed ones."""
    size, model, times = (given[name] for name in ("bytes_per_parameter", "model", "kernel_times"))
    if size is not None:
        check_number(above=0, bytes_per_parameter=size)
        if isinstance(times, str) and size != 2:
            raise ValueError(
                f"bytes_per_parameter={size} with the kernels of {times}, which were "
                "timed with 2 bytes a parameter: others take another time. Leave one out."
            )
    elif model is not None and not isinstance(model, ModelConfig) and is_file(str(model)):
        for part in _parts(str(model)):
            if (how := part.get("quantization_config")) is None:
                continue
            method = how.get("quant_method", how) if isinstance(how, dict) else how
            raise ValueError(
                f"{model}: quantization_config says {method}, so that parameters have other than 2 "
                "bytes, and how many is not known here. Give bytes_per_parameter "
                "(--bytes-per-parameter): the size of the checkpoint's files over its parameters, "
                "about 1 for fp8; or 2 for weights that are served in bfloat16."
            )


def _parts(source: str) -> list[dict]:
    """A config.json, and the objects in it: a model's text part may be one of them."""
    outer = dict(load(source)[0])
    return [outer, *(part for part in outer.values() if isinstance(part, dict))]
