"""How the layers of a checkpoint turn queries and keys, from the rotary keys of its config.json.

Up to transformers 4 those are rope_theta and rope_scaling; from 5 on both are in rope_parameters,
which Gemma 3 has once for its global layers and once for those with a window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gqa_lib.attention import (
    DynamicScaling,
    LinearScaling,
    Llama3Scaling,
    Rope,
    YarnScaling,
)
from gqa_lib.attention.rope_scaling import Scaling
from gqa_lib.configs import ModelConfig
from gqa_lib.configs.hugging_face.keys import Keys

from .families import Family

_TRAINED = "original_max_position_embeddings"
_COMMON = ("rope_type", "type", "rope_theta", "partial_rotary_factor")
_YARN = ("beta_fast", "beta_slow", "attention_factor", "mscale", "mscale_all_dim", "truncate")
_KEYS = {  # what each type says in addition
    "default": (),
    "linear": ("factor",),
    "dynamic": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", _TRAINED),
    "yarn": ("factor", _TRAINED, *_YARN),
}
_LARGEST = 1e15  # a base, a factor: none comes near
_GLOBAL, _LOCAL = "full_attention", "sliding_attention"


def ropes_of(keys: Keys, family: Family, config: ModelConfig) -> list[Rope | None]:
    """Return for each layer how it turns queries and keys, None where it does not.

    Args:
        keys: those of the file.
        family: that of the model.
        config: its sizes, with the window of each layer.

    Raises:
        ValueError: a key's value is not supported, or two keys contradict each other.
    """
    windows = [layer.window for layer in config.kv_layers]
    if family.local_theta is not None:
        everywhere, local = _of_two_kinds(keys, family, config.head_dim)
        return [everywhere if window is None else local for window in windows]
    scaling, parameters = keys.keys_of("rope_scaling"), keys.keys_of("rope_parameters")
    if scaling and parameters and scaling != parameters:
        raise _contradiction(keys, "rope_scaling", scaling, "rope_parameters", parameters)
    outside = {name: keys.get(name) for name in ("rope_theta", "partial_rotary_factor")}
    rope = _rope(keys, family, scaling or parameters, outside, family.theta, config.head_dim)
    return [rope if turns else None for turns in _turning(keys, family, len(windows))]


def _of_two_kinds(keys: Keys, family: Family, head_dim: int) -> tuple[Rope, Rope]:
    """Gemma 3: that of its global layers, and that of those with a window."""
    scaling = keys.keys_of("rope_scaling")
    parameters = keys.keys_of("rope_parameters", (_GLOBAL, _LOCAL))
    nested = {kind: parameters.get(kind) or {} for kind in (_GLOBAL, _LOCAL)}
    if scaling and nested[_GLOBAL]:
        raise _contradiction(keys, "rope_scaling", scaling, "rope_parameters", parameters)
    outside = {"rope_theta": keys.get("rope_theta")}
    outside_local = {"rope_theta": keys.get("rope_local_base_freq")}
    assert family.local_theta is not None
    return (
        _rope(keys, family, scaling or nested[_GLOBAL], outside, family.theta, head_dim),
        _rope(keys, family, nested[_LOCAL], outside_local, family.local_theta, head_dim),
    )


def _turning(keys: Keys, family: Family, num_layers: int) -> list[bool]:
    """Which layers turn; a file's no_rope_layers has a 1 for those that do."""
    if not family.without_rope:
        return [True] * num_layers
    listed = keys.sizes(num_layers, "no_rope_layers")
    interval = keys.size("no_rope_layer_interval") or 4
    if listed is None:
        return [(layer + 1) % interval != 0 for layer in range(num_layers)]
    if not set(listed) <= {0, 1}:
        wanted = "1 for each layer that turns, 0 for each that does not"
        raise keys.wrong("no_rope_layers", listed, wanted)
    return [one == 1 for one in listed]


def _rope(
    keys: Keys,
    family: Family,
    inside: Mapping,
    outside: dict[str, Any],
    theta: float,
    head_dim: int,
) -> Rope:
    """The rotation that some parameters describe, with those that stand outside of them."""
    if not isinstance(inside, Mapping):
        raise keys.wrong("rope_parameters", inside, "keys and values")
    both = {name: value for name, value in inside.items() if value is not None}
    for name, value in outside.items():
        if value is not None and both.setdefault(name, value) != value:
            raise _contradiction(keys, name, value, f"{name} next to the scaling", both[name])
    kind = both.get("rope_type", both.get("type", "default"))
    if both.get("type", kind) != kind:
        raise _contradiction(keys, "type", both["type"], "rope_type", kind)
    if kind not in family.rope_types:
        raise ValueError(
            f"{keys.origin}: rope_type={kind!r} is not supported for model_type={keys.family!r}: "
            "the positions would mean something else than in training. Supported: "
            f"{', '.join(family.rope_types)}."
        )
    odd = [name for name in both if name not in (*_COMMON, *_KEYS[kind])]
    if odd:
        raise ValueError(
            f"{keys.origin}: {odd[0]}={both[odd[0]]!r} means nothing for rope_type={kind!r}, so "
            "what it should change is not known. Remove the key if it is a leftover."
        )
    base = _number(keys, both, "rope_theta", theta)
    return Rope(
        head_dim, base, _scaling(keys, kind, both), _rotary_dim(keys, family, both, head_dim)
    )


def _rotary_dim(keys: Keys, family: Family, both: dict[str, Any], head_dim: int) -> int:
    part = _number(keys, both, "partial_rotary_factor", 1.0)
    if part == 1 or (family.partial_rotary and 0 < part < 1):
        return int(head_dim * part)
    raise keys.wrong(
        "partial_rotary_factor",
        part,
        "more than 0 and at most 1"
        if family.partial_rotary
        else f"1 for model_type={keys.family!r}, whose class in transformers turns whole heads",
    )


def _scaling(keys: Keys, kind: str, both: dict[str, Any]) -> Scaling | None:
    if kind == "default":
        return None
    factor = _number(keys, both, "factor")
    if kind == "linear":
        return LinearScaling(factor)
    if kind == "dynamic":  # transformers counts from here, whatever was trained
        return DynamicScaling(factor, _longest(keys))
    trained = _trained_len(keys, both)
    if kind == "llama3":
        low, high = (_number(keys, both, f"{end}_freq_factor") for end in ("low", "high"))
        return Llama3Scaling(factor, trained, low, high)
    truncate = both.get("truncate", True)
    if not isinstance(truncate, bool):
        raise keys.wrong("truncate", truncate, "true or false")
    return YarnScaling(
        factor,
        trained,
        _number(keys, both, "beta_fast", 32.0) or 32.0,  # 0 is the default, as in transformers
        _number(keys, both, "beta_slow", 1.0) or 1.0,
        _attention_factor(keys, both, factor),
        truncate,
    )


def _attention_factor(keys: Keys, both: dict[str, Any], factor: float) -> float | None:
    """What YaRN multiplies cosines and sines by, None for its usual 0.1 ln(factor) + 1."""
    mscale, all_dim = (_number(keys, both, name, 0.0) for name in ("mscale", "mscale_all_dim"))
    if "attention_factor" in both:
        return _number(keys, both, "attention_factor")
    if bool(mscale) != bool(all_dim):
        raise ValueError(
            f"{keys.origin}: mscale={mscale} with mscale_all_dim={all_dim}: one without the other "
            "is ignored by transformers, and not by others. Give both, or neither."
        )
    if not mscale or factor <= 1:
        return 1.0 if mscale else None
    return (0.1 * mscale * math.log(factor) + 1) / (0.1 * all_dim * math.log(factor) + 1)


def _trained_len(keys: Keys, both: dict[str, Any]) -> int:
    """The longest sequence in training: in or next to the scaling, else the longest of all."""
    inside = both.get(_TRAINED)
    outside = keys.get(_TRAINED) if keys.has(_TRAINED) else inside
    if inside is not None and inside != outside:
        raise _contradiction(keys, _TRAINED, outside, f"{_TRAINED} in the scaling", inside)
    return _longest(keys) if outside is None else keys.whole(outside, _TRAINED, least=1)


def _longest(keys: Keys) -> int:
    name = "max_position_embeddings"
    return keys.whole(keys.get(name), name, least=1)


def _number(keys: Keys, both: dict[str, Any], name: str, usual: float | None = None) -> float:
    value = both.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LARGEST:
        raise keys.wrong(name, value, "a number")
    return value


def _contradiction(keys: Keys, name: str, value: Any, other: str, other_value: Any) -> ValueError:
    return ValueError(
        f"{keys.origin}: {name}={value!r} and {other}={other_value!r} contradict each other: only "
        "one of them is what the model was trained with. Remove the other."
    )
