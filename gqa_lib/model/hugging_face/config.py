"""A checkpoint's config.json as the model that it describes; what it says otherwise is refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gqa_lib.configs import ModelConfig
from gqa_lib.configs.hugging_face import from_hf_config
from gqa_lib.configs.hugging_face.files import load as load_json
from gqa_lib.configs.hugging_face.keys import Keys

from ..variant import Activation, Variant
from .families import FAMILIES, HARMLESS, NEUTRAL, Family
from .rope import ropes_of

_SIZES = (  # read by `from_hf_config`
    *("num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim"),
    *("hidden_size", "intermediate_size", "vocab_size", "max_position_embeddings"),
)
_ACTIVATIONS: dict[str, Activation] = {"silu": "silu", "gelu_pytorch_tanh": "gelu_tanh"}
_WIDEST_HEAD = 2**16  # none comes near, and frequencies of rotation are worked out for all of it
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Description:
    """What a config.json says of a model, and of how its weights are stored.

    Args:
        config: its sizes, and the window of each layer.
        variant: what it does otherwise than Llama.
        family: how its files differ from those of others.
        query_scale: what queries must be multiplied by so that scores divided by the root of
            head_dim come out as the model's own.
        dtype: the weights', None where the file does not say.
    """

    config: ModelConfig
    variant: Variant
    family: Family
    query_scale: float
    dtype: torch.dtype | None


def read_config(path: str | Path) -> Description:
    """Return what a config.json says, of which every key is understood or without effect.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a key or its value is not supported; the message names both.
    """
    given, origin = load_json(path)
    keys = Keys(given, origin)
    try:
        return _description(path, keys)
    except ValueError as trouble:
        message = str(trouble)
        raise ValueError(message if origin in message else f"{origin}: {message}") from None


def _description(path: str | Path, keys: Keys) -> Description:
    family = FAMILIES.get(keys.family)
    if family is None:
        raise ValueError(
            f"{keys.origin}: model_type={keys.family!r} is not supported: its layers may compute "
            f"something else than these families' do. Choose a model of {', '.join(FAMILIES)}."
        )
    _refuse_what_is_on(keys, family)
    _check_windows(keys, family)
    config = from_hf_config(path)
    if config.head_dim > _WIDEST_HEAD:
        raise keys.wrong("head_dim", config.head_dim, f"at most {_WIDEST_HEAD:,}")
    keys.skip(*_SIZES, *family.unused)
    variant = Variant(
        rope=ropes_of(keys, family, config),
        qkv_bias=_bias(keys, family.qkv_bias),
        out_bias=_bias(keys, family.out_bias),
        mlp_bias=_bias(keys, family.mlp_bias),
        qk_norm=family.qk_norm,
        norms=family.norms,
        norm_eps=_positive(keys, "rms_norm_eps", family.norm_eps),
        activation=_activation(keys, family),
        embedding_scale=config.d_model**0.5 if family.scaled_embedding else 1.0,
        tied=keys.flag("tie_word_embeddings", default=family.tied),
    )
    scale = 1.0
    if family.scores_key:
        scale = (config.head_dim / _positive(keys, family.scores_key, 256)) ** 0.5
    dtype = _dtype(keys)
    _refuse_what_is_unread(keys)
    return Description(config, variant, family, scale, dtype)


def _refuse_what_is_on(keys: Keys, family: Family) -> None:
    for name, usual in family.off:
        value = keys.get(name) if keys.has(name) or keys.is_null(name) else usual
        if value is not None and value is not False:
            raise ValueError(
                f"{keys.origin}: {name}={value!r} is not supported: what it does to scores or "
                f"logits is not computed here. Only null loads for model_type={keys.family!r}."
            )


def _check_windows(keys: Keys, family: Family) -> None:
    """Note the keys of the windows, which `from_hf_config` has read, and refuse contradictions."""
    keys.skip(*family.window_keys)
    if "layer_types" not in family.window_keys:
        return
    kinds = keys.get("layer_types")
    if kinds is not None and not isinstance(kinds, list):
        raise keys.wrong("layer_types", kinds, "a list with an entry per layer")
    if kinds is not None and "sliding_window_pattern" in family.window_keys:
        keys.skip("_sliding_window_pattern")  # what the list was made from
    if "use_sliding_window" not in family.window_keys:
        return
    on = keys.flag("use_sliding_window") and keys.get("sliding_window") is not None
    if not on and "sliding_attention" in (kinds or ()):
        raise ValueError(
            f"{keys.origin}: layer_types has 'sliding_attention' with use_sliding_window="
            f"{keys.get('use_sliding_window')!r} and sliding_window={keys.get('sliding_window')!r}:"
            " whether those layers have a window is not clear. Make the keys agree."
        )
    if on and kinds is None and family.without_rope:
        raise ValueError(
            f"{keys.origin}: use_sliding_window=True without layer_types: which layers have a "
            "window is not known. Add layer_types, with an entry per layer."
        )


def _bias(keys: Keys, flag: bool | str) -> bool:
    return keys.flag(flag) if isinstance(flag, str) else flag


def _activation(keys: Keys, family: Family) -> Activation:
    values = {name: keys.get(name) or family.activation for name in family.activation_keys}
    for name, value in values.items():
        if not isinstance(value, str) or value not in _ACTIVATIONS:
            raise keys.wrong(name, value, f"one of {', '.join(_ACTIVATIONS)}, which are supported")
    if len(set(values.values())) > 1:
        raise ValueError(f"{keys.origin}: {values} name one activation, and contradict each other.")
    return _ACTIVATIONS[values[family.activation_keys[0]]]


def _positive(keys: Keys, name: str, usual: float) -> float:
    value = keys.get(name)
    value = usual if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise keys.wrong(name, value, "a number above 0")
    return value


def _dtype(keys: Keys) -> torch.dtype | None:
    value = keys.get("dtype", "torch_dtype")
    if value is None:
        return None
    if not isinstance(value, str) or value not in _DTYPES:
        raise keys.wrong("dtype", value, f"one of {', '.join(_DTYPES)}, which are supported")
    return _DTYPES[value]


def _refuse_what_is_unread(keys: Keys) -> None:
    for name, value in keys.unread().items():
        neutral: Any = NEUTRAL.get(name)
        if name in HARMLESS or value is None or value is False or value == neutral:
            continue
        raise ValueError(
            f"{keys.origin}: {name}={repr(value)[:60]} is not supported for "
            f"model_type={keys.family!r}: it could change what the model computes. If it does not, "
            "remove it from config.json."
        )
