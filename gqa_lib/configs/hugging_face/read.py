"""Puts a config.json together into a ModelConfig."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..layer import LayerKV
from ..shape import ModelConfig
from .context import longest_context
from .files import LAYERS, beside_text_part, load, name_of, path_of, text_part
from .keys import Keys
from .layers import HEAD_DIMS, KV_HEADS, layers_of
from .parameters import weights_of
from .without_cache import refuse_what_keeps_no_cache

_DECODER_LAYERS = ("num_decoder_layers", "decoder_layers", *LAYERS)
_HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads")
_DECODER_HEADS = ("num_decoder_attention_heads", "decoder_attention_heads", *_HEADS)
_D_MODEL = ("hidden_size", "n_embd", "d_model", "model_dim", "n_embed", "dim_model")
_D_FF = ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "d_ff", "decoder_ffn_dim")
_MOST = 10_000  # layers, and heads of a layer


def from_hf_config(source: str | Path | Mapping) -> ModelConfig:
    """The ModelConfig of a Hugging Face decoder, from its config.json.

    What each layer keeps is read from whatever way the file says it in; what the file leaves out
    is what its class in Hugging Face transformers assumes. A key that could change what is cached
    and is not understood is refused: a figure that leaves it out would look right.

    Args:
        source: path of a config.json or of the folder that holds it, or the parsed dictionary.

    Returns:
        The ModelConfig; its name is the file's (the folder's, of a config.json), of a dictionary
        its model_type. Its weights are counted where the family is known exactly, else None.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it cannot be read, is not a decoder's, or has something that is not understood;
            the message names the file, the key and its value.
    """
    outer, origin = load(source)
    try:
        return _config_of(source, outer, origin)
    except ValueError as trouble:
        told = str(trouble)
        raise ValueError(told if origin in told else f"{origin}: {told}") from None
    except (TypeError, KeyError, AttributeError, IndexError, ArithmeticError) as trouble:
        raise ValueError(
            f"{origin}: its keys do not fit together ({type(trouble).__name__}: {trouble}). Is it "
            "a model's config.json, as it was published?"
        ) from trouble


def _config_of(source: str | Path | Mapping, outer: Mapping, origin: str) -> ModelConfig:
    keys = Keys(text_part(outer, origin), origin)
    refuse_what_keeps_no_cache(outer, keys)
    keys.refuse_what_its_class_works_out()
    decoder = keys.flag("is_encoder_decoder")
    num_layers = _num_layers(keys, decoder)
    num_heads = _num_heads(keys, decoder)
    d_model = keys.agreed(*_D_MODEL)
    if num_layers is None or num_heads is None or d_model is None:
        raise _no_decoder(keys, outer, num_layers, num_heads, d_model)
    if num_layers > _MOST or num_heads > _MOST:
        raise ValueError(
            f"{origin}: {num_layers:,} layers of {num_heads:,} heads are more than any model has "
            f"({_MOST:,} are read at most). Is it a config.json?"
        )
    layers = layers_of(keys, num_layers, num_heads, d_model)
    sizes: dict[str, Any] = {
        "num_layers": num_layers,
        "num_heads": num_heads,
        "d_model": d_model,
        "d_ff": _d_ff(keys),
        "vocab_size": keys.size("vocab_size", "padded_vocab_size"),
        "max_context": longest_context(keys),
        "family": keys.family,
        "weights": weights_of(keys, layers, num_heads, d_model),
    }
    keys.refuse_what_nobody_asked_for(beside_text_part(outer))
    if all(layer.kind == "none" for layer in layers):
        raise ValueError(f"{origin}: none of its layers attends, so it keeps no KV cache.")
    name = _name(source, outer, keys)
    notes = _assumed(keys)
    return ModelConfig(
        name, **sizes, **_in_short(keys, layers, num_heads), source=origin, notes=notes
    )


def _name(source: str | Path | Mapping, outer: Mapping, keys: Keys) -> str:
    if isinstance(source, Mapping):
        return keys.family or str(outer.get("model_type") or "unnamed")
    return name_of(path_of(source).resolve()).removesuffix(".json")


def _num_layers(keys: Keys, decoder: bool) -> int | None:
    """How many layers attend or might: LongCat has two attentions in what it calls a layer."""
    counted = keys.size(*_DECODER_LAYERS) if decoder else keys.agreed(*LAYERS)
    keys.skip("conv_L_cache", "block_size")
    if counted is None:
        listed = keys.get("layers_block_type", "hybrid_override_pattern", "layer_types")
        return len(listed) if isinstance(listed, list | str) and listed else None
    return 2 * counted if keys.family == "longcat_flash" else counted


def _num_heads(keys: Keys, decoder: bool) -> int | None:
    names = _DECODER_HEADS if decoder else _HEADS
    listed = keys.get("num_query_heads", "num_attention_heads_per_layer")
    keys.skip("num_attention_heads")
    if isinstance(listed, list) and listed:
        if len(set(map(str, listed))) > 1:
            raise keys.wrong("num_query_heads", listed, "the same in every layer to be read here")
        return keys.whole(listed[0], "num_query_heads", 1)
    return keys.agreed(*names)


def _d_ff(keys: Keys) -> int | None:
    value = keys.get(*_D_FF)
    if isinstance(value, list):  # Gemma 3n lists one width per layer
        return max(keys.whole(one, "intermediate_size", 0) for one in value) or None
    return keys.size(*_D_FF) if value != 0 else None


def _in_short(keys: Keys, layers: list[LayerKV], num_heads: int) -> dict[str, Any]:
    """The fields that describe the layers: few where they say all of it, else every layer."""
    attending = [one for one in layers if one.kind != "none"]
    unbounded = [one for one in attending if one.window is None]
    ((layer, _),) = Counter(unbounded or attending).most_common(1)
    fields: dict[str, Any] = {"num_kv_heads": layer.num_kv_heads, "head_dim": layer.k_dim}
    few: dict[str, Any] = {}
    if layer.kind == "latent":
        fields = {"num_kv_heads": num_heads, "head_dim": keys.size("qk_nope_head_dim")}
        few = {"kv_lora_rank": layer.k_dim - layer.rope_dim, "rope_head_dim": layer.rope_dim}
    windows = tuple(one.window for one in layers)
    few["windows"] = windows if any(windows) else None
    few["shared_kv_layers"] = sum(one.shares is not None for one in layers)
    described = ModelConfig(keys.origin, len(layers), num_heads, d_model=1, **fields, **few)
    return fields | (few if described.kv_layers == tuple(layers) else {"layers": tuple(layers)})


def _assumed(keys: Keys) -> str:
    """A note on the sizes that the file leaves to its class."""
    sizes = (*LAYERS, *_HEADS, *_D_MODEL, *KV_HEADS, *HEAD_DIMS)
    told = [f"{name}={value}" for name, value in keys.assumed.items() if name in sizes]
    return f"left to its class in transformers: {', '.join(told)}" if told else ""


def _no_decoder(keys: Keys, outer: Mapping, num_layers, num_heads, d_model) -> ValueError:
    missing = [
        f"{what} (as {' or '.join(names)})"
        for what, names, there in (
            ("num_layers", LAYERS, num_layers),
            ("num_heads", _HEADS, num_heads),
            ("d_model", _D_MODEL, d_model),
        )
        if there is None
    ]
    return ValueError(
        f"{keys.origin} lacks {'; '.join(missing)}: without them this is not the config of a "
        f"decoder (its keys are {', '.join(sorted(map(str, outer))[:8]) or 'none'}). Give the "
        "config.json of a text generation model, or build a ModelConfig by hand."
    )
