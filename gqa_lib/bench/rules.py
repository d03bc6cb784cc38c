"""What the parameters of benchmarks must be: one rule for each name, whichever notebook has it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gqa_lib.heads import check_heads

if TYPE_CHECKING:
    from gqa_lib.configs import ModelConfig

# Whole numbers: the least and the most.
_SIZE, _HEADS = (1, 2**40), (1, 2**16)
_WHOLE = {
    "batch_size": _SIZE,
    "block_size": (1, 2**20),
    "context": _SIZE,
    "d_ff": _SIZE,
    "d_model": _SIZE,
    "engine_requests": (1, 10**6),
    "head_dim": _HEADS,
    "linear_tokens": _SIZE,
    "max_num_batched_tokens": _SIZE,
    "max_num_seqs": _SIZE,
    "num_attributes": _HEADS,
    "num_heads": _HEADS,
    "num_kv_heads": _HEADS,
    "num_layers": (1, 10_000),
    "num_records": _HEADS,
    "num_requests": (1, 10**6),
    "num_seeds": (2, 10**6),
    "num_values": _HEADS,
    "output_length": _SIZE,
    "prompt_length": _SIZE,
    "quiet_samples": (0, 10**6),
    "rounds": (1, 10**6),
    "seed": (0, 2**63 - 1),
    "steps": (1, 10**9),
    "uptraining_steps": (1, 10**9),
    "vocab_size": _SIZE,
    "workers": (1, 10**4),
}
_SHARE = "a share above 0, up to 1"
_NUMBERS = {
    "activation_gib": "GiB above 0",
    "bandwidth_efficiency": _SHARE,
    "budget_s": "seconds, 0 or more",
    "burstiness": "a number above 0",
    "engine_kv_mib": "MiB above 0",
    "flops_efficiency": _SHARE,
    "gpu_memory_utilization": _SHARE,
    "length_scale": "a number above 0",
    "lr": "a number above 0",
    "margin": "a number above 0",
    "memory_gib": "GiB above 0",
    "overflow": _SHARE,
    "request_rate": "requests a second above 0",
}
_COMPUTED = ("float32", "bfloat16", "float16")
_STORED = (*_COMPUTED, "float64", "float8_e4m3fn", "float8_e5m2", "int8", "uint8")


@dataclass(frozen=True)
class Parameter:
    """A parameter of a benchmark notebook.

    Attributes:
        name: what it is called.
        default: its value unless another is given.
        kind: its type, as the notebook has it.
        help: what it means, in a few words.
    """

    name: str
    default: Any
    kind: str
    help: str


def as_list(value: Any) -> list:
    """Return a sweep's values: a list as it is, one value as a list of it."""
    return value if isinstance(value, list) else [value]


def check_value(known: Parameter, value: Any) -> None:
    """Make sure that a value can be measured with.

    Args:
        known: the parameter.
        value: what was given for it; a parameter whose default is a list takes one value, too.

    Raises:
        ValueError: it cannot; the message says what can.
    """
    if not (_fits(value, known.default) or _allowed(value, known.kind)):
        raise ValueError(
            f"{known.name}={value!r} does not fit: its default is {known.default!r}"
            f"{f', of type {known.kind}' if known.default is None else ''}{_meaning(known)}."
        )
    if isinstance(known.default, list):
        if not as_list(value) and known.default:
            raise ValueError(f"{known.name}=[] leaves nothing to measure: give a value or more.")
        alike = [one for n, one in enumerate(as_list(value)) if one in as_list(value)[:n]]
        if alike:
            raise ValueError(f"{known.name}={value!r} has {alike[0]!r} twice: give it once.")
    for one in as_list(value):
        if wanted := _wanted(known, one):
            shown = f"{one!r} in it" if isinstance(value, list) else "it"
            raise ValueError(
                f"{known.name}={value!r} cannot be measured with: {shown} is not {wanted}"
                f"{_meaning(known)}."
            )


def check_together(values: Mapping[str, Any]) -> None:
    """Make sure that the values fit each other.

    Args:
        values: of all parameters of a benchmark, by name.

    Raises:
        ValueError: heads do not divide, or a size suits no model.
    """
    if "num_heads" in values:
        for kv in as_list(values.get("num_kv_heads", [])):
            check_heads(values["num_heads"], kv)
    if "uptraining_steps" in values and values["num_kv_heads"] == values["num_heads"]:
        raise ValueError(
            f"num_kv_heads={values['num_kv_heads']} is num_heads: nothing would be converted. Give "
            "fewer KV heads."
        )
    if "num_layers" in values and values["head_dim"] % 2:
        raise ValueError(
            f"head_dim={values['head_dim']} is odd: a model rotates channels in pairs (RoPE). "
            "Give an even one."
        )
    if values.get("ragged") and (short := [n for n in as_list(values["context"]) if n < 2]):
        raise ValueError(
            f"context={short[0]} has no half, which the shortest sequence has if ragged: give 2 or "
            "more."
        )
    if "models" in values:
        _found_models(as_list(values["models"]))
    if "model" in values:
        (config,) = _found_models([values["model"]])
        for kv in as_list(values["num_kv_heads"]):
            check_heads(config.num_heads, kv, where=config.name)
    if values.get("dtype") not in (None, *_COMPUTED) and "rounds" in values:
        raise ValueError(
            f"dtype={values['dtype']!r} is not a number type that can be measured with here, as "
            f"results are compared with float64: take {', '.join(_COMPUTED)}."
        )


def _found_models(names: list[str]) -> list[ModelConfig]:
    from gqa_lib.configs import find_models

    configs, refused = find_models(names)
    if not configs:
        raise ValueError(f"no model is left to compare: {next(iter(refused.values()))}")
    return configs


def _meaning(known: Parameter) -> str:
    return f" ({known.name}: {known.help})" if known.help else ""


def _fits(value: Any, default: Any) -> bool:
    if isinstance(default, list):
        each = as_list(value)
        if not default:  # which says nothing about its elements
            return all(isinstance(one, int | float | str) for one in each)
        return all(_fits(one, default[0]) for one in each)
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)


def _allowed(value: Any, kind: str) -> bool:
    """Whether a type such as `int | None`, which may be nothing, allows a value."""
    names = set(re.findall(r"\w+", kind))
    if not names & {"None", "Optional"}:
        return False
    names |= {"NoneType"} | ({"int"} if "float" in names else set())
    return type(value).__name__ in names


def _wanted(known: Parameter, one: Any) -> str:
    """What a value is not and should be, or nothing."""
    name, automatic = known.name, known.default == 0 and known.default is not False
    if name in _WHOLE:
        least, most = _WHOLE[name]
        if type(one) is int and (least <= one <= most or (automatic and one == 0)):
            return ""
        end = f"to {most:,}" if most < _SIZE[1] else "up"
        return f"a whole number from {0 if automatic else least} {end}"
    if name in _NUMBERS:
        good = abs(one) <= sys.float_info.max and (
            one > 0 or (one == 0 and (automatic or name == "budget_s"))
        )
        good = good and (one <= 1 or _NUMBERS[name] != _SHARE)
        return "" if good else _NUMBERS[name] + (" (or 0)" if automatic else "")
    if isinstance(known.default, float) and not abs(one) <= sys.float_info.max:
        return "a number that a float can hold"
    return _NAMED[name](one) if name in _NAMED else ""


def _dtype(name: str) -> str:
    return "" if name in _STORED else f"a number type that torch has (take {', '.join(_COMPUTED)})"


def _backend(name: Any) -> str:
    from gqa_lib.compare.arms import PEERS
    from gqa_lib.kernels import BACKENDS

    arms = dict.fromkeys([*(b for b in BACKENDS if b != "sdpa_gqa"), *PEERS])
    return "" if name in arms else f"one of {', '.join(arms)}"


def _device(name: str) -> str:
    from gqa_lib.measure import pick_device

    if name:
        pick_device(name)  # which says what there is
    return ""


def _datasheet(name: str) -> str:
    from gqa_lib.hardware import datasheet

    if name:
        datasheet(name)
    return ""


def _model(name: str) -> str:
    return "" if name.strip() else "the name of a model or the path of a config.json"


def _named(what: str) -> Callable[[str], str]:
    return lambda text: "" if text.strip() else what


def _folder(path: str) -> str:
    good = path.strip() and "\0" not in path and (os.path.isdir(path) or not os.path.exists(path))
    return "" if good else "the name of a folder"


def _task(name: str) -> str:
    return "" if name in ("recall", "text") else "recall or text"


def _method(name: str) -> str:
    from gqa_lib.model.convert import METHODS

    return "" if name in METHODS else f"one of {', '.join(METHODS)}"


def _text(path: str) -> str:
    return "" if not path or os.path.exists(path) else "a file or folder that is there"


_NAMED = {
    "backends": _backend,
    "datasheet": _datasheet,
    "device": _device,
    "dtype": _dtype,
    "goodput": _named("latencies in milliseconds, such as 'ttft:2000 tpot:50'"),
    "hardware": _datasheet,
    "kernel_times": lambda name: "",
    "keep_dir": lambda path: _folder(path) if path else "",
    "methods": _method,
    "model": _model,
    "models": _model,
    "out_dir": _folder,
    "task": _task,
    "text": _text,
    "trace": _named("the name of a trace, or the path of a file with one"),
}
