"""Reads a Hugging Face config.json: its keys are known here and nowhere else in the project."""

import json
from collections.abc import Mapping
from itertools import cycle, islice
from pathlib import Path

from .shape import ModelConfig

# What each size is called: the usual key first, then what older models call it.
_HF_KEYS = {
    "num_layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "num_heads": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "d_model": ("hidden_size", "n_embd", "d_model"),
    "d_ff": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "d_ff"),
    "vocab_size": ("vocab_size",),
    "max_context": ("max_position_embeddings", "n_positions", "max_seq_len"),
}
_HF_KV_HEADS = ("num_key_value_heads", "num_kv_heads", "multi_query_group_num")
# Local layers per full one, plus one, for families whose config.json may leave it to the class.
_HF_PATTERN = {
    "gemma2": 2,
    "gemma3": 6,
    "gemma3_text": 6,
    "gemma3n_text": 5,
    "cohere2": 4,
    "olmo3": 4,
    "gpt_oss": 2,
    "exaone4": 4,
    "llama4_text": 4,
}
# Keys of models in which only some layers keep a KV cache.
_HF_HYBRID = (
    "full_attention_interval",
    "attn_layer_period",
    "layers_block_type",
    "hybrid_override_pattern",
    "block_types",
)


def from_hf_config(source: str | Path | Mapping) -> ModelConfig:
    """The ModelConfig of a Hugging Face decoder, from its config.json.

    Written for what such files hold, which is not always what they say: a head size that is not
    hidden size over heads, a KV head count that the model ignores (Falcon-7B's 71), windows that
    are switched off, a text model inside a multimodal one.

    Args:
        source: path of a config.json or of the folder that holds it, or the parsed dictionary.

    Returns:
        The ModelConfig; its name is the file's own name for the model, else its type.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a decoder whose cache a ModelConfig can describe.
    """
    outer, origin = _read_hf(source)
    hf = {"model_type": outer.get("model_type", ""), **(outer.get("text_config") or outer)}
    sizes = {field: _first(hf, keys) for field, keys in _HF_KEYS.items()}
    _refuse_what_is_no_decoder(outer, sizes, origin)
    _refuse_unequal_layers(hf, origin)
    if isinstance(sizes["d_ff"], list):  # Gemma 3n lists one width per layer
        sizes["d_ff"] = max(sizes["d_ff"])
    is_mla = hf.get("kv_lora_rank") is not None
    head_dim = hf.get("qk_nope_head_dim") if is_mla else _first(hf, ("head_dim", "d_kv"))
    return ModelConfig(
        name=str(outer.get("_name_or_path") or hf["model_type"] or "unnamed"),
        num_kv_heads=sizes["num_heads"] if is_mla else _hf_kv_heads(hf, sizes["num_heads"]),
        head_dim=head_dim or sizes["d_model"] // sizes["num_heads"],
        windows=_hf_windows(hf, sizes["num_layers"]),
        kv_lora_rank=hf.get("kv_lora_rank"),
        rope_head_dim=hf["qk_rope_head_dim"] if is_mla else None,
        shared_kv_layers=hf.get("num_kv_shared_layers") or 0,
        family=hf["model_type"],
        source=origin,
        **sizes,
    )


def _read_hf(source: str | Path | Mapping) -> tuple[Mapping, str]:
    """The parsed config and what to call it in a message."""
    if isinstance(source, Mapping):
        return source, "the given config"
    path = Path(source)
    path = path / "config.json" if path.is_dir() else path
    return json.loads(path.read_text(encoding="utf-8")), path.name


def _refuse_what_is_no_decoder(outer: Mapping, sizes: Mapping, origin: str) -> None:
    encoders = [a for a in outer.get("architectures") or () if "MaskedLM" in a or "Image" in a]
    if encoders:
        raise ValueError(
            f"{origin} belongs to {encoders[0]}, an encoder: it reads its whole input at once and "
            "keeps no KV cache. Give the config.json of a text generation model."
        )
    missing = [field for field in ("num_layers", "num_heads", "d_model") if not sizes[field]]
    if missing:
        wanted = "; ".join(f"{field} (as {' or '.join(_HF_KEYS[field])})" for field in missing)
        raise ValueError(
            f"{origin} lacks {wanted}: without them this is not the config of a decoder (its keys "
            f"are {', '.join(sorted(outer)[:8]) or 'none'}). Give the config.json of a text "
            "generation model, or build a ModelConfig by hand."
        )


def _first(hf: Mapping, keys: tuple[str, ...]):
    return next((hf[key] for key in keys if hf.get(key) is not None), None)


def _hf_kv_heads(hf: Mapping, num_heads: int) -> int:
    """KV heads the model really has; the flags of multi-query models overrule the count."""
    if hf.get("n_head_kv") is not None:  # Falcon-40B before it was called falcon; no flag then
        return hf["n_head_kv"]
    if hf.get("model_type") in ("falcon", "RefinedWeb", "RefinedWebModel"):
        if not hf.get("new_decoder_architecture") and hf.get("multi_query", True):
            return 1  # num_kv_heads=71 in such a file is ignored by the model
    elif hf.get("multi_query") and "multi_query_group_num" not in hf:  # GPT-BigCode
        return 1
    nested = hf.get("attn_config") or {}  # DBRX and MPT
    return _first(hf, _HF_KV_HEADS) or nested.get("kv_n_heads") or num_heads


def _hf_windows(hf: Mapping, num_layers: int) -> tuple[int | None, ...] | None:
    """The window of each layer, None if every layer keeps all its tokens."""
    window = _first(hf, ("sliding_window", "attention_chunk_size"))
    if window is None or hf.get("use_sliding_window") is False:
        return None
    layer_types = hf.get("layer_types")
    if layer_types:
        is_full = [layer_type == "full_attention" for layer_type in layer_types]
    elif hf.get("use_sliding_window") and "max_window_layers" in hf:  # Qwen2: full ones first
        is_full = [layer < hf["max_window_layers"] for layer in range(num_layers)]
    else:
        is_full = _hf_pattern(hf, num_layers)
    return None if all(is_full) else tuple(None if full else window for full in is_full)


def _hf_pattern(hf: Mapping, num_layers: int) -> list[bool]:
    """For each layer whether it is full, from a repeating pattern; without one, none is."""
    pattern = _first(hf, ("sliding_window_pattern", "_sliding_window_pattern"))
    pattern = pattern or hf.get("no_rope_layer_interval") or _HF_PATTERN.get(hf["model_type"])
    if pattern is None:
        return [False] * num_layers
    if isinstance(pattern, str):  # EXAONE writes "LLLG"
        return [letter == "G" for letter in islice(cycle(pattern), num_layers)]
    return [(layer + 1) % pattern == 0 for layer in range(num_layers)]


def _refuse_unequal_layers(hf: Mapping, origin: str) -> None:
    """Raises where one shape cannot stand for every layer: a wrong figure would look right."""
    known = {"full_attention", "sliding_attention", "chunked_attention"}
    odd = [f"layer type {name!r}" for name in sorted(set(hf.get("layer_types") or ()) - known)]
    odd += [key for key in _HF_HYBRID if hf.get(key) is not None]
    if hf.get("global_head_dim") not in (None, hf.get("head_dim")):
        odd.append(f"global_head_dim={hf['global_head_dim']} next to head_dim={hf.get('head_dim')}")
    if odd:
        raise ValueError(
            f"{origin} has {', '.join(odd)}: its layers do not all cache K and V of one shape, so "
            "one num_kv_heads x head_dim would give a wrong cache size. Build one ModelConfig for "
            "each kind of layer and add their bytes."
        )
